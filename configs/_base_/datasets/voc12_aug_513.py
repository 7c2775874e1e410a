# Pascal VOC 2012 + SBD with the augmentation of TaT's authors: flips, the
# short edge drawn from 256 to 1026 pixels, crops of 513, blur, no change of
# colours. 1464 + 9118 = 10582 training images.
# Deviation: validation at each image's own size, as mmsegmentation does it.
# The authors warp image and label to 513 x 513, and their numbers compare
# only with that. For it, in a config over one that has this base:
#   val_dataloader = dict(dataset=dict(pipeline=_base_.warped_pipeline))
#   test_dataloader = val_dataloader
# Data: as mmsegmentation prepares it (SegmentationClassAug, aug.txt).
_base_ = 'mmseg::_base_/datasets/pascal_voc12_aug.py'
crop_size = (513, 513)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        # The long edge has no limit; whole numbers, both ends included.
        scale=[(100000, 256), (100000, 1026)],
        keep_ratio=True,
        # Its bilinear smooths where it shrinks; the blur is Pillow's too.
        backend='pillow',
    ),
    # Here, and not by the data preprocessor: before the normalisation, so
    # that the border is black. As released, it is background, not ignored.
    dict(type='Pad', size=crop_size, pad_val=dict(img=0, seg=0)),
    dict(type='RandomCrop', crop_size=crop_size),
    # A radius from U(0, 1).
    dict(
        type='mmpretrain.GaussianBlur',
        magnitude_range=(0, 1),
        magnitude_std='inf',
        prob=0.5,
    ),
    dict(type='PackSegInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(2048, 513), keep_ratio=True),
    # Labels come after Resize: the metric is taken at the image's own size.
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
warped_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=crop_size, backend='pillow'),
    dict(type='mmtat.EvaluateResized'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(_base_.dataset_train, pipeline=train_pipeline),
            dict(_base_.dataset_aug, pipeline=train_pipeline),
        ]
    )
)
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
