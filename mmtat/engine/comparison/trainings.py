"""Running the trainings of a stage, each once."""

from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Sequence

from ..sweep import Result, Sweep, run_sweep, write_results
from .scenario import Scenario


class Trainings:
    """Runs stages of a comparison as sweeps over its methods.

    Args:
        scenario (Scenario): What is trained on.
        out (Path): Folder of all stages.
        jobs (int): Processes at a time.
        gpus (list[int], optional): See :func:`run_sweep`.
        options (dict[str, Any], optional): For every training.
        say (Callable[[str], None]): Gets lines of progress.
    """

    def __init__(
        self,
        scenario: Scenario,
        out: Path,
        jobs: int = 1,
        gpus: Optional[Sequence[int]] = None,
        options: Optional[Dict[str, Any]] = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.scenario = scenario
        self.out = out
        self.jobs = jobs
        self.gpus = gpus
        self.options = options or {}
        self.say = say
        self._done: Dict[str, List[Result]] = {}

    def run(
        self, stage: str, points: Dict[str, Dict], seeds: Iterable[int]
    ) -> List[Result]:
        """Train what of a stage has not finished.

        Args:
            stage (str): Its folder.
            points (dict[str, dict]): Options, and the 'config', by label.
            seeds (list[int]): Each label is trained with each.

        Returns:
            list[Result]: Labelled 'method'.

        Raises:
            RuntimeError: A training failed; the message says which, and why.
        """
        if stage in self._done:
            return self._done[stage]
        sweep = Sweep(
            stage,
            next(iter(points.values()))['config'],
            {'method': {n: {**p, **self.options} for n, p in points.items()}},
            seeds=list(seeds),
            metric=self.scenario.metric,
            data_root=self.scenario.data_root,
        )
        folder = self.out / stage
        results = run_sweep(sweep, folder, self.jobs, self.gpus, say=self.say)
        write_results(results, folder, self.scenario.metric)
        failed = [r for r in results if r.status == 'failed']
        if failed:
            raise RuntimeError(
                f'{stage}: {len(failed)} of {len(results)} runs failed; '
                f'{failed[0].run.name}: {failed[0].error}'
            )
        self._done[stage] = results
        return results

    def checkpoint(self, stage: str, result: Result) -> str:
        """The last checkpoint of a training.

        Args:
            stage (str): Its folder.
            result (Result): Of the training.

        Returns:
            str: The path.
        """
        run = self.out / stage / result.run.name
        return str(run / Path((run / 'last_checkpoint').read_text()).name)
