"""Data loaders, datasets, transforms and metrics: types and keys."""

from typing import Any, Dict, Iterator, Tuple

from mmengine.config import Config
from mmengine.registry import (
    DATA_SAMPLERS,
    DATASETS,
    EVALUATOR,
    METRICS,
    TRANSFORMS,
)
from torch.utils.data import DataLoader

from .components import component_problems, unknown_keys
from .problem import Problem
from .signatures import arguments_of

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')
#: What the Runner takes out of a loader's config before it builds.
_OF_RUNNER = ('num_batch_per_epoch', 'disable_subprocess_warning')
#: Their inner transforms are of another package than their own.
_FOREIGN = ('Albu', 'Albumentations')
#: What a sampler is given by the Runner.
_OF_SAMPLER = ('dataset', 'seed', 'sampler', 'batch_size')


def loader_problems(config: Config) -> Iterator[Problem]:
    """Keys of the data loaders, their samplers and datasets.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    known = {*arguments_of(DataLoader), *_OF_RUNNER}
    for name in _LOADERS:
        loader = config.get(name)
        if not isinstance(loader, dict):
            continue
        yield from unknown_keys(loader, name, 'DataLoader', known)
        for key in ('sampler', 'batch_sampler'):
            yield from component_problems(
                loader.get(key),
                f'{name}.{key}',
                DATA_SAMPLERS,
                also=_OF_SAMPLER,
            )
        dataset = loader.get('dataset')
        yield from _dataset_problems(dataset, f'{name}.dataset')


def _dataset_problems(dataset: Any, place: str) -> Iterator[Problem]:
    for where, own in _listed(dataset, place):
        yield from component_problems(own, where, DATASETS)
        for key in ('dataset', 'datasets'):
            yield from _dataset_problems(own.get(key), f'{where}.{key}')
        yield from _transform_problems(
            own.get('pipeline'), f'{where}.pipeline'
        )


def _transform_problems(transforms: Any, place: str) -> Iterator[Problem]:
    for where, own in _listed(transforms, place):
        yield from component_problems(own, where, TRANSFORMS)
        kind = getattr(own.get('type'), '__name__', str(own.get('type')))
        if kind.rpartition('.')[2] not in _FOREIGN:
            yield from _transform_problems(
                own.get('transforms'), f'{where}.transforms'
            )


def metric_problems(config: Config) -> Iterator[Problem]:
    """Types and keys of the metrics.

    Args:
        config (Config): Of a training.

    Yields:
        Problem: For each.
    """
    for name in ('val_evaluator', 'test_evaluator'):
        for where, own in _listed(config.get(name), name):
            if 'metrics' in own:
                # An evaluator of several; it has a type of its own or none.
                if own.get('type') is not None:
                    yield from component_problems(own, where, EVALUATOR)
                for inner in _listed(own['metrics'], f'{where}.metrics'):
                    yield from component_problems(*inner[::-1], METRICS)
            else:
                yield from component_problems(own, where, METRICS)


def _listed(value: Any, place: str) -> Iterator[Tuple[str, Dict[str, Any]]]:
    """The configs in a value, which may hold them in lists, and places."""
    if isinstance(value, dict):
        yield place, value
    elif isinstance(value, (list, tuple)):
        for index, own in enumerate(value):
            yield from _listed(own, f'{place}[{index}]')
