# MobileNetV1 on ImageNet-1k from scratch, by mmpretrain's schedule for 256
# images a step: SGD 0.1 with momentum 0.9 and weight decay 1e-4 on
# everything, x 0.1 after 30, 60 and 90 of 100 epochs; random crops resized to
# 224, and flips; tested on the centre 224 of a short edge of 256.
_base_ = [
    'mmpretrain::_base_/models/mobilenet_v2_1x.py',
    'mmpretrain::_base_/datasets/imagenet_bs32.py',
    'mmpretrain::_base_/schedules/imagenet_bs256.py',
    'mmpretrain::_base_/default_runtime.py',
]
model = dict(
    backbone=dict(_delete_=True, type='mmtat.MobileNetV1', width=1.0),
    head=dict(in_channels=1024),
)
default_hooks = dict(
    checkpoint=dict(save_best='accuracy/top1', max_keep_ckpts=2),
)
