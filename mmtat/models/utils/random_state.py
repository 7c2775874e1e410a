"""The random numbers of a process: kept, and put back."""

import contextlib
import random
from typing import Any, Dict, Iterator

import numpy as np
import torch


def random_state() -> Dict[str, Any]:
    """The random state of this process.

    Returns:
        dict[str, Any]: Of 'python', 'numpy' and 'torch', and 'cuda', that of
        the current GPU, where one is used: asking the others would begin to
        use them.
    """
    state = dict(
        python=random.getstate(),
        numpy=np.random.get_state(),
        torch=torch.get_rng_state(),
    )
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        state['cuda'] = torch.cuda.get_rng_state()
    return state


def set_random_state(state: Dict[str, Any]) -> None:
    """Go on from a random state.

    Args:
        state (dict[str, Any]): Of :func:`random_state`.
    """
    random.setstate(state['python'])
    np.random.set_state(state['numpy'])
    torch.set_rng_state(state['torch'])
    if 'cuda' in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state['cuda'])


@contextlib.contextmanager
def kept_random_state() -> Iterator[None]:
    """Go on afterwards as if nothing was drawn within."""
    before = random_state()
    try:
        yield
    finally:
        set_random_state(before)
