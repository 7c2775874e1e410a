"""What every loss between two features checks before it computes."""

from typing import Any, Sequence, Tuple

import torch
from torch import Tensor

_DIMS = {'batch size': slice(0, 1), 'channels': slice(1, 2)}
_DIMS['size'] = slice(2, None)
_SHAPES = {2: '(N, C)', 4: '(N, C, H, W)'}


def match_features(
    s_feature: Tensor,
    t_feature: Tensor,
    dims: Sequence[int] = (2, 4),
    same: Sequence[str] = (),
) -> Tuple[Tensor, Tensor]:
    """Check a student's and a teacher's feature and make them comparable.

    Args:
        s_feature (Tensor): (N, C) or (N, C, H, W), any floating dtype.
        t_feature (Tensor): (N, C) or (N, C, H, W), of the same batch size.
        dims (Sequence[int]): Numbers of dimensions that are admitted, of 2
            and 4. Defaults to both.
        same (Sequence[str]): What else must be equal, of 'channels' and
            'size'. Defaults to nothing.

    Returns:
        tuple[Tensor, Tensor]: Both in one dtype, at least float32; the
        teacher's without its graph.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes or dtypes do not fit; the message names the
            argument.
    """
    for name, feature in (('s_feature', s_feature), ('t_feature', t_feature)):
        check_feature(name, feature, dims)
    for what in ('batch size', *same):
        part = _DIMS[what]
        if s_feature.shape[part] != t_feature.shape[part]:
            raise ValueError(
                f's_feature must have the {what} of t_feature: expected '
                f'{tuple(t_feature.shape[part])}, got '
                f'{tuple(s_feature.shape[part])} (s_feature '
                f'{tuple(s_feature.shape)}, t_feature '
                f'{tuple(t_feature.shape)})'
            )
    dtype = torch.promote_types(s_feature.dtype, t_feature.dtype)
    dtype = torch.promote_types(dtype, torch.float32)
    return s_feature.to(dtype), t_feature.detach().to(dtype)


def check_feature(
    name: str, feature: Any, dims: Sequence[int] = (2, 4)
) -> None:
    """Raise unless ``feature`` is a non-empty floating tensor.

    Args:
        name (str): The argument's name, for the message.
        feature (Any): What came.
        dims (Sequence[int]): Admitted numbers of dimensions, of 2 and 4.

    Raises:
        TypeError: Not a tensor.
        ValueError: Another shape or dtype.
    """
    if not isinstance(feature, Tensor):
        raise TypeError(f'{name} must be a tensor, got {type(feature)}')
    if feature.dim() not in dims:
        shapes = ' or '.join(_SHAPES[dim] for dim in dims)
        raise ValueError(
            f'{name} must be of shape {shapes}, got {tuple(feature.shape)}'
        )
    if not feature.is_floating_point():
        raise ValueError(
            f'{name} must be of a floating dtype, got {feature.dtype}'
        )
    if 0 in feature.shape:
        raise ValueError(
            f'{name} must not be empty, got {tuple(feature.shape)}'
        )


def check_positive(name: str, number: Any, whole: bool = False) -> None:
    """Raise ValueError unless ``number`` is positive and finite.

    Args:
        name (str): The argument's name, for the message.
        number (Any): What came.
        whole (bool): Whether it must be an integer. Defaults to False.

    Raises:
        ValueError: Anything else.
    """
    kinds = int if whole else (int, float)
    is_number = isinstance(number, kinds) and not isinstance(number, bool)
    if not is_number or not 0 < number < float('inf'):
        kind = 'integer' if whole else 'number'
        raise ValueError(f'{name} must be a positive {kind}, got {number!r}')
