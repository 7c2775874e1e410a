"""Moves the weights of distillation losses from iteration to iteration."""

import copy
import logging
from typing import Any, Dict, Optional, Sequence

from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner
from torch import nn

from mmtat.models.distillers.loss_modules import loss_modules
from mmtat.registry import HOOKS

from ..checked_runner import bare_model
from ..schedules import schedules_by_loss
from ..weight_ranges import Range, check_schedule, weight_at


@HOOKS.register_module()
class DistillWeightHook(Hook):
    """Set the weights of distillation losses by the iteration.

    For any loss of any distiller. Iterations count from 0 over the whole
    training, under loops by iterations and by epochs; with accumulation, a
    step of the optimizer takes several. A weight depends on the iteration
    alone, so a resumed run goes on with it. Where all are 0, the teacher
    does not run. The log shows each as ``weight/<name>``, without the
    'loss_' of the name.

    Args:
        schedules (dict[str, list[dict]]): By the name of a loss in the log
            (its 'distill.' may be left out), or by a pattern of names such
            as ``'loss_tat*'``, ranges in their order:

            - ``dict(type='linear', begin, end, start, stop)``,
            - ``dict(type='cosine', begin, end, start, stop)``, half a wave,
            - ``dict(type='constant', begin, value)``.

            ``begin`` (by default 0) and ``end`` are iterations; in the
            iteration ``end`` the value ``stop`` is reached. ``start``,
            ``stop`` and ``value`` are factors of the configured weight,
            which is in force before the first range. The last value of a
            range holds until the next begins.

    Raises:
        TypeError, ValueError: At once for ranges that cannot be; when the
            run begins for names that no loss has.

    Examples:
        >>> # Warm up, fade from iteration 30000 on, stop at 38000.
        >>> custom_hooks = [
        ...     dict(
        ...         type='mmtat.DistillWeightHook',
        ...         schedules={
        ...             'loss_tat*': [
        ...                 dict(type='linear', end=1000, start=0., stop=1.),
        ...                 dict(type='cosine', begin=30000, end=38000,
        ...                      start=1., stop=0.1),
        ...                 dict(type='constant', begin=38000, value=0.)]})]
    """

    # Before DistillationMonitorHook looks at the batch.
    priority = 'ABOVE_NORMAL'

    def __init__(self, schedules: Dict[str, Sequence[Range]]) -> None:
        if not isinstance(schedules, dict) or not schedules:
            raise TypeError(
                'schedules must be a dict of lists of ranges by the names of '
                f'losses, got {schedules!r}'
            )
        for name, schedule in schedules.items():
            check_schedule(schedule, f'schedules.{name}')
        self.schedules = copy.deepcopy(dict(schedules))
        self._chosen: Dict[str, Sequence[Range]] = {}
        self._losses: Dict[str, nn.Module] = {}
        self._weights: Dict[str, float] = {}

    def before_run(self, runner: Runner) -> None:
        """Find the losses.

        Args:
            runner (Runner): Of a ``FrozenTeacherDistill``.

        Raises:
            ValueError: A name that no loss has, or two for one loss.
        """
        model = bare_model(runner)
        if not hasattr(model, 'distiller'):
            raise ValueError(
                f'DistillWeightHook: {type(model).__name__} distils nothing; '
                'take the hook out of custom_hooks'
            )
        self._losses = loss_modules(model.distiller)
        self._chosen = schedules_by_loss(self.schedules, self._losses)
        self._weights = {
            name: self._losses[name].loss_weight for name in self._chosen
        }

    def before_train(self, runner: Runner) -> None:
        """Warn of ranges that the training does not reach.

        Args:
            runner (Runner): Of the run.
        """
        for name, schedule in self._chosen.items():
            begin = schedule[-1].get('begin', 0)
            if begin >= runner.max_iters:
                print_log(
                    f'schedules: the last range of {name} begins in '
                    f'iteration {begin}, but the training has '
                    f'{runner.max_iters}',
                    'current',
                    logging.WARNING,
                )

    def before_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Optional[Any] = None,
    ) -> None:
        """Set the weights of the iteration.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Unused.
            data_batch (Any): Unused.
        """
        for name, schedule in self._chosen.items():
            weight = weight_at(schedule, runner.iter, self._weights[name])
            self._losses[name].loss_weight = weight
            key = f'train/weight/{name.removeprefix("loss_")}'
            runner.message_hub.update_scalar(key, weight)

    def after_train(self, runner: Runner) -> None:
        """Put the configured weights back.

        Args:
            runner (Runner): Unused.
        """
        for name, weight in self._weights.items():
            self._losses[name].loss_weight = weight
