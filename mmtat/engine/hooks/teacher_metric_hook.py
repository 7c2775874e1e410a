"""The teacher's own metric, as proof that its weights know the task."""

import copy
import itertools
import logging
from typing import Any, Dict, Iterable, Iterator, List, Optional, Sequence

import torch
from mmengine.dist import all_reduce, get_world_size
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.hooks import Hook
from mmengine.logging import print_log
from mmengine.runner import Runner, autocast
from torch import nn
from torch.utils.data import DataLoader

from mmtat.models.algorithms.building import check_batches
from mmtat.models.utils import DistillDataPreprocessor, kept_random_state
from mmtat.registry import HOOKS

from ..checked_runner import bare_model
from ..teacher_sense import ChanceLevel

#: Batches on a CPU, where a whole validation may take hours.
_ON_CPU = 2
_ERROR = 'error'


class _Skipped(Exception):
    """Says why the teacher is not evaluated."""


@HOOKS.register_module()
class TeacherMetricHook(Hook):
    """Evaluate the teacher once, before the first iteration.

    By the validation data and a copy of the validation's evaluator, with
    the teacher's own normalisation. The metrics are logged as
    ``teacher/<metric>`` in step 0. A warning says where accuracy or mIoU is
    near what one and the same prediction would score on these labels (see
    :class:`ChanceLevel`), else whether they are good is for the reader. All
    processes take part, as in a validation. A resumed run does
    not repeat it. Random numbers, the student and its validation stay as
    they are; a teacher that cannot predict is skipped, and one line says
    why.

    FrozenTeacherDistill adds it to the Runner by itself, with its
    ``teacher_metric`` as the number of batches.

    Args:
        batches (int, optional): Of the validation data, spread over all of
            it, in each process; 0 for not at all. Defaults to None: the
            whole on a GPU, 2 on a CPU.

    Raises:
        ValueError: ``batches`` is no such number.
    """

    # After the hooks that put weights in their place.
    priority = 'LOW'

    def __init__(self, batches: Optional[int] = None) -> None:
        check_batches('batches', batches)
        self.batches = batches

    def before_train(self, runner: Runner) -> None:
        """Evaluate the teacher, unless the run is resumed.

        Args:
            runner (Runner): Of a ``FrozenTeacherDistill``.
        """
        if runner.iter > 0 or self.batches == 0:
            return
        try:
            metrics = self._evaluate(runner)
        except _Skipped as reason:
            print_log(f'The teacher is not evaluated: {reason}', 'current')
            return
        named = {f'teacher/{name}': v for name, v in metrics.items()}
        for name, value in named.items():
            runner.message_hub.update_scalar(name, value)
        runner.visualizer.add_scalars(named, step=runner.iter)

    def _evaluate(self, runner: Runner) -> Dict[str, float]:
        loop = runner.val_loop
        loader = getattr(loop, 'dataloader', None)
        evaluator = getattr(loop, 'evaluator', None)
        if loader is None or evaluator is None:
            raise _Skipped('there is no validation')
        model = bare_model(runner)
        try:
            _check_classes(model.teacher, loader)
            evaluator = _own_evaluator(evaluator)
        except _Skipped:
            raise
        except Exception as error:
            # Data and metrics may be of any kind; nobody asked for this.
            raise _Skipped(f'{type(error).__name__}: {error}') from error
        batches = self.batches
        if batches is None and _device(model.teacher).type == 'cpu':
            batches = _ON_CPU
        total = _length(loader)
        if batches is None and total is None:
            raise _Skipped(
                'the validation data has no length, and may never end; '
                'teacher_metric=N takes its first N batches'
            )
        is_whole = total is not None and (batches is None or batches >= total)
        chosen = loader if is_whole else _spread(loader, batches, total)
        amount = 'all' if is_whole else f'{batches} of {total or "unknown"}'
        print_log(
            f'Evaluating the teacher on {amount} validation batches', 'current'
        )
        model.load_teacher()
        with kept_random_state(), torch.no_grad():
            chance = ChanceLevel(_class_names(loader))
            size = _process(model, loop, evaluator, chosen, chance)
            _forget_workers(loader)
        if is_whole:
            size = len(loader.dataset)
        metrics = _metrics(evaluator, size)
        words = '  '.join(f'{k}: {v:.4f}' for k, v in metrics.items())
        print_log(f'The teacher: {words}', 'current')
        warning = chance.warning(metrics)
        if warning:
            print_log(warning, 'current', logging.WARNING)
        return metrics


def _device(teacher: nn.Module) -> torch.device:
    return next(teacher.parameters()).device


def _check_classes(teacher: nn.Module, loader: DataLoader) -> None:
    """What of other classes a teacher knows is of no use to the metric."""
    classes = _class_names(loader)
    for name in ('decode_head', 'head'):
        own = getattr(getattr(teacher, name, None), 'num_classes', None)
        if own is not None and classes and own != len(classes):
            raise _Skipped(
                f'it knows {own} classes, and the validation data has '
                f'{len(classes)}'
            )


def _class_names(loader: DataLoader) -> Sequence[str]:
    metainfo = getattr(loader.dataset, 'metainfo', None) or {}
    return metainfo.get('classes') or ()


def _own_evaluator(evaluator: Evaluator) -> Evaluator:
    """A copy that leaves no files and lets no process wait for another."""
    try:
        own = copy.deepcopy(evaluator)
    except Exception as error:
        raise _Skipped(f'the evaluator cannot be copied: {error}') from error
    own.metrics = [m for m in own.metrics if not hasattr(m, 'out_file_path')]
    for metric in own.metrics:
        metric.results.clear()
        if hasattr(metric, 'output_dir'):
            metric.output_dir = None
        metric.compute_metrics = _without_raising(metric)
    return own


def _without_raising(metric: BaseMetric) -> Any:
    """Only one process computes; the others wait for what it gets."""
    compute = metric.compute_metrics

    def computed(results: List[Any]) -> Dict[str, Any]:
        try:
            return compute(results)
        except Exception as error:
            return {_ERROR: f'{type(error).__name__}: {error}'}

    return computed


def _length(loader: DataLoader) -> Optional[int]:
    """In batches; None for a data set that is a stream."""
    try:
        return len(loader)
    except TypeError:
        return None


def _forget_workers(loader: DataLoader) -> None:
    """Else the first validation would find some, and draw no seed for them."""
    if getattr(loader, 'persistent_workers', False):
        loader._iterator = None


def _spread(
    loader: DataLoader, count: int, total: Optional[int]
) -> Iterator[Any]:
    """Some batches, from the first on and evenly over all of them.

    One worker reads them where the loader has workers: a data set that opens
    its files at the first sample may not have opened them here.
    """
    if total is None or loader.batch_sampler is None:
        yield from itertools.islice(loader, count)
        return
    # A sampler may be endless.
    indices = list(itertools.islice(loader.batch_sampler, total))
    yield from DataLoader(
        loader.dataset,
        batch_sampler=[
            indices[number * len(indices) // count] for number in range(count)
        ],
        collate_fn=loader.collate_fn,
        num_workers=min(1, loader.num_workers),
    )


def _process(
    model: nn.Module,
    loop: Any,
    evaluator: Evaluator,
    batches: Iterable[Any],
    chance: ChanceLevel,
) -> int:
    """Let the teacher predict, in all processes or in none.

    Returns:
        int: How many images all processes saw.
    """
    preprocess = model.data_preprocessor
    if isinstance(preprocess, DistillDataPreprocessor):
        preprocess = preprocess.teacher
    teacher = model.teacher.eval()
    count, error = 0, None
    try:
        for batch in batches:
            data = preprocess(batch, False)
            with autocast(enabled=getattr(loop, 'fp16', False)):
                outputs = _predict(teacher, data)
            evaluator.process(data_samples=outputs, data_batch=batch)
            count += len(outputs)
            chance.add(outputs)
    except Exception as caught:
        error = caught
    failed = torch.tensor(float(error is not None))
    all_reduce(failed, 'max')
    if failed:
        raise _Skipped(_why(error))
    chance.share()
    return count * get_world_size()


def _predict(teacher: nn.Module, data: Any) -> Any:
    if isinstance(data, dict):
        return teacher(**data, mode='predict')
    return teacher(*data, mode='predict')


def _why(error: Optional[Exception]) -> str:
    if error is None:
        return 'it cannot predict in another process'
    return f'it cannot predict: {type(error).__name__}: {error}'


def _metrics(evaluator: Evaluator, size: int) -> Dict[str, float]:
    """The numbers among the metrics."""
    found = evaluator.evaluate(size)
    for name, value in found.items():
        if name.split('/')[-1] == _ERROR:
            raise _Skipped(f'its predictions have no metric: {value}')
    numbers = {}
    for name, value in found.items():
        try:
            numbers[name] = float(value)
        except (TypeError, ValueError):
            continue
    if not numbers:
        raise _Skipped('the evaluator gives no number')
    return numbers
