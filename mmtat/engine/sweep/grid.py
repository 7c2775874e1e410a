"""Which runs a sweep consists of."""

import hashlib
import itertools
import os
import re
from dataclasses import dataclass, field
from typing import Any, Dict, Iterator, List, Optional, Sequence, Union

#: What is set otherwise, and how.
_OWN = {'randomness.seed': 'seeds', 'work_dir': '--out'}
#: Of a folder, without the seed.
_LONGEST_NAME = 150

Axis = Union[Sequence[Any], Dict[str, Dict[str, Any]]]


@dataclass(frozen=True)
class Run:
    """One training of a sweep.

    Attributes:
        labels (dict[str, Any]): For each axis what it stands at: the value,
            or the label of a named axis.
        seed (int): Of the training.
        config (str): Path or name of the config.
        options (dict[str, Any]): What is merged into the config; the seed
            among them.
        name (str): Of its folder; no other run of the sweep has it.
        data_root (str | None): Folder that every dataset of it reads.
    """

    labels: Dict[str, Any]
    seed: int
    config: str
    options: Dict[str, Any]
    name: str
    data_root: Optional[str] = None


@dataclass
class Sweep:
    """A grid of options of a config, times seeds.

    Args:
        name (str): Of the sweep.
        config (str): Path of a config, or 'mmseg::...'.
        grid (dict): Axes. ``'model.a.b': [1, 2]`` sets an option to each
            value; ``'width': {'narrow': {...}, 'wide': {...}}`` sets several
            options for each label, and takes another config by the key
            'config'.
        seeds (list[int]): Each point of the grid runs once with each.
        metric (str): Of the validation; the one in table and picture.
        options (dict, optional): For every run; of two, the grid's wins.
        data_root (str, optional): Folder that every dataset reads.

    In values and in ``data_root``, '{seed}' stands for the run's seed.

    Raises:
        TypeError, ValueError: Says which part is wrong.

    Examples:
        >>> Sweep(
        ...     'weights',
        ...     'configs/demo/digit_scenes_tat.py',
        ...     {'model.distiller.formulation': ['paper', 'released']},
        ...     seeds=[0, 1, 2],
        ...     metric='mIoU')
    """

    name: str
    config: str
    grid: Dict[str, Axis]
    seeds: Sequence[int]
    metric: str
    options: Dict[str, Any] = field(default_factory=dict)
    data_root: Optional[str] = None

    def __post_init__(self) -> None:
        self.config = os.fspath(self.config)
        if not isinstance(self.metric, str) or not self.metric:
            raise ValueError(
                "metric must name a metric of the validation, as 'mIoU', got "
                f'{self.metric!r}'
            )
        _check_seeds(self.seeds)
        _check_options('options', self.options)
        if 'config' in self.options:
            raise ValueError("options: 'config' is a key of the sweep itself")
        if not isinstance(self.grid, dict) or not self.grid:
            raise ValueError(
                f'grid must be a dict with at least one axis, got {self.grid}'
            )
        for axis, values in self.grid.items():
            _check_axis(axis, values)

    def runs(self) -> List[Run]:
        """Every run, the seeds of a point of the grid together.

        Returns:
            list[Run]: In the order of the grid.

        Raises:
            ValueError: Two axes set the same option.
        """
        runs = []
        for point in self._points():
            labels = {axis: label for axis, (label, _) in point.items()}
            options = dict(self.options)
            setters: Dict[str, str] = {}
            for axis, (_, own) in point.items():
                for key, value in own.items():
                    if setters.setdefault(key, axis) != axis:
                        raise ValueError(
                            f'grid: the axes {setters[key]!r} and {axis!r} '
                            f'both set {key!r}'
                        )
                    options[key] = value
            config = options.pop('config', self.config)
            for seed in self.seeds:
                runs.append(self._run(labels, seed, config, options))
        return runs

    def _points(self) -> Iterator[Dict[str, tuple]]:
        axes = [_settings(axis, values) for axis, values in self.grid.items()]
        for point in itertools.product(*axes):
            yield dict(zip(self.grid, point))

    def _run(self, labels: Dict, seed: int, config: str, options: Dict) -> Run:
        parts = [
            f'{_safe(short)}-{_safe(labels[axis])}'
            for axis, short in short_names(self.grid).items()
        ]
        name = '_'.join(parts)
        if len(name) > _LONGEST_NAME:
            digest = hashlib.sha256(name.encode()).hexdigest()[:8]
            name = f'{name[:_LONGEST_NAME]}-{digest}'
        options = {**options, 'randomness.seed': seed}
        return Run(
            labels=dict(labels),
            seed=seed,
            config=os.fspath(config),
            options=_with_seed(options, seed),
            name=f'{name}_seed-{seed}',
            data_root=_with_seed(self.data_root, seed),
        )


def short_names(axes: Sequence[str]) -> Dict[str, str]:
    """The axes by the fewest last parts of their paths that tell them apart.

    Args:
        axes (list[str]): As 'model.distiller.branches.whole.loss_weight'.

    Returns:
        dict[str, str]: For each axis a name such as 'loss_weight'.
    """
    names = {}
    for axis in axes:
        parts = axis.split('.')
        for count in range(1, len(parts) + 1):
            names[axis] = '.'.join(parts[-count:])
            if not any(
                f'.{other}'.endswith(f'.{names[axis]}')
                for other in axes
                if other != axis
            ):
                break
    return names


def _settings(axis: str, values: Axis) -> List[tuple]:
    """Labels of an axis, each with the options that it sets."""
    if isinstance(values, dict):
        return [(_label(label), own) for label, own in values.items()]
    return [(_label(value), {axis: value}) for value in values]


def _label(value: Any) -> Any:
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)):
        return 'x'.join(str(_label(item)) for item in value) or 'none'
    return str(value)


def _safe(label: Any) -> str:
    """A label as a part of the name of a folder."""
    if isinstance(label, (bool, int, float)):
        return str(label)
    return re.sub(r'[^\w.+]+', '-', label).strip('-')


def _with_seed(value: Any, seed: int) -> Any:
    if isinstance(value, str):
        return value.replace('{seed}', str(seed))
    if isinstance(value, dict):
        return {key: _with_seed(item, seed) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_with_seed(item, seed) for item in value)
    return value


def _check_seeds(seeds: Any) -> None:
    if not isinstance(seeds, (list, tuple, range)) or not seeds:
        raise ValueError(f'seeds must be a list of integers, got {seeds!r}')
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise ValueError(
                f'seeds must be integers from 0 on, got {seed!r} in {seeds!r}'
            )
    if len(set(seeds)) < len(seeds):
        raise ValueError(f'seeds must differ, got {seeds!r}')


def _check_options(name: str, options: Any) -> None:
    if not isinstance(options, dict):
        raise TypeError(
            f'{name} must be a dict of config options, got {options!r}'
        )
    for key in options:
        if key in _OWN:
            raise ValueError(f'{name}: {key!r} is set by {_OWN[key]}')


def _check_axis(axis: str, values: Axis) -> None:
    if isinstance(values, (str, bytes)) or not hasattr(values, '__iter__'):
        raise TypeError(
            f'grid: {axis!r} must be a list of values as [1,2], or a dict of '
            f'options by label, got {values!r}'
        )
    if not values:
        raise ValueError(f'grid: the axis {axis!r} has no values')
    if isinstance(values, dict):
        for label, options in values.items():
            _check_options(f'grid: {axis}: {label}', options)
    else:
        _check_options('grid', {axis: None})
    safe = [_safe(label) for label, _ in _settings(axis, values)]
    for label in safe:
        if not label or safe.count(label) > 1:
            raise ValueError(
                f'grid: the labels of {axis!r} must differ in letters or '
                f'digits, got {", ".join(map(repr, safe))}'
            )
