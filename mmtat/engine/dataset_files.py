"""What lacks in the folders that a dataset's config names."""

import inspect
import os
import os.path as osp
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

from mmengine.registry import DATASETS

from .preparation.cifar import check_files
from .preparation.class_folders import check_classes, count_images
from .preparation.layout import did_you_mean, shown
from .preparation.samples import spread

#: Of a longer split so many files are looked for, evenly spread.
MOST_CHECKED = 50000
#: What the paths of a sample lead to.
_FILES = dict(img_path='image', seg_map_path='label')


def problems_of(dataset: Dict) -> List[str]:
    """What lacks of one dataset.

    Args:
        dataset (dict): Its config.

    Returns:
        list[str]: A problem each.
    """
    kind = dataset.get('type')
    root = dataset.get('data_root') or ''
    with DATASETS.switch_scope_and_registry(None) as registry:
        cls = registry.get(kind) if isinstance(kind, str) else kind
    if '://' in root:
        return []
    if hasattr(cls, 'base_folder') and hasattr(cls, 'train_list'):
        return _cifar_problems(cls, dataset, root)
    if _fetches_itself(cls, dataset):
        return []
    if root and _folder_problems(root, 'data_root'):
        return _folder_problems(root, 'data_root')
    return _layout_problems(cls, dataset, root)


def _fetches_itself(cls: Any, dataset: Dict) -> bool:
    """Whether the dataset downloads what is missing, as CIFAR's does."""
    if cls is None or 'download' not in inspect.signature(cls).parameters:
        return False
    return dataset.get('download', True)


def _cifar_problems(cls: Any, dataset: Dict, root: str) -> List[str]:
    folder = osp.join(root, dataset.get('data_prefix') or '')
    files = {name: md5 for name, md5 in cls.train_list + cls.test_list}
    there = osp.join(folder, cls.base_folder)
    if not _fetches_itself(cls, dataset):
        problems = _folder_problems(folder, 'data_root')
        return problems or check_files(Path(folder), cls.base_folder, files)
    # What is not there at all is downloaded, and what is there is believed
    # to be meant.
    is_beside = any(osp.isfile(osp.join(folder, name)) for name in files)
    if not osp.isdir(there) and not is_beside:
        return []
    problems = check_files(Path(folder), cls.base_folder, files)
    if problems and not is_beside:
        problems.append(f'delete {there!r} to have it downloaded anew')
    return problems


def _layout_problems(cls: Any, dataset: Dict, root: str) -> List[str]:
    """What a data root lacks: folders and lists, then files."""
    entries, problems = [], []
    split = dataset.get('ann_file')
    if split:
        entries.append(split)
        if not osp.isfile(osp.join(root, split)):
            problems.append(
                f'no split file {osp.join(root, split)!r} (ann_file); is '
                f'{root!r} the right data_root? Set it by --data-root DIR'
            )
    for name, folder in _folders_of(cls, dataset).items():
        entries.append(folder)
        problems += _folder_problems(osp.join(root, folder), name)
    problems += _content_problems(cls, dict(dataset), root, bool(problems))
    if problems:
        problems += did_you_mean(Path(root), entries)
    return problems


def _folders_of(cls: Any, dataset: Dict) -> Dict[str, str]:
    """Folders that a config names, by the setting that does."""
    prefixes = dataset.get('data_prefix') or {}
    if isinstance(prefixes, str):
        prefixes = dict(img_path=prefixes)
    folders = {f'data_prefix.{name}': p for name, p in prefixes.items() if p}
    if _is_of_classes(cls, dataset):
        folders['split'] = dataset['split']
    return folders


def _is_of_classes(cls: Any, dataset: Dict) -> bool:
    """Whether it is mmpretrain's ImageNet, or built like it."""
    return bool(dataset.get('split')) and hasattr(cls, '_find_samples')


def _folder_problems(folder: str, name: str) -> List[str]:
    if not osp.isdir(folder):
        return [
            f'no folder {folder!r} ({name}); set the dataset by '
            '--data-root DIR'
        ]
    if not os.listdir(folder):
        return [f'the folder {folder!r} ({name}) is empty']
    return []


def _content_problems(
    cls: Any, dataset: Dict, root: str, is_wrong: bool
) -> List[str]:
    """Files that lack, as far as the dataset can be read at all."""
    is_of_classes = _is_of_classes(cls, dataset)
    is_of_labels = set(_FILES) <= set(dataset.get('data_prefix') or {})
    if not (is_of_classes or is_of_labels):
        return []
    folder = osp.join(root, dataset.get('split', ''))
    listed = osp.join(root, 'meta', f'{dataset.get("split")}.txt')
    try:
        built = DATASETS.build(dict(dataset, lazy_init=True))
        if is_of_labels or dataset.get('ann_file') or osp.isfile(listed):
            samples = built.load_data_list()
        else:
            samples = None
            counts = count_images(Path(folder), built.extensions, most=1)
    except Exception as error:
        # Of the dataset's own class; or what is known to lack is the reason.
        kind = type(error).__name__
        return (
            [] if is_wrong else [f'the data cannot be read: {kind}: {error}']
        )
    if samples is not None:
        return _missing_files(built, dataset, samples)
    classes = len(built.CLASSES or counts)
    return check_classes(Path(folder), counts, classes, built.extensions)


def _missing_files(
    built: Any, dataset: Dict, samples: List[Dict]
) -> List[str]:
    """Images and labels that lack, of those that a split names."""
    where = dataset.get('ann_file') or built.data_prefix.get('img_path')
    if not samples:
        return [f'{where!r} names no image']
    problems = []
    looked_at = spread(samples, MOST_CHECKED)
    of = 'that the split names'
    if len(looked_at) < len(samples):
        of = f'looked for, of the {len(samples)} {of},'
    for key, what in _FILES.items():
        paths = [s[key] for s in looked_at if s.get(key)]
        missing = [path for path in paths if not osp.isfile(path)]
        if missing:
            there = _kinds_in(missing[0]) if missing == paths else ''
            problems.append(
                f'{len(missing)} of the {len(paths)} {what}s {of} are '
                f'missing, as {shown(missing)}{there}'
            )
    if not dataset.get('ann_file'):
        problems += _lone_labels(built, samples)
    return problems


def _kinds_in(path: str) -> str:
    """What is there instead of the files, by their suffix."""
    folder = osp.dirname(path)
    names = os.listdir(folder) if osp.isdir(folder) else []
    kinds = Counter(osp.splitext(name)[1] for name in names)
    found = [f'{number} {kind!r}' for kind, number in kinds.most_common(2)]
    if not found:
        return ''
    return f' ({folder!r} has {" and ".join(found)} files)'


def _lone_labels(built: Any, samples: List[Dict]) -> List[str]:
    """Labels without an image, where the images are the list."""
    folder = built.data_prefix.get('seg_map_path')
    suffix = getattr(built, 'seg_map_suffix', None)
    if not (folder and suffix and osp.isdir(folder)):
        return []
    named = {osp.basename(sample['seg_map_path']) for sample in samples}
    lone = sorted(
        name
        for name in os.listdir(folder)
        if name.endswith(suffix) and name not in named
    )
    if not lone:
        return []
    return [
        f'{len(lone)} labels in {folder!r} have no image, as {shown(lone)}'
    ]
