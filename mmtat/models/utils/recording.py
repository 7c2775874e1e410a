"""Keeping mmrazor's recorders on the modules that they should record."""

import difflib
from typing import Any, FrozenSet, Tuple

import torch
from mmrazor.models.task_modules import RecorderManager
from mmrazor.models.task_modules.recorder import (
    ModuleInputsRecorder,
    ParameterRecorder,
)
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from .dry_run import module_recorders


def check_sources(
    manager: RecorderManager, model: nn.Module, role: str
) -> None:
    """Raise for a recorder whose layer the model does not have.

    Args:
        manager (RecorderManager): Recorders of the model.
        model (nn.Module): Student or teacher.
        role (str): 'student' or 'teacher', for the message.

    Raises:
        ValueError: Names the layer and close matches.
    """
    modules = dict(model.named_modules())
    parameters = dict(model.named_parameters())
    for name, recorder in manager.recorders.items():
        if isinstance(recorder, ParameterRecorder):
            known, what = parameters, 'parameter'
        elif name in module_recorders(manager):
            known, what = modules, 'layer'
        else:
            continue
        if recorder.source not in known:
            raise ValueError(
                f'the {role} ({type(model).__name__}) has no {what} '
                f'{recorder.source!r}; {_suggestions(recorder.source, known)}'
            )


def _suggestions(source: str, known) -> str:
    names = [name for name in known if name]
    close = difflib.get_close_matches(source, names, n=5, cutoff=0.5)
    if close:
        return 'close matches: ' + ', '.join(close)
    tops = dict.fromkeys(name.split('.')[0] for name in names)
    return 'its parts are: ' + ', '.join(tops)


def attach(
    manager: RecorderManager,
    model: nn.Module,
    overwritten: FrozenSet[str] = frozenset(),
) -> None:
    """Hook the recorders to the modules that stand at their sources now.

    The Runner replaces SyncBN modules after the recorders were built, and a
    copied model keeps the hooks of the first one's recorders: call this
    again before each use, it costs a look-up per recorder.

    Args:
        manager (RecorderManager): Recorders of the model.
        model (nn.Module): Student or teacher.
        overwritten (frozenset[str]): Recorders whose tensors are changed in
            place later in the forward; these keep a copy.
    """
    for name, recorder in module_recorders(manager).items():
        module = model.get_submodule(recorder.source)
        if not _is_hooked(module, recorder):
            recorder.initialize(model)
            if name in overwritten:
                _KeepCopy(recorder).attach(module)


def _is_hooked(module: nn.Module, recorder: Any) -> bool:
    return any(
        getattr(hook, '__self__', None) is recorder
        for hook in module._forward_hooks.values()
    )


def clear(manager: RecorderManager) -> None:
    """Drop what the recorders hold, and with it the graph of the step."""
    for recorder in manager.recorders.values():
        recorder.reset_data_buffer()


class _KeepCopy:
    """Replaces a fresh record by a copy, before it is changed in place.

    The copy, not the original, stays with the recorder: gradients flow
    through both, and the model computes what it always computed.
    """

    def __init__(self, recorder: Any) -> None:
        self.recorder = recorder
        self.inputs: Any = None

    def attach(self, module: nn.Module) -> None:
        if isinstance(self.recorder, ModuleInputsRecorder):
            module.register_forward_pre_hook(self.copy_inputs)
        module.register_forward_hook(self.replace_record)

    def copy_inputs(self, module: nn.Module, inputs: Tuple) -> None:
        if self.recorder.recording:
            self.inputs = _clone(inputs)

    def replace_record(self, module, inputs: Tuple, outputs: Any) -> None:
        if not self.recorder.recording:
            return
        copy, self.inputs = self.inputs, None
        buffer = self.recorder.data_buffer
        buffer[-1] = _clone(buffer[-1]) if copy is None else copy


def _clone(values: Any) -> Any:
    return tree_map(
        lambda x: torch.clone(x) if isinstance(x, Tensor) else x, values
    )
