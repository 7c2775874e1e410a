"""Facts of a checkpoint that an export carries and its card states."""

import hashlib
import importlib.metadata
import os.path as osp
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from mmengine.config import Config
from mmengine.registry import DATASETS

from mmtat.version import __version__

from ..dataset_check import datasets_of
from .plain_config import registered_class
from .source import Source

#: Distributions by the scope of a config.
_ZOOS = dict(mmseg='mmsegmentation', mmpretrain='mmpretrain')


def dataset_meta(source: Source) -> Dict[str, Any]:
    """Classes and their like, of the file or of the config's dataset.

    Args:
        source (Source): The checkpoint.

    Returns:
        dict: ``classes`` and more; empty where they are not known.
    """
    known = source.meta.get('dataset_meta')
    if isinstance(known, dict) and known.get('classes'):
        return known
    if source.meta.get('CLASSES'):
        found = dict(classes=source.meta['CLASSES'])
        if source.meta.get('PALETTE'):
            found['palette'] = source.meta['PALETTE']
        return found
    for dataset in datasets_of(source.config):
        found = dict(_declared(dataset), **dict(dataset.get('metainfo') or {}))
        classes = found.get('classes')
        # mmpretrain also takes the path of a file that names them.
        if isinstance(classes, (list, tuple)):
            outputs = _outputs(source.config.model)
            return found if outputs in (None, len(classes)) else {}
    return {}


def _outputs(model: Dict[str, Any]) -> Optional[int]:
    heads = (model.get('decode_head'), model.get('head'))
    heads = [head for head in heads if isinstance(head, dict)]
    return heads[0].get('num_classes') if heads else None


def _declared(dataset: Dict[str, Any]) -> Dict[str, Any]:
    cls = registered_class(dataset.get('type'), DATASETS)
    return dict(getattr(cls, 'METAINFO', None) or {})


def export_meta(source: Source) -> Dict[str, Any]:
    """The ``meta`` entry of an export: what stock tools look for.

    Args:
        source (Source): The checkpoint.

    Returns:
        dict: Without the config.
    """
    meta = dict(exported_by=f'mmtat {__version__}')
    for name in ('iter', 'epoch', 'mmengine_version'):
        if name in source.meta:
            meta[name] = source.meta[name]
    classes = dataset_meta(source)
    return dict(meta, dataset_meta=classes) if classes else meta


def dataset_names(config: Config) -> List[str]:
    """Types of the data sets that a run trained on.

    Args:
        config (Config): Of the run.

    Returns:
        list[str]: Each once.
    """
    names = [str(d.get('type')) for d in datasets_of(config)]
    return list(dict.fromkeys(names))


def teacher_of(source: Source) -> Optional[str]:
    """Who taught, by name and file.

    Args:
        source (Source): The checkpoint.

    Returns:
        str | None: None where the file does not say.
    """
    model = (source.run or {}).get('model') or {}
    teacher = model.get('teacher')
    if teacher is None:
        return None
    name = teacher if isinstance(teacher, str) else describe_model(teacher)
    weights = model.get('teacher_ckpt')
    if isinstance(weights, dict):
        weights = weights.get('checkpoint')
    if not weights:
        return name
    # Folders of the machine that trained are of no use to a reader.
    is_url = '://' in str(weights)
    return f'{name}, {weights if is_url else osp.basename(str(weights))}'


def describe_model(model: Dict[str, Any]) -> str:
    """A model in a few words.

    Args:
        model (dict): Its config.

    Returns:
        str: As 'EncoderDecoder: ResNetV1c (depth 18), ASPPHead'.
    """
    if model.get('cfg_path'):
        return str(model['cfg_path'])
    parts = []
    for role in ('backbone', 'neck', 'decode_head', 'head'):
        part = model.get(role)
        # A cascade has several heads.
        for item in part if isinstance(part, (list, tuple)) else [part]:
            if isinstance(item, dict):
                parts.append(_describe_part(item))
    kind = str(model.get('type')).rpartition('.')[2]
    return f'{kind}: {", ".join(parts)}' if parts else kind


def _describe_part(part: Dict[str, Any]) -> str:
    kind = str(part.get('type')).rpartition('.')[2]
    for name in ('depth', 'arch', 'width', 'model_name'):
        if isinstance(part.get(name), (int, float, str)):
            return f'{kind} ({name} {part[name]})'
    return kind


def versions(scope: Optional[str], packages: Sequence[str]) -> Dict[str, str]:
    """Versions of what made an export.

    Args:
        scope (str, optional): Default scope of the student's config.
        packages (Sequence[str]): That the format needed.

    Returns:
        dict[str, str]: By the name of the distribution.
    """
    names = ['torch', 'mmengine', *filter(None, [_ZOOS.get(scope)])]
    found = {
        name: importlib.metadata.version(name) for name in [*names, *packages]
    }
    return dict(found, mmtat=__version__)


def sha256(path: Path) -> str:
    """The SHA-256 of a file.

    Args:
        path (Path): The file.

    Returns:
        str: 64 hexadecimal digits.
    """
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def text_sha256(text: str) -> str:
    """The SHA-256 of a text in UTF-8.

    Args:
        text (str): The text.

    Returns:
        str: 64 hexadecimal digits.
    """
    return hashlib.sha256(text.encode()).hexdigest()
