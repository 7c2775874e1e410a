"""The labels of images, from a folder or from the config's data set."""

import inspect
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Union

import numpy as np
from mmengine.config import Config
from mmengine.registry import DATASETS, TRANSFORMS

from ..dataset_check import check_datasets, datasets_of
from .images import Picture
from .subject import dataset_class

_LOADERS = ('test_dataloader', 'val_dataloader')

#: (H, W) classes of a segmentation, or the class of an image.
Label = Union[np.ndarray, int]


def labels_of(
    config: Config,
    paths: Sequence[str],
    pictures: Sequence[Picture],
    folder: Optional[Path] = None,
) -> Optional[List[Label]]:
    """The label of each image.

    Args:
        config (Config): Of a run.
        paths (Sequence[str]): Files of the images.
        pictures (Sequence[Picture]): The images.
        folder (Path, optional): Of label maps that are named as the images;
            by default the config's data set is asked.

    Returns:
        list[np.ndarray | int] | None: None where an image has none.

    Raises:
        ValueError: A label is not in the folder, or of another size.
    """
    if folder is not None:
        infos = [_in_folder(config, path, folder) for path in paths]
    else:
        infos = _in_dataset(config, paths)
    if infos is None:
        return None
    labels = [_read(config, info) for info in infos]
    if any(label is None for label in labels):
        return None
    for label, picture, info in zip(labels, pictures, infos):
        if isinstance(label, np.ndarray) and label.shape != picture.size:
            raise ValueError(
                f'label {info["seg_map_path"]!r} is {label.shape[1]} wide and '
                f'{label.shape[0]} high, but its image {picture.size[1]} and '
                f'{picture.size[0]}'
            )
    return labels


def _in_folder(config: Config, path: str, folder: Path) -> Dict[str, Any]:
    dataset = next(iter(datasets_of(config, _LOADERS)), {})
    kind = dataset_class(dataset)
    defaults = inspect.signature(kind).parameters if kind else {}
    settings = {}
    for name, other in (
        ('seg_map_suffix', '.png'),
        ('reduce_zero_label', False),
    ):
        default = defaults[name].default if name in defaults else other
        settings[name] = dataset.get(name, default)
    file = folder / f'{Path(path).stem}{settings["seg_map_suffix"]}'
    if not file.is_file():
        raise ValueError(
            f'--labels: {str(file)!r} is not there; the folder must hold a '
            'label map for each image'
        )
    return dict(
        seg_map_path=str(file),
        label_map=None,
        reduce_zero_label=settings['reduce_zero_label'],
        seg_fields=[],
    )


def _in_dataset(
    config: Config, paths: Sequence[str]
) -> Optional[List[Dict[str, Any]]]:
    wanted = {str(Path(path).resolve()) for path in paths}
    found: Dict[str, Dict] = {}
    for dataset in datasets_of(config, _LOADERS):
        alone = dict(test_dataloader=dict(dataset=dataset))
        scope = config.get('default_scope', 'mmengine')
        try:
            check_datasets(Config(dict(alone, default_scope=scope)))
        except ValueError:
            continue
        built = DATASETS.build(dict(dataset, pipeline=[]))
        for index in range(len(built)):
            info = built.get_data_info(index)
            path = str(Path(str(info.get('img_path', ''))).resolve())
            if path in wanted:
                found[path] = info
    infos = [found.get(str(Path(path).resolve())) for path in paths]
    return None if None in infos else infos


def _read(config: Config, info: Dict[str, Any]) -> Optional[Label]:
    if 'gt_label' in info:
        return int(info['gt_label'])
    if info.get('seg_map_path') is None:
        return None
    steps = [
        step
        for dataset in datasets_of(config, _LOADERS)
        for step in dataset.get('pipeline', [])
        if str(step.get('type')).endswith('LoadAnnotations')
    ]
    step = steps[0] if steps else dict(type='mmseg.LoadAnnotations')
    loaded = TRANSFORMS.build(step)(dict(info))
    return np.asarray(loaded['gt_seg_map']).astype(np.int64)
