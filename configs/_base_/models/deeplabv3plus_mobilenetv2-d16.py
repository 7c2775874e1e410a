# DeepLabV3+ on MobileNetV2 at output stride 16: the teacher's decoder.
# Deviations: pretrained by mmpretrain, as torchvision's file has other
# names; dilated by mmsegmentation's rule for stride 8 (the stage that loses
# its stride and those behind it), as the released one is not on record here.
_base_ = './deeplabv3plus_r101-d16.py'
model = dict(
    pretrained='mmcls://mobilenet_v2',
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        strides=(1, 2, 2, 2, 1, 1, 1),
        dilations=(1, 1, 1, 1, 1, 2, 2),
        out_indices=(1, 2, 4, 6),
        norm_cfg=_base_.norm_cfg,
    ),
    decode_head=dict(in_channels=320, c1_in_channels=24),
)
