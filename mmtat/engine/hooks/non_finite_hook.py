"""Ends, or spares, a training whose numbers are no longer finite."""

from typing import Any, Dict, Optional

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmtat.models import FrozenTeacherDistill
from mmtat.registry import HOOKS

from ..checked_runner import bare_model
from ..non_finite.finiteness import agreed, broken
from ..non_finite.remedies import fail, learn_the_task, spare, spared
from ..non_finite.report import NonFiniteError
from ..non_finite.step_watch import StepWatch
from ..non_finite.verdict import Verdict

_POLICIES = ('raise', 'skip', 'drop')
#: Steps in a row that a loss scaler may leave out. Each halves the scale, so
#: that from its first, 65536, no more than 1/16 is left.
_OVERFLOWS = 20


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Look in each step whether losses, gradients and weights are finite.

    All processes decide together and act alike. What the message says: the
    iteration, each term of the losses in each process, the images, what of
    inputs, gradients and weights is not finite, the learning rates, and the
    command that runs the step once more from the dump in
    ``<work_dir>/non_finite/``, see ``tools/replay.py``. Where several
    processes train, those whose losses are not finite dump, or all if the
    gradient alone is not.

    Weights and statistics of norms are put back to where the step began, so
    that no checkpoint holds a number that is not finite; one that would is
    refused.

    Steps that a loss scaler leaves out count only if they are 20 in a row;
    a loss that is not finite counts at once, for it is not scaled.

    Args:
        policy (str): What is done.

            - 'raise': the run ends. A GPU is waited for where the log reads
              the losses anyway.
            - 'skip': the step is left out: weights, optimizer and statistics
              stay, and gradients that were accumulated for it are gone. A
              GPU is waited for once more in each step, as in the next.
            - 'drop': the distillation of the step is left out, and the
              task's part is learnt. If only the gradient is not finite, the
              batch is run once more without distillation. What is not
              finite in the task ends the run. For a
              :class:`FrozenTeacherDistill` alone.

        most (int): Steps that may be skipped or dropped over the whole run,
            also where it is resumed; the next one ends it. Positive for
            'skip' and 'drop', and 0 for 'raise'. Defaults to 0.

    Raises:
        TypeError, ValueError: An argument cannot be.
        NonFiniteError: In training; a ValueError.
    """

    # Before what logs, averages or saves a step.
    priority = 'HIGHEST'

    def __init__(self, policy: str = 'raise', most: int = 0) -> None:
        if policy not in _POLICIES:
            raise ValueError(
                f'policy must be one of {_POLICIES}, got {policy!r}'
            )
        if not isinstance(most, int) or isinstance(most, bool):
            raise TypeError(f'most must be a number of steps, got {most!r}')
        if most < 0 or (policy == 'raise') != (most == 0):
            raise ValueError(
                "most must be 0 for policy='raise', and positive for 'skip' "
                f"and 'drop'; got policy={policy!r}, most={most}"
            )
        self.policy = policy
        self.most = most
        self._watch: Optional[StepWatch] = None
        self._overflows = 0

    def before_train(self, runner: Runner) -> None:
        """Begin to watch.

        Args:
            runner (Runner): Of the run.

        Raises:
            ValueError: There is no distillation to drop.
        """
        model = bare_model(runner)
        if self.policy == 'drop' and not isinstance(
            model, FrozenTeacherDistill
        ):
            raise ValueError(
                "NonFiniteHook: policy='drop' is for a "
                f'mmtat.FrozenTeacherDistill, and {type(model).__name__} is '
                "none; take 'raise' or 'skip'"
            )
        self._watch = StepWatch(
            model,
            runner.optim_wrapper,
            withholds=self.policy != 'raise',
            may_drop=(
                (lambda: spared(runner) < self.most)
                if self.policy == 'drop'
                else None
            ),
        )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Keep what the step begins with.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Unused.
            data_batch (Any): Unused.
        """
        self._watch.begin()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Dict[str, Any]] = None,
    ) -> None:
        """Judge the step.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Unused.
            data_batch (Any): Of this process.
            outputs (dict, optional): Losses; what is not finite is taken out
                of those of a step that is spared.

        Raises:
            NonFiniteError: The run ends.
        """
        watch = self._watch
        outputs = {} if outputs is None else outputs
        verdict = watch.verdict(outputs)
        self._count_overflows(watch)
        if verdict or self._overflows >= _OVERFLOWS:
            self._deal_with(runner, verdict, data_batch, outputs)
        elif watch.dropped:
            dropped = Verdict(distillation=True)
            self._spare(runner, dropped, data_batch, outputs)
        watch.release()

    def after_train(self, runner: Runner) -> None:
        """Watch no longer.

        Args:
            runner (Runner): Of the run.
        """
        self._watch.close()
        self._watch = None

    def before_save_checkpoint(self, runner: Runner, checkpoint: Dict) -> None:
        """Look once more before weights are saved.

        Args:
            runner (Runner): Of the run.
            checkpoint (dict): Unused.

        Raises:
            NonFiniteError: They are not finite.
        """
        found = {} if self._watch is None else broken(self._watch.weights())
        if found:
            names = ', '.join(list(found)[:8])
            raise NonFiniteError(
                f'no checkpoint is saved after iteration {runner.iter + 1}: '
                f'{len(found)} weights, or statistics of norms, are not '
                f'finite: {names}'
            )

    def _deal_with(
        self,
        runner: Runner,
        verdict: Verdict,
        batch: Any,
        outputs: Dict[str, Any],
    ) -> None:
        """Spare the step if that can be, or end the run."""
        watch = self._watch
        watch.roll_back()
        was_broken, is_spoilt = agreed(
            [
                torch.tensor(bool(broken(named)))
                for named in (watch.weights(), watch.stores())
            ]
        )
        may_spare = (
            bool(verdict)
            and not (verdict.weights or was_broken or is_spoilt)
            and spared(runner) < self.most
        )
        if may_spare and self.policy == 'skip':
            self._spare(runner, verdict, batch, outputs)
        elif may_spare and self.policy == 'drop' and not verdict.task:
            self._spare(runner, verdict, batch, outputs)
            verdict = learn_the_task(runner, watch, batch, outputs)
            if verdict:
                watch.roll_back()
                self._fail(runner, verdict, batch, outputs)
        else:
            self._fail(runner, verdict, batch, outputs, is_spoilt)

    def _spare(self, runner: Runner, verdict: Verdict, *step: Any) -> None:
        what = 'the step' if self.policy == 'skip' else 'its distillation'
        count = spared(runner) + 1
        end = f'; {what} is left out ({count} of at most {self.most})'
        spare(runner, self._watch, verdict, *step, end)

    def _fail(
        self,
        runner: Runner,
        verdict: Verdict,
        batch: Any,
        outputs: Dict[str, Any],
        is_spoilt: bool = False,
    ) -> None:
        end, before = '', spared(runner)
        if not verdict:
            end = f': {self._overflows} in a row'
        elif before:
            end = f'; steps that were spared before: {before}'
        if is_spoilt and self.policy != 'raise':
            end += '; it got into a buffer that is too large to be put back'
        fail(runner, self._watch, verdict, batch, outputs, end)

    def _count_overflows(self, watch: StepWatch) -> None:
        """Of a loss scaler, which knows the same in each process."""
        if not watch.is_scaled or not watch.is_due:
            return
        overflowed = not watch.is_updated or any(
            bool(found) for found in watch.overflows
        )
        self._overflows = self._overflows + 1 if overflowed else 0
