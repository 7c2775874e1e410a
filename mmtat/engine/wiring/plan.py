"""What is known of a distillation before its config is written."""

import os.path as osp
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

from mmengine.config import Config

from .data import Data, class_names, find_data
from .layers import Found
from .methods import Proposal, Task, check_method, propose
from .models import Model, find_model, look_at
from .student import Change, class_changes, loss_change

Size = Tuple[int, int]


@dataclass
class Plan:
    """A teacher, a student, data, and how one learns from the other.

    Attributes:
        teacher (Model): It.
        student (Model): It.
        data (Data): It.
        method (str): Its name.
        proposal (Proposal): Layers, branches and weights.
        size (tuple[int, int]): Height and width of the images.
        size_is_known (bool): Whether it is that of the training.
        classes (int | None): Of the data.
        changes (list[Change]): Of the student's config.
        teacher_ckpt (str | None): Of the teacher.
        features (int): Channels of the student's last map.
        notes (list[str]): For the person who asked.
    """

    teacher: Model
    student: Model
    data: Data
    method: str
    proposal: Proposal
    size: Size
    size_is_known: bool
    classes: Optional[int]
    changes: List[Change]
    teacher_ckpt: Optional[str]
    features: int = 0
    notes: List[str] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Of the config, without '.py'."""
        names = (self.method, self.teacher.short_name, self.student.short_name)
        return '_'.join(names).replace('.', '_')


def make_plan(
    teacher: str,
    student: str,
    data: Optional[str] = None,
    method: str = 'tat',
    teacher_ckpt: Optional[str] = None,
    cfg_options: Optional[Dict[str, Any]] = None,
) -> Plan:
    """Find the models, their layers, and how to distil them.

    Args:
        teacher (str): See :func:`find_model`.
        student (str): Likewise.
        data (str, optional): See :func:`find_data`.
        method (str): See :func:`check_method`. Defaults to 'tat'.
        teacher_ckpt (str, optional): Path or URL of the teacher's weights;
            by default the zoo's.
        cfg_options (dict, optional): Settings of the config; those of the
            student count in its dry run.

    Returns:
        Plan: It.

    Raises:
        ValueError: A name is unknown, a model cannot run here, or the method
            cannot work on the pair.
    """
    options = cfg_options or {}
    method = check_method(method)
    _check_file(teacher_ckpt)
    teacher_model = find_model(teacher, 'teacher')
    student_model = find_model(student, 'student')
    _override(student_model, options)
    source = find_data(data, student_model)
    known = _size(student_model, source, options)
    found_student, size = look_at(student_model, known)
    found_teacher, _ = look_at(teacher_model, size)
    classes = student_model.classes
    changes = []
    if source.classes is not None:
        if classes is not None and classes != len(source.classes):
            changes = class_changes(
                student_model.model, classes, len(source.classes)
            )
        classes = len(source.classes)
    if student_model.is_timm:
        # Of the head that the config will give it.
        found_student.logits = 'head.fc'
    task = _task(
        (student_model, found_student), (teacher_model, found_teacher), source
    )
    proposal = propose(method, task)
    plan = Plan(
        teacher_model,
        student_model,
        source,
        method,
        proposal,
        size,
        known is not None,
        classes,
        changes,
        teacher_ckpt or teacher_model.weights,
        found_student.last.map[0] if found_student.last else 0,
    )
    _check_timm_student(plan, found_student)
    _set_task_weight(plan)
    _note(plan, task)
    return plan


def _check_file(path: Optional[str]) -> None:
    if path is not None and '://' not in path and not osp.isfile(path):
        raise ValueError(
            f'--teacher-ckpt: no file {path!r}; give the path or the URL of '
            'a checkpoint'
        )


def _override(student: Model, options: Dict[str, Any]) -> None:
    """What the options say of the student, said to its dry run too."""
    lead = 'model.architecture.'
    own = {
        f'model.{key.removeprefix(lead)}': value
        for key, value in options.items()
        if key.startswith(lead)
    }
    config = Config(dict(model=student.model))
    config.merge_from_dict(own)
    student.model = config.model


def _size(student: Model, data: Data, options: Dict) -> Optional[Size]:
    """Height and width of the images; None where nothing says them."""
    given = options.get('model.distiller.input_size')
    if given is not None:
        return tuple(given)
    padded = (student.model.get('data_preprocessor') or {}).get('size')
    if data.own and padded:
        return tuple(padded)
    return data.size


def _task(
    student: Tuple[Model, Found], teacher: Tuple[Model, Found], data: Data
) -> Task:
    """What is distilled between which kinds of models."""
    (own, found_student), (other, found_teacher) = student, teacher
    why_not = ''
    theirs = None if other.is_timm else class_names(other.config)
    classes = len(data.classes) if data.classes else own.classes
    if other.is_timm:
        why_not = 'a backbone of timm has no classifier of its own'
    elif own.is_segmentor != other.is_segmentor:
        why_not = 'one model labels pixels and the other images'
    elif other.classes is None:
        why_not = 'the teacher has no classifier'
    elif other.classes != classes:
        why_not = (
            f'the teacher tells {other.classes} classes apart and the data '
            f'has {classes}'
        )
    elif theirs and data.classes and set(theirs) != set(data.classes):
        why_not = 'the teacher was trained on other classes than the data has'
    elif found_student.logits is None or found_teacher.logits is None:
        role = 'student' if found_student.logits is None else 'teacher'
        why_not = f'no layer of the {role} gives logits'
    return Task(
        found_student,
        found_teacher,
        own.is_segmentor,
        data.kind,
        not why_not,
        why_not,
    )


def _check_timm_student(plan: Plan, found: Found) -> None:
    if plan.student.is_timm and found.last and found.last.is_tokens:
        raise ValueError(
            f'--student: {plan.student.name} of timm returns tokens, which no '
            'classifier of mmpretrain pools; take it as a teacher, or a '
            'student of mmpretrain: --student mmpretrain::...'
        )


def _set_task_weight(plan: Plan) -> None:
    """Let the student's own loss weigh what the recipe says."""
    weight = plan.proposal.task_weight
    if weight is None or plan.student.is_timm:
        return
    change = loss_change(plan.student.model, weight)
    if change is None:
        plan.proposal.task_weight = None
        plan.notes.append(
            f"the recipe gives the student's own loss the weight {weight}, "
            'but its config does not name that loss: it keeps its own'
        )
    else:
        plan.changes.append(change)


def _note(plan: Plan, task: Task) -> None:
    """What the person should know, beside the config's comments."""
    teacher = plan.teacher
    if 'class' in task.why_not:
        plan.notes.append(f'{task.why_not}: only features are distilled')
    if not plan.size_is_known:
        plan.notes.append(
            'nothing says how large the images are: '
            f'{plan.size[0]}x{plan.size[1]} is assumed; else add '
            "--cfg-options 'model.distiller.input_size=(H,W)'"
        )
    if plan.teacher_ckpt is None:
        plan.notes.append(
            f'no weights of {teacher.name} are known: the teacher is random '
            'until you give --teacher-ckpt FILE_OR_URL'
        )
    for pair in plan.proposal.pairs:
        if pair.is_resized:
            sizes = [
                'x'.join(map(str, c.size))
                for c in (pair.student, pair.teacher)
            ]
            plan.notes.append(
                f"the student's map of {sizes[0]} is resized to the "
                f"teacher's {sizes[1]}"
            )
