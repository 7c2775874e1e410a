# DeepLabV3+ on MobileNetV2 at output stride 8 for VOC: mmsegmentation's own
# for Cityscapes and ADE20K (it has none for VOC).
_base_ = 'mmseg::_base_/models/deeplabv3plus_r50-d8.py'
data_preprocessor = dict(size=(512, 512))
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained='mmcls://mobilenet_v2',
    backbone=dict(
        _delete_=True,
        type='MobileNetV2',
        strides=(1, 2, 2, 1, 1, 1, 1),
        dilations=(1, 1, 1, 2, 2, 4, 4),
        out_indices=(1, 2, 4, 6),
        norm_cfg=dict(type='SyncBN', requires_grad=True),
    ),
    decode_head=dict(in_channels=320, c1_in_channels=24, num_classes=21),
    auxiliary_head=dict(in_channels=96, num_classes=21),
)
