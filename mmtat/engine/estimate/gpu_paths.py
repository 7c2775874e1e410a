"""The ways that the code goes on a GPU, for tensors that stand for its own.

A step on fake CUDA tensors would go them by itself, but its backward asks
the driver for streams, which a machine without a GPU cannot give. So fake
tensors are always the CPU's, and what mmtat decides by the device is decided
here as it is for CUDA. Everything else is torch's own, and needs as many
bytes on both, but for the workspaces of the libraries below.
"""

import contextlib
from typing import Any, Iterator
from unittest import mock

from torch import Tensor

from mmtat.models.distillers import tat_streaming
from mmtat.models.utils import teacher_speed
from mmtat.ops import streaming
from mmtat.ops.backends import blocks, choice


@contextlib.contextmanager
def gpu_paths() -> Iterator[None]:
    """Let mmtat decide as for CUDA within.

    Images that a streamed loss takes together, blocks of the fused loss, the
    loss's backend, that no pass is written by hand, and the memory format of
    the teacher.
    """
    of, is_last = choice.Shape.of, teacher_speed.TeacherSpeed._channels_last

    def shape_on_cuda(*maps: Tensor) -> choice.Shape:
        return of(*maps)._replace(device='cuda')

    def channels_last(self: Any, inputs: Tensor, is_half: bool) -> bool:
        if self.options.channels_last is None and not is_half:
            return False
        return is_last(self, inputs, is_half)

    with contextlib.ExitStack() as stack:
        for owner, name, new in (
            (streaming, '_AT_A_TIME', {}),
            (blocks, '_ROWS', {}),
            (blocks, '_BYTES', {}),
            (choice.Shape, 'of', shape_on_cuda),
            (tat_streaming, '_embedded', lambda *arguments: None),
            (teacher_speed.TeacherSpeed, '_channels_last', channels_last),
        ):
            stack.enter_context(mock.patch.object(owner, name, new))
        yield
