"""What the command-line tools do to a config before the Runner gets it."""

import argparse
import os
import os.path as osp
from typing import Optional, Sequence

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.hooks import EMAHook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmtat.models.utils import load_config, read_state_dict

from .arguments import add_cfg_options, add_trust_option
from .checked_runner import bare_model
from .checkpoint_check import check_fit
from .class_check import check_class_numbers
from .dataset_check import check_datasets, set_data_root
from .input_size import training_crop


def base_parser(description: str) -> argparse.ArgumentParser:
    """The options that training and testing share.

    Args:
        description (str): Shown by ``--help``.

    Returns:
        argparse.ArgumentParser: With the config as its first argument.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument('config', help='path of a config, or mmseg::...')
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--data-root', help='folder that every dataset of the config reads'
    )
    add_cfg_options(parser)
    add_trust_option(parser)
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='who started the processes',
    )
    # torch.distributed.launch passes one spelling or the other.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    return parser


def prepare_config(args: argparse.Namespace, loaders: Sequence[str]) -> Config:
    """Read the config, apply the shared options, and check the data.

    Args:
        args (argparse.Namespace): Of :func:`base_parser`.
        loaders (Sequence[str]): Data loaders that will be used.

    Returns:
        Config: Ready for the Runner.

    Raises:
        ValueError: The config or its data is not there, the data has other
            classes, or there are more processes than GPUs.
    """
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    config = load_config(args.config, 'config')
    config.merge_from_dict(args.cfg_options)
    if 'model' not in config:
        raise ValueError(f'config: {args.config!r} defines no model')
    config.launcher = args.launcher
    if args.work_dir is not None:
        config.work_dir = args.work_dir
    elif config.get('work_dir') is None:
        name = osp.splitext(osp.basename(args.config))[0]
        config.work_dir = osp.join('work_dirs', name)
    _check_work_dir(config.work_dir)
    if args.data_root is not None:
        set_data_root(config, args.data_root)
    _check_devices(args.launcher)
    check_class_numbers(config, loaders)
    check_datasets(config, loaders)
    set_input_size(config)
    return config


def _check_work_dir(work_dir: str) -> None:
    """No file stands where the folder, or one above it, would be."""
    path = osp.abspath(work_dir)
    while not osp.lexists(path):
        path = osp.dirname(path)
    if not osp.isdir(path):
        raise ValueError(
            f'--work-dir: {path!r} is a file; give a folder, or the name of '
            'a new one'
        )


def set_input_size(config: Config) -> None:
    """Tell a TaT distiller the crop of the training images.

    Only where the student's data preprocessor does not know it: then what
    the maps cannot give is refused before the first step.

    Args:
        config (Config): Changed in place.
    """
    distiller = config.model.get('distiller') or {}
    crop = training_crop(config)
    is_tat = str(distiller.get('type')) == 'mmtat.TaTDistiller'
    if is_tat and crop is not None:
        architecture = config.model.get('architecture')
        preprocessor = isinstance(architecture, dict) and architecture.get(
            'data_preprocessor'
        )
        if not (preprocessor and preprocessor.get('size')):
            distiller.setdefault('input_size', crop)


def _check_devices(launcher: str) -> None:
    if get_device() == 'cpu':
        if os.environ['LOCAL_RANK'] == '0':
            print_log('No GPU: running on the CPU, where SyncBN becomes BN.')
        return
    processes = int(os.environ.get('LOCAL_WORLD_SIZE', 1))
    gpus = torch.cuda.device_count()
    if launcher == 'pytorch' and torch.cuda.is_available():
        if processes > gpus:
            raise ValueError(
                f'GPUS: {processes} processes were started, but this machine '
                f'has {gpus} GPUs; start at most {gpus}'
            )


def enable_amp(config: Config) -> None:
    """Switch mixed precision on: float16 on a GPU, bfloat16 on a CPU.

    Args:
        config (Config): Changed in place.

    Raises:
        ValueError: The optimizer wrapper is neither of the two that can.
    """
    wrapper = config.optim_wrapper
    kind = wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise ValueError(
            '--amp needs optim_wrapper.type OptimWrapper or AmpOptimWrapper, '
            f'got {kind}'
        )
    wrapper.type = 'AmpOptimWrapper'
    wrapper.setdefault('loss_scale', 'dynamic')


def enable_auto_scale_lr(config: Config) -> None:
    """Scale the learning rate with the batch size of all processes.

    Args:
        config (Config): Changed in place.

    Raises:
        ValueError: The config does not say its batch size.
    """
    if 'base_batch_size' not in (config.get('auto_scale_lr') or {}):
        raise ValueError(
            '--auto-scale-lr needs auto_scale_lr=dict(base_batch_size=...) '
            'in the config: the batch size that its learning rate is for'
        )
    config.auto_scale_lr.enable = True


def set_resume(config: Config, resume: Optional[str]) -> None:
    """Resume from the newest checkpoint of the work dir, or from a file.

    Args:
        config (Config): Changed in place.
        resume (str | None): None, 'auto', or a path.
    """
    if resume is not None:
        config.resume = True
        config.load_from = None if resume == 'auto' else resume


def load_for_test(runner: Runner, checkpoint: str) -> None:
    """Load a student's checkpoint for testing, whole or not at all.

    Args:
        runner (Runner): Of the student's own config.
        checkpoint (str): Path or URL; also of stock mmrazor, whose names
            begin with 'architecture.'.

    Raises:
        ValueError: The file is no checkpoint, or of another model.
    """
    # It would average on from the file's weights, which are the averaged.
    runner._hooks = [
        hook for hook in runner.hooks if not isinstance(hook, EMAHook)
    ]
    student = bare_model(runner)
    state_dict = read_state_dict(checkpoint, 'checkpoint')
    check_fit(getattr(student, 'module', student), state_dict, strict=True)
    runner.load_checkpoint(
        checkpoint,
        revise_keys=[(r'^module\.', ''), (r'^architecture\.', '')],
    )
