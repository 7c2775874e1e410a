"""Whether the data of a config is there, before anything is started."""

from typing import Any, Dict, Iterator, List, Sequence

from mmengine.config import Config
from mmengine.registry import init_default_scope

from .dataset_files import problems_of

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
    and label of a segmentation split; of ImageNet's layout the folder of the
    split, and its images where a list in ``meta`` names them, else the
    folders of its classes; and CIFAR's files where there are any.

    Args:
        config (Config): Of a run.
        loaders (Sequence[str]): Data loaders to check.

    Raises:
        ValueError: Names all that is missing: a line for each class of
            datasets.
    """
    init_default_scope(config.get('default_scope', 'mmengine'))
    seen = []
    problems: Dict[str, List[str]] = {}
    for dataset in datasets_of(config, loaders):
        if dataset not in seen and not dataset.get('backend_args'):
            seen.append(dataset)
            found = problems.setdefault(str(dataset.get('type')), [])
            found += [p for p in problems_of(dataset) if p not in found]
    lines = [
        # Hints go to the end.
        f'{kind}: {"; ".join(sorted(found, key=_is_hint))}'
        for kind, found in problems.items()
        if found
    ]
    if lines:
        raise ValueError('\n'.join(lines))


def _is_hint(problem: str) -> bool:
    return problem.startswith('did you mean')
