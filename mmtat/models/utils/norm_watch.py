"""Finding batch norms that the convolution before them can do."""

from typing import Any, Dict, Iterator, List, Optional, Set, Tuple

import torch
from mmrazor.models.task_modules.recorder import (
    ModuleInputsRecorder,
    ModuleOutputsRecorder,
)
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.overrides import TorchFunctionMode

#: Whose forward is known; a subclass may compute something else.
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (_BatchNorm, nn.SyncBatchNorm)

#: Attribute of a tensor: the name of the convolution that made it.
_MAKER = '_mmtat_made_by'

#: What a function gives that looks at no values.
_FACTS = (bool, int, torch.Size, torch.device, torch.dtype)


class NormWatch(TorchFunctionMode):
    """Watches runs of a model for pairs of a convolution and its norm.

    In a pair every output of the convolution is an input of that norm and
    goes nowhere else, and every input of the norm comes from there: what
    the two compute together, the convolution can compute alone. Tensors are
    followed, not names: any architecture will do.

    Args:
        model (nn.Module): Run it, in eval mode, while this is entered.

    Attributes:
        called (set[str]): Names of the modules that ran.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.called: Set[str] = set()
        self._model = model
        self._handles: List[Any] = []
        self._takers: Dict[str, Set[str]] = {}
        self._feeders: Dict[str, Set[str]] = {}
        self._in_norm = False

    def pairs(self) -> Dict[str, str]:
        """What was found.

        Returns:
            dict[str, str]: Names of convolutions to those of their norms.
        """
        return {
            maker: taker
            for maker, takers in self._takers.items()
            for taker in takers
            if takers == {taker} and self._feeders.get(taker) == {maker}
        }

    def __enter__(self):
        for name, module in self._model.named_modules():
            self._handles += self._hook(name, module)
        return super().__enter__()

    def __exit__(self, *args):
        for handle in self._handles:
            handle.remove()
        return super().__exit__(*args)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        # Sizes and flags may be asked for by anyone.
        if not self._in_norm and not isinstance(result, _FACTS):
            self._note(args, 'a function')
            self._note(kwargs, 'a function')
        return result

    def _hook(self, name: str, module: nn.Module) -> List:
        is_norm = _forward_of(module) in _forwards(NORMS)
        is_convolution = _forward_of(module) in _forwards(CONVOLUTIONS)

        def before(module, args, kwargs):
            self.called.add(name)
            self._note(args, name)
            self._note(kwargs, name)
            # Also after a run that failed inside a norm.
            self._in_norm = is_norm
            if is_norm:
                made_by = {getattr(x, _MAKER, None) for x in _tensors(args)}
                self._feeders.setdefault(name, set()).update(made_by)

        def after(module, args, outputs):
            if is_norm:
                self._in_norm = False
            if is_convolution:
                setattr(outputs, _MAKER, name)
                self._takers.setdefault(name, set())
            else:
                # It is this module's output too, which may be recorded.
                self._note(outputs, f'the output of {name}')

        return [
            module.register_forward_pre_hook(before, with_kwargs=True),
            module.register_forward_hook(after),
        ]

    def _note(self, values: Any, taker: str) -> None:
        for tensor in _tensors(values):
            maker = getattr(tensor, _MAKER, None)
            if maker is not None:
                self._takers[maker].add(taker)


def can_fold(layer: Optional[nn.Module], norm: Optional[nn.Module]) -> bool:
    """Whether a convolution can do its norm's work now.

    Args:
        layer (nn.Module, optional): The convolution of a pair.
        norm (nn.Module, optional): The norm of the pair.

    Returns:
        bool: False where one is gone or was replaced, the norm does not use
        its running statistics, or a hook looks at what is between.
    """
    if layer is None or norm is None:
        return False
    return (
        is_plain(layer, CONVOLUTIONS)
        and is_plain(norm, NORMS)
        and not norm.training
        and norm.running_mean is not None
        and not layer._forward_hooks
        and not norm._forward_pre_hooks
        and all(map(_sees_output_only, norm._forward_hooks.values()))
    )


def is_plain(module: nn.Module, kinds: Tuple[type, ...]) -> bool:
    """Whether a module computes what one of these classes does.

    Args:
        module (nn.Module): Any.
        kinds (tuple[type]): Classes.

    Returns:
        bool: False where a subclass or the module itself overrides it.
    """
    is_stock = _forward_of(module) in _forwards(kinds)
    if is_stock and isinstance(module, _ConvNd):
        inner = type(module)._conv_forward
        is_stock = inner in [kind._conv_forward for kind in CONVOLUTIONS]
    return is_stock


def _forward_of(module: nn.Module) -> Any:
    own = module.__dict__.get('forward')
    return type(module).forward if own is None else own


def _forwards(kinds: Tuple[type, ...]) -> List[Any]:
    return [kind.forward for kind in kinds]


def _tensors(values: Any) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, (tuple, list)):
        for value in values:
            yield from _tensors(value)
    elif isinstance(values, dict):
        yield from _tensors([*values.values()])


def _sees_output_only(hook: Any) -> bool:
    owner = getattr(hook, '__self__', None)
    # One that keeps copies has the recorder whose records it copies.
    owner = getattr(owner, 'recorder', owner)
    return isinstance(owner, ModuleOutputsRecorder) and not isinstance(
        owner, ModuleInputsRecorder
    )
