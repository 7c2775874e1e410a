# One cycle of AdamW, validated and saved at its end. Each config says its
# own number of steps: train_cfg, and where the learning rate turns.
_base_ = ['mmpretrain::_base_/default_runtime.py']
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=0.02, weight_decay=0.01),
)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, end=90),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=90, end=300),
]
# Validation comes with the last step, whatever the interval.
train_cfg = dict(
    type='mmtat.ExactIterBasedTrainLoop', max_iters=300, val_interval=100000
)
default_hooks = dict(
    logger=dict(type='LoggerHook', interval=20, log_metric_by_epoch=False),
    # Beyond every run here: only the last iteration is saved.
    checkpoint=dict(
        type='mmtat.SafeCheckpointHook', by_epoch=False, interval=100000
    ),
    preemption=dict(type='mmtat.PreemptionHook'),
    non_finite=dict(type='mmtat.NonFiniteHook'),
    data_faults=dict(type='mmtat.DataFaultHook'),
)
log_processor = dict(by_epoch=False)
randomness = dict(seed=0)
