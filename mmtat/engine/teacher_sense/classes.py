"""Whether teacher, student and data know the same classes."""

import contextlib
from typing import Any, List, Optional, Sequence, Tuple

from mmengine.runner import Runner
from torch import nn

from mmtat.models.utils import read_checkpoint

from ..class_check import classes_of_checkpoint, difference_of_classes


def class_warnings(
    runner: Runner,
    model: nn.Module,
    student_classes: Optional[Sequence[str]] = None,
) -> List[str]:
    """What to say of a teacher or student that knows other classes.

    Args:
        runner (Runner): Its training data name their classes.
        model (nn.Module): A ``FrozenTeacherDistill``.
        student_classes (Sequence[str], optional): What the student was
            trained on before, where it was.

    Returns:
        list[str]: A line for each model, with numbers.
    """
    data = _classes_of_data(runner)
    if not data:
        return []
    lines = []
    difference = _difference(_classes_of_teacher(model), data)
    if difference:
        lines.append(
            f'The teacher was trained on {difference}. Its features are '
            'distilled as they are; its logits mean other classes'
        )
    difference = _difference(student_classes, data)
    if difference:
        lines.append(
            f'The student begins from a training on {difference}. Its head '
            'has to learn them anew'
        )
    return lines


def _difference(
    own: Optional[Sequence[str]], data: Sequence[str]
) -> Optional[str]:
    return difference_of_classes(own, data) if own else None


def _classes_of_data(runner: Runner) -> Tuple[str, ...]:
    dataset = getattr(runner.train_dataloader, 'dataset', None)
    return _names(getattr(dataset, 'metainfo', None))


def _classes_of_teacher(model: nn.Module) -> Optional[Tuple[str, ...]]:
    """From the built model, or else from its file."""
    known = _names(getattr(model.teacher, 'dataset_meta', None))
    source = model._teacher.checkpoint
    if known or source is None:
        return known or None
    path = source.get('checkpoint') if isinstance(source, dict) else source
    # It was read already; a file that is gone since says nothing more.
    with contextlib.suppress(ValueError):
        checkpoint = read_checkpoint(str(path), 'teacher_ckpt', is_mapped=True)
        return classes_of_checkpoint(checkpoint)
    return None


def _names(metainfo: Any) -> Tuple[str, ...]:
    classes = metainfo.get('classes') if isinstance(metainfo, dict) else None
    is_list = isinstance(classes, (list, tuple))
    return tuple(map(str, classes)) if is_list else ()
