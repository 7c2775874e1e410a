# ResNet-18 on ImageNet-1k, fine-tuned from the zoo's weights as the released
# code does: AdamW, steps at 30/60/90 of 100 epochs, 2048 images a step.
_base_ = [
    'mmpretrain::_base_/models/resnet18.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    'mmpretrain::_base_/default_runtime.py',
]
model = dict(
    pretrained='https://download.openmmlab.com/mmclassification/v0/resnet/resnet18_8xb32_in1k_20210831-fbbb1da6.pth',
    # The rest of the weight is the logits': 0.5 CE + 0.5 KL.
    head=dict(loss=dict(loss_weight=0.5)),
)
train_dataloader = dict(batch_size=256)
optim_wrapper = dict(
    optimizer=dict(_delete_=True, type='AdamW', lr=1.6e-3, weight_decay=5e-4),
)
train_cfg = dict(
    _delete_=True,
    type='mmtat.ExactEpochBasedTrainLoop',
    max_epochs=100,
    val_interval=1,
)
default_hooks = dict(
    checkpoint=dict(
        type='mmtat.SafeCheckpointHook',
        save_best='accuracy/top1',
        max_keep_ckpts=2,
    ),
    preemption=dict(type='mmtat.PreemptionHook'),
    non_finite=dict(type='mmtat.NonFiniteHook'),
    data_faults=dict(type='mmtat.DataFaultHook'),
)
auto_scale_lr = dict(base_batch_size=2048)
