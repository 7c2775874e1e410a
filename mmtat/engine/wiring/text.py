"""The config of a plan, as a person would write it."""

import os.path as osp
from typing import Any, Dict, List, Optional

from mmtat.models.utils import load_config

from .code import Code, Commented, assignment, comment
from .exact_resume import exact_resume
from .plan import Plan
from .schedule import replaced, student_schedule, without_layer_decay
from .student import as_overrides, as_statements

#: Turns the weights of a timm backbone into a teacher's file.
_TIMM_WEIGHTS = """A backbone of timm has no file that fits by itself; this \
makes one:
  python -c "import timm, torch; model = timm.create_model(
    '{name}', pretrained=True); torch.save({
    'backbone.timm_model.' + name: tensor for name, tensor in
    model.state_dict().items()}, 'FILE')\""""


def config_text(plan: Plan, out: Optional[str], command: str) -> str:
    """Write the config of a plan.

    Args:
        plan (Plan): It.
        out (str, optional): Where it will be; then configs of files are
            named relative to it, else absolutely.
        command (str): That starts the training, for the header.

    Returns:
        str: Python.
    """
    bases, settings = _bases(plan)
    named = [_base(base, out) for base in bases]
    parts = [
        _header(plan, command),
        assignment('_base_', named[0] if len(named) == 1 else named),
    ]
    if plan.data.own and plan.changes:
        parts.append(_explain_changes(plan))
        parts.append(as_statements(plan.changes, '_base_.model'))
        old = plan.student.config.get('data_preprocessor') or {}
        if 'num_classes' in old and old['num_classes'] != plan.classes:
            settings['data_preprocessor'] = dict(num_classes=plan.classes)
    parts.append(assignment('model', _model(plan, out)))
    parts += [assignment(name, value) for name, value in settings.items()]
    return '\n'.join(parts) + '\n'


def _bases(plan: Plan) -> tuple:
    """Configs to inherit from, and settings beside the model."""
    if plan.data.own:
        bases, settings = [plan.student.reference], {}
        schedule = plan.student.config
    else:
        bases, settings = list(plan.data.bases), {}
        schedule = plan.data.config
        if not plan.data.has_schedule:
            own, settings = student_schedule(plan.student)
            bases += own
            schedule = plan.student.config
            if plan.student.is_timm:
                schedule = load_config(own[0], 'schedule')
        if 'log_level' not in plan.data.config:
            scope = plan.data.config.default_scope
            bases.append(f'{scope}::_base_/default_runtime.py')
    optimizer = schedule.get('optim_wrapper') or {}
    settings.update(
        exact_resume(schedule.get('train_cfg'), 'train_cfg' not in settings)
    )
    changed = without_layer_decay(optimizer)
    if changed:
        if 'optim_wrapper' in settings:
            changed = replaced({**optimizer, **changed})
            changed['paramwise_cfg'].pop('_delete_', None)
        settings['optim_wrapper'] = Commented(
            changed,
            'One learning rate for all layers: what decays it by layer looks '
            "for names that begin with 'backbone.', which a distilled "
            "student's do not.",
        )
    return bases, settings


def _header(plan: Plan, command: str) -> str:
    size = 'x'.join(map(str, plan.size))
    title = (
        f'{_TITLES.get(plan.method, plan.method.upper())}, '
        f'{plan.teacher.short_name} -> {plan.student.short_name} on '
        f'{plan.data.kind}, images of {size}. Proposed by tools/distill.py; '
        'nothing here was tuned for this pair.'
    )
    lines = [comment(title), f'#   {command}']
    offline = []
    if '://' in (plan.teacher_ckpt or ''):
        offline.append('model.teacher_ckpt=FILE')
    offline += [f'model.architecture.{path}' for path in _fetched(plan)]
    if offline:
        lines.append(f'# Without a network: --cfg-options {offline[0]}')
        lines += [f'#   {option}' for option in offline[1:]]
    if plan.data.own:
        whose = "Data and schedule are the student's own."
    elif plan.data.has_schedule:
        whose = 'Data and schedule are those of the first base.'
        if len(plan.data.bases) > 1:
            whose = 'Data and schedule are those of the first two bases.'
    elif plan.student.is_timm:
        whose = 'The schedule is a plain one: timm says none.'
    else:
        whose = "The schedule is the student's own."
    return '\n'.join([*lines, comment(whose)])


def _fetched(plan: Plan) -> List[str]:
    """Options that keep the student from fetching what it starts from."""
    if plan.student.is_timm:
        return ['backbone.pretrained=False']
    found = []
    for part in ('', 'backbone'):
        config = plan.student.model.get(part) if part else plan.student.model
        lead = f'{part}.' if part else ''
        if isinstance(config.get('pretrained'), str):
            found.append(f'{lead}pretrained=None')
        if 'Pretrained' in str((config.get('init_cfg') or {})):
            found.append(f'{lead}init_cfg=None')
    # Of a config that is read by its name, this one covers all.
    return found if plan.data.own or not found else ['pretrained=None']


_TITLES = dict(tat='TaT', l2='FitNet (L2)', review='ReviewKD', wkd='WKD-F')


def _explain_changes(plan: Plan) -> str:
    reasons = []
    if any(path[-1] == 'num_classes' for path, _ in plan.changes):
        reasons.append(
            f'{plan.data.kind} has {plan.classes} classes, the config of the '
            f'student {plan.student.classes}.'
        )
    if plan.proposal.task_weight is not None:
        reasons.append("The rest of the weight is the logits', below.")
    return comment(' '.join(reasons))


def _model(plan: Plan, out: Optional[str]) -> Dict[str, Any]:
    model: Dict[str, Any] = {}
    if plan.data.own or 'model' in plan.data.config:
        model['_delete_'] = True
    model['type'] = 'mmtat.FrozenTeacherDistill'
    model['architecture'] = (
        Code('_base_.model') if plan.data.own else _architecture(plan, out)
    )
    model['teacher'] = _teacher(plan, out)
    model['teacher_ckpt'] = _teacher_ckpt(plan)
    distiller = dict(plan.proposal.distiller)
    if _must_name_size(plan):
        distiller['input_size'] = plan.size
    model['distiller'] = distiller
    return model


def _architecture(plan: Plan, out: Optional[str]) -> Any:
    student = plan.student
    changes = as_overrides(student.model, plan.changes)
    if student.is_timm:
        architecture = _timm_student(plan)
        if 'data_preprocessor' in plan.data.config:
            del architecture['data_preprocessor']
        return Commented(
            architecture,
            "timm's weights; pretrained=False starts without them.",
        )
    architecture = dict(cfg_path=_inside(student.reference, out), **changes)
    if student.is_segmentor:
        own = student.model.get('data_preprocessor') or {}
        if tuple(own.get('size') or plan.size) != tuple(plan.size):
            architecture['data_preprocessor'] = dict(size=plan.size)
    elif 'data_preprocessor' in plan.data.config:
        architecture['data_preprocessor'] = Code('_base_.data_preprocessor')
    if not plan.changes:
        return architecture
    return Commented(
        architecture, _explain_changes(plan)[2:].replace('\n# ', ' ')
    )


def _timm_student(plan: Plan) -> Dict[str, Any]:
    architecture = plan.student.model.to_dict()
    architecture['backbone']['pretrained'] = True
    architecture['neck'] = dict(type='GlobalAveragePooling')
    head = dict(
        type='LinearClsHead',
        num_classes=plan.classes,
        in_channels=plan.features,
    )
    weight = plan.proposal.task_weight
    if weight is not None:
        head['loss'] = dict(type='CrossEntropyLoss', loss_weight=weight)
    return dict(architecture, head=head)


def _teacher(plan: Plan, out: Optional[str]) -> Any:
    if plan.teacher.is_timm:
        return plan.teacher.model.to_dict()
    return _inside(plan.teacher.reference, out)


def _teacher_ckpt(plan: Plan) -> Any:
    teacher = plan.teacher
    if plan.teacher_ckpt is None:
        why = f'No weights of {teacher.name} are known: it is random until a '
        why += 'file is named here.'
        if teacher.is_timm:
            why += '\n' + _TIMM_WEIGHTS.replace('{name}', teacher.name)
        return Commented(None, why)
    if plan.teacher_ckpt != teacher.weights:
        return plan.teacher_ckpt
    result = f': {teacher.result} (reported)' if teacher.result else ''
    return Commented(plan.teacher_ckpt, f"The zoo's weights{result}.")


def _must_name_size(plan: Plan) -> bool:
    """Whether the size is known, and nothing else in the config says it."""
    if not plan.size_is_known:
        return False
    if plan.data.own or not plan.student.is_segmentor:
        own = plan.student.model.get('data_preprocessor') or {}
        return not own.get('size') and not plan.data.is_cropped
    return not (plan.student.model.get('data_preprocessor') or {}).get('size')


def _inside(reference: str, out: Optional[str]) -> str:
    """A config's name inside of another config."""
    if '::' in reference or out is None:
        return reference
    return '{{ fileDirname }}/' + _relative(reference, out)


def _base(reference: str, out: Optional[str]) -> str:
    if '::' in reference or out is None:
        return reference
    path = _relative(reference, out)
    return path if path.startswith('.') else f'./{path}'


def _relative(path: str, out: str) -> str:
    folder = osp.dirname(osp.abspath(out))
    return osp.relpath(path, folder).replace('\\', '/')
