"""Work that leaves no trace in random numbers."""

import contextlib
import random
from typing import Iterator

import numpy as np
import torch


@contextlib.contextmanager
def kept_random_state() -> Iterator[None]:
    """Python, numpy and torch go on afterwards as if nothing was drawn.

    Of the GPUs only the current one is looked at: asking the others would
    begin to use them.
    """
    others = random.getstate(), np.random.get_state()
    devices = []
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        devices = [torch.cuda.current_device()]
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        random.setstate(others[0])
        np.random.set_state(others[1])
