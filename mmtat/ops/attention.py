"""The operator of the Target-aware Transformer, on feature maps."""

import math

import torch
from torch import Tensor

from .backends import attend, attention_logits, serving_backend


def target_aware_attention(
    query: Tensor, key: Tensor, value: Tensor
) -> Tensor:
    """Rebuild a map at the query's positions from all of the value's.

    ``out_i = sum_j softmax_j(<query_i, key_j>) value_j`` over the positions
    j of the key, without a scale: Eq. 3-5 of the paper (numbering inferred).
    Half precision is computed in float32, whatever autocast says: a logit
    without a scale grows with the width, and bfloat16 near 128 has steps
    of 1.

    Args:
        query (Tensor): (N, C, Hq, Wq), any floating dtype.
        key (Tensor): (N, C, Hk, Wk).
        value (Tensor): (N, Cv, Hk, Wk).

    Returns:
        Tensor: (N, Cv, Hq, Wq), float32, or float64 for float64 arguments.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes do not fit; the message names the argument.
    """
    _check_maps(query=query, key=key, value=value)
    _check_attention(query, key, value)
    return attend(query, key, value)


def attention_entropy(query: Tensor, key: Tensor) -> Tensor:
    """How spread the rows of the attention map are.

    Args:
        query (Tensor): (N, C, Hq, Wq), any floating dtype.
        key (Tensor): (N, C, Hk, Wk), of more than one position.

    Returns:
        Tensor: Scalar in [0, 1], float32, or float64 for float64 arguments:
        the rows' mean entropy over that of equal weights; 0 where each row
        has one place, 1 where it has all alike.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes do not fit, or the key has one position; the
            message names the argument.
    """
    _check_maps(query=query, key=key)
    _check_same('key', key, 'query', query, 'channels', slice(1, 2))
    positions = key.shape[2:].numel()
    if positions < 2:
        raise ValueError(
            f'key must have more than one position, got {tuple(key.shape)}'
        )
    with torch.autocast(query.device.type, enabled=False):
        logs = attention_logits(query, key).log_softmax(dim=-1)
        # (N, Lq, Lk) -> (N, Lq) -> ()
        entropy = -(logs.exp() * logs).sum(dim=-1).mean()
    return entropy / math.log(positions)


def target_aware_loss(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    target: Tensor,
    backend: str = 'auto',
) -> Tensor:
    """Mean squared error of the rebuilt map against the target.

    The map is that of :func:`target_aware_attention`. Backends give the same
    value and gradients but for rounding:

    - 'plain': products and a softmax, as on paper. Keeps the attention.
    - 'sdpa': the attention kernels of torch. Maps that are all bfloat16 are
      attended in bfloat16, with sums and softmax in float32.
    - 'fused': the gradients are computed in the forward, block by block of
      the query, and nothing else is kept. No second derivative.
    - 'auto': see :func:`mmtat.ops.backends.choose_backend`.

    Args:
        query (Tensor): (N, C, Hq, Wq).
        key (Tensor): (N, C, Hk, Wk).
        value (Tensor): (N, Cv, Hk, Wk).
        target (Tensor): (N, Cv, Hq, Wq), the teacher's feature.
        backend (str): See above. Defaults to 'auto'.

    Returns:
        Tensor: Scalar, the mean over every element of (out - target)^2,
        float32, or float64 for float64 arguments.

    Raises:
        TypeError: An argument is not a tensor.
        ValueError: Shapes do not fit, or there is no such backend, or it
            cannot serve these maps; the message names the argument.
    """
    _check_maps(query=query, key=key, value=value, target=target)
    _check_same('target', target, 'query', query, 'size', slice(2, 4))
    _check_same('target', target, 'value', value, 'channels', slice(1, 2))
    _check_attention(query, key, value)
    serving = serving_backend(backend, query, key, value)
    return serving.loss(query, key, value, target)


def _check_attention(query: Tensor, key: Tensor, value: Tensor) -> None:
    """The query can look over the key, and each key has a value."""
    _check_same('key', key, 'query', query, 'channels', slice(1, 2))
    _check_same('value', value, 'key', key, 'size', slice(2, 4))


def _check_maps(**maps: Tensor) -> None:
    """Every argument is a non-empty map, all of one batch size."""
    for name, tensor in maps.items():
        if not isinstance(tensor, Tensor):
            raise TypeError(f'{name} must be a tensor, got {type(tensor)}')
        if tensor.dim() != 4:
            raise ValueError(
                f'{name} must be a map of shape (N, C, H, W), got '
                f'{tuple(tensor.shape)}'
            )
        if not tensor.is_floating_point():
            raise ValueError(
                f'{name} must be of a floating dtype, got {tensor.dtype}'
            )
        if 0 in tensor.shape:
            raise ValueError(f'{name} is empty: {tuple(tensor.shape)}')
        _check_same(
            name, tensor, 'query', maps['query'], 'batch size', slice(0, 1)
        )


def _check_same(
    name: str,
    tensor: Tensor,
    other_name: str,
    other: Tensor,
    what: str,
    dims: slice,
) -> None:
    """``tensor`` and ``other`` agree in the dimensions ``dims``."""
    if tensor.shape[dims] != other.shape[dims]:
        raise ValueError(
            f'{name} must have the {what} of {other_name}: expected '
            f'{tuple(other.shape[dims])}, got {tuple(tensor.shape[dims])} '
            f'({name} {tuple(tensor.shape)}, {other_name} '
            f'{tuple(other.shape)})'
        )
