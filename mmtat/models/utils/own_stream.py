"""A CUDA stream beside that of the step."""

import contextlib
from typing import Any, Iterator, Optional

import torch
from torch import Tensor
from torch.utils._pytree import tree_flatten


class OwnStream:
    """Queues work on a stream of its own, where there are streams.

    What runs in between on the stream of the step runs beside it.
    """

    def __init__(self) -> None:
        self._stream: Optional[torch.cuda.Stream] = None

    @contextlib.contextmanager
    def entered(self, inputs: Tensor) -> Iterator[None]:
        """Queue what runs within, behind what the step queued so far.

        Args:
            inputs (Tensor): (N, C, H, W), what it works on, on a GPU.
        """
        if self._stream is None or self._stream.device != inputs.device:
            self._stream = torch.cuda.Stream(inputs.device)
        self._stream.wait_stream(torch.cuda.current_stream(inputs.device))
        # Its memory may not be given away before this stream is done.
        inputs.record_stream(self._stream)
        with torch.cuda.stream(self._stream):
            yield

    def join(self, outputs: Any) -> None:
        """Let the stream of the step wait, and use what was made.

        Args:
            outputs (Any): Tensors in any nest of tuples, lists and dicts.
        """
        if self._stream is None:
            return
        current = torch.cuda.current_stream(self._stream.device)
        current.wait_stream(self._stream)
        for value in tree_flatten(outputs)[0]:
            if isinstance(value, Tensor) and value.is_cuda:
                value.record_stream(current)
