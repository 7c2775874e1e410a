"""One run of a sweep, in a process of its own."""

import argparse
import fcntl
import gc
import multiprocessing
import os
import signal
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any, Dict, Optional

import mmengine
import torch

import mmtat
from mmtat.models.utils import trust_checkpoints

from ..inspected import is_distillation
from ..training import train
from ..user_errors import readable_errors
from .grid import Run
from .options import digest, resolve
from .places import Place
from .records import (
    LOG_FILE,
    RESULT_FILE,
    RUN_FILE,
    checkpoint_to_resume,
    read_log,
    write_record,
)


@dataclass
class Job:
    """A run, and where it is done.

    Attributes:
        run (Run): The run.
        folder (Path): Its work dir.
        digest (str): Of its config.
        trusts_checkpoints (bool): Whether the checkpoints that it reads may
            run what they hold. Defaults to False.
    """

    run: Run
    folder: Path
    digest: str
    trusts_checkpoints: bool = False


def work(job: Job, place: Place) -> None:
    """Train, as ``tools/train.py`` does, and write the run's result.

    Ends the process with status 1 where the training fails. What it prints
    goes to the log of the run.

    Args:
        job (Job): What to do.
        place (Place): What it may use.
    """
    start = time.time()
    # A collection, of which mmengine asks for some, takes half a second for
    # all that was imported before the fork.
    gc.freeze()
    # Ctrl-C reaches every process of the terminal; the parent decides.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _print_to(job.folder / LOG_FILE)
    if place.devices is not None:
        os.environ['CUDA_VISIBLE_DEVICES'] = place.devices
    # Both, as the library of the threads has read its variable long ago.
    os.environ['OMP_NUM_THREADS'] = str(place.threads)
    torch.set_num_threads(place.threads)
    resume = checkpoint_to_resume(job.folder)
    record = _record(job)
    write_record(job.folder / RUN_FILE, record)
    with readable_errors(), trust_checkpoints(job.trusts_checkpoints):
        record.update(_train(job, resume))
    record.update(
        seconds=time.time() - start,
        resumed=resume is not None,
        torch=torch.__version__,
        mmengine=mmengine.__version__,
        mmtat=mmtat.__version__,
    )
    write_record(job.folder / RESULT_FILE, record)


def _record(job: Job) -> Dict[str, Any]:
    run = job.run
    return dict(
        labels=run.labels,
        seed=run.seed,
        config=run.config,
        options=run.options,
        data_root=run.data_root,
        digest=job.digest,
    )


def _train(job: Job, resume: Optional[str]) -> Dict[str, Any]:
    config = resolve(job.run)
    if digest(job.run, config) != job.digest:
        raise ValueError(
            f'config: {job.run.config!r} was changed since the sweep began; '
            'call the sweep again, with another --out'
        )
    options = dict(job.run.options)
    if is_distillation(config):
        # It is the same teacher in every run.
        options.setdefault('model.teacher_metric', 0)
    runner = train(
        argparse.Namespace(
            config=job.run.config,
            work_dir=str(job.folder),
            data_root=job.run.data_root,
            cfg_options=options,
            launcher='none',
            local_rank=0,
            resume=resume,
            amp=False,
            auto_scale_lr=False,
        )
    )
    metrics, times = read_log(job.folder, runner.timestamp)
    if not metrics:
        # It was killed between its last checkpoint and the validation. The
        # log holds numbers, where the loop may return numpy's.
        runner.val_loop.run()
        metrics, _ = read_log(job.folder, runner.timestamp)
    return dict(
        metrics=metrics,
        seconds_per_iteration=statistics.median(times) if times else None,
    )


def _end_with_parent() -> None:
    """End this process when the one that runs the sweep is gone."""
    wait([multiprocessing.parent_process().sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _print_to(log: Path) -> None:
    """Send what this process prints into a file, and lock it.

    A run's process outlives a killed sweep for a moment; the lock lets the
    next one wait for its end.
    """
    with open(log, 'a') as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        for stream, descriptor in ((sys.stdout, 1), (sys.stderr, 2)):
            os.dup2(file.fileno(), descriptor)
            # What a killed process printed is there to read.
            stream.reconfigure(line_buffering=True)
