"""What is measured: something that is built, and then run again and again."""

from abc import ABC, abstractmethod
from typing import Any, Callable

import torch


class Candidate(ABC):
    """One row of a table; plain values, so that it reaches a child process.

    Attributes:
        name (str): Of its row.
        counts_build (bool): Whether what :meth:`build` allocates belongs to
            its memory, as weights do to that of a training step.
        least_batch (int): The fewest images that it works on.
        has_memory (bool): Whether its memory says something.
    """

    name: str
    counts_build = False
    least_batch = 1
    has_memory = True

    @abstractmethod
    def build(self, batch: int, device: torch.device) -> Callable[[], Any]:
        """Allocate what it works on.

        Args:
            batch (int): Images.
            device (torch.device): Where.

        Returns:
            Callable[[], Any]: Does the work once.

        Raises:
            ValueError: It cannot do this; the message says why.
        """

    def load(self, device: torch.device) -> None:
        """Load the code that it runs, which is no memory of its own.

        Args:
            device (torch.device): Where it will run.
        """
        return None

    def estimate(self, batch: int) -> int:
        """About how many bytes a batch needs, by arithmetic.

        Args:
            batch (int): Images.

        Returns:
            int: Bytes, or 0 where nothing is known.
        """
        return 0
