"""A whole training step on fake tensors, and what is live in it."""

import contextlib
import copy
import inspect
import io
from typing import Any, Dict, Iterator

import torch
from mmengine.optim import OptimWrapper, build_optim_wrapper
from mmengine.registry import OPTIMIZERS
from torch._subclasses.fake_tensor import (
    DataDependentOutputException,
    DynamicOutputShapeException,
    FakeTensorMode,
    UnsupportedFakeTensorException,
)

from ..report import quiet
from . import parts
from .answers import Answers
from .case import Case
from .fake_model import to_fake
from .gpu_paths import gpu_paths
from .live_storage import LiveStorage, Peak
from .watch import follow_weights, tensors_in, watched

#: The first step allocates what stays (momenta), the next what a run needs.
_STEPS = 2
#: Bytes of which CUDA's allocator hands out multiples.
_CUDA_BLOCK = 512
_WITHOUT_VALUES = (
    DataDependentOutputException,
    DynamicOutputShapeException,
    UnsupportedFakeTensorException,
)
#: Settings of wrappers that are not those of the plain one.
_OF_AMP = ('type', 'loss_scale', 'dtype', 'use_fsdp', 'accumulative_counts')


class FakeStep:
    """Runs training steps of a case on fake tensors.

    Nothing is allocated but what Python needs, so that a batch of any size
    costs about the same.

    Args:
        case (Case): The step.
        kind (str): 'cpu' or 'cuda', whose ways mmtat's code goes; see
            :func:`gpu_paths`. Defaults to 'cpu'.

    Raises:
        TypeError, ValueError: The model cannot be built.
    """

    def __init__(self, case: Case, kind: str = 'cpu') -> None:
        self.case = case
        self.kind = kind
        with quiet():
            self.config = case.read()
            self.model = case.build(self.config)
        self._mode = FakeTensorMode(allow_non_fake_inputs=True)
        self._known = to_fake(self.model, self._mode)

    def of_kind(self, kind: str) -> 'FakeStep':
        """The same step on another kind of device.

        Args:
            kind (str): 'cpu' or 'cuda'.

        Returns:
            FakeStep: With the same model.
        """
        other = copy.copy(self)
        other.kind = kind
        return other

    def memory(self, batch: int) -> Peak:
        """What is live at most in a step, once the optimizer has its state.

        Args:
            batch (int): Images.

        Returns:
            Peak: Bytes by :mod:`.parts`.

        Raises:
            ValueError: The model cannot be run on fake tensors.
        """
        live = LiveStorage(_CUDA_BLOCK if self.kind == 'cuda' else 1)
        with self.entered(batch, live) as data:
            average = follow_weights(live, self.model, self.config)
            live.follow(tensors_in(data), parts.BATCH)
            wrapper = self._optimizer()
            with watched(live, self.model, wrapper):
                for _ in range(_STEPS):
                    live.forget_peak()
                    self.model.train_step(data, wrapper)
            del average
        self.model.zero_grad()
        return live.peak()

    @contextlib.contextmanager
    def entered(
        self, batch: int, watching: contextlib.AbstractContextManager
    ) -> Iterator[Dict[str, Any]]:
        """Let the model run on fake tensors within.

        Args:
            batch (int): Images.
            watching (AbstractContextManager): Sees all operations.

        Yields:
            dict[str, Any]: Of :meth:`Case.data`.

        Raises:
            ValueError: What was run within cannot be run on fake tensors.
        """
        paths = gpu_paths if self.kind == 'cuda' else contextlib.nullcontext
        with quiet(), paths(), self._mode, watching, Answers(self._known):
            try:
                yield self.case.data(self.model, batch, torch.device('cpu'))
            except ValueError as error:
                if 'Expected more than 1 value per channel' in str(error):
                    raise ValueError(
                        f'batch: {batch} is too few for a norm over the '
                        'batch behind a global pooling; give --batch 2 or '
                        'more'
                    ) from error
                raise
            except Exception as error:
                line = (str(error) or type(error).__name__).splitlines()[0]
                why = f'a step of {self.case.config!r} fails'
                if isinstance(error, _WITHOUT_VALUES):
                    why = (
                        f'{self.case.config!r} cannot be run without values, '
                        'so that only a training says what it needs'
                    )
                raise ValueError(
                    f'config: {why}: {type(error).__name__}: {line}'
                ) from error

    @property
    def is_mixed(self) -> bool:
        """Whether the step is one of mixed precision."""
        kind = self.config.optim_wrapper.get('type', 'OptimWrapper')
        return 'Amp' in str(kind)

    def precision(self) -> contextlib.AbstractContextManager:
        """What a forward runs in.

        Returns:
            AbstractContextManager: Autocast where the config asks for it:
            to its dtype, by default float16 on a GPU; to bfloat16 on a CPU.
        """
        if not self.is_mixed:
            return contextlib.nullcontext()
        config = self.config.optim_wrapper
        dtype = torch.bfloat16
        if self.kind == 'cuda':
            dtype = config.get('dtype') or torch.float16
        if isinstance(dtype, str):
            dtype = getattr(torch, dtype)
        return torch.autocast('cpu', dtype)

    def _optimizer(self) -> OptimWrapper:
        """The wrapper of a step that is an update of its own."""
        own = self.config.optim_wrapper
        config = {k: v for k, v in own.items() if k not in _OF_AMP}
        config['optimizer'] = optimizer = dict(config['optimizer'])
        if self.kind == 'cuda':
            # torch's own choice there, with copies of all gradients.
            cls = OPTIMIZERS.get(optimizer['type'])
            if 'foreach' in inspect.signature(cls).parameters:
                optimizer.setdefault('foreach', True)
        # Some constructors print every parameter.
        with contextlib.redirect_stdout(io.StringIO()):
            wrapper = build_optim_wrapper(self.model, config)
        wrapper.optim_context = lambda model: self.precision()
        if own.get('accumulative_counts', 1) > 1:
            # In most steps there are gradients of the ones before.
            wrapper.zero_grad = lambda **kwargs: None
        return wrapper
