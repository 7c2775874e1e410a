"""The results of a sweep while it runs: kept in a file, and told."""

import statistics
from pathlib import Path
from typing import Callable, Dict, List

from .grid import Sweep
from .records import Result
from .tables import describe, write_csv


class Progress:
    """Gathers results, writes results.csv and says a line for each.

    Args:
        sweep (Sweep): The sweep.
        out (Path): Its folder.
        finished (dict[str, Result]): Of runs that finished before.
        at_once (int): Processes at a time, for the time that is left.
        say (Callable[[str], None]): Gets the lines.
    """

    def __init__(
        self,
        sweep: Sweep,
        out: Path,
        finished: Dict[str, Result],
        at_once: int,
        say: Callable[[str], None],
    ) -> None:
        self.metric = sweep.metric
        self._runs, self._out, self._say = sweep.runs(), out, say
        self._results = dict(finished)
        self._at_once = at_once
        self._seconds: List[float] = []
        if finished:
            say(f'{len(finished)} of {len(self._runs)} runs are finished')
        for result in self.results:
            self._check_metric(result)
        write_csv(self.results, out)

    @property
    def results(self) -> List[Result]:
        """What there is, in the order of the sweep."""
        names = [run.name for run in self._runs]
        return [self._results[n] for n in names if n in self._results]

    def add(self, result: Result) -> None:
        """Keep a result and tell it.

        Args:
            result (Result): Of a run that ended.

        Raises:
            ValueError: It finished, and has no such metric.
        """
        self._results[result.run.name] = result
        self._seconds.append(result.seconds)
        write_csv(self.results, self._out)
        self._check_metric(result)
        how = f'failed, {result.error}\n   '
        if result.status == 'finished':
            value = result.metrics[self.metric]
            how = f'{self.metric} {value:.4g}, {_duration(result.seconds)}'
        self._say(
            f'[{len(self._results)}/{len(self._runs)}] '
            f'{describe(result.run)}: {how}{self._time_left()}'
        )

    def _check_metric(self, result: Result) -> None:
        if result.status == 'finished' and self.metric not in result.metrics:
            raise ValueError(
                f'metric: the validation reports no {self.metric!r}; there '
                f'are {", ".join(map(repr, result.metrics))}'
            )

    def _time_left(self) -> str:
        left = len(self._runs) - len(self._results)
        if not left:
            return ''
        rounds = -(-left // self._at_once)
        seconds = statistics.fmean(self._seconds) * rounds
        return f'; about {_duration(seconds)} left'


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f'{seconds:.0f} s'
    if seconds < 6000:
        return f'{seconds / 60:.0f} min'
    return f'{seconds / 3600:.1f} h'
