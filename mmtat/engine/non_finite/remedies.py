"""What becomes of a step whose numbers are not finite."""

from typing import Any, Dict

from mmengine.runner import Runner
from torch import Tensor

from mmtat.models.utils import set_random_state

from ..checked_runner import bare_model
from .finiteness import broken
from .report import NonFiniteError, facts_of_all, message, own_facts
from .step_watch import StepWatch
from .verdict import Verdict

#: Steps of the run that were spared; travels in its checkpoints.
_SPARED = 'non_finite_steps'


def spared(runner: Runner) -> int:
    """How many steps of the run were spared, before it was resumed too.

    Args:
        runner (Runner): Of the run.

    Returns:
        int: From 0 on.
    """
    return runner.message_hub.get_info(_SPARED, 0)


def spare(
    runner: Runner,
    watch: StepWatch,
    verdict: Verdict,
    batch: Any,
    outputs: Dict[str, Any],
    end: str,
) -> None:
    """Warn of a step, count it, and keep it out of the log's means.

    All processes must call it. The first one of a run is dumped.

    Args:
        runner (Runner): In the iteration.
        watch (StepWatch): Of the step, which is rolled back.
        verdict (Verdict): Of all processes.
        batch (Any): Of this process.
        outputs (dict[str, Tensor]): What ``train_step`` gave; loses what is
            not finite.
        end (str): What is left out.
    """
    count = spared(runner) + 1
    facts = own_facts(watch, batch, outputs)
    ranks = facts_of_all(runner, watch, batch, facts, dumps=count == 1)
    runner.logger.warning(message(runner, verdict, ranks, end))
    runner.message_hub.update_info(_SPARED, count)
    runner.message_hub.update_scalar(f'train/{_SPARED}', count)
    tensors = {k: v for k, v in outputs.items() if isinstance(v, Tensor)}
    for name in broken(tensors):
        del outputs[name]


def learn_the_task(
    runner: Runner, watch: StepWatch, batch: Any, outputs: Dict[str, Any]
) -> Verdict:
    """Take a step once more, without its distillation.

    All processes must call it.

    Args:
        runner (Runner): In the iteration, of a ``FrozenTeacherDistill``.
        watch (StepWatch): Of the step, which is rolled back.
        batch (Any): Of this process.
        outputs (dict[str, Tensor]): Becomes what ``train_step`` gives now.

    Returns:
        Verdict: Of the step that was taken now.
    """
    model = bare_model(runner)
    set_random_state(watch.random)
    for wrapper in watch.wrappers:
        wrapper._inner_count -= 1
    was_stopped, model.distillation_stopped = model.distillation_stopped, True
    try:
        again = runner.model.train_step(
            batch, optim_wrapper=runner.optim_wrapper
        )
    finally:
        model.distillation_stopped = was_stopped
    outputs.clear()
    outputs.update(again)
    return watch.verdict(outputs)


def fail(
    runner: Runner,
    watch: StepWatch,
    verdict: Verdict,
    batch: Any,
    outputs: Dict[str, Any],
    end: str,
) -> None:
    """End the run; all processes must call it.

    Args:
        runner (Runner): In the iteration.
        watch (StepWatch): Of the step, which is rolled back.
        verdict (Verdict): Of all processes.
        batch (Any): Of this process.
        outputs (dict[str, Tensor]): What ``train_step`` gave.
        end (str): What is to be said besides.

    Raises:
        NonFiniteError: Always.
    """
    facts = own_facts(watch, batch, outputs)
    ranks = facts_of_all(runner, watch, batch, facts, dumps=True)
    raise NonFiniteError(message(runner, verdict, ranks, end))
