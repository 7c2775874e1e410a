"""The plain config of a distilled student."""

import copy
from typing import Any, Dict, List

from mmengine.config import Config

from mmtat.models.utils import resolve_model_config

#: Parts that stand for one of mmengine's, and arguments of their own.
_STANDS_FOR = {
    'mmtat.SafeCheckpointHook': ('CheckpointHook', ('allow_changes',)),
    'mmtat.ExactIterBasedTrainLoop': (
        'IterBasedTrainLoop',
        ('seeded_samples',),
    ),
    'mmtat.ExactEpochBasedTrainLoop': (
        'EpochBasedTrainLoop',
        ('seeded_samples',),
    ),
}


def student_config(config: Config) -> Config:
    """A config of the student alone, for the stock tools.

    Args:
        config (Config): Of a distillation, whose ``model`` has an
            ``architecture``; any other config comes back as it is.

    Returns:
        Config: A copy whose ``model`` is the architecture, with nothing of
        mmtat or of the teacher, that neither loads nor resumes anything.
    """
    plain = copy.deepcopy(config._cfg_dict).to_dict()
    model = plain['model']
    if 'architecture' not in model:
        return config
    student, zoo_weights = resolve_model_config(
        model['architecture'], 'architecture'
    )
    student = student.to_dict()
    if zoo_weights is not None:
        student['init_cfg'] = dict(type='Pretrained', checkpoint=zoo_weights)
    if model.get('data_preprocessor') is not None:
        student.setdefault('data_preprocessor', model['data_preprocessor'])
    plain['model'] = student
    plain['load_from'] = None
    plain['resume'] = False
    plain.pop('find_unused_parameters', None)
    for name in ('custom_hooks', 'custom_imports'):
        if plain.get(name):
            plain[name] = _without_distillation(plain[name])
        if not plain.get(name):
            plain.pop(name, None)
    plain = _without_checks(plain)
    for part in (plain.get('train_cfg'), *_hooks(plain)):
        _replace_by_stock(part)
    if plain.get('default_hooks'):
        plain['default_hooks'] = {
            name: hook
            for name, hook in plain['default_hooks'].items()
            if not _is_distillation(hook or {})
        }
    for name in ('train_cfg', 'val_cfg', 'test_cfg'):
        if plain.get(name) and _is_distillation(plain[name]):
            # Such loops validate a teacher that is no longer there, or under
            # shifts, which the stock loop does not know.
            plain[name].pop('type')
            plain[name].pop('shifts', None)
    return Config(_without_scope(plain, plain.get('default_scope')))


def _hooks(plain: Dict[str, Any]) -> List[Any]:
    return list((plain.get('default_hooks') or {}).values())


def _replace_by_stock(part: Any) -> None:
    kind = part.get('type') if isinstance(part, dict) else None
    if kind in _STANDS_FOR:
        part['type'], own = _STANDS_FOR[kind]
        for name in own:
            part.pop(name, None)


def _without_checks(value: Any) -> Any:
    """Datasets without the wrapper that counts what fails."""
    if isinstance(value, dict):
        if value.get('type') == 'mmtat.CheckedDataset':
            return _without_checks(value['dataset'])
        return {key: _without_checks(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_without_checks(item) for item in value)
    return value


def _without_scope(value: Any, scope: Any) -> Any:
    """Drop ``_scope_`` where it says what ``default_scope`` says anyway."""
    if isinstance(value, dict):
        return {
            key: _without_scope(item, scope)
            for key, item in value.items()
            if not (key == '_scope_' and item == scope)
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_without_scope(item, scope) for item in value)
    return value


def _without_distillation(value: Any) -> Any:
    """Hooks or imports that are neither mmtat's nor mmrazor's."""
    if isinstance(value, list):
        return [item for item in value if not _is_distillation(item)]
    imports = value['imports']
    imports = [imports] if isinstance(imports, str) else imports
    imports = [name for name in imports if not _is_distillation(name)]
    return dict(value, imports=imports) if imports else {}


def _is_distillation(item: Any) -> bool:
    name = item.get('type', '') if isinstance(item, dict) else item
    return str(name).split('.')[0] in ('mmtat', 'mmrazor')
