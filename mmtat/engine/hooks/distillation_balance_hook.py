"""Logs how hard the distillation pulls at the student, beside the task."""

import logging
import math
import statistics
from typing import Any, Dict, List, Optional

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner

from mmtat.models.algorithms.building import check_bool
from mmtat.models.algorithms.gradient_look import GradientLook
from mmtat.models.distillers.loss_modules import (
    loss_weights,
    weight_settings,
)
from mmtat.registry import HOOKS

from ..checked_runner import bare_model
from ..log_interval import is_logged
from .distillation_monitor_hook import DistillationMonitorHook

#: From this ratio on, either way, a warning says what would balance them.
_FAR = 10
#: Looks whose median is judged, so that one odd batch does not decide.
_LOOKS = 5
#: What the looks are logged as.
_NORMS = ('distill_gradient_norm', 'task_gradient_norm')
_COMPARED = ('distill_gradient_ratio', 'distill_gradient_cosine')


@HOOKS.register_module()
class DistillationBalanceHook(Hook):
    """Compare the distillation with the task, in their losses and gradients.

    The log shows

    - in every iteration ``distill.<name>_to_task`` for each distillation
      loss, without the 'loss_' of its name: it over the sum of the task's
      losses,
    - in the iterations that a LoggerHook logs ``distill_gradient_norm`` and
      ``task_gradient_norm``: the norm of the gradient that each gives the
      student where they meet, at the recorded layers; and
      ``distill_gradient_ratio`` and ``distill_gradient_cosine`` of both,
      unless a :class:`DistillationMonitorHook` logs its own by these names.

    The gradients are those of the step itself, of the images of one process,
    before AMP scales them and accumulation divides them. In half precision
    the smaller of two is rounded where the other is 100 times as large. One
    warning in a run, after five looks or at its end, says when they differ
    by more than 10 times (the median), and which weights would balance them.

    FrozenTeacherDistill adds it to the Runner by itself; its
    ``gradient_balance=False`` leaves the gradients out.

    Args:
        gradients (bool): Whether gradients are compared. Defaults to True.

    Raises:
        TypeError: ``gradients`` is no bool.
    """

    # Before LoggerHook, which logs what this leaves.
    priority = 'NORMAL'

    def __init__(self, gradients: bool = True) -> None:
        check_bool('gradients', gradients)
        self.gradients = gradients
        self._ratios: List[float] = []
        self._settings: Dict[str, float] = {}
        self._weights: Dict[str, float] = {}
        self._has_judged = False

    def before_train(self, runner: Runner) -> None:
        """Remember the configured weights.

        Args:
            runner (Runner): Of a ``FrozenTeacherDistill``.
        """
        distiller = bare_model(runner).distiller
        self._settings = weight_settings(distiller)
        self._weights = loss_weights(distiller)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Watch the step if it will be logged.

        Args:
            runner (Runner): Of a ``FrozenTeacherDistill``.
            batch_idx (int): Of the loop.
            data_batch (Any): Unused.
        """
        if self.gradients and is_logged(runner, batch_idx):
            bare_model(runner).gradient_look = GradientLook()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Log the ratios of the losses and what was seen of gradients.

        Args:
            runner (Runner): Of a ``FrozenTeacherDistill``.
            batch_idx (int): Unused.
            data_batch (Any): Unused.
            outputs (dict, optional): The losses.
        """
        _log_losses(runner, outputs or {})
        model = bare_model(runner)
        look, model.gradient_look = model.gradient_look, None
        if look is not None:
            self._log_gradients(runner, look)
            if len(self._ratios) == _LOOKS:
                self._judge(runner)

    def after_train(self, runner: Runner) -> None:
        """Judge a run of fewer looks by those.

        Args:
            runner (Runner): Of a ``FrozenTeacherDistill``.
        """
        self._judge(runner)

    def _log_gradients(self, runner: Runner, look: GradientLook) -> None:
        norms = look.norms()
        seen = [math.nan] * 3 if norms is None else norms.tolist()
        look.close()
        distillation, task, cosine = seen
        ratio = distillation / task if task else math.nan
        hub = runner.message_hub
        values = dict(zip(_NORMS, seen))
        if not _has_monitor(runner):
            values.update(zip(_COMPARED, (ratio, cosine)))
        for name, value in values.items():
            if math.isfinite(value):
                hub.update_scalar(f'train/{name}', value)
            else:
                # Else the log would repeat what an earlier look saw.
                hub.log_scalars.pop(f'train/{name}', None)
        is_known = math.isfinite(ratio) and ratio > 0
        if not self._has_judged and is_known and self._is_typical(runner):
            self._ratios.append(ratio)

    def _is_typical(self, runner: Runner) -> bool:
        """Whether no schedule holds a weight far from the configured."""
        now = loss_weights(bare_model(runner).distiller)
        return all(
            weight / 2 <= now[name] <= weight * 2
            for name, weight in self._weights.items()
        )

    def _judge(self, runner: Runner) -> None:
        if self._has_judged or not self._ratios:
            return
        self._has_judged = True
        ratio = statistics.median(self._ratios)
        if not 1 / _FAR <= ratio <= _FAR:
            print_log(self._warning(runner, ratio), 'current', logging.WARNING)

    def _warning(self, runner: Runner, ratio: float) -> str:
        recorders = bare_model(runner).distiller.student_recorders.recorders
        layers = sorted({r.source for r in recorders.values()} - {''})
        share = f'{ratio:.0f} times' if ratio > 1 else f'1/{1 / ratio:.0f} of'
        weights = ', '.join(
            f'model.distiller.{key}={weight / ratio:.2g} (now {weight:g})'
            for key, weight in self._settings.items()
            if weight > 0
        )
        return (
            f'The gradient of the distillation is {share} that of the task '
            f'where they meet ({", ".join(layers)}; median of '
            f'{len(self._ratios)} looks). What would balance them: '
            f'{weights or "weights of the losses, which have none"}'
        )


def _log_losses(runner: Runner, outputs: Dict[str, Any]) -> None:
    """By the numbers that RuntimeInfoHook has read already."""
    known = runner.message_hub.log_scalars
    values = {
        name: known[f'train/{name}'].current()
        for name in outputs
        if 'loss' in name and f'train/{name}' in known
    }
    task = sum(v for name, v in values.items() if name.startswith('student.'))
    for name, value in values.items():
        kind, _, own = name.partition('.')
        if kind == 'distill' and task:
            key = f'train/distill.{own.removeprefix("loss_")}_to_task'
            runner.message_hub.update_scalar(key, value / task)


def _has_monitor(runner: Runner) -> bool:
    return any(
        isinstance(hook, DistillationMonitorHook) for hook in runner.hooks
    )
