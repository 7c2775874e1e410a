"""Configs are short, build, and are what their headers say."""

import pytest
from mmengine.registry import MODELS, init_default_scope

from mmtat.models import FrozenTeacherDistill
from mmtat.models.utils import load_config

from .voc import ROOT

CONFIGS = sorted(
    path for path in (ROOT / 'configs').rglob('*.py')
)  # fmt: skip
RUNNABLE = [
    path
    for path in CONFIGS
    if not {'_base_', 'sweeps'} & set(path.relative_to(ROOT).parts)
]
TAT = [path for path in RUNNABLE if 'tat_' in path.name]
#: Trained as the paper's authors did, on crops of 513.
PAPER = [
    path
    for path in TAT
    if path.parent.name in ('voc', 'coco_stuff10k')
    and not path.stem.endswith('_zoo')
]


def name_of(path):
    return path.relative_to(ROOT / 'configs').as_posix()


@pytest.mark.parametrize('path', RUNNABLE, ids=name_of)
def test_a_config_is_short_and_begins_with_its_command(path):
    lines = path.read_text().splitlines()
    code = [line for line in lines if line and not line.startswith('#')]
    assert len(code) <= 25
    header = '\n'.join(line for line in lines[:8] if line.startswith('#'))
    assert f'configs/{path.relative_to(ROOT / "configs")}' in header


@pytest.mark.parametrize('path', TAT, ids=name_of)
def test_a_distillation_builds_at_its_full_size(path):
    config = load_config(str(path), 'config')
    init_default_scope(config.default_scope)
    model = dict(config.model)
    if config.default_scope == 'mmpretrain':
        model['data_preprocessor'] = config.data_preprocessor
    model = MODELS.build(model)
    assert isinstance(model, FrozenTeacherDistill)
    assert len(model.distiller.tat) == 1
    assert model._teacher.run.complete
    if config.default_scope == 'mmseg':
        side = 513 if path in PAPER else 512
        side = 80 if 'digit_scenes' in name_of(path) else side
        assert model.distiller.input_size == (side, side)
        # Tapped before the ReLU, which overwrites it.
        assert model._overwritten == {'layer_0'}


def test_the_imagenet_recipe_is_the_second_released_one():
    config = load_config(
        str(ROOT / 'configs' / 'tat_resnet34_resnet18_in1k.py'), 'config'
    )
    optimizer = config.optim_wrapper.optimizer
    assert optimizer == dict(type='AdamW', lr=1.6e-3, weight_decay=5e-4)
    assert config.param_scheduler.milestones == [30, 60, 90]
    assert config.train_cfg.max_epochs == 100
    assert config.train_dataloader.batch_size * 8 == 2048
    assert config.model.architecture.head.loss.loss_weight == 0.5
    assert config.model.distiller.logits == dict(tau=1.0, loss_weight=0.5)
    whole = config.model.distiller.branches.whole
    assert whole == dict(loss_weight=0.1)
