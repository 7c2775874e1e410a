# A student, alone: WRN-16-2 on CIFAR-100.
#   python tools/train.py configs/cifar100/wrn_16_2.py
_base_ = '../_base_/cifar100_240e.py'
model = dict(
    backbone=dict(type='mmtat.WideResNet', depth=16, widen_factor=2),
    head=dict(in_channels=128),
)
