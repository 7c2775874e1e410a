"""What is said of a step whose numbers are not finite."""

import math
import shlex
from dataclasses import dataclass
from typing import Any, Dict, List, Sequence

from mmengine.dist import all_gather_object, get_rank, get_world_size
from mmengine.runner import Runner

from .dump import dump_path, write_dump
from .finiteness import broken
from .plain_batch import batch_tensors, file_names
from .step_watch import StepWatch
from .verdict import Verdict, terms_of

#: Names that a line lists before it counts the rest.
_LISTED = 4


class NonFiniteError(ValueError):
    """A training whose numbers are no longer finite."""


@dataclass
class Facts:
    """What one process knows of a step.

    Attributes:
        rank (int): Of the process.
        terms (dict[str, float]): Its losses, of this iteration.
        files (list[str]): Its images.
        inputs (dict[str, str]): What of its batch is not finite.
        gradients (dict[str, str]): Gradients that are not.
        weights (dict[str, str]): Weights that were not before the step.
        dump (str): File in which it saved the step, or why it could not.
        is_dumped (bool): Whether it saved the step.
    """

    rank: int
    terms: Dict[str, float]
    files: List[str]
    inputs: Dict[str, str]
    gradients: Dict[str, str]
    weights: Dict[str, str]
    dump: str = ''
    is_dumped: bool = False

    @property
    def is_affected(self) -> bool:
        """Whether its own losses are not finite."""
        return any(not math.isfinite(value) for value in self.terms.values())


def own_facts(watch: StepWatch, batch: Any, outputs: Dict[str, Any]) -> Facts:
    """What this process knows of a step that was rolled back.

    Args:
        watch (StepWatch): Of the step.
        batch (Any): From the data loader.
        outputs (dict[str, Tensor]): What ``train_step`` gave.

    Returns:
        Facts: Without a dump.
    """
    terms = {**(terms_of(outputs) or watch.terms), **watch.dropped}
    return Facts(
        get_rank(),
        {name: float(value) for name, value in terms.items()},
        file_names(batch),
        broken(batch_tensors(batch)),
        broken(watch.gradients),
        broken(watch.weights()),
    )


def facts_of_all(
    runner: Runner, watch: StepWatch, batch: Any, own: Facts, dumps: bool
) -> List[Facts]:
    """What all processes know; all of them must call it.

    Args:
        runner (Runner): In the iteration.
        watch (StepWatch): Of the step.
        batch (Any): From the data loader.
        own (Facts): Of this process.
        dumps (bool): Whether the step is saved: by the processes whose
            losses are not finite, or by all where there are none.

    Returns:
        list[Facts]: By rank.
    """
    ranks = all_gather_object(own)
    is_affected = own.is_affected or not any(f.is_affected for f in ranks)
    if not dumps:
        return ranks
    if is_affected:
        path = dump_path(runner)
        try:
            write_dump(path, runner, watch, batch, own.terms)
            own.dump, own.is_dumped = str(path), True
        except Exception as error:
            # What went wrong in the step must be said all the same.
            own.dump = f'{type(error).__name__}: {error}'
    return all_gather_object(own)


def message(
    runner: Runner, verdict: Verdict, ranks: Sequence[Facts], end: str = ''
) -> str:
    """All that is known of a step whose numbers are not finite.

    Args:
        runner (Runner): In the iteration.
        verdict (Verdict): Of all processes.
        ranks (Sequence[Facts]): Of each.
        end (str): How it is dealt with. Defaults to ''.

    Returns:
        str: Lines.
    """
    lines = [f'iteration {runner.iter + 1}: {_what(verdict)}{end}']
    is_own = any(facts.is_affected for facts in ranks)
    for facts in ranks:
        lines += _lines_of(facts, facts.is_affected or not is_own)
    lines += _once(ranks, 'gradients', 'gradients that are not finite: ')
    before = _once(
        ranks, 'weights', 'weights that were not finite before this step: '
    )
    if before:
        before[0] += (
            '. The cause lies before it: in an earlier step, or in the '
            'file that the run began from'
        )
    rates = ', '.join(
        f'{name} {", ".join(f"{rate:.4g}" for rate in dict.fromkeys(values))}'
        for name, values in runner.optim_wrapper.get_lr().items()
    )
    lines += [*before, f'learning rates: {rates}', *_dump_lines(ranks)]
    return '\n  '.join(lines)


def _what(verdict: Verdict) -> str:
    named = dict(
        task='losses of the task',
        distillation='losses of the distillation',
        gradient='gradients',
    )
    parts = [text for key, text in named.items() if getattr(verdict, key)]
    if parts:
        return f'{_listed_words(parts)} are not finite'
    if verdict.weights:
        return (
            "the optimizer's step made weights, or statistics of norms, "
            'that are not finite, of gradients that are: is the learning '
            'rate too high?'
        )
    return 'the loss scaler leaves out one step after the other'


def _lines_of(facts: Facts, lists_all: bool) -> List[str]:
    where = f'rank {facts.rank}: ' if get_world_size() > 1 else ''
    terms = ', '.join(f'{k} {v:.4g}' for k, v in facts.terms.items())
    lines = [f'{where}{terms or "no losses"}']
    if facts.files:
        most = len(facts.files) if lists_all else _LISTED
        lines.append(f'{where}images: {_short(facts.files, most)}')
    if facts.inputs:
        lines.append(
            f'{where}inputs that are not finite: {_named(facts.inputs)}'
        )
    return lines


def _once(ranks: Sequence[Facts], key: str, begin: str) -> List[str]:
    """Of what is the same in all processes after they have talked."""
    found: Dict[str, str] = {}
    for facts in ranks:
        found = {**getattr(facts, key), **found}
    return [begin + _named(found)] if found else []


def _dump_lines(ranks: Sequence[Facts]) -> List[str]:
    lines = []
    for facts in ranks:
        if facts.is_dumped:
            path = shlex.quote(facts.dump)
            lines.append(f'run it once more: python tools/replay.py {path}')
        elif facts.dump:
            lines.append(f'it could not be dumped: {facts.dump}')
    return lines


def _named(found: Dict[str, str]) -> str:
    return _short([f'{name} ({count})' for name, count in found.items()])


def _short(items: Sequence[Any], most: int = _LISTED) -> str:
    text = ', '.join(map(str, items[:most]))
    more = len(items) - most
    return f'{text} and {more} more' if more > 0 else text


def _listed_words(parts: Sequence[str]) -> str:
    *first, last = parts
    return f'{", ".join(first)} and {last}' if first else last
