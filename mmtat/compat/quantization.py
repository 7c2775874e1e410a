"""mmrazor's quantisation configs, which do not import."""

import importlib
import importlib.machinery
import sys
import types

import torch

from .workaround import Workaround

_BACKEND_CONFIG = 'mmrazor.structures.quantization.backend_config'
_BACKENDS = ('academic', 'native', 'openvino', 'tensorrt')


def _imports(module: str, *names: str) -> bool:
    """Whether ``module`` imports and has every one of ``names``."""
    try:
        imported = importlib.import_module(module)
    except ImportError:
        return False
    return all(hasattr(imported, name) for name in names)


def _quantization_needed() -> bool:
    return not (
        _imports('torch.nn.quantized._reference', 'Conv1d')
        and _imports(
            'torch.ao.quantization.fuser_method_mappings',
            'reverse2',
            'reverse3',
            'reverse_sequential_wrapper2',
        )
        and _imports(
            'torch.ao.quantization.qconfig_mapping',
            '_FIXED_QPARAMS_OP_TO_OBSERVER',
        )
    )


def _apply_quantization() -> None:
    module = types.ModuleType(_BACKEND_CONFIG)
    module.__spec__ = importlib.machinery.ModuleSpec(_BACKEND_CONFIG, None)

    def unavailable(*args, **kwargs):
        raise ImportError(
            'mmrazor 1.0.0 cannot quantise with torch '
            f'{torch.__version__}: its backend configs use names that torch '
            'removed after 2.0. Distillation does not need them.'
        )

    module.BackendConfigs = dict.fromkeys(
        ('academic', 'native', 'tensorrt', 'openvino')
    )
    for backend in _BACKENDS:
        for suffix in ('', '_dict'):
            name = f'get_{backend}_backend_config{suffix}'
            setattr(module, name, unavailable)
    module.__all__ = [
        name
        for name in vars(module)
        if name == 'BackendConfigs' or name.startswith('get_')
    ]
    sys.modules.setdefault(_BACKEND_CONFIG, module)


WORKAROUND = Workaround(
    'mmrazor-quantization',
    'mmrazor.models does not import on torch >= 2.1: its quantisation '
    'configs use names that torch removed',
    'mmrazor drops those names, or guards their import',
    _quantization_needed,
    _apply_quantization,
)
