"""Distributed training on a CPU."""

import atexit
import functools
import time
from typing import Callable

import torch
from mmengine.device import get_device
from mmengine.logging import print_log

from .workaround import Workaround


def _gloo_on_cpu(init: Callable) -> Callable:
    """Start a process group of CPUs by ``init``, which only knows GPUs."""

    @functools.wraps(init)
    def wrapped(backend, *args, **kwargs):
        if get_device() != 'cpu':
            return init(backend, *args, **kwargs)
        set_device = torch.cuda.set_device
        torch.cuda.set_device = lambda device: None
        try:
            result = init('gloo', *args, **kwargs)
        finally:
            torch.cuda.set_device = set_device
        # A group that the interpreter's end finds alive can abort a process
        # whose training is done: its threads are never joined.
        atexit.register(_leave_process_group)
        return result

    return wrapped


def _leave_process_group() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    # Model wrappers keep the group's threads alive. One that frees its last
    # tensor needs the interpreter's lock, and aborts the process where the
    # interpreter ends first: a sleep hands it the lock.
    time.sleep(0.1)


def _cpu_distributed_needed() -> bool:
    return get_device() == 'cpu'


def _apply_cpu_distributed() -> None:
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel, revert_sync_batchnorm
    from mmengine.runner import Runner

    for name in ('_init_dist_pytorch', '_init_dist_slurm', '_init_dist_mpi'):
        setattr(utils, name, _gloo_on_cpu(getattr(utils, name)))

    ddp_init = MMDistributedDataParallel.__init__
    wrap_model = Runner.wrap_model

    @functools.wraps(ddp_init)
    def init_without_device_ids(self, module, *args, **kwargs):
        if all(p.device.type == 'cpu' for p in module.parameters()):
            kwargs['device_ids'] = None
        ddp_init(self, module, *args, **kwargs)

    @functools.wraps(wrap_model)
    def wrap_without_sync_bn(self, model_wrapper_cfg, model):
        if self.distributed:
            print_log(
                'No GPU: SyncBN becomes BN, and the processes talk by gloo.',
                'current',
            )
            model = revert_sync_batchnorm(model)
            self.cfg.pop('sync_bn', None)
        return wrap_model(self, model_wrapper_cfg, model)

    MMDistributedDataParallel.__init__ = init_without_device_ids
    Runner.wrap_model = wrap_without_sync_bn


WORKAROUND = Workaround(
    'cpu-distributed',
    'mmengine sets CUDA devices, device_ids and nccl without a GPU',
    'mmengine starts process groups by the device at hand',
    _cpu_distributed_needed,
    _apply_cpu_distributed,
)
