"""Models of 10-20 lines, and what the tests build around them."""

import copy

import torch
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn


@MODELS.register_module()
class ToySegmentor(BaseModel):
    """Two convolutions, a head, an auxiliary head; BN and dropout inside."""

    def __init__(
        self,
        width=4,
        classes=3,
        norm='BN',
        stride=2,
        pretrained=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        norms = dict(BN=nn.BatchNorm2d, SyncBN=nn.SyncBatchNorm)
        norms['none'] = lambda width: nn.Identity()
        self.backbone = nn.Sequential()
        self.backbone.add_module('conv', nn.Conv2d(3, width, 3, stride, 1))
        self.backbone.add_module('norm', norms[norm](width))
        self.backbone.add_module('relu', nn.ReLU(inplace=True))
        self.decode_head = nn.Sequential()
        dropout = nn.Dropout(0.5 if norm != 'none' else 0.0)
        self.decode_head.add_module('dropout', dropout)
        self.decode_head.add_module('conv_seg', nn.Conv2d(width, classes, 1))
        self.auxiliary_head = nn.Conv2d(width, classes, 1)
        self.calls = []

    def extract_feat(self, inputs):
        return self.backbone(inputs)

    def forward(self, inputs, data_samples=None, mode='tensor'):
        self.calls.append(mode)
        features = self.extract_feat(inputs)
        logits = self.decode_head(features)
        if mode == 'loss':
            auxiliary = self.auxiliary_head(features)
            return dict(
                loss_seg=logits.square().mean(),
                loss_aux=auxiliary.square().mean(),
            )
        return logits


def distillation(distiller=None, student=None, teacher=None, **kwargs):
    """Config of a toy distillation; the teacher is twice as wide."""
    student = dict(dict(type='ToySegmentor', width=4), **(student or {}))
    teacher = dict(dict(type='ToySegmentor', width=8), **(teacher or {}))
    distiller = distiller or dict(
        type='mmtat.TaTDistiller', layers=['backbone.conv']
    )
    return copy.deepcopy(
        dict(
            dict(
                type='mmtat.FrozenTeacherDistill',
                architecture=student,
                teacher=teacher,
                distiller=distiller,
            ),
            **kwargs,
        )
    )


def save_teacher(path, **kwargs):
    """Write a toy teacher's checkpoint and return its state dict."""
    torch.manual_seed(7)
    model = ToySegmentor(**dict(dict(width=8), **kwargs))
    # Statistics that eval and train mode disagree on.
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    torch.save(dict(state_dict=model.state_dict()), path)
    return model.state_dict()


def noise(shape):
    """Something random that a delivery can share."""
    return torch.rand(shape)


@MODELS.register_module()
class NoisySegmentor(ToySegmentor):
    """Adds noise in its loss, where mmrazor's deliveries find it."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'loss':
            self.last_noise = noise(inputs.shape)
            inputs = inputs + self.last_noise
        return super().forward(inputs, data_samples, mode)
