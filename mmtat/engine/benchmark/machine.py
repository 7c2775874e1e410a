"""Where numbers come from: the machine, the versions, the command."""

import importlib.metadata
import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any, Dict, List, Sequence

import torch

#: Whose versions are worth knowing beside a number.
_PACKAGES = (
    'torch',
    'mmengine',
    'mmcv',
    'mmcv-lite',
    'mmsegmentation',
    'mmpretrain',
    'mmrazor',
    'mmtat',
    'triton',
)
#: What makes bfloat16 fast on a CPU.
_FLAGS = ('avx2', 'avx512f', 'avx512_bf16', 'amx_bf16')


def check_device(name: str) -> torch.device:
    """The device of a name, if this machine has it.

    Args:
        name (str): 'cpu', 'cuda' or 'cuda:<n>'.

    Returns:
        torch.device: It.

    Raises:
        ValueError: Another kind of device, or one that is not there.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(
            f"device must be 'cpu', 'cuda' or 'cuda:<n>', got {name!r}"
        ) from error
    if device.type not in ('cpu', 'cuda'):
        raise ValueError(
            f"device must be 'cpu', 'cuda' or 'cuda:<n>', got {name!r}"
        )
    if device.type == 'cuda':
        there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= there:
            raise ValueError(
                f'device={name!r}, but torch {torch.__version__} sees '
                f"{there} CUDA devices here; use 'cpu'"
                + (f", or 'cuda:0' to 'cuda:{there - 1}'" if there else '')
            )
    return device


def machine(device: torch.device) -> Dict[str, Any]:
    """What a reader must know to compare numbers.

    Args:
        device (torch.device): That was measured.

    Returns:
        dict[str, Any]: Plain values: CPU, cores that may be used, threads,
        memory in GiB, instruction sets, system; for CUDA also GPU, its
        memory in GiB, the CUDA version, and whether TF32 is on.
    """
    facts = dict(
        cpu=_cpu_name(),
        cores=len(_cores()),
        threads=torch.get_num_threads(),
        memory_gib=round(_memory_bytes() / 2**30, 1),
        flags=[flag for flag in _FLAGS if flag in _cpu_flags()],
        system=f'{platform.system()} {platform.machine()}',
    )
    if device.type == 'cuda':
        properties = torch.cuda.get_device_properties(device)
        facts.update(
            gpu=properties.name,
            gpu_memory_gib=round(properties.total_memory / 2**30, 1),
            cuda=torch.version.cuda,
            tf32_matmul=torch.backends.cuda.matmul.allow_tf32,
            tf32_convolution=torch.backends.cudnn.allow_tf32,
        )
    return facts


def versions() -> Dict[str, str]:
    """Versions of Python and of the packages that are installed.

    Returns:
        dict[str, str]: By name.
    """
    found = dict(python=platform.python_version())
    for package in _PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    # What runs, where the metadata leaves the build out.
    found['torch'] = torch.__version__
    return found


def command(arguments: Sequence[str] = ()) -> str:
    """The command line of this process, as one would type it.

    Args:
        arguments (Sequence[str]): Of the tool; by default this process's.

    Returns:
        str: It, the tool by its place in the checkout.
    """
    given: List[str] = list(arguments) or sys.argv[1:]
    return shlex.join(['python', 'tools/benchmark.py', *given])


def describe(facts: Dict[str, Any], packages: Dict[str, str]) -> str:
    """One line of the machine and the versions, for below a table.

    Args:
        facts (dict[str, Any]): Of :func:`machine`.
        packages (dict[str, str]): Of :func:`versions`.

    Returns:
        str: It.
    """
    parts = [
        f'{facts["cpu"]}, {facts["cores"]} cores, {facts["threads"]} threads'
    ]
    if 'gpu' in facts:
        parts.insert(0, f'{facts["gpu"]}, CUDA {facts["cuda"]}')
    fast = [f for f in facts['flags'] if f in ('avx512_bf16', 'amx_bf16')]
    parts += fast
    names = ('torch', 'mmrazor', 'mmsegmentation', 'python')
    parts += [f'{n} {packages[n]}' for n in names if n in packages]
    return ', '.join(parts)


def _cores() -> Sequence[int]:
    if hasattr(os, 'sched_getaffinity'):
        return list(os.sched_getaffinity(0))
    return range(os.cpu_count() or 1)


def _cpu_info(key: str) -> str:
    path = Path('/proc/cpuinfo')
    if path.is_file():
        for line in path.read_text().splitlines():
            name, _, value = line.partition(':')
            if name.strip() == key:
                return value.strip()
    return ''


def _cpu_name() -> str:
    return _cpu_info('model name') or platform.processor() or 'unknown CPU'


def _cpu_flags() -> List[str]:
    return _cpu_info('flags').split()


def _memory_bytes() -> int:
    if hasattr(os, 'sysconf') and 'SC_PHYS_PAGES' in os.sysconf_names:
        return os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE')
    return 0
