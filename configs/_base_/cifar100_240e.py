# CIFAR-100 by the recipe of RepDistiller: SGD 0.05 with momentum 0.9 and
# weight decay 5e-4 on everything, 64 images a step, x 0.1 after 150, 180 and
# 210 of 240 epochs; crops of 32 from images padded by 4 zeros, and flips.
# Deviations: mmpretrain's mean and std (within 0.1 % of RepDistiller's), its
# initial classifier (N(0, 0.01^2), biases 0) under every network, and 64
# instead of 32 images a test batch.
# Data: cifar-100-python.tar.gz, unpacked in data/cifar100.
_base_ = [
    'mmpretrain::_base_/datasets/cifar100_bs16.py',
    'mmpretrain::_base_/default_runtime.py',
]
# What is around every backbone; each names it, and the head's in_channels.
model = dict(
    type='ImageClassifier',
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        type='LinearClsHead',
        num_classes=100,
        loss=dict(type='CrossEntropyLoss', loss_weight=1.0),
    ),
)
train_dataloader = dict(batch_size=64)
val_dataloader = dict(batch_size=64)
test_dataloader = dict(batch_size=64)
val_evaluator = dict(topk=(1, 5))
test_evaluator = dict(topk=(1, 5))
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4),
)
param_scheduler = dict(
    type='MultiStepLR', by_epoch=True, milestones=[150, 180, 210], gamma=0.1
)
train_cfg = dict(
    type='mmtat.ExactEpochBasedTrainLoop', max_epochs=240, val_interval=1
)
val_cfg = dict()
test_cfg = dict()
default_hooks = dict(
    # Distillations read their teacher's last epoch, as RepDistiller does.
    checkpoint=dict(
        type='mmtat.SafeCheckpointHook',
        save_best='accuracy/top1',
        max_keep_ckpts=1,
    ),
    preemption=dict(type='mmtat.PreemptionHook'),
    non_finite=dict(type='mmtat.NonFiniteHook'),
    data_faults=dict(type='mmtat.DataFaultHook'),
)
# --auto-scale-lr: the learning rate is for 64 images.
auto_scale_lr = dict(base_batch_size=64)
