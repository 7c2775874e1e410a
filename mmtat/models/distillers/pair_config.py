"""Which layers are distilled to which, as the config says it."""

from typing import Any, Dict, Iterable, List, Optional, Tuple

from torch import nn

from ..utils import input_size
from .layer_pairs import RECORDER, Size


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
