"""What is drawn, in words, and whether it is there."""

from typing import Any, Dict, Optional, Tuple

from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import DATASETS

from ..dataset_check import datasets_of
from .looks import READINGS
from .trained import tat_of


def check_layer(algorithm: BaseModel, index: int) -> None:
    """Raise for a pair of layers that is not there.

    Args:
        algorithm (FrozenTeacherDistill): That distils by TaT.
        index (int): Of the pair.

    Raises:
        ValueError: Names those there are.
    """
    pairs = tat_of(algorithm).pairs
    if not 0 <= index < len(pairs):
        shown = '; '.join(
            f'{number}: {pair["student"]} and {pair["teacher"]}'
            for number, pair in enumerate(pairs)
        )
        raise ValueError(f'layer: there is no {index}; there are {shown}')


def check_branch(algorithm: BaseModel, branch: Optional[str]) -> None:
    """Raise for a branch that is not distilled.

    Args:
        algorithm (FrozenTeacherDistill): That distils by TaT.
        branch (str, optional): Its name; None stands for all.

    Raises:
        ValueError: Names those there are.
    """
    branches = tat_of(algorithm).layer_config['branches']
    if branch is not None and branch not in branches:
        raise ValueError(
            f'branch: the config distils no {branch!r}; there are '
            f'{", ".join(branches)}'
        )


def check_reading(reading: str) -> None:
    """Raise for a reading that is not there.

    Args:
        reading (str): Of the map.

    Raises:
        ValueError: Names those there are.
    """
    if reading not in READINGS:
        raise ValueError(
            f'reading must be one of {", ".join(READINGS)}, got {reading!r}'
        )


def describe(algorithm: BaseModel, index: int) -> str:
    """One line about a distilled pair of layers.

    Args:
        algorithm (FrozenTeacherDistill): That distils by TaT.
        index (int): Of the pair.

    Returns:
        str: Formulation and layers.
    """
    distiller = tat_of(algorithm)
    pair = distiller.pairs[index]
    layers = ' and '.join(dict.fromkeys((pair['student'], pair['teacher'])))
    return f'TaT ({distiller.layer_config["formulation"]}) of {layers}'


def resizing_of(size: Optional[Tuple[int, int]]) -> str:
    """How images are made as large as the training crop.

    Args:
        size (tuple[int, int], optional): Height and width of the crop.

    Returns:
        str: A sentence.
    """
    if size is None:
        return 'The image has its own size: the training cuts nothing.'
    return (
        f'The whole image was resized to the training crop, {size[1]}×'
        f'{size[0]} (width×height), whatever its aspect ratio.'
    )


def dataset_class(dataset: Dict[str, Any]) -> Optional[type]:
    """The class of a data set, without building it.

    Args:
        dataset (dict): Its config.

    Returns:
        type | None: None where the default scope has none of the name.
    """
    kind = dataset.get('type')
    if not isinstance(kind, str):
        return kind
    with DATASETS.switch_scope_and_registry(None) as registry:
        return registry.get(kind)


def dataset_meta(config: Config) -> Dict[str, Any]:
    """What the validation data set's class says of its classes.

    Args:
        config (Config): Of a run, whose default scope is in force.

    Returns:
        dict: Meta information; empty where there is none.
    """
    for dataset in datasets_of(config, ('test_dataloader', 'val_dataloader')):
        own = dict(getattr(dataset_class(dataset), 'METAINFO', None) or {})
        own.update(dataset.get('metainfo') or {})
        if own:
            return own
    return {}
