"""Which layers are distilled to which, and what maps they give."""

from typing import Any, Dict, List

import torch

from ..utils import DryRun


def parse_pairs(layers: Any) -> List[Dict[str, str]]:
    """Read the distiller's ``layers``.

    Args:
        layers (list[dict | str]): Pairs, or names that both models share.

    Returns:
        list[dict[str, str]]: Layer names by 'student' and 'teacher'.

    Raises:
        ValueError: Anything else.
    """
    if not isinstance(layers, (list, tuple)) or not layers:
        raise ValueError(
            'layers must be a list of dict(student=..., teacher=...), got '
            f'{layers!r}'
        )
    pairs = []
    for layer in layers:
        if isinstance(layer, str):
            layer = dict(student=layer, teacher=layer)
        if not isinstance(layer, dict) or set(layer) != {'student', 'teacher'}:
            raise ValueError(
                'each of layers must be dict(student=..., teacher=...) or a '
                f'name that both share, got {layer!r}'
            )
        pairs.append(dict(layer))
    return pairs


def single(record: Any, role: str, source: str) -> Any:
    """The one value of a record.

    Args:
        record (Any): What a layer returned, or the shapes of it.
        role (str): 'student' or 'teacher', for the message.
        source (str): The layer's name, for the message.

    Returns:
        Any: The record, or the only item of a tuple or list.

    Raises:
        ValueError: A tuple or list of several items.
    """
    if isinstance(record, (list, tuple)) and not isinstance(
        record, torch.Size
    ):
        if len(record) != 1:
            raise ValueError(
                f'the {role} layer {source!r} returns {len(record)} values; '
                'name an inner layer that returns one map (B, C, H, W)'
            )
        return record[0]
    return record


def map_shape(run: DryRun, name: str, role: str, source: str) -> torch.Size:
    """Shape of the map that a layer gave in a dry run.

    Args:
        run (DryRun): Of the model.
        name (str): The layer's recorder.
        role (str): 'student' or 'teacher', for the message.
        source (str): The layer's name, for the message.

    Returns:
        torch.Size: (1, C, H, W).

    Raises:
        ValueError: The layer did not run, or gives no map.
    """
    if not run.records.get(name):
        raise ValueError(
            f'the {role} layer {source!r} did not run in a dry run of the '
            f'{role}; name a layer that its forward passes through'
        )
    shape = single(run.records[name][0], role, source)
    if not isinstance(shape, torch.Size) or len(shape) != 4:
        raise ValueError(
            f'the {role} layer {source!r} must return a map (B, C, H, W), '
            f'got {tuple(shape) if isinstance(shape, tuple) else shape}'
        )
    return shape
