# A student, alone: ResNet-8x4 on CIFAR-100.
#   python tools/train.py configs/cifar100/resnet8x4.py
_base_ = '../_base_/cifar100_240e.py'
model = dict(
    backbone=dict(
        type='mmtat.CIFARResNet', depth=8, widths=(32, 64, 128, 256)
    ),
    head=dict(in_channels=256),
)
