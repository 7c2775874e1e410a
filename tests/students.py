"""Small real students, and checkpoints of them as runs write them."""

import copy

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from torch import nn

from mmtat.engine.inspected import built

MEAN, STD = [123.675, 116.28, 103.53], [58.395, 57.12, 57.375]
SIZE = (32, 48)


def segmentor(norm='SyncBN', head='FCNHead', **head_options):
    """Config of a narrow ResNet-18 with a head, as a run would have it."""
    norm = dict(type=norm, requires_grad=True)
    loss = dict(type='CrossEntropyLoss', use_sigmoid=False, loss_weight=1.0)
    common = dict(
        channels=8, norm_cfg=norm, align_corners=False, loss_decode=loss
    )
    return dict(
        default_scope='mmseg',
        model=dict(
            type='EncoderDecoder',
            data_preprocessor=dict(
                type='SegDataPreProcessor',
                mean=MEAN,
                std=STD,
                bgr_to_rgb=True,
                size=SIZE,
                pad_val=0,
                seg_pad_val=255,
            ),
            backbone=dict(
                type='ResNetV1c',
                depth=18,
                stem_channels=8,
                base_channels=8,
                strides=(1, 2, 1, 1),
                dilations=(1, 1, 2, 4),
                norm_cfg=norm,
                init_cfg=dict(type='Pretrained', checkpoint='no such file'),
            ),
            decode_head=dict(
                dict(type=head, in_channels=64, in_index=3, num_classes=3),
                **common,
                **head_options,
            ),
            auxiliary_head=dict(
                dict(type='FCNHead', in_channels=32, in_index=2),
                num_classes=3,
                num_convs=1,
                **common,
            ),
            train_cfg=dict(),
            test_cfg=dict(mode='whole'),
        ),
        test_dataloader=dict(
            batch_size=1,
            dataset=dict(
                type='BaseSegDataset',
                data_root='data',
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='Resize', scale=(96, 64), keep_ratio=True),
                    dict(type='PackSegInputs'),
                ],
            ),
        ),
    )


def classifier(backbone=None, head=None, in_channels=64, **preprocessor):
    """Config of a classifier of 32 pixels."""
    return dict(
        default_scope='mmpretrain',
        data_preprocessor=dict(
            dict(num_classes=10, mean=MEAN, std=STD, to_rgb=True),
            **preprocessor,
        ),
        model=dict(
            type='ImageClassifier',
            backbone=backbone
            or dict(type='mmtat.WideResNet', depth=10, widen_factor=1),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(
                dict(type='LinearClsHead', in_channels=in_channels),
                num_classes=10,
                **(head or {}),
            ),
        ),
        test_dataloader=dict(
            dataset=dict(
                type='CIFAR10',
                data_prefix='data',
                pipeline=[
                    dict(type='LoadImageFromFile'),
                    dict(type='CenterCrop', crop_size=32),
                    dict(type='PackInputs'),
                ],
            )
        ),
    )


def trained(config):
    """A student with statistics of its own, in eval mode."""
    config = Config(copy.deepcopy(config))
    init_default_scope(config.default_scope)
    torch.manual_seed(3)
    model = built(config)
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.3)
    if hasattr(model, 'decode_head'):
        # Predicts every class somewhere.
        nn.init.normal_(model.decode_head.conv_seg.weight)
        nn.init.zeros_(model.decode_head.conv_seg.bias)
    return model.eval()


def save(path, config, prefix='', **meta):
    """Write a checkpoint of a student; returns the student."""
    model = trained(config)
    state_dict = {prefix + k: v for k, v in model.state_dict().items()}
    classes = [f'class {index}' for index in range(3)]
    meta = dict(
        dict(
            cfg=Config(copy.deepcopy(config)).pretty_text,
            iter=20,
            epoch=0,
            dataset_meta=dict(classes=classes),
        ),
        **meta,
    )
    torch.save(dict(state_dict=state_dict, meta=meta), path)
    return model
