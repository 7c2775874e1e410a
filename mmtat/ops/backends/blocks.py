"""How the fused loss is cut into blocks, and the memory for one."""

import math
from typing import NamedTuple, Optional, Tuple

import torch
from torch import Tensor

#: Query rows of a block, where a map has more. On a CPU fewer make the
#: products slow; a GPU wants more to fill it.
_ROWS = dict(cpu=512)
_ROWS_ELSEWHERE = 1024
#: Bytes of the heads that are computed together, with their gradients and
#: blocks: more leave a CPU's caches.
_BYTES = dict(cpu=2**25)
_BYTES_ELSEWHERE = 2**28


class OfMaps(NamedTuple):
    """Something of each of the four maps."""

    query: Optional[Tensor]
    key: Optional[Tensor]
    value: Optional[Tensor]
    target: Optional[Tensor]


class Workspace:
    """The size of the blocks, and memory for them that is taken once.

    Args:
        maps (OfMaps): (N, C, L) each, of the query's, key's, value's and
            target's own C and L.
        dtype (torch.dtype): Of the blocks.
    """

    def __init__(self, maps: OfMaps, dtype: torch.dtype) -> None:
        device = maps.query.device
        self.rows = maps.query[0, 0].numel()
        self.columns = maps.key[0, 0].numel()
        self.width = maps.value.shape[1]
        self.is_last = maps.target.stride(1) == 1
        # Maps and their gradients, weights and slopes, out and errors.
        elements = 2 * (
            sum(feature[0].numel() for feature in maps)
            + self.rows * (self.columns + self.width)
        )
        budget = _BYTES.get(device.type, _BYTES_ELSEWHERE)
        heads = budget // (elements * torch.finfo(dtype).bits // 8)
        self.heads = max(1, min(len(maps.query), heads))
        if heads < 1:
            limit = _ROWS.get(device.type, _ROWS_ELSEWHERE)
            self.rows = min(self.rows, limit)
        count = self.heads * self.rows
        self._memory = [
            torch.empty(count * size, dtype=dtype, device=device)
            for size in (self.columns, self.columns, self.width, self.width)
        ]

    def views(self, heads: int, rows: int) -> Tuple[Tensor, ...]:
        """The memory of one block.

        Args:
            heads (int): n, images or groups at a time.
            rows (int): Positions of the query.

        Returns:
            tuple[Tensor]: Weights and slopes (n, rows, Lk), out and errors
            (n, Cv, rows).
        """
        # (n*rows*Lk, ) -> (n, rows, Lk)
        maps = [
            _view(memory, heads, rows, self.columns)
            for memory in self._memory[:2]
        ]
        # Laid out as the target, from which the errors are taken.
        if self.is_last:
            # (n*rows*Cv, ) -> (n, rows, Cv) -> (n, Cv, rows)
            outputs = [
                _view(memory, heads, rows, self.width).transpose(1, 2)
                for memory in self._memory[2:]
            ]
        else:
            # (n*rows*Cv, ) -> (n, Cv, rows)
            outputs = [
                _view(memory, heads, self.width, rows)
                for memory in self._memory[2:]
            ]
        return *maps, *outputs


def _view(memory: Tensor, *shape: int) -> Tensor:
    return memory[: math.prod(shape)].view(shape)
