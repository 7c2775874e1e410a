# A student, alone: WRN-40-1 on CIFAR-100.
#   python tools/train.py configs/cifar100/wrn_40_1.py
_base_ = '../_base_/cifar100_240e.py'
model = dict(
    backbone=dict(type='mmtat.WideResNet', depth=40, widen_factor=1),
    head=dict(in_channels=64),
)
