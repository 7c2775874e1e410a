"""Every workaround that the OpenMMLab stack needs on current PyTorch.

The upstream projects have been quiet since 2024, so what breaks there stays
broken unless it is mended here. Each :class:`Workaround` says what it is for
and when it can go; :func:`apply` runs on ``import mmtat`` and applies those
that are needed, once.
"""

import atexit
import functools
import importlib
import importlib.machinery
import importlib.metadata
import importlib.util
import logging
import os.path as osp
import pickle
import sys
import types
from dataclasses import dataclass
from typing import Any, Callable, List, Optional

import numpy as np
import torch
from mmengine.device import get_device
from mmengine.logging import HistoryBuffer, print_log
from mmengine.utils import digit_version

#: First and last torch that the test suite ran on, and the Pythons.
TESTED_TORCH = ('2.4', '2.11')
TESTED_PYTHON = ((3, 11), (3, 12))


@dataclass(frozen=True)
class Workaround:
    """One mended break of the stack.

    Attributes:
        name (str): Short name, for the log and the documentation.
        reason (str): What breaks without it.
        until (str): The condition under which it can go.
        needed (Callable[[], bool]): Whether this installation needs it.
        apply (Callable[[], None]): Applies it; runs at most once.
    """

    name: str
    reason: str
    until: str
    needed: Callable[[], bool]
    apply: Callable[[], None]


# --- mmrazor's quantisation configs ---------------------------------------

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


# --- mmcv without its compiled operators ----------------------------------


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


# --- config strings without pkg_resources ---------------------------------


def _is_installed(package: str) -> bool:
    try:
        importlib.metadata.distribution(package)
        return True
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        return spec is not None and spec.origin is not None


def _package2module(package: str) -> str:
    top_level = importlib.metadata.distribution(package).read_text(
        'top_level.txt'
    )
    if not top_level:
        raise ValueError(f'can not infer the module name of {package}')
    return top_level.split('\n')[0]


def _get_installed_path(package: str) -> str:
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        spec = importlib.util.find_spec(package)
        if spec is None or spec.origin is None:
            raise
        return osp.dirname(spec.origin)
    path = osp.join(str(distribution.locate_file('')), package)
    if osp.exists(path):
        return path
    # An editable install keeps its metadata away from its package.
    spec = importlib.util.find_spec(_package2module(package))
    return osp.dirname(spec.origin)


def _package_lookups_needed() -> bool:
    # find_spec, because importing pkg_resources takes a third of a second.
    return importlib.util.find_spec('pkg_resources') is None


def _rebind(package: str, old: Any, new: Any) -> None:
    """Replace ``old`` by ``new`` wherever a module of ``package`` binds it."""
    for name, module in list(sys.modules.items()):
        if name == package or name.startswith(package + '.'):
            for key, value in list(vars(module).items()):
                if value is old:
                    setattr(module, key, new)


def _apply_package_lookups() -> None:
    from mmengine.utils import package_utils

    for new in (_is_installed, _package2module, _get_installed_path):
        old = getattr(package_utils, new.__name__[1:])
        _rebind('mmengine', old, new)


# --- loading only weights --------------------------------------------------

_HISTORY_METHODS = ('mean', 'max', 'min', 'current')


def _history_method(owner: Any, name: str) -> Callable:
    """Answer ``getattr`` for the statistics of HistoryBuffer, nothing else.

    The real ``getattr`` on the list of safe globals would let a crafted file
    reach any attribute of anything that is on it.
    """
    if owner is HistoryBuffer and name in _HISTORY_METHODS:
        return getattr(HistoryBuffer, name)
    raise pickle.UnpicklingError(
        f'the file asks for the attribute {name!r} of {owner!r}; only the '
        f'statistics {_HISTORY_METHODS} of HistoryBuffer are allowed'
    )


def _bytes_of(text: str, encoding: str) -> bytes:
    """Answer ``_codecs.encode`` as pickle calls it for bytes, else not."""
    if encoding == 'latin1':
        return text.encode('latin1')
    raise pickle.UnpicklingError(
        f'the file asks for the encoding {encoding!r}; pickles use latin1'
    )


def _renamed(function: Callable, qualified_name: str) -> Callable:
    """A stand-in of ``function`` that the unpickler knows by another name.

    (object, name) pairs would say the same, but torch 2.4 has none.
    """

    @functools.wraps(function)
    def stand_in(*args, **kwargs):
        return function(*args, **kwargs)

    stand_in.__module__, stand_in.__name__ = qualified_name.rsplit('.', 1)
    stand_in.__qualname__ = stand_in.__name__
    return stand_in


def safe_globals() -> List[Any]:
    """What mmengine's own checkpoints hold beside tensors, and no more."""
    try:
        from numpy._core import multiarray
    except ImportError:
        from numpy.core import multiarray
    reconstruct, scalar = multiarray._reconstruct, multiarray.scalar
    allowed = [
        HistoryBuffer,
        _renamed(_history_method, 'builtins.getattr'),
        # The data of arrays; newer torch than 2.4 allows the real one itself.
        _renamed(_bytes_of, '_codecs.encode'),
        np.ndarray,
        np.dtype,
        type(np.dtype('float64')),
        # Of mIoU, the best score of a run of mmsegmentation.
        type(np.dtype('float32')),
        type(np.dtype('int64')),
    ]
    for core in ('numpy.core', 'numpy._core'):
        allowed.append(
            _renamed(reconstruct, f'{core}.multiarray._reconstruct')
        )
        allowed.append(_renamed(scalar, f'{core}.multiarray.scalar'))
    return allowed


class _WeightsOnlyTorch(types.ModuleType):
    """``torch`` as mmengine's checkpoint module sees it: ``load`` is safe."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch, name)

    @staticmethod
    def load(*args, **kwargs) -> Any:
        kwargs['weights_only'] = True
        return torch.load(*args, **kwargs)


def _weights_only_needed() -> bool:
    from mmengine.runner import checkpoint

    return checkpoint.torch is torch


def _apply_weights_only() -> None:
    from mmengine.runner import checkpoint

    torch.serialization.add_safe_globals(safe_globals())
    checkpoint.torch = _WeightsOnlyTorch('torch')
    checkpoint.load_url = functools.partial(
        torch.hub.load_state_dict_from_url, weights_only=True
    )


# --- distributed training on a CPU ------------------------------------------


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


# --- mixed precision on a CPU -----------------------------------------------


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


# --- hooks that a model brings along ----------------------------------------


def _model_hooks_needed() -> bool:
    return True


def _apply_model_hooks() -> None:
    from mmengine.model import is_model_wrapper
    from mmengine.registry import HOOKS
    from mmengine.runner import Runner

    register_hooks = Runner.register_hooks

    @functools.wraps(register_hooks)
    def register_with_model_hooks(self, *args, **kwargs):
        register_hooks(self, *args, **kwargs)
        model = (
            self.model.module if is_model_wrapper(self.model) else self.model
        )
        known = {type(hook) for hook in self.hooks}
        for config in getattr(model, 'required_hooks', list)():
            if HOOKS.get(config['type']) not in known:
                self.register_hook(dict(config))

    Runner.register_hooks = register_with_model_hooks


WORKAROUNDS = (
    Workaround(
        'mmrazor-quantization',
        'mmrazor.models does not import on torch >= 2.1: its quantisation '
        'configs use names that torch removed',
        'mmrazor drops those names, or guards their import',
        _quantization_needed,
        _apply_quantization,
    ),
    Workaround(
        'mmcv-lite',
        'mmseg imports mmcv.ops, which mmcv-lite cannot offer',
        'mmseg guards the import, or mmcv ships wheels for current torch',
        _mmcv_ext_needed,
        _apply_mmcv_ext,
    ),
    Workaround(
        'pkg-resources',
        '"mmseg::..." config strings need pkg_resources, which setuptools '
        '82 removed',
        'mmengine looks packages up by importlib.metadata',
        _package_lookups_needed,
        _apply_package_lookups,
    ),
    Workaround(
        'weights-only',
        'mmengine loads files from the network (and, before torch 2.6, all '
        'files) by plain pickle, and its own files not at all on torch >= 2.6',
        'mmengine passes weights_only=True everywhere and saves no pickled '
        'methods',
        _weights_only_needed,
        _apply_weights_only,
    ),
    Workaround(
        'cpu-distributed',
        'mmengine sets CUDA devices, device_ids and nccl without a GPU',
        'mmengine starts process groups by the device at hand',
        _cpu_distributed_needed,
        _apply_cpu_distributed,
    ),
    Workaround(
        'cpu-amp',
        'AmpOptimWrapper asserts a GPU',
        'mmengine allows autocast on a CPU',
        _cpu_amp_needed,
        _apply_cpu_amp,
    ),
    Workaround(
        'model-hooks',
        'a model cannot ask the Runner for a hook, and a checkpoint of '
        'FrozenTeacherDistill is a student checkpoint only by its hooks',
        'mmengine lets a model bring its hooks',
        _model_hooks_needed,
        _apply_model_hooks,
    ),
)

_applied: List[str] = []


def active() -> List[str]:
    """Names of the workarounds that this process applied, in their order."""
    return list(_applied)


def outside_tested_range(
    torch_version: str, python_version: tuple
) -> Optional[str]:
    """One line about versions that nobody tried; None inside the range.

    Args:
        torch_version (str): As ``torch.__version__``, '2.11.0+cu130'.
        python_version (tuple[int]): As ``sys.version_info``.
    """
    short = '.'.join(torch_version.split('+')[0].split('.')[:2])
    python = tuple(python_version[:2])
    first, last = (digit_version(v) for v in TESTED_TORCH)
    if first <= digit_version(short) <= last and python in TESTED_PYTHON:
        return None
    return (
        f'mmtat was tested on torch {TESTED_TORCH[0]} to {TESTED_TORCH[1]} '
        'and Python 3.11 and 3.12; this is torch '
        f'{torch_version} on Python {python[0]}.{python[1]}. Going on.'
    )


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
