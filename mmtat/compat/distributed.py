"""Distributed training on a CPU, and processes that wait for others."""

import atexit
import datetime
import functools
import logging
import os
import socket
import time
from typing import Any, Callable

import torch
from mmengine.device import get_device
from mmengine.logging import print_log

from .workaround import Workaround

#: Seconds in which a process waits for another, unless the config says so.
DEFAULT_TIMEOUT = 600
#: The environment's number of seconds, which goes before the config's.
TIMEOUT = 'MMTAT_DIST_TIMEOUT'
#: Of gloo: the network interfaces that it uses, with commas between.
INTERFACES = 'GLOO_SOCKET_IFNAME'

_STARTS = ('_init_dist_pytorch', '_init_dist_slurm', '_init_dist_mpi')


def _gloo_on_cpu(init: Callable) -> Callable:
    """Start a process group of CPUs by ``init``, which only knows GPUs."""

    @functools.wraps(init)
    def wrapped(backend, *args, **kwargs):
        if get_device() != 'cpu':
            return init(backend, *args, **kwargs)
        _check_interfaces()
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


def _check_interfaces() -> None:
    """Name what gloo's own error does not: the variable, and what there is."""
    asked = os.environ.get(INTERFACES, '').split(',')
    known = [name for _, name in socket.if_nameindex()]
    for name in filter(None, asked):
        # A label of an address, as eth0:1, is one of its interface.
        if name.partition(':')[0] not in known:
            raise ValueError(
                f'{INTERFACES}: this machine has no network interface '
                f'{name!r}; it has {", ".join(known)}'
            )


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

    for name in _STARTS:
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


def _bounded(init: Callable) -> Callable:
    """Start a process group by ``init`` whose members wait so long."""

    @functools.wraps(init)
    def wrapped(backend: str, *args: Any, **kwargs: Any) -> Any:
        text = os.environ.get(TIMEOUT)
        if text:
            kwargs['timeout'] = datetime.timedelta(seconds=_seconds(text))
        elif kwargs.get('init_backend', 'torch') == 'torch':
            default = datetime.timedelta(seconds=DEFAULT_TIMEOUT)
            kwargs.setdefault('timeout', default)
        return init(backend, *args, **kwargs)

    return wrapped


def _with_fresh_store(init: Callable) -> Callable:
    """Start a process group that finds nothing of a launch before it.

    With a static rendezvous, which tools/dist_train.sh has, torchrun keeps
    one store for all its restarts, where the addresses of processes that
    are gone stand until they are written anew.
    """

    @functools.wraps(init)
    def wrapped(backend: str, *args: Any, **kwargs: Any) -> Any:
        restarts = os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')
        is_stale = restarts != '0' and 'MMTAT_LAUNCH_NOTES' in os.environ
        is_torch = kwargs.get('init_backend', 'torch') == 'torch'
        if is_stale and is_torch and get_device() in ('cpu', 'cuda'):
            size = int(os.environ['WORLD_SIZE'])
            store = torch.distributed.TCPStore(
                os.environ['MASTER_ADDR'],
                int(os.environ['MASTER_PORT']),
                size,
                is_master=False,
                timeout=kwargs['timeout'],
            )
            kwargs.update(
                store=torch.distributed.PrefixStore(
                    f'restart_{restarts}', store
                ),
                rank=int(os.environ['RANK']),
                world_size=size,
            )
        return init(backend, *args, **kwargs)

    return wrapped


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float('inf'):
        raise ValueError(
            f'{TIMEOUT} must be a positive number of seconds, got {text!r}'
        )
    return seconds


def _apply_bounds() -> None:
    from mmengine.dist import utils

    utils._init_dist_pytorch = _with_fresh_store(utils._init_dist_pytorch)
    for name in _STARTS:
        setattr(utils, name, _bounded(getattr(utils, name)))


class _WithRank(logging.Formatter):
    """Another format with the rank before it."""

    def __init__(self, other: logging.Formatter, rank: int) -> None:
        super().__init__()
        self.other, self.rank = other, rank

    def format(self, record: logging.LogRecord) -> str:
        return f'[rank {self.rank}] {self.other.format(record)}'


def _apply_ranks() -> None:
    from mmengine import dist
    from mmengine.logging import MMLogger

    stock = MMLogger.__init__

    @functools.wraps(stock)
    def init(self: logging.Logger, *args: Any, **kwargs: Any) -> None:
        stock(self, *args, **kwargs)
        rank = dist.get_rank()
        if rank:
            for handler in self.handlers:
                handler.setFormatter(_WithRank(handler.formatter, rank))

    MMLogger.__init__ = init


BOUNDED = Workaround(
    'bounded-waiting',
    'by default a gloo process waits half an hour for one that is gone',
    'mmengine bounds it, and the environment can',
    lambda: True,
    _apply_bounds,
)
NAMED = Workaround(
    'ranks-in-logs',
    'errors that other processes than the first log do not say whose they are',
    'mmengine names the rank',
    lambda: True,
    _apply_ranks,
)
