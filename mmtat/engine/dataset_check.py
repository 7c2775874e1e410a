"""Whether the data of a config is there, before anything is started."""

import inspect
import os
import os.path as osp
from typing import Any, Dict, Iterator, List, Sequence

from mmengine.config import Config
from mmengine.registry import DATASETS, init_default_scope

#: Of a longer split so many files are looked for, evenly spread.
MOST_CHECKED = 50000

_LOADERS = ('train_dataloader', 'val_dataloader', 'test_dataloader')


def datasets_of(
    config: Config, loaders: Sequence[str] = _LOADERS
) -> Iterator[Dict]:
    """Every dataset of a config, also those inside wrappers.

    Args:
        config (Config): Of a run.
        loaders (Sequence[str]): Names of the data loaders.

    Yields:
        dict: The dataset's config itself, not a copy.
    """
    for name in loaders:
        loader = config.get(name)
        if loader:
            yield from _leaves(loader.get('dataset'))


def _leaves(dataset: Any) -> Iterator[Dict]:
    if isinstance(dataset, (list, tuple)):
        for item in dataset:
            yield from _leaves(item)
    elif isinstance(dataset, dict):
        inner = [k for k in ('dataset', 'datasets') if k in dataset]
        for key in inner:
            yield from _leaves(dataset[key])
        if not inner:
            yield dataset


def set_data_root(config: Config, root: str) -> None:
    """Let every dataset of a config read from ``root``.

    ``--cfg-options data_root=...`` cannot: a config's datasets have copied
    the value when the config is read.

    Args:
        config (Config): Changed in place.
        root (str): The folder.
    """
    for dataset in datasets_of(config):
        dataset['data_root'] = root


def check_datasets(config: Config, loaders: Sequence[str] = _LOADERS) -> None:
    """Raise unless every dataset's folders and files are there.

    Looked at are the data root, the split file and the folders; every image
    and label of a segmentation split; and of ImageNet's layout the folder of
    the split, and its images where a list in ``meta`` names them.

    Args:
        config (Config): Of a run.
        loaders (Sequence[str]): Data loaders to check.

    Raises:
        ValueError: Names the folder, split or image that is missing.
    """
    init_default_scope(config.get('default_scope', 'mmengine'))
    seen = []
    for dataset in datasets_of(config, loaders):
        if dataset not in seen and not dataset.get('backend_args'):
            seen.append(dataset)
            _check_dataset(dataset)


def _check_dataset(dataset: Dict) -> None:
    kind = dataset.get('type')
    root = dataset.get('data_root') or ''
    with DATASETS.switch_scope_and_registry(None) as registry:
        cls = registry.get(kind) if isinstance(kind, str) else kind
    if '://' in root or _fetches_itself(cls, dataset):
        return
    if root:
        _check_folder(root, kind, 'data_root')
    split = dataset.get('ann_file')
    if split and not osp.isfile(osp.join(root, split)):
        raise ValueError(
            f'{kind}: no split file {osp.join(root, split)!r} (ann_file); '
            f'is {root!r} the right data_root? Set it by --data-root DIR'
        )
    prefixes = dataset.get('data_prefix') or {}
    if isinstance(prefixes, str):
        prefixes = dict(img_path=prefixes)
    for name, prefix in prefixes.items():
        if prefix:
            _check_folder(osp.join(root, prefix), kind, f'data_prefix.{name}')
    if {'img_path', 'seg_map_path'} <= set(prefixes):
        _check_images(
            dict(dataset), dict(img_path='image', seg_map_path='label')
        )
    elif dataset.get('split') and hasattr(cls, '_find_samples'):
        # mmpretrain's ImageNet, and what is built like it.
        _check_folder(osp.join(root, dataset['split']), kind, 'split')
        if osp.isfile(osp.join(root, 'meta', f'{dataset["split"]}.txt')):
            _check_images(dict(dataset), dict(img_path='image'))


def _fetches_itself(cls: Any, dataset: Dict) -> bool:
    """Whether the dataset downloads what is missing, as CIFAR's does."""
    if cls is None or 'download' not in inspect.signature(cls).parameters:
        return False
    return dataset.get('download', True)


def _check_folder(folder: str, kind: str, name: str) -> None:
    if not osp.isdir(folder):
        raise ValueError(
            f'{kind}: no folder {folder!r} ({name}); set the dataset by '
            '--data-root DIR'
        )
    if not os.listdir(folder):
        raise ValueError(f'{kind}: the folder {folder!r} ({name}) is empty')


def _check_images(dataset: Dict, names: Dict[str, str]) -> None:
    """The files that a split names are there; see :func:`check_datasets`."""
    kind = dataset['type']
    try:
        built = DATASETS.build(dict(dataset, lazy_init=True))
        samples: List[Dict] = built.load_data_list()
    except Exception as error:
        raise ValueError(
            f'{kind}: the data cannot be read: {error}'
        ) from error
    if not samples:
        raise ValueError(f'{kind}: {dataset.get("ann_file")!r} names no image')
    step = -(-len(samples) // MOST_CHECKED)
    for key, what in names.items():
        paths = [s[key] for s in samples[::step] if s.get(key)]
        missing = [path for path in paths if not osp.isfile(path)]
        if missing:
            raise ValueError(
                f'{kind}: {len(missing)} of the {len(paths)} {what}s that '
                f'the split names are missing, as {missing[0]!r}'
            )
