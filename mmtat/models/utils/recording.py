"""Keeping mmrazor's recorders on the modules that they should record."""

import difflib
from typing import Any, Dict, FrozenSet, Iterable, Optional, Tuple

import torch
from mmengine.registry import DefaultScope
from mmrazor.models.distillers import BaseDistiller
from mmrazor.models.task_modules import RecorderManager
from mmrazor.models.task_modules.recorder import (
    ModuleInputsRecorder,
    ParameterRecorder,
)
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from .dry_run import DryRun, module_recorders


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
                f'{recorder.source!r}; '
                f'{layer_suggestions(recorder.source, known)}'
            )


def layer_suggestions(source: str, known: Iterable[str]) -> str:
    """What a misspelt layer may have meant, for a message.

    Args:
        source (str): That came.
        known (Iterable[str]): Names of the layers that there are.

    Returns:
        str: Close matches, or the model's parts.
    """
    names = [name for name in known if name]
    close = difflib.get_close_matches(source, names, n=5, cutoff=0.5)
    if close:
        return 'close matches: ' + ', '.join(close)
    tops = dict.fromkeys(name.split('.')[0] for name in names)
    return 'its parts are: ' + ', '.join(tops)


def check_classes(
    distiller: BaseDistiller, student: DryRun, teacher: DryRun
) -> None:
    """Raise where a loss compares predictions of different classes.

    mmrazor's losses of logits take ``preds_S`` and ``preds_T``; without a
    connector between, both need the same channels.

    Args:
        distiller (ConfigurableDistiller): Its losses and mappings.
        student (DryRun): Of the student.
        teacher (DryRun): Of the teacher.

    Raises:
        ValueError: Names the loss, both layers and both numbers.
    """
    for name, mapping in distiller.loss_forward_mappings.items():
        ends = [mapping.get('preds_S'), mapping.get('preds_T')]
        if None in ends or any(end.get('connector') for end in ends):
            continue
        channels, layers = [], []
        for end in ends:
            is_student = end['from_student']
            run = student if is_student else teacher
            role = 'student' if is_student else 'teacher'
            manager = getattr(distiller, f'{role}_recorders')
            layers.append(manager.get_recorder(end['recorder']).source)
            channels.append(_channels(run, end))
        if None not in channels and channels[0] != channels[1]:
            raise ValueError(
                f'distill_losses.{name}: {layers[0]!r} of the student gives '
                f'{channels[0]} classes (channels) and {layers[1]!r} of the '
                f'teacher {channels[1]}; the loss compares equal ones only'
            )


def _channels(run: DryRun, end: Dict[str, Any]) -> Optional[int]:
    records = run.records.get(end['recorder'], [])
    index = end.get('record_idx', 0)
    record = records[index] if index < len(records) else None
    if end.get('data_idx') is not None and isinstance(record, (list, tuple)):
        record = record[end['data_idx']]
    is_shape = isinstance(record, torch.Size) and len(record) > 1
    return record[1] if is_shape else None


def add_recorder(
    manager: RecorderManager, name: str, kind: str, source: str, role: str
) -> None:
    """Add a recorder to those of the config.

    Args:
        manager (RecorderManager): Recorders of the model.
        name (str): The recorder's name.
        kind (str): Its type, such as 'ModuleOutputs'.
        source (str): The layer; '' is the model itself.
        role (str): 'student' or 'teacher', for the message.

    Raises:
        ValueError: The config has a recorder of that name.
    """
    if name in manager.recorders:
        raise ValueError(
            f'{role}_recorders: {name!r} is the name of a recorder that the '
            'distiller adds by itself; choose another'
        )
    with DefaultScope.overwrite_default_scope('mmrazor'):
        added = RecorderManager({name: dict(type=kind, source=source)})
    manager.recorders.update(added.recorders)


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
        owners = [
            getattr(hook, '__self__', None)
            for hook in module._forward_hooks.values()
        ]
        if not any(owner is recorder for owner in owners):
            recorder.initialize(model)
        copied = any(
            isinstance(owner, _KeepCopy) and owner.recorder is recorder
            for owner in owners
        )
        if name in overwritten and not copied:
            _KeepCopy(recorder).attach(module)


def recorded(manager: RecorderManager, name: str, role: str) -> Any:
    """The first record of a recorder.

    Args:
        manager (RecorderManager): Holds the recorder.
        name (str): The recorder's name.
        role (str): 'student' or 'teacher', for the message.

    Returns:
        Any: What the layer returned, or was given.

    Raises:
        ValueError: Nothing was recorded.
    """
    recorder = manager.get_recorder(name)
    if not recorder.data_buffer:
        raise ValueError(
            f'the {role} layer {recorder.source!r} recorded nothing: it did '
            'not run in this step. mmsegmentation runs its heads by their '
            'methods, so that a head itself is never called: name a layer '
            "inside, such as 'decode_head.conv_seg'"
        )
    return recorder.data_buffer[0]


def check_recorded(manager: RecorderManager, role: str) -> None:
    """Raise where a recorded layer did not run.

    Args:
        manager (RecorderManager): After a forward of its model.
        role (str): 'student' or 'teacher', for the message.

    Raises:
        ValueError: Names the layer.
    """
    for name in module_recorders(manager):
        recorded(manager, name, role)


def clear(manager: RecorderManager) -> None:
    """Drop what the recorders hold, and with it the graph of the step.

    Args:
        manager (RecorderManager): Of a model.
    """
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
