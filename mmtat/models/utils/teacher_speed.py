"""Running a frozen teacher by its options."""

import contextlib
from dataclasses import dataclass
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set

import torch
from mmengine.logging import print_log
from mmrazor.models.task_modules import RecorderManager
from mmrazor.models.task_modules.recorder import ParameterRecorder
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from .compiled_parts import CompiledParts
from .dry_run import DryRun, module_recorders
from .norm_watch import NormWatch
from .own_stream import OwnStream
from .prepared_layers import PreparedLayers, autocast_dtype, with_forwards
from .teacher_options import TeacherOptions


@dataclass
class Forward:
    """One forward of the teacher.

    Attributes:
        inputs (Tensor): (N, C, H, W), what to run it with.
        channels_last (bool): Whether that has this memory format.
        cast_from (torch.dtype | None): Records of this dtype must become
            float32.
    """

    inputs: Tensor
    channels_last: bool = False
    cast_from: Optional[torch.dtype] = None


class TeacherSpeed:
    """What the options change about a teacher's forward, while it runs.

    The model is never changed: its modules are given other forwards for the
    time of a run. So it can be loaded again, moved, copied, or used by
    whoever built it.

    Args:
        options (TeacherOptions): They.
        run (DryRun): Of the teacher with the distiller's recorders.
        watch (NormWatch): Of the same run.
    """

    def __init__(
        self, options: TeacherOptions, run: DryRun, watch: NormWatch
    ) -> None:
        self.options = options
        self._pairs = watch.pairs() if options.fold_norms else {}
        #: Modules that run, not those behind the last recorded layer.
        self._called = watch.called & _owners(run.used)
        self._takes_channels_last = True
        self._logged: Set[str] = set()
        self._begin()

    def _begin(self) -> None:
        """Begin with nothing of what belongs to one process."""
        self._layers = PreparedLayers(self._pairs, self._called)
        self._compiled: Optional[CompiledParts] = None
        self._stream = OwnStream()

    def __getstate__(self) -> dict:
        kept = ('_layers', '_compiled', '_stream')
        return {k: v for k, v in self.__dict__.items() if k not in kept}

    def __setstate__(self, state: dict) -> None:
        self.__dict__.update(state)
        self._begin()

    @contextlib.contextmanager
    def applied(
        self,
        model: nn.Module,
        manager: RecorderManager,
        inputs: Tensor,
        whole: bool,
    ) -> Iterator[Forward]:
        """Run the teacher by its options within.

        Args:
            model (nn.Module): The teacher, in eval mode.
            manager (RecorderManager): Its recorders, attached.
            inputs (Tensor): (N, C, H, W), preprocessed for the teacher.
            whole (bool): Whether its whole loss is run, of which the dry
                run saw nothing: only the precision and the stream apply.

        Yields:
            Forward: What to run it with.
        """
        dtype = self.options.torch_dtype
        forward = Forward(inputs)
        if dtype not in (None, torch.float32, autocast_dtype(inputs)):
            forward.cast_from = dtype
        with self._on_stream(inputs), self._in_precision(inputs):
            forwards = {}
            if whole:
                self._log_what_is_off()
            else:
                is_half = autocast_dtype(inputs).itemsize == 2
                forward.channels_last = self._channels_last(inputs, is_half)
                forwards = self._layers.forwards(
                    model, is_half, forward.channels_last
                )
                forwards.update(self._compiled_forwards(model, manager))
            if forward.channels_last:
                forward.inputs = inputs.contiguous(
                    memory_format=torch.channels_last
                )
            try:
                with with_forwards(forwards):
                    yield forward
            finally:
                self._layers.release()

    def refuse_channels_last(
        self, forward: Forward, inputs: Tensor, error: RuntimeError
    ) -> None:
        """Go on without the memory format, where that was the mistake.

        Args:
            forward (Forward): That failed; is changed.
            inputs (Tensor): (N, C, H, W), in their own memory format.
            error (RuntimeError): Why it failed.

        Raises:
            RuntimeError: It was another mistake.
        """
        if not forward.channels_last or 'view size' not in str(error):
            raise error
        self._takes_channels_last = forward.channels_last = False
        forward.inputs = inputs
        self._layers.set_channels_last(False)
        self._log('channels_last is off: the teacher views maps as vectors')

    def settle(self, manager: RecorderManager, forward: Forward) -> None:
        """Give the records the dtype and format they have without options.

        Losses may need both: mmrazor's ``ChannelWiseDivergence`` views maps
        as rows.

        Args:
            manager (RecorderManager): The teacher's recorders.
            forward (Forward): In which they recorded.
        """

        def settled(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return value
            is_cast = value.dtype == forward.cast_from
            is_laid_out = (
                forward.channels_last
                and value.dim() == 4
                and value.is_contiguous(memory_format=torch.channels_last)
            )
            return value.to(
                torch.float32 if is_cast else value.dtype,
                memory_format=torch.contiguous_format
                if is_laid_out
                else torch.preserve_format,
            )

        for buffer in _buffers(manager):
            buffer[:] = tree_map(settled, buffer)

    def join(self, manager: RecorderManager) -> None:
        """Let the step wait for the records of a stream of its own.

        Args:
            manager (RecorderManager): The teacher's recorders.
        """
        self._stream.join(_buffers(manager))

    def _channels_last(self, inputs: Tensor, is_half: bool) -> bool:
        wanted = self.options.channels_last
        if wanted is None:
            wanted = is_half or inputs.device.type == 'cpu'
        return wanted and self._takes_channels_last and inputs.dim() == 4

    def _compiled_forwards(
        self, model: nn.Module, manager: RecorderManager
    ) -> Dict[nn.Module, Callable]:
        arguments = self.options.compile
        if arguments is False:
            return {}
        if self._compiled is None:
            sources = {r.source for r in module_recorders(manager).values()}
            self._compiled = CompiledParts(
                model,
                sources,
                self._called,
                arguments if isinstance(arguments, dict) else {},
            )
        return self._compiled.current(model)

    def _on_stream(self, inputs: Tensor) -> contextlib.AbstractContextManager:
        if self.options.stream and inputs.is_cuda:
            return self._stream.entered(inputs)
        if self.options.stream:
            self._log(f'stream is off: there are none on {inputs.device}')
        return contextlib.nullcontext()

    def _in_precision(
        self, inputs: Tensor
    ) -> contextlib.AbstractContextManager:
        dtype = self.options.torch_dtype
        if dtype is None:
            return contextlib.nullcontext()
        is_half = dtype != torch.float32
        return torch.autocast(
            inputs.device.type, dtype if is_half else None, enabled=is_half
        )

    def _log_what_is_off(self) -> None:
        names = [
            name
            for name in ('channels_last', 'compile', 'fold_norms')
            if getattr(self.options, name)
        ]
        if names:
            self._log(
                f'{", ".join(names)}: off, because recorders of functions '
                'and deliveries may need any part of its loss'
            )

    def _log(self, line: str) -> None:
        if line not in self._logged:
            self._logged.add(line)
            print_log(f'teacher_options: {line}', 'current')


def _owners(names: Iterable[str]) -> Set[str]:
    """Names of the modules that hold these parameters, at any depth."""
    owners = set()
    for name in names:
        while name:
            name = name.rpartition('.')[0]
            owners.add(name)
    return owners


def _buffers(manager: RecorderManager) -> List[List[Any]]:
    """What was recorded in this run; parameters stay as they are."""
    return [
        recorder.data_buffer
        for recorder in manager.recorders.values()
        if not isinstance(recorder, ParameterRecorder)
    ]
