"""Calling a function in a process of its own, and hearing how it ended."""

import contextlib
import multiprocessing
import signal
import traceback
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Callable, Iterator, Tuple

import torch

#: Imported once, by the process that all others are forked from. It runs
#: no work of torch, whose threads would not survive that.
_PRELOAD = [
    'mmtat.engine.benchmark.loss_candidates',
    'mmtat.engine.benchmark.network_candidates',
]


class OutOfMemory(Exception):
    """There is less memory than was asked for."""


@contextlib.contextmanager
def out_of_memory_named() -> Iterator[None]:
    """Turn what torch raises for lack of memory into :class:`OutOfMemory`.

    Raises:
        OutOfMemory: The body lacked memory.
    """
    try:
        yield
    except (torch.cuda.OutOfMemoryError, MemoryError) as error:
        raise OutOfMemory(_first_line(error)) from error
    except RuntimeError as error:
        # A CPU's allocator has no exception of its own.
        if "can't allocate memory" not in str(error):
            raise
        raise OutOfMemory(_first_line(error)) from error


def call_in_child(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function in a process that nothing was done in before.

    Args:
        function (Callable): Of a module.
        *arguments (Any): Plain values, and what can be pickled.

    Returns:
        Any: What it returned.

    Raises:
        OutOfMemory: It lacked memory, or the system ended it for that.
        ValueError: It raised one.
        RuntimeError: It failed otherwise; the message is its traceback.
    """
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(_PRELOAD)
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(
        target=_answer,
        args=(theirs, torch.get_num_threads(), function, arguments),
    )
    child.start()
    theirs.close()
    try:
        kind, value = ours.recv()
    except EOFError:
        kind, value = 'gone', ''
    finally:
        ours.close()
        child.join()
    if kind == 'value':
        return value
    if kind == 'refused':
        raise ValueError(value)
    if kind == 'memory' or child.exitcode == -signal.SIGKILL:
        raise OutOfMemory(value or 'the system ended the process')
    raise RuntimeError(
        f'{function.__name__} of {arguments[0]} ended with '
        f'{child.exitcode}\n{value}'
    )


def _answer(
    connection: Connection,
    threads: int,
    function: Callable[..., Any],
    arguments: Tuple[Any, ...],
) -> None:
    torch.set_num_threads(threads)
    with contextlib.suppress(OSError):
        # Linux is to end this process, and none beside it, for its memory.
        Path('/proc/self/oom_score_adj').write_text('1000')
    try:
        with out_of_memory_named():
            answer = ('value', function(*arguments))
    except OutOfMemory as error:
        answer = ('memory', str(error))
    except ValueError as error:
        answer = ('refused', str(error))
    except Exception:
        answer = ('failed', traceback.format_exc())
    connection.send(answer)


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0]
