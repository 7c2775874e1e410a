"""What ``tools/train.py`` does, for whoever trains in a process of its own."""

import argparse

from mmengine.runner import Runner

from .checked_runner import CheckedRunner
from .launch import (
    enable_amp,
    enable_auto_scale_lr,
    prepare_config,
    set_resume,
)


def train(args: argparse.Namespace) -> Runner:
    """Check a config and its data, build the Runner and train.

    Args:
        args (argparse.Namespace): The options of ``tools/train.py``, by
            their names there.

    Returns:
        Runner: After its training.

    Raises:
        ValueError: The config, its data or a checkpoint is not what it must
            be; raised before anything is written.
    """
    config = prepare_config(args, ('train_dataloader', 'val_dataloader'))
    if args.amp:
        enable_amp(config)
    if args.auto_scale_lr:
        enable_auto_scale_lr(config)
    set_resume(config, args.resume)
    runner = CheckedRunner.from_cfg(config)
    runner.train()
    return runner
