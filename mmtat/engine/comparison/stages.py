"""The trainings of a comparison, stage by stage."""

import functools
from pathlib import Path
from typing import Any, Callable, Dict, List, Optional, Sequence

from mmtat.models.utils import load_config

from ..sweep import Result, Run
from .cost import remembered_costs
from .diagnosis import Looks, read_looks
from .methods import METHODS, best_weights, distiller_of, grid_of
from .scenario import Regime, Scenario
from .stretch import stretched
from .trainings import Trainings

#: Rows that are no method of :data:`METHODS`.
ALONE, SAME_TIME, TAT_KD = 'alone', 'same_time', 'tat_kd'

#: Whose gradients are looked at.
DIAGNOSED = ('kd', 'l2', 'cwd', 'tat_released', 'tat_paper')

#: Of the tuning: no seed of the comparison.
TUNING_SEED = 100


class Comparison:
    """Trains a scenario's teacher, and its students by every method.

    Everything is kept in ``out`` and nothing trained twice, so that a stage
    which was interrupted goes on.

    Args:
        scenario (Scenario): What to train on.
        out (Path): Folder of all runs.
        seeds (int): Of the methods that have many seeds.
        few_seeds (int): Of the others.
        factors (list[float]): Times its middle weight: what each method's
            weight is tuned on.
        jobs (int): Processes at a time.
        gpus (list[int], optional): See :func:`run_sweep`.
        options (dict[str, Any], optional): For every training.
        say (Callable[[str], None]): Gets lines of progress.

    Raises:
        RuntimeError: A training failed; the message says which, and why.
    """

    def __init__(
        self,
        scenario: Scenario,
        out: Path,
        seeds: int = 10,
        few_seeds: int = 3,
        factors: Sequence[float] = (0.1, 1.0, 10.0),
        jobs: int = 1,
        gpus: Optional[Sequence[int]] = None,
        options: Optional[Dict[str, Any]] = None,
        say: Callable[[str], None] = print,
    ) -> None:
        self.scenario = scenario
        self.out = out
        self.trainings = Trainings(scenario, out, jobs, gpus, options, say)
        self.seeds = list(range(seeds))
        self.few_seeds = self.seeds[:few_seeds]
        self.factors = factors

    def teacher(self) -> Result:
        """Train the teacher, once for all.

        Returns:
            Result: Of seed 0.
        """
        config = self.scenario.config(self.scenario.teacher)
        return self.trainings.run(
            'teacher', {'teacher': {'config': config}}, [0]
        )[0]

    def starts(self, regime: Regime) -> List[Result]:
        """Train the students that the further trainings start from.

        Args:
            regime (Regime): One of the scenario's.

        Returns:
            list[Result]: By seed, the last that of the tuning; empty from
            scratch.
        """
        if regime.start is None:
            return []
        config = self.scenario.config(regime.start)
        return self.trainings.run(
            regime.start,
            {'student': {'config': config}},
            [*self.seeds, TUNING_SEED],
        )

    def weights(self, regime: Regime) -> Dict[str, float]:
        """Tune each method's weight on the tuning split.

        Args:
            regime (Regime): One of the scenario's.

        Returns:
            dict[str, float]: The best of its grid by method; of equals the
            least.
        """
        return best_weights(
            {
                result.run.labels['method']: result.metrics[
                    self.scenario.metric
                ]
                for result in self.tuning(regime)
            }
        )

    def tuning(self, regime: Regime) -> List[Result]:
        """Every method with every weight, on the tuning split.

        Args:
            regime (Regime): One of the scenario's.

        Returns:
            list[Result]: Labelled '<method>@<weight>'.
        """
        points = {
            f'{name}@{weight:g}': {
                **self.options(regime, name, weight),
                **self.scenario.tuning,
            }
            for name, method in METHODS.items()
            for weight in grid_of(method, self.factors)
        }
        return self.trainings.run(
            f'{regime.name}/tuning', points, [TUNING_SEED]
        )

    def cost(self, regime: Regime) -> Dict[str, float]:
        """Time of a step relative to the student's alone, measured once.

        Args:
            regime (Regime): One of the scenario's.

        Returns:
            dict[str, float]: By method.
        """
        data_root = self.scenario.data_root
        runs = [
            Run({}, 0, options.pop('config'), options, name, data_root)
            for name, options in self._rows(regime).items()
        ]
        return remembered_costs(
            runs, ALONE, self.out / regime.name / 'cost.json'
        )

    def diagnosis(self, regime: Regime, looks: int = 10) -> Looks:
        """What some methods did during their training, with seed 0.

        Args:
            regime (Regime): One of the scenario's.
            looks (int): How often. Defaults to 10.

        Returns:
            dict[str, list[dict[str, float]]]: By method.
        """
        config = load_config(self.scenario.config(regime.tat), 'config')
        config.merge_from_dict(self.trainings.options)
        interval = max(1, config.train_cfg.max_iters // looks)
        rows = self._rows(regime)
        points = {
            name: {
                **rows[name],
                'default_hooks.logger.interval': interval,
                'custom_hooks': [
                    dict(
                        type='mmtat.DistillationMonitorHook', interval=interval
                    )
                ],
            }
            for name in DIAGNOSED
            if name in rows
        }
        stage = f'{regime.name}/diagnosis'
        return {
            result.run.labels['method']: read_looks(
                self.out / stage / result.run.name
            )
            for result in self.trainings.run(stage, points, [0])
        }

    def results(self, regime: Regime) -> List[Result]:
        """Every row of the table with all of its seeds.

        Args:
            regime (Regime): One of the scenario's.

        Returns:
            list[Result]: Labelled by method.
        """
        rows = self._rows(regime)
        ratio = self.cost(regime)['tat_released']
        rows[SAME_TIME] = stretched(rows[ALONE], ratio)
        results = []
        for stage, seeds in (('many', self.seeds), ('few', self.few_seeds)):
            chosen = {
                name: options
                for name, options in rows.items()
                if _has_many_seeds(name) == (stage == 'many')
            }
            results += self.trainings.run(
                f'{regime.name}/{stage}', chosen, seeds
            )
        return results

    def options(
        self, regime: Regime, name: str, weight: float, kd: float = 0.0
    ) -> Dict[str, Any]:
        """What makes a config that of a method.

        Args:
            regime (Regime): One of the scenario's.
            name (str): Of the method, or :data:`ALONE`.
            weight (float): Its weight.
            kd (float): Weight of KD beside it. Defaults to 0, none.

        Returns:
            dict[str, Any]: Options of a run, and its config.
        """
        start = self._start_of(regime)
        if name == ALONE:
            return {'config': self.scenario.config(regime.alone), **start}
        path = self.scenario.config(regime.tat)
        distiller = distiller_of(
            name,
            weight,
            _distiller_in(path),
            self.scenario.layers,
            self.scenario.changes.get(name),
        )
        if kd:
            logits = distiller_of('kd', kd, {}, {})['logits']
            distiller['logits'] = dict(logits, loss_weight=kd)
        return {
            'config': path,
            'model.teacher_ckpt': self.trainings.checkpoint(
                'teacher', self.teacher()
            ),
            'model.distiller': dict(distiller, _delete_=True),
            **start,
        }

    def _rows(self, regime: Regime) -> Dict[str, Dict[str, Any]]:
        weights = self.weights(regime)
        rows = {ALONE: self.options(regime, ALONE, 0)}
        for name, weight in weights.items():
            rows[name] = self.options(regime, name, weight)
        rows[TAT_KD] = self.options(
            regime, 'tat_released', weights['tat_released'], weights['kd']
        )
        return rows

    def _start_of(self, regime: Regime) -> Dict[str, str]:
        starts = self.starts(regime)
        if not starts:
            return {}
        first = starts[0]
        path = Path(self.trainings.checkpoint(regime.start, first))
        name = first.run.name.replace(f'seed-{first.run.seed}', 'seed-{seed}')
        return {'load_from': str(path.parents[1] / name / path.name)}


@functools.lru_cache(maxsize=None)
def _distiller_in(path: str) -> Dict[str, Any]:
    """Of a config, which every method at every weight begins with."""
    return load_config(path, 'config').model.distiller.to_dict()


def _has_many_seeds(name: str) -> bool:
    return name == ALONE or name in METHODS and METHODS[name].many_seeds
