"""What maps layers give, in a dry run and in a step."""

from typing import Any, Dict, List, Optional, Tuple

import torch
from torch import Tensor

from mmtat.ops import token_map_shape, tokens_and_grid, tokens_to_map

from ..utils import DryRun

Size = Tuple[int, int]

#: Names of the recorders of layer pairs, by their index.
RECORDER = 'layer_{}'


def single(record: Any, role: str, source: str) -> Tuple[Any, Optional[Size]]:
    """The one value of a record.

    Args:
        record (Any): What a layer returned, or the shapes of it.
        role (str): 'student' or 'teacher', for the message.
        source (str): The layer's name, for the message.

    Returns:
        tuple[Any, tuple[int, int] | None]: The record, the only item of a
        tuple or list, or the tokens that a layer returns with height and
        width of their map; and these two.

    Raises:
        ValueError: A tuple or list of several items.
    """
    record, grid = tokens_and_grid(record)
    if isinstance(record, (list, tuple)) and not isinstance(
        record, torch.Size
    ):
        if len(record) != 1:
            raise ValueError(
                f'the {role} layer {source!r} returns {len(record)} values; '
                'name an inner layer that returns one map (B, C, H, W), or '
                'the tokens of one (B, N, C)'
            )
        record = record[0]
    return record, grid


def single_shape(run: DryRun, name: str, role: str, source: str) -> torch.Size:
    """Shape of the one tensor that a layer gave in a dry run.

    Args:
        run (DryRun): Of the model.
        name (str): The layer's recorder.
        role (str): 'student' or 'teacher', for the message.
        source (str): The layer's name, for the message.

    Returns:
        torch.Size: Of a batch of one image.

    Raises:
        ValueError: The model or the layer did not run, or gives no tensor.
    """
    return _shape_and_grid(run, name, role, source)[0]


def need_images(pairs: List[Dict[str, str]], runs: Dict[str, DryRun]) -> bool:
    """Whether the maps of some tokens follow from the size of the images.

    Args:
        pairs (list[dict[str, str]]): Layer names by 'student' and 'teacher'.
        runs (dict[str, DryRun]): Of these.

    Returns:
        bool: A layer gives tokens, and no size of their map with them.

    Raises:
        ValueError: See :func:`single_shape`.
    """
    found = [
        _shape_and_grid(run, RECORDER.format(index), role, pair[role])
        for index, pair in enumerate(pairs)
        for role, run in runs.items()
    ]
    return any(len(shape) == 3 and grid is None for shape, grid in found)


def _shape_and_grid(
    run: DryRun, name: str, role: str, source: str
) -> Tuple[torch.Size, Optional[Size]]:
    if run.error:
        raise ValueError(
            f'the {role} does not run on an image of {run.size}: {run.error}'
        )
    if not run.records.get(name):
        raise ValueError(
            f'the {role} layer {source!r} did not run in a dry run of the '
            f'{role}; name a layer that its forward passes through (a head '
            'of mmsegmentation is run by its method: name a layer inside)'
        )
    shape, grid = single(run.records[name][0], role, source)
    if not isinstance(shape, torch.Size):
        raise ValueError(
            f'the {role} layer {source!r} gives no tensor, but a {type(shape)}'
        )
    return shape, grid


def map_shape(run: DryRun, name: str, role: str, source: str) -> torch.Size:
    """Shape of the map that a layer gave in a dry run.

    Args:
        run (DryRun): Of the model.
        name (str): The layer's recorder.
        role (str): 'student' or 'teacher', for the message.
        source (str): The layer's name, for the message.

    Returns:
        torch.Size: (1, C, H, W), also of tokens (1, N, C).

    Raises:
        ValueError: The layer did not run, or gives no map.
    """
    shape = feature_shape(run, name, role, source)
    if len(shape) != 4:
        raise ValueError(
            f'the {role} layer {source!r} must return a map (B, C, H, W), '
            f'or tokens (B, N, C), got {tuple(shape)}'
        )
    return shape


def feature_shape(
    run: DryRun, name: str, role: str, source: str
) -> torch.Size:
    """Shape of the map or the vector that a layer gave in a dry run.

    Args:
        run (DryRun): Of the model.
        name (str): The layer's recorder.
        role (str): 'student' or 'teacher', for the message.
        source (str): The layer's name, for the message.

    Returns:
        torch.Size: (1, C, H, W), also of tokens (1, N, C); or (1, C).

    Raises:
        ValueError: The layer did not run, or gives neither.
    """
    shape, grid = _shape_and_grid(run, name, role, source)
    if len(shape) == 3 and shape[0] == 1:
        try:
            return torch.Size(token_map_shape(shape, run.size, grid))
        except ValueError as error:
            raise ValueError(f'the {role} layer {source!r}: {error}') from None
    if len(shape) not in (2, 4):
        raise ValueError(
            f'the {role} layer {source!r} must return a map (B, C, H, W), '
            'tokens (B, N, C) or a vector (B, C), got '
            f'{tuple(shape)} for one image'
        )
    return shape


def as_map(
    tokens: Tensor, size: Optional[Size], grid: Optional[Size], layer: str
) -> Tensor:
    """A layer's tokens in a step as a map.

    Args:
        tokens (Tensor): (B, N, C).
        size (tuple[int, int], optional): Height and width of the images.
        grid (tuple[int, int], optional): Those of the map, from the layer.
        layer (str): Its model and name, for the message.

    Returns:
        Tensor: (B, C, h, w).

    Raises:
        ValueError: They are no map of such an image.
    """
    try:
        return tokens_to_map(tokens, size, grid)
    except ValueError as error:
        raise ValueError(f'the {layer}: {error}') from None
