"""Every layer of a model that a recorder can record."""

import logging
from dataclasses import dataclass
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten, tree_map

from mmtat.ops import token_map_shape, tokens_and_grid

from .zero_image import input_size, run_model, zero_image


@dataclass(frozen=True)
class RecordableLayer:
    """What a layer returns for one image.

    Attributes:
        name (str): Of the module, as recorders and distillers take it.
        kind (str): Its class.
        shapes (tuple[tuple[int, ...], ...]): Of each tensor that its first
            call returns, for a batch of 1.
        calls (int): How often it runs in a forward; mmrazor's recorders
            number them, and distillers take the first.
        bytes (int): Memory of what its first call returns.
        map (tuple[int, int, int] | None): (C, H, W) of the map that
            distillers of layer pairs take it for; None where it returns
            none, or several tensors.
        tokens (bool): Whether that map comes as tokens (B, N, C).
        stride (float | None): Height of the image by that of the map.
    """

    name: str
    kind: str
    shapes: Tuple[Tuple[int, ...], ...]
    calls: int
    bytes: int
    map: Optional[Tuple[int, int, int]]
    tokens: bool
    stride: Optional[float]


def recordable_layers(
    model: nn.Module, size: Optional[Tuple[int, int]] = None
) -> List[RecordableLayer]:
    """The layers of a model that recorders of module outputs can record.

    These run by a call, as a head of mmsegmentation does not, and return
    tensors. Layers of auxiliary heads are among them. They are found by a
    run on fake tensors: nothing is computed and the model stays as it is. A
    model that cannot run so is run on an image of zeros.

    Args:
        model (nn.Module): A :class:`BaseModel`.
        size (tuple[int, int], optional): Height and width of the image, by
            default :func:`input_size`.

    Returns:
        list[RecordableLayer]: In the order in which their first calls
        return: a layer stands behind the layers inside it.

    Raises:
        ValueError: The model does not run on an image of this size.
    """
    size = size or input_size(model)[0]
    layers = _seen(model, size, None)
    if hasattr(model, 'extract_feat'):
        heads = tuple(
            name
            for name, part in model.named_children()
            if name.endswith('head')
            and not any(seen.startswith(f'{name}.') for seen in layers)
            and name not in layers
        )
        if heads:
            further = _seen(model, size, heads)
            layers.update({k: further[k] for k in further if k not in layers})
    return list(layers.values())


def _seen(
    model: nn.Module,
    size: Tuple[int, int],
    heads: Optional[Tuple[str, ...]],
) -> Dict[str, RecordableLayer]:
    """Layers that run with ``mode='tensor'``, or with some of the heads."""
    found: Dict[str, RecordableLayer] = {}
    for fake in (True, False):
        watch = _Calls(model)
        error = None
        with zero_image(model, size, fake) as image:
            try:
                run_model(model, image, None, heads, calls_heads=False)
            except Exception as raised:
                error = raised
            finally:
                watch.remove()
        layers = watch.layers(size)
        found = max(layers, found, key=len)
        if error is None:
            return found
    if not found:
        raise ValueError(
            f'{type(model).__name__} does not run on an image of {size[0]}x'
            f'{size[1]}: {type(error).__name__}: {error}'
        )
    print_log(
        f'{type(model).__name__} does not run to its end on an image of '
        f'{size[0]}x{size[1]} without data samples, so that layers may be '
        f'missing: {type(error).__name__}: {error}',
        'current',
        logging.WARNING,
    )
    return found


class _Calls:
    """Notes what each call of a module returns."""

    def __init__(self, model: nn.Module) -> None:
        self._names: Dict[nn.Module, str] = {
            module: name for name, module in model.named_modules() if name
        }
        self._calls: Dict[str, int] = {}
        self._first: Dict[str, Tuple[Any, Tuple, int]] = {}
        self._kinds: Dict[str, str] = {}
        self._handles = [
            module.register_forward_hook(self._note) for module in self._names
        ]

    def remove(self) -> None:
        """Take the hooks off again."""
        for handle in self._handles:
            handle.remove()

    def layers(self, size: Tuple[int, int]) -> Dict[str, RecordableLayer]:
        """What was seen, by the names of the layers.

        Args:
            size (tuple[int, int]): Height and width of the image.

        Returns:
            dict[str, RecordableLayer]: In the order of the calls' ends.
        """
        layers = {}
        for name, (record, shapes, count) in self._first.items():
            shape, is_tokens = _map_of(record, size)
            layers[name] = RecordableLayer(
                name=name,
                kind=self._kinds[name],
                shapes=shapes,
                calls=self._calls[name],
                bytes=count,
                map=shape,
                tokens=is_tokens,
                stride=None if shape is None else size[0] / shape[1],
            )
        return layers

    def _note(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        tensors = [
            leaf
            for leaf in tree_flatten(outputs)[0]
            if isinstance(leaf, Tensor)
        ]
        if not tensors:
            return
        name = self._names[module]
        self._calls[name] = self._calls.get(name, 0) + 1
        if name not in self._first:
            record = tree_map(
                lambda x: x.shape if isinstance(x, Tensor) else x, outputs
            )
            count = sum(t.numel() * t.element_size() for t in tensors)
            shapes = tuple(tuple(tensor.shape) for tensor in tensors)
            self._first[name] = record, shapes, count
            self._kinds[name] = type(module).__name__


def _map_of(
    record: Any, size: Tuple[int, int]
) -> Tuple[Optional[Tuple[int, int, int]], bool]:
    """(C, H, W) of the one map among a layer's shapes; if it is tokens."""
    record, grid = tokens_and_grid(record)
    if type(record) in (list, tuple) and len(record) == 1:
        record = record[0]
    if not isinstance(record, torch.Size) or not record or record[0] != 1:
        return None, False
    if len(record) == 4:
        return (tuple(record[1:]) if _is_of(record[2:], size) else None), False
    if len(record) != 3:
        return None, False
    try:
        return token_map_shape(record, size, grid)[1:], True
    except ValueError:
        return None, False


def _is_of(sides: Sequence[int], size: Tuple[int, int]) -> bool:
    """Whether a map has the image's shape, by two cells or so.

    Neither attention maps have it nor what comes as (B, H, W, C).
    """
    (height, width), (image_height, image_width) = sides, size
    difference = abs(height * image_width - width * image_height)
    return difference <= 2 * max(size)
