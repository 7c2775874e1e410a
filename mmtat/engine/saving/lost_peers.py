"""One message where another process of a run is gone."""

import contextlib
import datetime
import re
import threading
import time
from typing import Iterator, List, Optional

from torch import distributed

#: Seconds in which a process that lives answers.
PATIENCE = 5.0

#: What gloo, NCCL and the store say where a process does not answer.
_SIGNS = re.compile(
    r'gloo|nccl|connection (was )?(closed|reset)|broken pipe|timed out|'
    r'socket timeout|waiting for clients|failed to connect|'
    r'remote process exited',
    re.IGNORECASE,
)


@contextlib.contextmanager
def lost_peers_named() -> Iterator[None]:
    """Say which processes of the run do not answer, and what to do.

    Raises:
        ValueError: From the error of torch that another process caused.
    """
    try:
        yield
    except RuntimeError as error:
        if not (distributed.is_available() and _is_by_a_peer(error)):
            raise
        told = str(error).strip().splitlines()[0]
        raise ValueError(
            f'{_who()}. What torch says: {told}\nThis process ends too. Look '
            'at the last lines of the lost one; nothing that was saved is '
            'lost: the same command with --resume goes on from the newest '
            'checkpoint'
        ) from error


def _is_by_a_peer(error: RuntimeError) -> bool:
    kinds = tuple(
        getattr(distributed, name)
        for name in ('DistError', 'DistBackendError')
        if hasattr(distributed, name)
    )
    return isinstance(error, kinds) or bool(_SIGNS.search(str(error)))


def _who() -> str:
    if not distributed.is_initialized():
        return 'the processes of the run did not find each other in time'
    own = f'rank {distributed.get_rank()} of {distributed.get_world_size()}'
    lost = missing_ranks()
    if lost is None:
        return f'{own} lost rank 0, or its machine'
    if not lost:
        return f'{own} lost another process'
    names = ', '.join(str(rank) for rank in lost)
    ranks = 'ranks' if len(lost) > 1 else 'rank'
    return f'{own} lost {ranks} {names}: no answer in {PATIENCE:g} s'


def missing_ranks() -> Optional[List[int]]:
    """Ranks that do not answer.

    Processes that live fail in the same collective, and come here too.

    Returns:
        list[int] | None: None where the store, which rank 0 or its agent
        holds, does not answer either.
    """
    missing: List[List[int]] = []
    thread = threading.Thread(target=_ask, args=(missing,), daemon=True)
    thread.start()
    # A store on a machine that is gone answers no earlier than its timeout.
    thread.join(2 * PATIENCE)
    return missing[0] if missing else None


def _ask(missing: List[List[int]]) -> None:
    end = time.monotonic() + PATIENCE
    rank, lost = distributed.get_rank(), []
    try:
        store = distributed.distributed_c10d._get_default_store()
        store.set(f'mmtat/alive/{rank}', '1')
        for other in range(distributed.get_world_size()):
            left = datetime.timedelta(seconds=max(end - time.monotonic(), 0.1))
            try:
                store.wait([f'mmtat/alive/{other}'], left)
            except RuntimeError:
                lost.append(other)
    except RuntimeError:
        return
    if rank in lost:
        # What it wrote itself is not there: the store is gone.
        return
    if rank == 0:
        # Without an agent the store ends with this process.
        time.sleep(max(end - time.monotonic(), 0))
    missing.append(lost)
