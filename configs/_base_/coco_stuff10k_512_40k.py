# COCO-Stuff 10k, crops of 512, 40k iterations of 16 images over all
# processes: the recipe of the zoo's teacher. 4 images a process, 4 of them.
_base_ = [
    'mmseg::_base_/datasets/coco-stuff10k.py',
    'mmseg::_base_/default_runtime.py',
    'mmseg::_base_/schedules/schedule_40k.py',
]
train_cfg = dict(type='mmtat.ExactIterBasedTrainLoop')
default_hooks = dict(
    checkpoint=dict(
        type='mmtat.SafeCheckpointHook', save_best='mIoU', max_keep_ckpts=2
    ),
    preemption=dict(type='mmtat.PreemptionHook'),
    non_finite=dict(type='mmtat.NonFiniteHook'),
    data_faults=dict(type='mmtat.DataFaultHook'),
)
# --auto-scale-lr: the learning rate 0.01 is for 16 images.
auto_scale_lr = dict(enable=False, base_batch_size=16)
