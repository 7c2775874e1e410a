# Digit scenes with all training labels; with few labels: mixed_dataset.
# tools/demo.py makes them, and so does, at the data_root below,
#   python -c "from mmtat.datasets import write_digit_scenes as write; \
#       write('data/digit_scenes', labelled=100)"
data_root = 'data/digit_scenes'
metainfo = dict(
    classes=('background', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9'),
    # As mmtat.datasets.PALETTE.
    palette=[
        [40, 40, 40],
        [230, 25, 75],
        [60, 180, 75],
        [255, 225, 25],
        [0, 130, 200],
        [245, 130, 48],
        [145, 30, 180],
        [70, 240, 240],
        [240, 50, 230],
        [210, 245, 60],
        [250, 190, 212],
    ],
)
# Twice the scene's 40: the stem divides by 4, and strokes are 2 pixels wide.
# No flips and no crops: a mirrored or halved digit may be another one.
train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadAnnotations'),
    dict(type='Resize', scale=(80, 80)),
    dict(type='PackSegInputs'),
]
# Labels come after Resize: the metric is taken at the scene's own size.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(80, 80)),
    dict(type='LoadAnnotations'),
    dict(type='PackSegInputs'),
]
dataset = dict(
    type='BaseSegDataset',
    data_root=data_root,
    metainfo=metainfo,
    img_suffix='.jpg',
    seg_map_suffix='.png',
    data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
)
labelled = dict(
    ann_file='ImageSets/Segmentation/labelled.txt',
    pipeline=train_pipeline,
    **dataset,
)
unlabelled = dict(
    labelled,
    ann_file='ImageSets/Segmentation/unlabelled.txt',
    data_prefix=dict(
        img_path='JPEGImages', seg_map_path='SegmentationClassUnlabelled'
    ),
)
mixed_dataset = dict(
    type='ConcatDataset',
    datasets=[
        # 100 scenes 19 times: as many as the 1900 without labels.
        dict(type='RepeatDataset', dataset=labelled, times=19),
        unlabelled,
    ],
)
train_dataloader = dict(
    batch_size=8,
    # 8 scenes load in 5 ms; a worker would fight for the cores with torch.
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        ann_file='ImageSets/Segmentation/train.txt',
        pipeline=train_pipeline,
        **dataset,
    ),
)
val_dataloader = dict(
    # All scenes have one size, so that they can share a batch.
    batch_size=50,
    num_workers=0,
    persistent_workers=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    # Tune on tuning.txt instead, which shares no digit with val.txt:
    # --cfg-options \
    #   val_dataloader.dataset.ann_file=ImageSets/Segmentation/tuning.txt
    dataset=dict(
        ann_file='ImageSets/Segmentation/val.txt',
        pipeline=test_pipeline,
        **dataset,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
test_evaluator = val_evaluator
