"""Run what is missing of a sweep, some processes at a time."""

import contextlib
import fcntl
import functools
import multiprocessing
import time
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Union

from .grid import Sweep
from .places import Place, places_of, start_server
from .plan import check_data, finished_runs, resolve_sweep
from .progress import Progress
from .records import (
    LOG_FILE,
    RESULT_FILE,
    Result,
    finished_result,
    read_record,
    tail_of,
)
from .worker import Job, work


def run_sweep(
    sweep: Sweep,
    out: Union[str, Path],
    jobs: int = 1,
    gpus: Optional[Sequence[int]] = None,
    say: Callable[[str], None] = functools.partial(print, flush=True),
    trust_checkpoint: bool = False,
) -> List[Result]:
    """Run what of a sweep has not finished yet, and keep results.csv.

    Each run is a process of its own with the folder ``out/<its name>``. An
    unfinished one goes on from its last checkpoint, a failed one is tried
    again, and the others run on. The processes end with this one, however
    it ends.

    Args:
        sweep (Sweep): What to run.
        out (str | Path): Folder of the sweep; no other process may be
            running one there.
        jobs (int): Processes at a time; for each GPU, where ``gpus`` names
            some. Defaults to 1.
        gpus (list[int], optional): Each process sees one of them. Defaults
            to None: all processes see what this one would.
        say (Callable[[str], None]): Gets a line for each run that ends.
        trust_checkpoint (bool): Whether the checkpoints that the runs read
            may run what they hold. Defaults to False.

    Returns:
        list[Result]: In the order of ``sweep.runs()``.

    Raises:
        ValueError: An option, config, data set, GPU or metric is not there;
            another sweep is at work in the folder; or a run in it was of
            another config.
    """
    places = places_of(jobs, gpus)
    digests = resolve_sweep(sweep)
    out = Path(out)
    if out.exists() and not out.is_dir():
        raise ValueError(f'out: {str(out)!r} is a file; give a folder')
    finished = finished_runs(sweep, out, digests)
    check_data(run for run in sweep.runs() if run.name not in finished)
    out.mkdir(parents=True, exist_ok=True)
    with _lock(out):
        # Once more: another sweep may have ended in the meantime.
        finished = finished_runs(sweep, out, digests)
        progress = Progress(sweep, out, finished, len(places), say)
        missing = [
            Job(run, out / run.name, digests[run.name], trust_checkpoint)
            for run in sweep.runs()
            if run.name not in finished
        ]
        if missing:
            start_server(job.run for job in missing)
            _run_all(missing, places, progress)
    return progress.results


@contextlib.contextmanager
def _lock(out: Path) -> Iterator[None]:
    with open(out / '.lock', 'w') as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f'out: another sweep is running in {str(out)!r}; wait for '
                'it, or give another --out'
            ) from error
        yield


@dataclass
class _Started:
    """A job at work."""

    job: Job
    place: Place
    process: BaseProcess
    since: float
    log_start: int

    def result(self) -> Result:
        """What the process left, after it ended."""
        self.process.join()
        folder = self.job.folder
        record = read_record(folder / RESULT_FILE)
        if record is not None:
            return finished_result(self.job.run, record)
        code = self.process.exitcode
        reason = f'killed by signal {-code}' if code < 0 else f'status {code}'
        log = folder / LOG_FILE
        tail = tail_of(log, self.log_start)
        return Result(
            self.job.run,
            'failed',
            seconds=time.time() - self.since,
            error='\n    '.join([f'{reason}; see {log}', *tail]),
        )


def _run_all(jobs: List[Job], places: List[Place], progress: Progress) -> None:
    waiting, free = list(jobs), list(places)
    at_work: Dict[int, _Started] = {}
    try:
        while waiting or at_work:
            while waiting and free:
                started = _start(waiting.pop(0), free.pop(0))
                at_work[started.process.sentinel] = started
            for sentinel in wait(list(at_work)):
                started = at_work.pop(sentinel)
                free.append(started.place)
                progress.add(started.result())
    finally:
        _stop([started.process for started in at_work.values()])


def _start(job: Job, place: Place) -> _Started:
    job.folder.mkdir(exist_ok=True)
    log = job.folder / LOG_FILE
    log_start = log.stat().st_size if log.is_file() else 0
    # Forks of a process that has imported everything.
    context = multiprocessing.get_context('forkserver')
    process = context.Process(
        target=work,
        args=(job, place),
        # Data workers are its children, which a daemon may not have.
        daemon=False,
    )
    process.start()
    return _Started(job, place, process, time.time(), log_start)


def _stop(processes: List[BaseProcess]) -> None:
    for process in processes:
        process.terminate()
    for process in processes:
        process.join(5)
        if process.is_alive():
            process.kill()
            process.join()
