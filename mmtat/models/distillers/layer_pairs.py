"""Which layers are distilled to which, and what maps they give."""

from typing import Any, Dict, Iterable, List, Optional, Tuple

import torch
from torch import nn

from ..utils import DryRun, input_size

Size = Tuple[int, int]

#: Names of the recorders of layer pairs, by their index.
RECORDER = 'layer_{}'


def parse_pairs(
    layers: Any, may_be_empty: bool = False
) -> List[Dict[str, str]]:
    """Read the distiller's ``layers``.

    Args:
        layers (list[dict | str]): Pairs, or names that both models share.
        may_be_empty (bool): Whether there may be none. Defaults to False.

    Returns:
        list[dict[str, str]]: Layer names by 'student' and 'teacher'.

    Raises:
        ValueError: Anything else.
    """
    is_list = isinstance(layers, (list, tuple))
    if not is_list or not (layers or may_be_empty):
        raise ValueError(
            'layers must be a list of dict(student=..., teacher=...), got '
            f'{layers!r}'
        )
    pairs = []
    for layer in layers:
        if isinstance(layer, str):
            layer = dict(student=layer, teacher=layer)
        is_pair = isinstance(layer, dict) and (
            set(layer) == {'student', 'teacher'}
        )
        if not is_pair or not all(isinstance(n, str) for n in layer.values()):
            raise ValueError(
                'each of layers must be dict(student=..., teacher=...) or a '
                f'name that both share, got {layer!r}'
            )
        pairs.append(dict(layer))
    return pairs


def with_layers(
    recorders: Optional[Dict[str, Dict]], pairs: List[Dict], role: str
) -> Dict[str, Dict]:
    """A model's recorders with those of the layer pairs.

    Args:
        recorders (dict[str, dict], optional): Of the distiller's config.
        pairs (list[dict[str, str]]): See :func:`parse_pairs`.
        role (str): 'student' or 'teacher'.

    Returns:
        dict[str, dict]: A new dict, with ``layer_<n>`` for each pair.

    Raises:
        ValueError: The config's recorders have such names already.
    """
    recorders = dict(recorders or {})
    for index, pair in enumerate(pairs):
        name = RECORDER.format(index)
        if name in recorders:
            raise ValueError(
                f'{role}_recorders: {name!r} is the name of a recorder that '
                'the distiller adds by itself; choose another'
            )
        recorders[name] = dict(type='ModuleOutputs', source=pair[role])
    return recorders


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
    shape = single(run.records[name][0], role, source)
    if not isinstance(shape, torch.Size):
        raise ValueError(
            f'the {role} layer {source!r} gives no tensor, but a {type(shape)}'
        )
    return shape


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
    shape = single_shape(run, name, role, source)
    if len(shape) != 4:
        raise ValueError(
            f'the {role} layer {source!r} must return a map (B, C, H, W), '
            f'got {tuple(shape)}'
        )
    return shape


def training_size(
    size: Optional[Size], models: Iterable[nn.Module]
) -> Tuple[Size, bool]:
    """Height and width of the training input, for the dry run.

    Args:
        size (tuple[int, int], optional): That the config gives.
        models (Iterable[nn.Module]): Whose sizes are taken, the first that
            is known.

    Returns:
        tuple[tuple[int, int], bool]: (height, width) in pixels, and whether
        it is known.
    """
    known = size is not None
    for model in models:
        if not known:
            size, known = input_size(model)
    return size, known
