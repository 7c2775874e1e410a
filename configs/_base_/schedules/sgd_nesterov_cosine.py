# SGD with Nesterov's momentum, and the learning rate down a cosine to 0 by
# iteration, as TaT's authors train for segmentation. ASPP and decoder learn
# 10 times as fast as the backbone and TaT's embeddings. Who takes this sets
# lr, T_max and max_iters; 4 processes.
# Deviations: batches run on over the end of an epoch, where the authors drop
# the last one; the number of iterations is theirs. Validated every 5000
# iterations, and not after each epoch.
_base_ = 'mmseg::_base_/default_runtime.py'
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='SGD', momentum=0.9, weight_decay=5e-4, nesterov=True),
    paramwise_cfg=dict(custom_keys=dict(decode_head=dict(lr_mult=10.0))),
)
param_scheduler = dict(type='CosineAnnealingLR', by_epoch=False, eta_min=0.0)
train_cfg = dict(type='mmtat.ExactIterBasedTrainLoop', val_interval=5000)
val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50, log_metric_by_epoch=False),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='mmtat.SafeCheckpointHook',
        by_epoch=False,
        interval=5000,
        save_best='mIoU',
        max_keep_ckpts=2,
    ),
    preemption=dict(type='mmtat.PreemptionHook'),
    non_finite=dict(type='mmtat.NonFiniteHook'),
    data_faults=dict(type='mmtat.DataFaultHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='SegVisualizationHook'),
)
