"""What a run leaves behind, and what is read of it."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

from mmtat.files import write_atomically

from .grid import Run

#: In the folder of a run: written at its start, and at its end.
RUN_FILE, RESULT_FILE, LOG_FILE = 'run.json', 'result.json', 'log.txt'

_TAIL = 15
#: What a line of a validation says beside them.
_NO_METRICS = ('time', 'data_time', 'step')


@dataclass
class Result:
    """How a run ended.

    Attributes:
        run (Run): The run.
        status (str): 'finished' or 'failed'.
        metrics (dict[str, float]): Of the last validation.
        seconds (float | None): Wall time of the process that ended it, with
            building and validation.
        seconds_per_iteration (float | None): Median of the log's 'time'.
        error (str | None): Why it failed, and the end of its log.
    """

    run: Run
    status: str
    metrics: Dict[str, float] = field(default_factory=dict)
    seconds: Optional[float] = None
    seconds_per_iteration: Optional[float] = None
    error: Optional[str] = None


def write_record(path: Path, record: Dict[str, Any]) -> None:
    """Write one of the json files of a run, whole or not at all.

    Args:
        path (Path): Of the file.
        record (dict): What json cannot hold is written as a string.
    """
    text = json.dumps(record, indent=1, default=str)
    write_atomically(path, text + '\n')


def read_record(path: Path) -> Optional[Dict[str, Any]]:
    """Read one of the json files of a run.

    Args:
        path (Path): Of the file.

    Returns:
        dict | None: None where there is none.

    Raises:
        ValueError: The file is not what a run writes.
    """
    try:
        record = json.loads(path.read_text(encoding='utf-8'))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(
            f'{str(path)!r} is no record of a run: {error}; remove its folder'
        ) from error
    if not isinstance(record, dict) or 'digest' not in record:
        raise ValueError(
            f'{str(path)!r} is no record of a run; remove its folder'
        )
    return record


def finished_result(run: Run, record: Dict[str, Any]) -> Result:
    """The result of a run that finished.

    Args:
        run (Run): The run.
        record (dict): Of its result file.

    Returns:
        Result: With the status 'finished'.
    """
    return Result(
        run,
        'finished',
        record['metrics'],
        record['seconds'],
        record['seconds_per_iteration'],
    )


def read_log(folder: Path, start: str) -> Tuple[Dict[str, float], List[float]]:
    """What the log of a training says.

    Args:
        folder (Path): Of the run.
        start (str): Each start of a run logs into a folder of this name.

    Returns:
        tuple[dict[str, float], list[float]]: The metrics of the last
        validation, empty without one, and the times of iterations in
        seconds.
    """
    log = folder / start / 'vis_data' / 'scalars.json'
    metrics: Dict[str, float] = {}
    times, step = [], None
    text = log.read_text() if log.is_file() else ''
    for line in map(json.loads, text.splitlines()):
        if 'loss' in line or 'lr' in line:
            times.append(line['time'])
            continue
        new = {
            key: value
            for key, value in line.items()
            if key not in _NO_METRICS and not key.startswith('teacher/')
        }
        if new:
            # One validation may report in several lines.
            metrics = {**metrics, **new} if line['step'] == step else new
            step = line['step']
    return metrics, times


def checkpoint_to_resume(folder: Path) -> Optional[str]:
    """The checkpoint from which an unfinished run goes on.

    Args:
        folder (Path): Of the run.

    Returns:
        str | None: Its path; None where it has to begin anew.
    """
    pointer = folder / 'last_checkpoint'
    if not pointer.is_file():
        return None
    # mmengine removes an old checkpoint before it writes the next, so a run
    # that was killed between can point to one that is gone.
    checkpoint = folder / Path(pointer.read_text().strip()).name
    return str(checkpoint) if checkpoint.is_file() else None


def tail_of(log: Path, start: int = 0) -> List[str]:
    """The last lines of a log.

    Args:
        log (Path): The file; need not be there.
        start (int): Bytes before this one are of an earlier attempt.

    Returns:
        list[str]: At most 15 lines.
    """
    if not log.is_file():
        return []
    with open(log, 'rb') as file:
        file.seek(start)
        text = file.read().decode('utf-8', 'replace')
    return [line for line in text.splitlines() if line.strip()][-_TAIL:]
