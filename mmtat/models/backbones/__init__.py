from .cifar_resnet import CIFARResNet
from .cifar_vgg import CIFARVGG
from .mobilenet_v1 import MobileNetV1
from .wide_resnet import WideResNet

__all__ = ['CIFARResNet', 'CIFARVGG', 'MobileNetV1', 'WideResNet']
