"""Whether model and data know the same number of classes."""

from typing import Any, Dict, Optional, Sequence

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

from .dataset_check import datasets_of

#: Heads whose classes are those of the data.
_HEADS = ('decode_head', 'head')


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
    model = config.model.get('architecture', config.model)
    if not isinstance(model, dict):
        return
    init_default_scope(config.get('default_scope', 'mmengine'))
    for name in _HEADS:
        head = model.get(name)
        classes = head.get('num_classes') if isinstance(head, dict) else None
        for dataset in datasets_of(config, loaders) if classes else ():
            known = _classes_of(dataset)
            if known is not None and known != classes:
                raise ValueError(
                    f'{name}.num_classes={classes}, but the dataset '
                    f'{dataset.get("type")} has {known} classes; set it to '
                    f'{known}, or take the dataset that the model is for'
                )


def _classes_of(dataset: Dict[str, Any]) -> Optional[int]:
    metainfo = dataset.get('metainfo') or {}
    classes = metainfo.get('classes')
    if classes is None:
        kind = dataset.get('type')
        with DATASETS.switch_scope_and_registry(None) as registry:
            cls = registry.get(kind) if isinstance(kind, str) else kind
        classes = getattr(cls, 'METAINFO', {}).get('classes')
    # mmpretrain also takes the path of a file that names them.
    return len(classes) if isinstance(classes, (list, tuple)) else None
