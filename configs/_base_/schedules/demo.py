# One cycle of AdamW, validated and saved at its end: a minute on a laptop.
optim_wrapper = dict(
    type='OptimWrapper',
    # 10 times the usual: at 1e-3 the first 1000 steps tell no digits apart.
    optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.01),
)
# 3 tenths up from a 25th, then down to 0.
param_scheduler = [
    dict(type='LinearLR', start_factor=0.04, by_epoch=False, end=300),
    dict(type='CosineAnnealingLR', by_epoch=False, begin=300, end=1000),
]
train_cfg = dict(
    type='mmtat.ExactIterBasedTrainLoop', max_iters=1000, val_interval=1000
)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=100, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    # Beyond every run here: only the last iteration is saved.
    checkpoint=dict(
        type='mmtat.SafeCheckpointHook', by_epoch=False, interval=100000
    ),
    preemption=dict(type='mmtat.PreemptionHook'),
    non_finite=dict(type='mmtat.NonFiniteHook'),
    data_faults=dict(type='mmtat.DataFaultHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
randomness = dict(seed=0)
