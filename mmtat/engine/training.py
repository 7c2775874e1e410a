"""What ``tools/train.py`` does, for whoever trains in a process of its own."""

import argparse

from mmengine.config import Config
from mmengine.runner import Runner

from .checked_runner import CheckedRunner
from .config_check import check_config, raise_problems
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
    _check_static_graph(config)
    check_config(config)
    try:
        runner = CheckedRunner.from_cfg(config)
    except Exception as error:
        raise_problems(config, error)
        raise
    runner.train()
    return runner


def _check_static_graph(config: Config) -> None:
    """DDP fails an assertion of its own there, for any model."""
    wrapper = config.get('model_wrapper_cfg') or {}
    parts = (config.get('optim_wrapper') or {}).get('accumulative_counts', 1)
    if wrapper.get('static_graph') and parts > 1:
        raise ValueError(
            'model_wrapper_cfg.static_graph=True cannot be used with '
            f'optim_wrapper.accumulative_counts={parts}, as DDP must average '
            'in its first iteration: set one of them off'
        )
