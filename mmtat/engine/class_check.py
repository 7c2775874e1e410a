"""Whether model and data know the same classes."""

import re
from typing import Any, Dict, Iterator, Optional, Sequence, Tuple

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from .dataset_check import datasets_of

#: Heads whose classes are those of the data.
_HEADS = ('decode_head', 'head')
#: Classes that a message names.
_SHOWN = 3


def check_class_numbers(config: Config, loaders: Sequence[str]) -> None:
    """Raise where a head has another number of classes than the data.

    Looked at are a student whose config is written out, and datasets that
    name their classes.

    Args:
        config (Config): Of a run.
        loaders (Sequence[str]): Names of the data loaders.

    Raises:
        ValueError: Names the head, the dataset, and both numbers.
    """
    for _, message in class_number_problems(config, loaders):
        raise ValueError(message)


def class_number_problems(
    config: Config, loaders: Sequence[str]
) -> Iterator[Tuple[str, str]]:
    """Heads that have another number of classes than the data.

    Args:
        config (Config): Of a run.
        loaders (Sequence[str]): Names of the data loaders.

    Yields:
        tuple[str, str]: Place of the head's setting in the config, and what
        is wrong with it.
    """
    is_distilled = 'architecture' in config.model
    model = config.model.get('architecture', config.model)
    if not isinstance(model, dict):
        return
    init_default_scope(config.get('default_scope', 'mmengine'))
    for name in _HEADS:
        head = model.get(name)
        classes = head.get('num_classes') if isinstance(head, dict) else None
        for dataset in datasets_of(config, loaders) if classes else ():
            known = classes_of_dataset(dataset)
            if known is not None and len(known) != classes:
                place = 'model.architecture' if is_distilled else 'model'
                yield (
                    f'{place}.{name}.num_classes',
                    f'{name}.num_classes={classes}, but the dataset '
                    f'{dataset.get("type")} has {len(known)} classes; set it '
                    f'to {len(known)}, or take the dataset that the model is '
                    'for',
                )


def classes_of_dataset(dataset: Dict[str, Any]) -> Optional[Tuple[str, ...]]:
    """Names of the classes of a dataset, without building it.

    Args:
        dataset (dict): Its config; types without a scope are looked up in
            the scope that is current.

    Returns:
        tuple[str, ...] | None: They, where the config or the class says.
    """
    classes = (dataset.get('metainfo') or {}).get('classes')
    if classes is None:
        kind = dataset.get('type')
        with DATASETS.switch_scope_and_registry(None) as registry:
            cls = registry.get(kind) if isinstance(kind, str) else kind
        classes = (getattr(cls, 'METAINFO', None) or {}).get('classes')
    # mmpretrain also takes the path of a file that names them.
    is_list = isinstance(classes, (list, tuple))
    return tuple(map(str, classes)) if is_list else None


def classes_of_checkpoint(checkpoint: Any) -> Optional[Tuple[str, ...]]:
    """Names of the classes that a checkpoint says it was trained on.

    Args:
        checkpoint (Any): What a file holds; of mmengine, or of mmcv 1.x.

    Returns:
        tuple[str, ...] | None: They, where it says.
    """
    meta = checkpoint.get('meta') if isinstance(checkpoint, dict) else None
    if not isinstance(meta, dict):
        return None
    newer = meta.get('dataset_meta')
    newer = newer if isinstance(newer, dict) else {}
    for classes in (newer.get('classes'), meta.get('CLASSES')):
        if isinstance(classes, (list, tuple)) and classes:
            return tuple(map(str, classes))
    return None


def difference_of_classes(
    own: Sequence[str], data: Sequence[str]
) -> Optional[str]:
    """How a model's classes differ from those of the data.

    Spelling does not count: case, spaces, and synonyms after a comma.

    Args:
        own (Sequence[str]): Names that the model was trained on.
        data (Sequence[str]): Names in the data.

    Returns:
        str | None: With numbers and some names; None where they are equal.
    """
    mine, theirs = list(map(_plain, own)), list(map(_plain, data))
    if mine == theirs:
        return None
    shared = len(set(mine) & set(theirs))
    if len(mine) != len(theirs):
        return (
            f'{len(own)} classes ({_listed(own)}), and the data has '
            f'{len(data)} ({_listed(data)}); {shared} have the same name'
        )
    places = [
        i for i, pair in enumerate(zip(mine, theirs)) if len(set(pair)) > 1
    ]
    shown = ', '.join(
        f'{index} is {own[index]!r} there and {data[index]!r} here'
        for index in places[:_SHOWN]
    )
    what = (
        'the same classes in another order'
        if shared == len(mine)
        else (f'{len(own)} classes of which {shared} are in the data')
    )
    return f'{what}: {len(places)} of {len(own)} differ, as {shown}'


def _plain(name: str) -> str:
    return re.sub(r'[^0-9a-z]', '', name.split(',')[0].lower())


def _listed(names: Sequence[str]) -> str:
    more = ', ...' if len(names) > _SHOWN else ''
    return ', '.join(names[:_SHOWN]) + more
