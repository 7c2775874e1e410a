"""The run that faults are put into: of mmtat, and of mmengine alone.

Nothing here imports mmtat where the side is mmengine.
"""

import contextlib
import os
import tempfile
from pathlib import Path

import torch
from mmengine.config import Config
from mmengine.config import config as config_module
from mmengine.runner import Runner
from mmengine.runner import runner as runner_module

from ..processes import forget_runs
from ..running import toy_config
from ..toys import distillation, save_teacher

SIDES = ('mmtat', 'mmengine')
ITERS = 6
#: Of the config; a process stands in the folder above it.
WORK_DIR = 'run'


def prepare(side: str) -> None:
    """Make ready a process that will fork many runs."""
    if side == 'mmtat':
        import mmtat  # noqa: F401
        from mmtat.engine import checked_runner, hooks, loops  # noqa: F401
    # Neither changes what is trained or saved: the formatting of a config,
    # and asking compilers for their versions, take most of a short run.
    config_module.FormatCode = lambda text, *_, **__: (text, True)
    runner_module.collect_env = dict
    warm_up(side)


def warm_up(side: str) -> None:
    """Train once, so that forks find imported what a training imports."""
    torch.set_num_threads(1)
    backward = torch.Tensor.backward
    # Its threads would keep every fork of this process from its own.
    torch.Tensor.backward = lambda *_, **__: None
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.chdir(folder):
            begin(Path(folder, 'warm'))
            train(side, Path(folder, 'warm'))
    torch.Tensor.backward = backward
    forget_runs()


def config_of(side: str, keep: int = 2, resume: bool = False) -> Config:
    """Dropout, shuffled data, momentum; saves in each iteration."""
    hook = dict(by_epoch=False, interval=1, max_keep_ckpts=keep)
    loop = dict(max_iters=ITERS, val_interval=1000)
    if side == 'mmtat':
        model = distillation(teacher_ckpt='teacher.pth')
        hook['type'] = 'mmtat.SafeCheckpointHook'
        loop['type'] = 'mmtat.ExactIterBasedTrainLoop'
    else:
        model = dict(type='ToySegmentor')
        hook['type'] = 'CheckpointHook'
        loop['type'] = 'IterBasedTrainLoop'
    config = toy_config(
        Path(WORK_DIR),
        model,
        train_cfg=loop,
        val_cfg=None,
        val_dataloader=None,
        val_evaluator=None,
        resume=resume,
        experiment_name='toy',
        log_level='WARNING',
    )
    config['train_dataloader']['sampler'] = dict(
        type='InfiniteSampler', shuffle=True
    )
    config['default_hooks']['checkpoint'] = hook
    return Config(config)


def begin(folder: Path) -> None:
    """Give a run its folder, with a teacher in it."""
    folder.mkdir(parents=True)
    save_teacher(folder / 'teacher.pth')


def train(side: str, folder: Path, keep: int = 2, resume: bool = False):
    """Train, as ``tools/train.py`` does or as mmengine alone does."""
    forget_runs()
    os.chdir(folder)
    kind = Runner
    if side == 'mmtat':
        from mmtat.engine.checked_runner import CheckedRunner as kind
    kind.from_cfg(config_of(side, keep, resume)).train()
