"""Following what is allocated and freed on fake tensors."""

import contextlib
import weakref
from collections import Counter
from dataclasses import dataclass
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    Optional,
    Sequence,
    Tuple,
)

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass
class Peak:
    """The most that was live at one time.

    Attributes:
        total (int): Bytes.
        part (str): During which it was reached.
        parts (dict[str, int]): Bytes by part, at that time.
        largest (dict[str, int]): The most of each part, at its own time.
    """

    total: int
    part: str
    parts: Dict[str, int]
    largest: Dict[str, int]


class LiveStorage(TorchDispatchMode):
    """Adds up the storages of tensors from their making to their end.

    A storage counts once, however many tensors view it, with its bytes, and
    belongs to the part during which it came. Entered after a
    ``FakeTensorMode``, so that nothing is really allocated.

    Args:
        granularity (int): Bytes of which an allocation is a multiple: 512
            for CUDA's allocator. Defaults to 1.
    """

    def __init__(self, granularity: int = 1) -> None:
        super().__init__()
        self.part = 'elsewhere'
        self.total = 0
        self._granularity = granularity
        self._known: Dict[int, Tuple[int, str]] = {}
        self._parts: Counter = Counter()
        self._peak = Peak(0, self.part, {}, {})

    def __torch_dispatch__(
        self,
        func: Callable,
        types: Sequence[type],
        args: Tuple = (),
        kwargs: Optional[Dict[str, Any]] = None,
    ) -> Any:
        outputs = func(*args, **(kwargs or {}))
        self.follow(tree_leaves(outputs))
        return outputs

    @contextlib.contextmanager
    def during(self, part: str) -> Iterator[None]:
        """Let what comes within belong to a part.

        Args:
            part (str): Its name.
        """
        before, self.part = self.part, part
        self._note_peak()
        try:
            yield
        finally:
            self.part = before

    def follow(
        self, values: Iterable[Any], part: Optional[str] = None
    ) -> None:
        """Count storages that are not counted yet.

        Args:
            values (Iterable[Any]): Of which the tensors are taken.
            part (str, optional): To which all of them belong from now on;
                by default new ones belong to the current part.
        """
        for value in values:
            if not isinstance(value, Tensor):
                continue
            storage = value.untyped_storage()
            key = storage._cdata
            size, owner = self._known.get(key, (None, self.part))
            if size is None:
                # Its end is that of the storage, not of the Python object.
                weakref.finalize(storage, self._end, key)
                size = 0
            self._set(key, size, owner, storage.nbytes(), part or owner)
        self._note_peak()

    def forget_peak(self) -> None:
        """Let the peak begin from what is live now."""
        self._peak = Peak(0, self.part, {}, dict(self._parts))
        self._note_peak()

    def peak(self) -> Peak:
        """The most that was live since :meth:`forget_peak`.

        Returns:
            Peak: It.
        """
        return self._peak

    def move(self, part: str, other: str) -> None:
        """Let all that is live of a part belong to another from now on.

        Args:
            part (str): Its name.
            other (str): Name of the other.
        """
        for key, (size, owner) in list(self._known.items()):
            if owner == part:
                self._set(key, size, part, size, other)

    def _set(
        self, key: int, size: int, owner: str, nbytes: int, part: str
    ) -> None:
        unit = self._granularity
        nbytes = -(-nbytes // unit) * unit
        self._known[key] = (nbytes, part)
        self._parts[owner] -= size
        self._parts[part] += nbytes
        self.total += nbytes - size
        largest = self._peak.largest
        largest[part] = max(largest.get(part, 0), self._parts[part])

    def _end(self, key: int) -> None:
        size, part = self._known.pop(key)
        self._parts[part] -= size
        self.total -= size

    def _note_peak(self) -> None:
        peak = self._peak
        if self.total > peak.total:
            peak.total, peak.part = self.total, self.part
            peak.parts = {k: v for k, v in self._parts.items() if v}
