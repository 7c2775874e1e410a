# COCO-Stuff 10k with the augmentation of TaT's authors: see
# voc12_aug_513.py, but the padded border is ignored. 9000 training images.
# Deviations: validation as there, and mmsegmentation's 171 classes where the
# released code has 182.
# Data: as mmsegmentation prepares it (*_labelTrainIds.png).
_base_ = 'mmseg::_base_/datasets/coco-stuff10k.py'
crop_size = (513, 513)
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        scale=[(100000, 256), (100000, 1026)],
        keep_ratio=True,
        backend='pillow',
    ),
    dict(type='Pad', size=crop_size, pad_val=dict(img=0, seg=255)),
    dict(type='RandomCrop', crop_size=crop_size),
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
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='PackSegInputs'),
]
warped_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations', reduce_zero_label=True),
    dict(type='Resize', scale=crop_size, backend='pillow'),
    dict(type='mmtat.EvaluateResized'),
    dict(type='PackSegInputs'),
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
