"""What of a sweep is done, and whether the rest can begin."""

from pathlib import Path
from typing import Dict, Iterable

from ..dataset_check import check_datasets
from .grid import Run, Sweep
from .options import digest, resolve
from .records import (
    RESULT_FILE,
    RUN_FILE,
    Result,
    checkpoint_to_resume,
    finished_result,
    read_record,
)

_LOADERS = ('train_dataloader', 'val_dataloader')


def resolve_sweep(sweep: Sweep) -> Dict[str, str]:
    """Resolve every run's config.

    Args:
        sweep (Sweep): To check.

    Returns:
        dict[str, str]: Digest of the config of each run, by its name.

    Raises:
        ValueError: A config is not there or has no validation, or an option
            is not in it.
    """
    digests = {}
    for run in sweep.runs():
        config = resolve(run)
        if not config.get('val_dataloader') or not config.get('val_evaluator'):
            raise ValueError(
                f'config: {run.config!r} has no validation, so its runs have '
                'no metric; give val_dataloader, val_cfg and val_evaluator'
            )
        digests[run.name] = digest(run, config)
    return digests


def finished_runs(
    sweep: Sweep, out: Path, digests: Dict[str, str]
) -> Dict[str, Result]:
    """Results of the runs that finished before.

    Args:
        sweep (Sweep): The sweep.
        out (Path): Its folder; need not be there.
        digests (dict[str, str]): Of :func:`resolve_sweep`.

    Returns:
        dict[str, Result]: By the name of the run.

    Raises:
        ValueError: A run that finished, or that has a checkpoint to go on
            from, was of another config.
    """
    results = {}
    for run in sweep.runs():
        folder = out / run.name
        record = read_record(folder / RESULT_FILE)
        known = record
        if record is None and checkpoint_to_resume(folder):
            known = read_record(folder / RUN_FILE)
        if known is not None and known['digest'] != digests[run.name]:
            what = 'finished' if record else 'began'
            raise ValueError(
                f'out: the run {run.name!r} {what} with another config than '
                f'it has now; give another --out than {str(out)!r}, or '
                f'remove the folder {str(folder)!r} to run it anew'
            )
        if record is not None:
            results[run.name] = finished_result(run, record)
    return results


def check_data(runs: Iterable[Run]) -> None:
    """Raise unless the data of every run is there, each looked at once.

    Args:
        runs (list[Run]): What will run.

    Raises:
        ValueError: See :func:`check_datasets`.
    """
    seen = []
    for run in runs:
        config = resolve(run)
        loaders = [config.get(name) for name in _LOADERS]
        if loaders not in seen:
            seen.append(loaders)
            check_datasets(config, _LOADERS)
