"""Runs that a launcher has begun anew go on from where they were."""

import os
import socket
from pathlib import Path
from typing import Optional

import torch
from mmengine.dist import (
    all_reduce,
    broadcast_object_list,
    get_comm_device,
    get_world_size,
    is_main_process,
)
from mmengine.runner import BaseLoop, Runner

from mmtat.files import write_atomically

from .newest import newest_loadable

#: Of torchrun's workers after a failure, and of Slurm's requeued jobs.
COUNTS = ('TORCHELASTIC_RESTART_COUNT', 'SLURM_RESTART_COUNT')

#: In the work dir: which launch began the run, and by its time, when.
BEGUN = '.begun'


def resume_after_restart(
    runner: Runner, folder: Optional[Path] = None
) -> None:
    """Resume a run whose launcher has begun it anew; all processes call it.

    It goes on from the newest checkpoint that this launch has saved and
    that loads. If there is none it begins as it did the first time: from
    the start, or from what ``--resume`` names.

    Args:
        runner (Runner): Not yet resumed; told what to resume.
        folder (Path, optional): Of the checkpoints. Defaults to the work
            dir.

    Raises:
        ValueError: There are some, and none can be read.
    """
    if not isinstance(runner._train_loop, BaseLoop):
        # A validation or a test.
        return
    count, path = _restarts(), None
    if is_main_process():
        marker = Path(runner.work_dir, BEGUN)
        if count:
            path = _newest_of_this_launch(marker, folder or marker.parent)
        elif _launch() is not None:
            write_atomically(marker, _launch())
    found = [path and str(path)]
    broadcast_object_list(found)
    if found[0] is not None:
        runner.logger.warning(
            f'Restart {count} of this run: it goes on from {found[0]}'
        )
        runner._load_from, runner._resume = found[0], True
    elif count:
        runner.logger.warning(
            f'Restart {count} of this run, which had saved no checkpoint: it '
            'begins as it did the first time'
        )


def _restarts() -> int:
    """How often the run was begun anew, in any of its processes."""
    own = sum(int(os.environ.get(name) or 0) for name in COUNTS)
    if get_world_size() == 1:
        return own
    # The agents of other machines may not count a failure that is not theirs.
    most = torch.tensor([own], device=get_comm_device())
    all_reduce(most, 'max')
    return int(most)


def _launch() -> Optional[str]:
    """What a launch and its restarts have in common, and no other has."""
    job = os.environ.get('SLURM_JOB_ID')
    if job:
        return f'slurm {job}'
    if 'TORCHELASTIC_RESTART_COUNT' in os.environ:
        run = os.environ.get('TORCHELASTIC_RUN_ID')
        return f'torchrun {run} {socket.gethostname()} {os.getppid()}'
    return None


def _newest_of_this_launch(marker: Path, folder: Path) -> Optional[Path]:
    since = 0.0
    if marker.is_file():
        if marker.read_text() != _launch():
            # An earlier run's: this one did not come to its first step.
            return None
        since = marker.stat().st_mtime
    return newest_loadable(folder, since)
