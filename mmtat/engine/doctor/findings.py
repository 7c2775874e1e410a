"""What the doctor finds: one line each, and what mends it."""

from dataclasses import dataclass
from typing import Any, Callable, Iterable, List

OK, NOTE, PROBLEM = 'ok', 'note', 'problem'


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        state (str): 'ok'; 'note', what a user may want to know; or
            'problem', with which a run would fail or be for nothing.
        text (str): What was found, one line.
        remedy (str): What mends it, such as a pip line; '' where there is
            nothing to mend.
    """

    state: str
    text: str
    remedy: str = ''


def guarded(
    what: str, look: Callable[..., Iterable[Finding]], *arguments: Any
) -> List[Finding]:
    """Look, and go on where looking fails.

    Args:
        what (str): Is looked at, for the message.
        look (Callable[..., Iterable[Finding]]): Finds.
        *arguments (Any): Of it.

    Returns:
        list[Finding]: What it found until it failed, and that as a problem.
    """
    found: List[Finding] = []
    try:
        found.extend(look(*arguments))
    # A broken package may raise anything, also when it is imported.
    except Exception as error:
        line = f'{what}: {first_line(error)}'
        found.append(Finding(PROBLEM, line, 'mend what stands above first'))
    return found


def first_line(error: BaseException) -> str:
    """What an error says, in one line.

    Args:
        error (BaseException): It.

    Returns:
        str: Its message after its type; only the message where mmtat, or a
        checked argument, names what is wrong.
    """
    lines = str(error).strip().splitlines()
    if isinstance(error, ValueError) and lines:
        return '; '.join(lines)
    message = f': {lines[0]}' if lines else ''
    return f'{type(error).__name__}{message}'
