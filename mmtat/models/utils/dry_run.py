"""What a model's recorded layers give and need, found by a run on no data."""

from dataclasses import dataclass, field
from typing import Any, Dict, FrozenSet, List, Optional, Tuple

from mmrazor.models.task_modules import RecorderManager
from mmrazor.models.task_modules.recorder import (
    ModuleInputsRecorder,
    ModuleOutputsRecorder,
    ParameterRecorder,
)
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_flatten, tree_map

from .zero_image import DEFAULT_SIZE, input_size, run_model, zero_image


@dataclass
class DryRun:
    """What one run of a model showed.

    Attributes:
        records (dict[str, list]): Per module recorder what each call left,
            every tensor replaced by its shape (batch size 1).
        calls (int): Calls of recorded modules in all.
        used (frozenset[str]): Parameters and buffers read until the last
            recorded call, by their names in the state dict.
        overwritten (frozenset[str]): Recorders whose tensors are changed in
            place after they were recorded.
        heads (tuple[str] | None): Heads that must be run one by one; None
            where ``mode='tensor'`` reaches every recorded module.
        complete (bool): Whether every recorder is served by module calls or
            parameters, and all were reached.
        size (tuple[int, int]): Height and width of the image.
        error (str | None): Why the model could not run, if it could not.
    """

    records: Dict[str, List[Any]] = field(default_factory=dict)
    calls: int = 0
    used: FrozenSet[str] = frozenset()
    overwritten: FrozenSet[str] = frozenset()
    heads: Optional[Tuple[str, ...]] = None
    complete: bool = True
    size: Tuple[int, int] = DEFAULT_SIZE
    error: Optional[str] = None


def module_recorders(manager: RecorderManager) -> Dict[str, Any]:
    """The recorders of ``manager`` that hook a module.

    Args:
        manager (RecorderManager): Of a model.

    Returns:
        dict[str, ModuleOutputsRecorder]: By their names.
    """
    return {
        name: recorder
        for name, recorder in manager.recorders.items()
        if isinstance(recorder, ModuleOutputsRecorder)
    }


def dry_run(
    model: nn.Module,
    manager: RecorderManager,
    size: Optional[Tuple[int, int]] = None,
    calls_heads: bool = True,
) -> DryRun:
    """Run ``model`` on fake tensors and watch what its recorders would see.

    Nothing is computed and nothing kept: weights, random state and training
    flags stay as they are. A model that cannot run on fake tensors is run
    on a real image of zeros.

    Args:
        model (nn.Module): A :class:`BaseModel`.
        manager (RecorderManager): Its recorders.
        size (tuple[int, int], optional): Height and width of the input, by
            default :func:`input_size`.
        calls_heads (bool): See :func:`run_model`; True for a teacher, which
            is run so, False for a student, which runs itself.

    Returns:
        DryRun: What was seen; incomplete where a recorder is not served by
        module calls, or a module was not reached.
    """
    recorders = module_recorders(manager)
    others = set(manager.recorders) - set(recorders)
    watched = all(
        isinstance(manager.recorders[name], ParameterRecorder)
        for name in others
    )
    ways = [None]
    if hasattr(model, 'extract_feat'):
        ways.append(_recorded_heads(model, recorders))
    size = size or input_size(model)[0]
    for heads in ways:
        run = _watch(model, recorders, size, heads, calls_heads)
        reached = all(run.records.get(name) for name in recorders)
        if reached:
            break
    parameters = {manager.recorders[name].source for name in others if watched}
    run.used |= parameters
    run.complete = reached and watched
    return run


def _recorded_heads(model: nn.Module, recorders: Dict) -> Tuple[str, ...]:
    """Top-level parts beside backbone and neck that hold recorded layers."""
    tops = {r.source.split('.')[0] for r in recorders.values()}
    return tuple(
        name
        for name, _ in model.named_children()
        if name in tops and name.endswith('head')
    )


def _watch(
    model: nn.Module,
    recorders: Dict[str, Any],
    size: Tuple[int, int],
    heads: Optional[Tuple[str, ...]],
    calls_heads: bool,
) -> DryRun:
    for fake in (True, False):
        watch = _Watch(model, recorders)
        watch.run.heads, watch.run.size = heads, size
        with zero_image(model, size, fake) as inputs, watch:
            try:
                run_model(model, inputs, None, heads, calls_heads)
            except Exception as error:
                if fake:
                    continue
                if not all(watch.run.records.get(n) for n in recorders):
                    watch.run.error = f'{type(error).__name__}: {error}'
            watch.finish(model)
        return watch.run


class _Watch(TorchFunctionMode):
    """Notes every weight that is read, and every call of a recorded module."""

    def __init__(self, model: nn.Module, recorders: Dict[str, Any]) -> None:
        super().__init__()
        self.run = DryRun()
        self._names = {
            id(tensor): name
            for name, tensor in model.state_dict(keep_vars=True).items()
        }
        self._read = set()
        self._versions: List[Tuple[str, Tensor, int]] = []
        self._handles = []
        for name, recorder in recorders.items():
            module = model.get_submodule(recorder.source)
            self._handles += self._hook(module, name, recorder)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        for value in tree_flatten((args, kwargs))[0]:
            if id(value) in self._names:
                self._read.add(self._names[id(value)])
        return func(*args, **kwargs)

    def __exit__(self, *args):
        for handle in self._handles:
            handle.remove()
        return super().__exit__(*args)

    def finish(self, model: nn.Module) -> None:
        """Note which recorded tensors changed after they were recorded."""
        # In eval mode these change nothing, in training they would.
        in_training = any(
            isinstance(module, (_DropoutNd, nn.RReLU)) and module.inplace
            for module in model.modules()
        )
        self.run.overwritten = frozenset(
            name
            for name, tensor, version in self._versions
            if in_training or tensor._version != version
        )

    def _hook(self, module: nn.Module, name: str, recorder: Any) -> List:
        of_inputs = isinstance(recorder, ModuleInputsRecorder)

        def note_version(module, inputs, outputs=None):
            values = inputs if of_inputs else outputs
            for tensor in tree_flatten(values)[0]:
                if isinstance(tensor, Tensor):
                    self._versions.append((name, tensor, tensor._version))

        def note_record(module, inputs, outputs):
            record = tree_map(
                lambda x: x.shape if isinstance(x, Tensor) else x,
                inputs if of_inputs else outputs,
            )
            self.run.records.setdefault(name, []).append(record)
            self.run.calls += 1
            self.run.used = frozenset(self._read)

        if of_inputs:
            first = module.register_forward_pre_hook(note_version)
        else:
            first = module.register_forward_hook(note_version)
        return [first, module.register_forward_hook(note_record)]
