"""GPUs, and how processes talk."""

import os
from pathlib import Path
from typing import Any, Iterator

from .findings import NOTE, OK, PROBLEM, Finding

_DRIVER = Path('/proc/driver/nvidia/version')


def look_at_devices() -> Iterator[Finding]:
    """The GPUs that torch sees, or the CPU.

    Yields:
        Finding: For each.
    """
    import torch

    if not torch.cuda.is_available():
        yield _without_gpu(torch)
        return
    built_for = torch.cuda.get_arch_list()
    for index in range(torch.cuda.device_count()):
        gpu = torch.cuda.get_device_properties(index)
        text = (
            f'GPU {index}: {gpu.name}, {gpu.total_memory / 2**30:.1f} GiB, '
            f'compute capability {gpu.major}.{gpu.minor}, bfloat16 '
            f'{"yes" if gpu.major >= 8 else "slow or not at all"}'
        )
        if _is_served((gpu.major, gpu.minor), built_for):
            yield Finding(OK, text)
        else:
            yield Finding(
                PROBLEM,
                f'{text}; torch {torch.__version__} was built for '
                f'{", ".join(built_for)} only',
                'install a torch that was built for this GPU',
            )


def look_at_communication() -> Iterator[Finding]:
    """NCCL for several GPUs, gloo for several processes on a CPU.

    Yields:
        Finding: For each.
    """
    import torch
    from torch import distributed

    if not distributed.is_available():
        yield Finding(
            NOTE,
            'torch was built without distributed: one process only',
            'pip install torch from the default index',
        )
        return
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if distributed.is_nccl_available():
        version = '.'.join(map(str, torch.cuda.nccl.version()))
        yield Finding(OK, f'NCCL {version}, for several GPUs')
    elif gpus > 1:
        yield Finding(
            PROBLEM,
            f'no NCCL in this torch, for {gpus} GPUs',
            'pip install torch from the default index, or use one GPU',
        )
    else:
        yield Finding(NOTE, 'no NCCL in this torch: one GPU only')
    if distributed.is_gloo_available():
        yield Finding(OK, 'gloo, for several processes on a CPU')
    else:
        yield Finding(NOTE, 'no gloo in this torch: one process on a CPU')


def _without_gpu(torch: Any) -> Finding:
    cores = len(os.sched_getaffinity(0)) if _has_affinity() else os.cpu_count()
    where = f'no GPU: runs on {cores} cores of the CPU'
    if not _DRIVER.is_file():
        return Finding(NOTE, where)
    if torch.version.cuda is None:
        return Finding(
            NOTE,
            f'{where}. There is a driver of NVIDIA, but torch '
            f'{torch.__version__} is built for CPUs',
            'pip install torch and torchvision from the default index',
        )
    return Finding(
        NOTE,
        f'{where}. There is a driver of NVIDIA, but torch sees no GPU: '
        f'CUDA_VISIBLE_DEVICES={os.environ.get("CUDA_VISIBLE_DEVICES")}',
        f'look at nvidia-smi; torch wants a driver for CUDA '
        f'{torch.version.cuda}',
    )


def _has_affinity() -> bool:
    return hasattr(os, 'sched_getaffinity')


def _is_served(capability: tuple, built_for: list) -> bool:
    """Whether kernels of the same major version, or portable ones, exist."""
    known = [name for name in built_for if name.startswith('sm_')]
    portable = any(name.startswith('compute_') for name in built_for)
    majors = {int(name[3:].rstrip('af')) // 10 for name in known}
    return not known or portable or capability[0] in majors
