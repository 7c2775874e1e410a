"""The datasets of a config, built to have their files read."""

import contextlib
import logging
from dataclasses import dataclass
from typing import Any, Dict, Iterator, List, Optional, Sequence

from mmengine.config import Config
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, init_default_scope

from ..dataset_check import datasets_of
from ..dataset_files import problems_of
from .checks import Expected, expected_of


@dataclass
class Source:
    """One dataset of a config.

    Args:
        loaders (list[str]): Data loaders that it belongs to, as 'train'.
        kind (str): Its type.
        dataset (BaseDataset): Built.
        expected (Expected): What its samples may be.
    """

    loaders: List[str]
    kind: str
    dataset: BaseDataset
    expected: Expected

    @property
    def loader(self) -> str:
        """The loaders, in words."""
        return ', '.join(self.loaders)


def sources_of(config: Config, loaders: Sequence[str]) -> List[Source]:
    """Build the datasets inside all wrappers of a config.

    Args:
        config (Config): Of a run.
        loaders (Sequence[str]): 'train', 'val' and 'test', or some of them;
            what the config lacks is left out.

    Returns:
        list[Source]: One for datasets that several loaders share.

    Raises:
        ValueError: There are none, or the list of its samples cannot be
            read.
    """
    init_default_scope(config.get('default_scope', 'mmengine'))
    sources: List[Source] = []
    seen: List[Dict] = []
    for loader in loaders:
        for dataset in datasets_of(config, (f'{loader}_dataloader',)):
            if dataset in seen:
                known = sources[seen.index(dataset)].loaders
                known += [loader] if loader not in known else []
                continue
            seen.append(dataset)
            sources.append(_built(dataset, loader))
    if not sources:
        raise ValueError(
            f'config: it has no dataset for {", ".join(loaders)}; name other '
            '--loaders'
        )
    return sources


def _built(config: Dict, loader: str) -> Source:
    kind = str(config.get('type'))
    try:
        with _quiet():
            dataset = DATASETS.build(config)
            getattr(dataset, 'full_init', lambda: None)()
    except Exception as error:
        raise ValueError(_reason(config, loader, kind, error)) from error
    if not isinstance(dataset, BaseDataset):
        raise ValueError(
            f'{loader}: {kind} is no BaseDataset of mmengine, so that it is '
            'not known which files it reads'
        )
    return Source([loader], kind, dataset, expected_of(dataset))


def _reason(config: Dict, loader: str, kind: str, error: Exception) -> str:
    """Why a dataset cannot be built: what lacks of it, or what it said."""
    known: Optional[List[str]] = None
    with contextlib.suppress(Exception):
        known = problems_of(config)
    told = '; '.join(known or [f'{type(error).__name__}: {error}'])
    return f'{loader}: {kind} cannot be read: {told}'


@contextlib.contextmanager
def _quiet() -> Iterator[Any]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
