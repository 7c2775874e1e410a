# DeepLabV3+ on ResNet-101 at output stride 16, as TaT's authors run it: no
# deep stem, multi-grid 1, 2, 4 x 2 in the last stage, a plain decoder, no
# auxiliary head. Who takes this sets num_classes and the loss's weight.
# Pretrained on ImageNet by torchvision.
norm_cfg = dict(type='SyncBN', requires_grad=True)
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
        size=(513, 513),
    ),
    pretrained='torchvision://resnet101',
    backbone=dict(
        type='ResNet',
        depth=101,
        strides=(1, 2, 2, 1),
        dilations=(1, 1, 1, 2),
        # mmsegmentation takes these as they are, not times the stage's 2.
        multi_grid=(2, 4, 8),
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type='mmtat.DeepLabV3PlusHead',
        in_channels=2048,
        in_index=3,
        channels=256,
        dilations=(1, 6, 12, 18),
        c1_in_channels=256,
        c1_channels=48,
        aspp_dropout_ratio=0.5,
        decoder_dropout_ratio=0.5,
        dropout_ratio=0.1,
        norm_cfg=norm_cfg,
        align_corners=True,
        # The mean over valid pixels; the released code divides it by the
        # batch size again: loss_weight=1 / (images of all processes).
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
