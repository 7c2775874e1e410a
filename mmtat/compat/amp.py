"""Mixed precision on a CPU."""

import functools

import torch
from mmengine.device import get_device
from mmengine.logging import print_log

from .workaround import Workaround


def _cpu_amp_needed() -> bool:
    return get_device() == 'cpu'


def _apply_cpu_amp() -> None:
    from mmengine.optim.optimizer import amp_optimizer_wrapper as amp

    init = amp.AmpOptimWrapper.__init__

    @functools.wraps(init)
    def init_on_cpu(self, loss_scale='dynamic', dtype=None, **kwargs):
        if dtype not in (None, 'bfloat16', torch.bfloat16):
            print_log(f'No GPU: bfloat16 in the place of {dtype}.', 'current')
        is_cuda_available = amp.is_cuda_available
        amp.is_cuda_available = lambda: True
        try:
            # bfloat16 has the range of float32: its loss needs no scaling.
            init(self, dict(enabled=False), torch.bfloat16, **kwargs)
        finally:
            amp.is_cuda_available = is_cuda_available

    amp.AmpOptimWrapper.__init__ = init_on_cpu


WORKAROUND = Workaround(
    'cpu-amp',
    'AmpOptimWrapper asserts a GPU',
    'mmengine allows autocast on a CPU',
    _cpu_amp_needed,
    _apply_cpu_amp,
)
