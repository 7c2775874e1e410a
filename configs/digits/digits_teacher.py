# The teacher: ResNet-14 on all 1078 training digits with their labels.
#   python tools/train.py configs/digits/digits_teacher.py
_base_ = ['../_base_/datasets/digits.py', '../_base_/schedules/digits.py']
model = dict(
    type='ImageClassifier',
    backbone=dict(type='mmtat.CIFARResNet', depth=14, widths=(8, 8, 16, 64)),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=10,
        in_channels=64,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
