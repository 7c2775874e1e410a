"""The attention itself, a part of it at a time, for looking at."""

from typing import Iterator, Tuple

import torch
from torch import Tensor

from .backends import attention_logits

#: Rows of a map that are computed at a time.
_BLOCK_ROWS = 1024


def attention_row(query: Tensor, key: Tensor, position: int) -> Tensor:
    """The weights that one position of the query gives.

    Args:
        query (Tensor): (N, C, Hq, Wq), any floating dtype.
        key (Tensor): (N, C, Hk, Wk).
        position (int): Of the query, row by row, from 0 to Hq*Wq - 1.

    Returns:
        Tensor: (N, Hk*Wk), float32 or float64; each row sums to 1.
    """
    # (N, C, Hq, Wq) -> (N, C, 1, 1)
    chosen = query.flatten(2)[:, :, position, None, None]
    return attention_logits(chosen, key).softmax(dim=-1)[:, 0]


def attention_column(query: Tensor, key: Tensor, position: int) -> Tensor:
    """The weights that every position of the query gives one of the key.

    Args:
        query (Tensor): (N, C, Hq, Wq), any floating dtype.
        key (Tensor): (N, C, Hk, Wk).
        position (int): Of the key, row by row, from 0 to Hk*Wk - 1.

    Returns:
        Tensor: (N, Hq*Wq), float32 or float64, each in [0, 1]; they sum to
        no fixed number.
    """
    columns = [rows[:, :, position] for _, rows in _blocks(query, key)]
    return torch.cat(columns, dim=1)


def pooled_attention(
    query: Tensor,
    key: Tensor,
    query_cell: Tuple[int, int] = (1, 1),
    key_cell: Tuple[int, int] = (1, 1),
) -> Tensor:
    """The whole map, with the positions of a cell taken together.

    A row is the mean over the query's positions in a cell, and a column the
    sum over the key's, so that each row still sums to 1. The full map is
    never held.

    Args:
        query (Tensor): (N, C, Hq, Wq), any floating dtype.
        key (Tensor): (N, C, Hk, Wk).
        query_cell (tuple[int, int]): Height and width of the query's cells;
            those at bottom and right may be smaller. Defaults to (1, 1).
        key_cell (tuple[int, int]): Likewise of the key's.

    Returns:
        Tensor: (N, Lq, Lk), float32 or float64, with
        Lq = ceil(Hq/cell)*ceil(Wq/cell).
    """
    rows_of = cell_numbers(query.shape[2:], query_cell).to(query.device)
    columns_of = cell_numbers(key.shape[2:], key_cell).to(query.device)
    shape = (len(query), int(rows_of.max()) + 1, int(columns_of.max()) + 1)
    total = None
    for start, rows in _blocks(query, key):
        if total is None:
            total = rows.new_zeros(shape)
        # (N, b, Hk*Wk) -> (N, b, Lk)
        pooled = rows.new_zeros(len(rows), rows.shape[1], shape[2])
        pooled.index_add_(2, columns_of, rows)
        # (N, b, Lk) -> (N, Lq, Lk)
        chosen = rows_of[start : start + rows.shape[1]]
        total.index_add_(1, chosen, pooled)
    sizes = torch.bincount(rows_of).to(total)
    return total / sizes[:, None]


def rebuilt_map(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    """What :func:`target_aware_attention` gives, without the full map.

    Args:
        query (Tensor): (N, C, Hq, Wq), any floating dtype.
        key (Tensor): (N, C, Hk, Wk).
        value (Tensor): (N, Cv, Hk, Wk).

    Returns:
        Tensor: (N, Cv, Hq, Wq), float32 or float64.
    """
    # (N, Cv, Hk, Wk) -> (N, Hk*Wk, Cv)
    values = value.flatten(2).transpose(1, 2)
    blocks = [rows @ values.to(rows) for _, rows in _blocks(query, key)]
    # (N, Hq*Wq, Cv) -> (N, Cv, Hq, Wq)
    rebuilt = torch.cat(blocks, dim=1).transpose(1, 2)
    return rebuilt.unflatten(2, tuple(query.shape[2:]))


def cell_numbers(size: Tuple[int, int], cell: Tuple[int, int]) -> Tensor:
    """For each position of a map the number of its cell.

    Args:
        size (tuple[int, int]): Height and width of the map.
        cell (tuple[int, int]): Of a cell; both positive.

    Returns:
        Tensor: (H*W,), int64, cells numbered row by row.
    """
    height, width = size
    rows = torch.arange(height) // cell[0]
    columns = torch.arange(width) // cell[1]
    across = -(-width // cell[1])
    return (rows[:, None] * across + columns).flatten()


def _blocks(query: Tensor, key: Tensor) -> Iterator[Tuple[int, Tensor]]:
    """Rows of the map, some at a time: (N, b, Hk*Wk), from which on."""
    # (N, C, Hq, Wq) -> (N, C, Hq*Wq, 1)
    flat = query.flatten(2)[..., None]
    for start in range(0, flat.shape[2], _BLOCK_ROWS):
        rows = flat[:, :, start : start + _BLOCK_ROWS]
        yield start, attention_logits(rows, key).softmax(dim=-1)
