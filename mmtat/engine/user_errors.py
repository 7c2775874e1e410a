"""A user's mistake ends a command with one readable message."""

import contextlib
import os
import os.path as osp
import sys
from typing import Iterator, Optional

import mmtat

_PACKAGE = osp.dirname(osp.abspath(mmtat.__file__)) + os.sep


@contextlib.contextmanager
def readable_errors() -> Iterator[None]:
    """End the process with a message, and no traceback, for user errors.

    A ValueError or TypeError that mmtat itself raised names what the user
    gave and what would be right. Any other error, and every one with
    ``MMTAT_TRACEBACK=1`` in the environment, keeps its traceback. Of several
    processes on a machine the first speaks.
    """
    try:
        yield
    except Exception as error:
        own = _own_error(error)
        if own is None or os.environ.get('MMTAT_TRACEBACK') == '1':
            raise
        if os.environ.get('LOCAL_RANK', '0') == '0':
            print(f'error: {own}', file=sys.stderr, flush=True)
        sys.exit(1)


def _own_error(error: BaseException) -> Optional[BaseException]:
    """The error of mmtat that this one is, or was raised for."""
    while error is not None:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        file = trace.tb_frame.f_code.co_filename if trace else ''
        own = osp.abspath(file).startswith(_PACKAGE)
        if own and isinstance(error, (ValueError, TypeError)):
            return error
        error = error.__cause__ or error.__context__
    return None
