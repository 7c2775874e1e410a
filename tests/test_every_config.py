"""Every config of the repository trains, validates, and moves what it should.

Each runs two iterations and a validation through ``tools/train.py``'s code,
on tiny data in the right layout. Crops and maps are made small by options;
networks are as they are.
"""

import functools
import json
import math
from argparse import Namespace

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook

from mmtat.engine.checked_runner import CheckedRunner, bare_model
from mmtat.engine.dataset_check import datasets_of
from mmtat.engine.training import train
from mmtat.models import FrozenTeacherDistill
from mmtat.models.utils import (
    load_config,
)

from .test_configs import RUNNABLE, name_of
from .tiny_data import MAKERS, make_cifar
from .voc import make_teacher

CROP = 64
#: One of each kind; the others run with --all.
QUICK = {
    'cifar100/tat_vgg13_vgg8.py',
    'coco_stuff10k/tat_deeplabv3_r101_r18_zoo.py',
    'digit_scenes/scenes_tat_few.py',
    'digits/digits_tat_few.py',
    'digits/digits_scratch.py',
    'imagenet/tat_resnet50_mobilenet_v1.py',
    'rivals/cifar100/vid_wrn_40_2_wrn_16_2.py',
    'rivals/cifar100/review_wrn_40_2_wrn_16_2.py',
    'voc/deeplabv3plus_mobilenetv2.py',
    'voc/tat_deeplabv3plus_r101_r18.py',
}
CASES = [
    pytest.param(
        path,
        id=name_of(path),
        marks=[] if name_of(path) in QUICK else [pytest.mark.slow],
    )
    for path in RUNNABLE
]


def test_the_quick_configs_are_there():
    assert QUICK <= {name_of(path) for path in RUNNABLE}


@pytest.fixture(scope='session')
def made(tmp_path_factory):
    """Folders of data sets, and files of teachers, made when first asked."""
    folder = tmp_path_factory.mktemp('made')
    known = {}

    def get(name, make):
        if name not in known:
            known[name] = make(folder / str(len(known)))
        return known[name]

    return get


def small_transforms(config):
    """Options that make every crop small, found by the transforms' types."""
    is_odd = '513' in str(config.train_dataloader)
    side = CROP + 1 if is_odd else CROP
    square = (side, side)
    sizes = dict(
        RandomResize=dict(
            scale=[(999, 32), (999, 130)] if is_odd else (2 * CROP, CROP)
        ),
        RandomCrop=dict(crop_size=square),
        Pad=dict(size=square),
        RandomResizedCrop=dict(scale=CROP),
        ResizeEdge=dict(scale=CROP + 8),
        CenterCrop=dict(crop_size=CROP),
        Resize=dict(scale=(2 * CROP, CROP)),
    )
    for dataset in datasets_of(config):
        for transform in dataset.get('pipeline', []):
            size = sizes.get(transform['type'], {})
            if transform['type'] != 'RandomCrop' or 'padding' not in transform:
                transform.update(size)
    return square


def made_small(path, made):
    """Settings beside the config, and its data root."""
    config = load_config(str(path), 'config')
    kind = next(datasets_of(config))['type']
    is_native = kind in ('BaseSegDataset', 'mmtat.Digits', 'CIFAR100')
    square = None if is_native else small_transforms(config)
    model = config.model
    is_distilled = 'teacher' in model
    student = model.architecture if is_distilled else model
    if student.get('pretrained'):
        student.pretrained = None
    if square and student.get('data_preprocessor', {}).get('size'):
        student.data_preprocessor.size = square
    if is_distilled:
        source = model.teacher
        model.teacher_ckpt = str(
            made(source, functools.partial(make_teacher, source=source))
        )
        if square:
            for branch in model.distiller.get('branches', {}).values():
                small = dict(patches=(4, 4), groups=4, anchors=(4, 4))
                branch.update({k: small[k] for k in small if k in branch})
    config.load_from = None
    for name in ('train', 'val', 'test'):
        loader = config[f'{name}_dataloader']
        loader.update(num_workers=0, persistent_workers=False)
        loader.pop('prefetch_factor', None)
    if square:
        config.train_dataloader.batch_size = 4 if kind == 'ImageNet' else 2
    if 'max_epochs' in config.train_cfg:
        config.train_cfg.max_epochs = 1
    else:
        config.train_cfg.update(max_iters=2, val_interval=2)
        config.default_hooks.checkpoint.interval = 2
    config.default_hooks.logger.interval = 1
    root = made(kind, MAKERS[kind]) if kind in MAKERS else None
    return config, root


class Snapshot(Hook):
    """Keeps what student, distiller and teacher were before the training."""

    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if not hasattr(self, 'before'):
            self.before = state_of(runner)


def state_of(runner):
    model = bare_model(runner)
    parts = dict(trained=dict(model.named_parameters()))
    if isinstance(model, FrozenTeacherDistill):
        parts['teacher'] = model.teacher.state_dict()
    return {
        part: {name: t.detach().clone() for name, t in tensors.items()}
        for part, tensors in parts.items()
    }


@pytest.mark.parametrize('path', CASES)
def test_a_config_trains_and_validates(path, made, tmp_path, monkeypatch):
    config, root = made_small(path, made)
    if next(datasets_of(config))['type'] == 'CIFAR100':
        root = make_cifar(tmp_path / 'data', monkeypatch)
    snapshot = Snapshot()
    build = CheckedRunner.from_cfg.__func__

    def from_cfg(cls, settings):
        runner = build(cls, settings)
        runner.register_hook(snapshot)
        return runner

    monkeypatch.setattr(CheckedRunner, 'from_cfg', classmethod(from_cfg))
    small = tmp_path / path.name
    Config(config.to_dict()).dump(str(small))
    runner = train(
        Namespace(
            config=str(small),
            work_dir=str(tmp_path / 'run'),
            data_root=None if root is None else str(root),
            cfg_options={},
            launcher='none',
            local_rank=0,
            resume=None,
            amp=False,
            auto_scale_lr=False,
        )
    )
    assert runner.iter >= 2
    before, after = snapshot.before, state_of(runner)
    stuck = {
        name
        for name, tensor in after['trained'].items()
        if torch.equal(tensor, before['trained'][name])
    }
    # A softmax does not see the bias of its key's norm.
    keys = {n for n in after['trained'] if n.endswith('.key.norm.bias')}
    assert stuck <= keys
    for name, tensor in before.get('teacher', {}).items():
        assert torch.equal(tensor, after['teacher'][name]), name
    log = next((tmp_path / 'run').glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    losses = [line for line in lines if 'loss' in line]
    assert len(losses) >= 2
    for line in losses:
        assert all(math.isfinite(v) for k, v in line.items() if 'loss' in k)
    if 'teacher' in before:
        assert any(k.startswith('distill.loss') for k in losses[0])
    assert any({'mIoU', 'accuracy/top1'} & set(line) for line in lines)
