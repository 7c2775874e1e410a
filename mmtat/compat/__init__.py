"""Every workaround that the OpenMMLab stack needs on current PyTorch.

The upstream projects have been quiet since 2024, so what breaks there stays
broken unless it is mended here. Each :class:`Workaround` says what it is for
and when it can go; :func:`apply` runs on ``import mmtat`` and applies those
that are needed, once.
"""

import logging
import sys
from typing import List

import torch
from mmengine.logging import print_log

from . import (
    amp,
    atomic_saving,
    compiled_ops,
    distributed,
    model_hooks,
    package_lookups,
    quantization,
    safe_loading,
    search_imports,
    start_up,
)
from .tested_versions import (
    TESTED_PYTHON,
    TESTED_TORCH,
    outside_tested_range,
)
from .workaround import Workaround

__all__ = [
    'TESTED_PYTHON',
    'TESTED_TORCH',
    'WORKAROUNDS',
    'Workaround',
    'active',
    'apply',
    'outside_tested_range',
]

WORKAROUNDS = (
    quantization.WORKAROUND,
    search_imports.WORKAROUND,
    compiled_ops.WORKAROUND,
    package_lookups.WORKAROUND,
    safe_loading.WORKAROUND,
    atomic_saving.WORKAROUND,
    distributed.WORKAROUND,
    distributed.BOUNDED,
    distributed.NAMED,
    amp.WORKAROUND,
    model_hooks.WORKAROUND,
    start_up.ZOO_INDEX,
    start_up.CONFIG_TEXT,
)

_applied: List[str] = []


def active() -> List[str]:
    """Names of the workarounds that this process applied, in their order."""
    return list(_applied)


def apply() -> None:
    """Apply every needed workaround that is not applied yet."""
    if not _applied:
        line = outside_tested_range(torch.__version__, sys.version_info)
        if line:
            print_log(line, 'current', logging.WARNING)
    for workaround in WORKAROUNDS:
        if workaround.name not in _applied and workaround.needed():
            workaround.apply()
            _applied.append(workaround.name)
