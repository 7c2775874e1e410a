# DeepLabV3+ on ResNet-18 at output stride 8 for VOC: mmsegmentation's R50
# model with the channels of its R18 for Cityscapes (it has none for VOC).
_base_ = 'mmseg::_base_/models/deeplabv3plus_r50-d8.py'
data_preprocessor = dict(size=(512, 512))
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained='open-mmlab://resnet18_v1c',
    backbone=dict(depth=18),
    decode_head=dict(
        in_channels=512,
        channels=128,
        c1_in_channels=64,
        c1_channels=12,
        num_classes=21,
    ),
    auxiliary_head=dict(in_channels=256, channels=64, num_classes=21),
)
