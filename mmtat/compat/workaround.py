"""What a workaround is."""

from dataclasses import dataclass
from typing import Callable


@dataclass(frozen=True)
class Workaround:
    """One mended break of the stack.

    Attributes:
        name (str): Short name, for the log and the documentation.
        reason (str): What breaks without it.
        until (str): The condition under which it can go.
        needed (Callable[[], bool]): Whether this installation needs it.
        apply (Callable[[], None]): Applies it; runs at most once.
    """

    name: str
    reason: str
    until: str
    needed: Callable[[], bool]
    apply: Callable[[], None]
