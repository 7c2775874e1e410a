"""Recipes of the classification configs against a table made by hand.

The table restates what the authors released for ImageNet (their two recipes)
and RepDistiller's schedule for CIFAR-100, which the authors named and whose
code for it they never released.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Optional, Tuple

import pytest

from mmtat.models.utils import load_config

from .voc import ROOT

CONFIGS = ROOT / 'configs'
CIFAR = sorted((CONFIGS / 'cifar100').glob('*.py'))
ADAMW = dict(type='AdamW', lr=1.6e-3, weight_decay=5e-4)
SGD = dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4)


@dataclass
class Recipe:
    """One row: optimizer, images a step, the start, and the weights.

    Attributes:
        optimizer (dict): All of its settings.
        images (int): In one step, of 8 processes.
        pretrained (bool): Whether the student begins with the zoo's weights.
        weights (tuple): Of cross-entropy, KL and TaT; None is not there.
        teacher (str | None): Stem of its config.
    """

    optimizer: dict
    images: int
    pretrained: bool
    weights: Tuple[float, Optional[float], Optional[float]]
    teacher: Optional[str] = None


R34 = 'resnet34_8xb32_in1k'
R50 = 'resnet50_8xb32_in1k'
IMAGENET = {
    'tat_resnet34_resnet18_in1k.py': Recipe(
        ADAMW, 2048, True, (0.5, 0.5, 0.1), R34
    ),
    'imagenet/tat_resnet34_resnet18_without_kl.py': Recipe(
        ADAMW, 2048, True, (0.1, None, 0.2), R34
    ),
    'imagenet/tat_resnet34_resnet18_from_scratch.py': Recipe(
        ADAMW, 2048, False, (0.5, 0.5, 0.1), R34
    ),
    'imagenet/tat_resnet34_resnet18_without_kl_from_scratch.py': Recipe(
        ADAMW, 2048, False, (0.1, None, 0.2), R34
    ),
    'imagenet/resnet18.py': Recipe(ADAMW, 2048, True, (1.0, None, None)),
    'imagenet/tat_resnet50_mobilenet_v1.py': Recipe(
        SGD, 256, False, (0.5, 0.5, 0.1), R50
    ),
    'imagenet/mobilenet_v1.py': Recipe(SGD, 256, False, (1.0, None, None)),
}
FROM_SCRATCH = [name for name in IMAGENET if 'from_scratch' in name]


@lru_cache(maxsize=None)
def config_of(path):
    return load_config(str(path), 'config')


def steps_of(config):
    """Epochs, and the epochs and the factor of the learning rate's steps."""
    (schedule,) = (
        [config.param_scheduler]
        if isinstance(config.param_scheduler, dict)
        else config.param_scheduler
    )
    assert schedule.type == 'MultiStepLR' and schedule.by_epoch
    return config.train_cfg.max_epochs, schedule.milestones, schedule.gamma


def weights_of(config):
    """Weights of cross-entropy, KL and TaT; None is not there."""
    model = config.model
    head = model.get('architecture', model).head
    assert head.loss.type == 'CrossEntropyLoss'
    distiller = model.get('distiller')
    if distiller is None:
        return head.loss.loss_weight, None, None
    kl = distiller.get('logits')
    if kl is not None:
        assert kl.get('type', 'KLDivergence') == 'KLDivergence'
        assert kl.tau == 1
        kl = kl.loss_weight
    (branch,) = distiller.branches.items()
    # On the whole map: no groups of patches and no anchors.
    assert branch[0] == 'whole'
    return head.loss.loss_weight, kl, branch[1].loss_weight


def test_the_table_has_a_row_for_every_config_of_imagenet():
    found = {*(CONFIGS / 'imagenet').glob('*.py'), *CONFIGS.glob('*in1k*.py')}
    assert found == {CONFIGS / name for name in IMAGENET}


@pytest.mark.parametrize('name', IMAGENET)
def test_an_imagenet_config_follows_its_row(name):
    config, recipe = config_of(CONFIGS / name), IMAGENET[name]
    optimizer = dict(config.optim_wrapper.optimizer)
    optimizer.pop('_scope_', None)  # of a config from the zoo
    assert optimizer == recipe.optimizer
    assert not config.optim_wrapper.get('paramwise_cfg')
    assert steps_of(config) == (100, [30, 60, 90], 0.1)
    assert config.train_dataloader.batch_size * 8 == recipe.images
    assert config.auto_scale_lr.base_batch_size == recipe.images
    assert weights_of(config) == recipe.weights
    model = config.model
    student = model.get('architecture', model)
    assert (student.get('pretrained') is not None) == recipe.pretrained
    assert 'init_cfg' not in student.backbone
    if recipe.teacher is not None:
        assert model.teacher == f'mmpretrain::resnet/{recipe.teacher}.py'
        # The zoo names a file by its config.
        assert f'/{recipe.teacher}_20' in model.teacher_ckpt


@pytest.mark.parametrize('name', IMAGENET)
def test_an_imagenet_config_crops_224_and_tests_on_256(name):
    config = config_of(CONFIGS / name)
    _, crop, flip, _ = config.train_dataloader.dataset.pipeline
    assert (crop.type, crop.scale) == ('RandomResizedCrop', 224)
    assert (flip.type, flip.prob) == ('RandomFlip', 0.5)
    assert flip.direction == 'horizontal'
    for loader in (config.val_dataloader, config.test_dataloader):
        assert (loader.dataset.type, loader.dataset.split) == (
            'ImageNet',
            'val',
        )
        _, resize, centre, _ = loader.dataset.pipeline
        assert (resize.type, resize.scale) == ('ResizeEdge', 256)
        assert resize.edge == 'short'
        assert (centre.type, centre.crop_size) == ('CenterCrop', 224)


@pytest.mark.parametrize(
    'name', [n for n, recipe in IMAGENET.items() if recipe.teacher]
)
def test_an_imagenet_pair_embeds_as_released(name):
    distiller = config_of(CONFIGS / name).model.distiller
    embedding = dict(kernel_size=3, norm='batch')
    assert distiller.query == distiller.value == embedding
    assert distiller.key is None
    assert distiller.get('formulation', 'released') == 'released'
    (layer,) = distiller.layers
    if 'mobilenet' in name:
        layers = dict(student='backbone.layer5', teacher='backbone.layer4')
        assert layer == layers
    else:
        assert layer == 'backbone.layer4'


@pytest.mark.parametrize('name', FROM_SCRATCH)
def test_a_header_says_that_nothing_was_published_from_scratch(name):
    header = ' '.join(
        line.lstrip('# ')
        for line in (CONFIGS / name).read_text().splitlines()
        if line.startswith('#')
    )
    assert 'Deviation' in header
    assert 'authors published no result from scratch' in header


@pytest.mark.parametrize('path', CIFAR, ids=lambda path: path.stem)
def test_a_cifar_config_follows_repdistillers_schedule(path):
    config = config_of(path)
    assert config.optim_wrapper.optimizer == dict(
        type='SGD', lr=0.05, momentum=0.9, weight_decay=5e-4
    )
    assert not config.optim_wrapper.get('paramwise_cfg')
    assert steps_of(config) == (240, [150, 180, 210], 0.1)
    # On one process.
    assert config.train_dataloader.batch_size == 64
    assert config.auto_scale_lr.base_batch_size == 64
    crop, flip, _ = config.train_dataloader.dataset.pipeline
    assert (crop.type, crop.crop_size, crop.padding) == ('RandomCrop', 32, 4)
    assert (flip.type, flip.prob) == ('RandomFlip', 0.5)
    cross_entropy, kl, tat = weights_of(config)
    assert (cross_entropy, kl) == (1, None)
    if path.stem.startswith('tat_'):
        # The range that the paper calls stable.
        assert 0.05 <= tat <= 0.25
        layer = config.model.distiller.layers[0]
        assert layer.split('.')[1] in ('layer3', 'layer5', 'final')
    else:
        assert tat is None
    model = config.model
    student = model.get('architecture', model)
    assert student.get('pretrained') is None
