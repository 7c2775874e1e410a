# A teacher: ResNet-56 on CIFAR-100.
#   python tools/train.py configs/cifar100/resnet56.py
_base_ = '../_base_/cifar100_240e.py'
model = dict(
    backbone=dict(type='mmtat.CIFARResNet', depth=56),
    head=dict(in_channels=64),
)
