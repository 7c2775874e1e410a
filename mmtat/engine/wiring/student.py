"""What a student's config must change for other data or another loss."""

import copy
from typing import Any, Dict, Iterator, List, Optional, Tuple

from mmengine.config import ConfigDict

Path = Tuple[Any, ...]
#: A place in a config, and the value that it gets.
Change = Tuple[Path, Any]


def class_changes(model: ConfigDict, old: int, new: int) -> List[Change]:
    """Changes that give a model's heads another number of classes.

    Args:
        model (ConfigDict): Of the student.
        old (int): Classes that it has.
        new (int): Classes of the data.

    Returns:
        list[Change]: One for each place that names the number, and for each
        list of weights of the old classes.
    """
    changes = []
    for path, value in _leaves(model, ()):
        if path[-1] == 'num_classes' and value == old:
            changes.append((path, new))
        is_list = isinstance(value, (list, tuple))
        if path[-1] == 'class_weight' and is_list and len(value) == old:
            changes.append((path, None))
    return changes


def loss_change(model: ConfigDict, weight: float) -> Optional[Change]:
    """The change that gives a classifier's own loss another weight.

    Args:
        model (ConfigDict): Of the student.
        weight (float): Of its loss.

    Returns:
        Change | None: None where its config does not name the loss.
    """
    head = model.get('head')
    loss = head.get('loss') if isinstance(head, dict) else None
    if not isinstance(loss, dict) or 'type' not in loss:
        return None
    return ('head', 'loss', 'loss_weight'), weight


def as_statements(changes: List[Change], name: str) -> str:
    """Changes of a base's variable, as the lines of a config.

    Args:
        changes (list[Change]): They.
        name (str): Of the variable, such as '_base_.model'.

    Returns:
        str: Lines.
    """
    lines = []
    for path, value in changes:
        steps = ''.join(
            f'[{step}]' if isinstance(step, int) else f'.{step}'
            for step in path
        )
        lines.append(f'{name}{steps} = {value!r}')
    return '\n'.join(lines)


def as_overrides(model: ConfigDict, changes: List[Change]) -> Dict[str, Any]:
    """Changes as a dict that is merged into a model's config.

    Args:
        model (ConfigDict): Of the student.
        changes (list[Change]): They.

    Returns:
        dict: Nested as the model; a list stands there whole, as nothing
        merges into one.
    """
    changed = copy.deepcopy(model).to_dict()
    for path, value in changes:
        inner = changed
        for step in path[:-1]:
            inner = inner[step]
        inner[path[-1]] = value
    overrides: Dict[str, Any] = {}
    for path, value in changes:
        outer, source = overrides, changed
        for step in path[:-1]:
            source = source[step]
            if isinstance(source, (list, tuple)):
                outer[step] = source
                break
            outer = outer.setdefault(step, {})
        else:
            outer[path[-1]] = value
    return overrides


def _leaves(value: Any, path: Path) -> Iterator[Change]:
    if isinstance(value, dict):
        for key, item in value.items():
            if path or key != 'data_preprocessor':
                yield (*path, key), item
                yield from _leaves(item, (*path, key))
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(value):
            if isinstance(item, (dict, list, tuple)):
                yield from _leaves(item, (*path, index))
