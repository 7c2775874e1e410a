# A student, alone: VGG-8 on CIFAR-100.
#   python tools/train.py configs/cifar100/vgg8.py
_base_ = '../_base_/cifar100_240e.py'
model = dict(
    backbone=dict(type='mmtat.CIFARVGG', depth=8),
    head=dict(in_channels=512),
)
