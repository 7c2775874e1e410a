# DeepLabV3+ on ResNet-18, made narrow and cut after its third stage for
# scenes of 80x80: stages of 20x20, 10x10, 10x10, and a decoder of 20x20.
norm_cfg = dict(type='BN')
model = dict(
    type='EncoderDecoder',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        # Of the training scenes; their colours have no favourite.
        mean=[91, 91, 91],
        std=[53, 53, 53],
        bgr_to_rgb=True,
        size=(80, 80),
        seg_pad_val=255,
    ),
    backbone=dict(
        type='ResNet',
        depth=18,
        stem_channels=16,
        base_channels=16,
        num_stages=3,
        strides=(1, 2, 1),
        dilations=(1, 1, 1),
        out_indices=(0, 1, 2),
        norm_cfg=norm_cfg,
    ),
    decode_head=dict(
        type='DepthwiseSeparableASPPHead',
        in_channels=64,
        in_index=2,
        channels=64,
        # A digit spans 4 to 5 of the 10 cells.
        dilations=(1, 2, 4),
        c1_in_channels=16,
        c1_channels=16,
        dropout_ratio=0.1,
        num_classes=11,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(
            type='CrossEntropyLoss',
            # Unlabelled scenes must not thin out the mean.
            avg_non_ignore=True,
        ),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode='whole'),
)
