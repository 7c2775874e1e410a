# DeepLabV3+ on ResNet-18 at output stride 16: the teacher's network without
# multi-grid. mmsegmentation dilates the first convolution of each block.
_base_ = './deeplabv3plus_r101-d16.py'
model = dict(
    pretrained='torchvision://resnet18',
    backbone=dict(depth=18, multi_grid=None),
    decode_head=dict(in_channels=512, c1_in_channels=64),
)
