"""mmcv without its compiled operators."""

import importlib.machinery
import importlib.util
import sys
import types
from typing import Callable

from .workaround import Workaround


class _MissingOps(types.ModuleType):
    """Stands for ``mmcv._ext``; every operator raises when it is called."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith('__'):
            raise AttributeError(name)

        def missing(*args, **kwargs):
            raise ImportError(
                f'mmcv.ops.{name} needs the compiled mmcv, and mmcv-lite is '
                'installed. Install the full package: pip uninstall '
                'mmcv-lite && pip install "mmcv==2.1.0".'
            )

        return missing


def _mmcv_ext_needed() -> bool:
    if 'mmcv._ext' in sys.modules:
        return False
    if importlib.util.find_spec('mmcv') is None:
        raise ImportError(
            'Neither mmcv nor mmcv-lite is installed. mmcv-lite is enough for '
            'most models: pip install "mmtat[lite]". The full one: pip '
            'install "mmcv==2.1.0".'
        )
    return importlib.util.find_spec('mmcv._ext') is None


def _apply_mmcv_ext() -> None:
    module = _MissingOps('mmcv._ext')
    module.__spec__ = importlib.machinery.ModuleSpec('mmcv._ext', None)
    sys.modules['mmcv._ext'] = module


WORKAROUND = Workaround(
    'mmcv-lite',
    'mmseg imports mmcv.ops, which mmcv-lite cannot offer',
    'mmseg guards the import, or mmcv ships wheels for current torch',
    _mmcv_ext_needed,
    _apply_mmcv_ext,
)
