"""A user's mistake ends a command with one readable message."""

import contextlib
import errno
import linecache
import os
import os.path as osp
import sys
from typing import Iterator, Optional

import mmtat

#: Whoever met it, mmengine's log included: the system's words say all.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_PACKAGE = osp.dirname(osp.abspath(mmtat.__file__)) + os.sep


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """End the process with a message, and no traceback, for user errors.

    A ValueError or TypeError that mmtat itself raised names what the user
    gave and what would be right. Any other error, and every one with
    ``MMTAT_TRACEBACK=1`` in the environment, keeps its traceback.
    """
    try:
        yield
    except Exception as error:
        own = _own_error(error)
        if own is None and getattr(error, 'errno', None) in _FULL:
            own = error
        if own is None or os.environ.get('MMTAT_TRACEBACK') == '1':
            raise
        rank = os.environ.get('RANK', '0')
        where = '' if rank == '0' else f'[rank {rank}] '
        print(f'{where}error: {own}', file=sys.stderr, flush=True)
        sys.exit(1)


def _own_error(error: BaseException) -> Optional[BaseException]:
    """The error of mmtat that this one is, or that it wraps."""
    while error is not None:
        if getattr(error, 'is_for_user', False):
            return error
        if isinstance(error, (ValueError, TypeError)) and _is_raised(error):
            return error
        wrapped = error.__cause__ or error.__context__
        # mmengine raises anew with the message of what it caught.
        error = wrapped if str(wrapped) in str(error) else error.__cause__
    return None


def _is_raised(error: BaseException) -> bool:
    """Whether a raise statement of mmtat, not a bug in it, is the origin."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    file = osp.abspath(trace.tb_frame.f_code.co_filename)
    line = linecache.getline(file, trace.tb_lineno).strip()
    return file.startswith(_PACKAGE) and line.startswith('raise')
