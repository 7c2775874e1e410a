"""How something is measured, whatever it is."""

from dataclasses import dataclass
from typing import Any, Callable

import torch

ALLOCATORS = ('exact', 'system')


def _silent(line: str) -> None:
    """Say nothing."""


@dataclass(frozen=True)
class Settings:
    """How something is measured.

    Attributes:
        device (torch.device): Where.
        batch (int): Images at a time, at least 1.
        repeats (int): Rounds that count, at least 1.
        allocator (str): Of a CPU's memory: 'exact' gives each map back when
            it is freed, so that equal runs have equal peaks; 'system' is
            the C library's own way, with holes that come and go. Times are
            taken with the latter in any case.
        say (Callable[[str], Any]): Gets a line for each thing that begins.

    Raises:
        ValueError: A number or a name is out of its range.
    """

    device: torch.device
    batch: int
    repeats: int
    allocator: str = 'exact'
    say: Callable[[str], Any] = _silent

    def __post_init__(self) -> None:
        for name in ('batch', 'repeats'):
            number = getattr(self, name)
            if number < 1:
                raise ValueError(f'{name} must be at least 1, got {number}')
        if self.allocator not in ALLOCATORS:
            raise ValueError(
                f'allocator must be one of {", ".join(ALLOCATORS)}, got '
                f'{self.allocator!r}'
            )
