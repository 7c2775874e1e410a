"""The target-aware loss as it reads on paper."""

import torch
import torch.nn.functional as F
from torch import Tensor

from .backend import Backend, common_dtype


def attention_logits(query: Tensor, key: Tensor) -> Tensor:
    """Products of every position of the query with every one of the key.

    Args:
        query (Tensor): (N, C, Hq, Wq), any floating dtype.
        key (Tensor): (N, C, Hk, Wk).

    Returns:
        Tensor: (N, Hq*Wq, Hk*Wk), float32, or float64 for float64 arguments.
    """
    dtype = common_dtype(query, key)
    with torch.autocast(query.device.type, enabled=False):
        # (N, C, H, W) -> (N, C, H*W)
        query_tokens = query.to(dtype).flatten(2)
        key_tokens = key.to(dtype).flatten(2)
        # (N, C, Lq), (N, C, Lk) -> (N, Lq, Lk)
        return query_tokens.transpose(1, 2) @ key_tokens


def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """Weigh the value's positions by the attention of the query's.

    Args:
        query (Tensor): (N, C, Hq, Wq), any floating dtype.
        key (Tensor): (N, C, Hk, Wk).
        value (Tensor): (N, Cv, Hk, Wk).

    Returns:
        Tensor: (N, Cv, Hq, Wq), float32, or float64 for float64 arguments.
    """
    dtype = common_dtype(query, key, value)
    with torch.autocast(query.device.type, enabled=False):
        # (N, C, H, W) -> (N, C, H*W)
        value_tokens = value.to(dtype).flatten(2)
        logits = attention_logits(query.to(dtype), key.to(dtype))
        attention = logits.softmax(dim=-1)
        # (N, Cv, Lk), (N, Lq, Lk) -> (N, Cv, Lq)
        out = value_tokens @ attention.transpose(1, 2)
    # (N, Cv, Lq) -> (N, Cv, Hq, Wq)
    return out.unflatten(2, query.shape[2:])


def _loss(query: Tensor, key: Tensor, value: Tensor, target: Tensor) -> Tensor:
    out = attend(query, key, value)
    with torch.autocast(out.device.type, enabled=False):
        return F.mse_loss(out, target.to(out.dtype))


def _refusal(query: Tensor, key: Tensor, value: Tensor) -> None:
    """None: it serves whatever memory holds."""


#: Keeps some maps of (N, Hq*Wq, Hk*Wk) for the backward.
PLAIN = Backend('plain', _loss, _refusal)
