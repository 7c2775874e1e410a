"""What a config check finds, and looking on where a look fails."""

from dataclasses import dataclass
from typing import Any, Callable, Iterable, Iterator, List, Sequence


@dataclass(frozen=True)
class Problem:
    """One thing in a config that is wrong, or probably not meant.

    Attributes:
        place (str): Where in the config, such as
            ``model.distiller.layers[0].student``.
        message (str): What came, and what would be right; one line.
        stops (bool): Whether a training with it fails or does other than
            the config says; False for what runs, and is for nothing.
    """

    place: str
    message: str
    stops: bool = True

    def __str__(self) -> str:
        return f'{self.place}: {self.message}'


#: Looks at something, and yields what is wrong with it.
Look = Callable[..., Iterable[Problem]]


def gathered(looks: Sequence[Look], place: str, *arguments: Any) -> List:
    """Look at one thing after another; one that fails hides no other.

    Args:
        looks (Sequence[Look]): They.
        place (str): What they look at.
        *arguments (Any): Of each.

    Returns:
        list[Problem]: What they find, and what could not be looked at.
    """
    found: List[Problem] = []
    for look in looks:
        found += guarded(look, place, *arguments)
    return found


def guarded(look: Look, place: str, *arguments: Any) -> Iterator[Problem]:
    """Look, and say so where looking fails.

    Args:
        look (Look): Looks.
        place (str): What it looks at.
        *arguments (Any): Of it.

    Yields:
        Problem: What it finds until it fails, and that.
    """
    try:
        yield from look(*arguments)
    except Exception as error:
        # What a config may hold cannot be foreseen.
        yield Problem(place, f'not checked: {one_line(error)}', stops=False)


def one_line(error: BaseException) -> str:
    """What an error says, in one line.

    Args:
        error (BaseException): It.

    Returns:
        str: Its message, with its type unless it is a ValueError.
    """
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = '; '.join(lines) if isinstance(error, ValueError) else ''
    if text:
        return text
    first = f': {lines[0]}' if lines else ''
    return f'{type(error).__name__}{first}'
