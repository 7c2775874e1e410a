"""Where a training is in its data, and how to get there again."""

import copy
import itertools
import random
from typing import Any, Dict, Iterator, Optional, Tuple, Union

import numpy as np
import torch
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_dist_info
from mmengine.registry import DATASETS
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from mmtat.models.utils import kept_random_state
from mmtat.registry import DATA_SAMPLERS


class Position(int):
    """The index of a sample that also knows which draw of the run it is.

    Args:
        index (int): Of the sample in its dataset.
        draw (int): Samples that the run had drawn before.
    """

    draw: int

    def __new__(cls, index: int, draw: int) -> 'Position':  # noqa: D102
        position = super().__new__(cls, index)
        position.draw = draw
        return position

    def __reduce__(self) -> tuple:
        return Position, (int(self), self.draw)


@DATA_SAMPLERS.register_module()
class ResumableSampler(Sampler):
    """Another sampler, which can begin amid its samples.

    Args:
        dataset (Sized): Of the samples.
        sampler (dict): Config of the sampler whose indices are given.
        seed (int, optional): Passed on. Defaults to None.
    """

    def __init__(
        self, dataset: Any, sampler: Dict, seed: Optional[int] = None
    ) -> None:
        self.sampler = DATA_SAMPLERS.build(
            sampler, default_args=dict(dataset=dataset, seed=seed)
        )
        self._rank, self._processes = get_dist_info()
        self._drawn = self._skip = 0

    @property
    def is_endless(self) -> bool:
        """Whether one iteration has no end."""
        return isinstance(self.sampler, InfiniteSampler)

    def begin_at(self, drawn: int, skip: int) -> None:
        """Let the next iteration begin amid its samples.

        Args:
            drawn (int): Samples of this process that the run had drawn
                before that iteration.
            skip (int): Those of the iteration that are left out.
        """
        self._drawn, self._skip = drawn + skip, skip

    def set_epoch(self, epoch: int) -> None:
        """Pass the epoch on.

        Args:
            epoch (int): Of the run.
        """
        if hasattr(self.sampler, 'set_epoch'):
            self.sampler.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Position]:
        skip, self._skip = self._skip, 0
        for index in itertools.islice(iter(self.sampler), skip, None):
            draw = self._drawn * self._processes + self._rank
            self._drawn += 1
            yield Position(index, draw)


class SeededSamples(Dataset):
    """A dataset whose samples each have random numbers of their own.

    A sample's augmentation then depends on the run's seed and on the draw,
    and no longer on the samples before it or on the worker that makes it:
    a run goes on amid its data without reading again what it had read. The
    random numbers are others than without it, of the same distributions.

    Args:
        dataset (Dataset): Whose samples are given.
        seed (int): Of the run.
    """

    def __init__(self, dataset: Dataset, seed: int) -> None:
        self.dataset = dataset
        self.seed = seed

    def __len__(self) -> int:
        return len(self.dataset)

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    def __getitem__(self, index: int) -> Any:
        if get_worker_info() is not None:
            return self._seeded(index)
        # Here the model draws its random numbers too.
        with kept_random_state():
            return self._seeded(index)

    def _seeded(self, index: int) -> Any:
        source = (self.seed, getattr(index, 'draw', 0), int(index))
        numbers = np.random.SeedSequence(source).generate_state(3)
        random.seed(int(numbers[0]))
        np.random.seed(numbers[1])
        torch.manual_seed(int(numbers[2]))
        return self.dataset[int(index)]


def resumable_loader(
    loader: Union[DataLoader, Dict], seeded_samples: bool, seed: int
) -> Union[DataLoader, Dict]:
    """The config of a loader that can begin amid its data.

    Args:
        loader (dict | DataLoader): Of a Runner's training.
        seeded_samples (bool): See :class:`SeededSamples`.
        seed (int): Of the run.

    Returns:
        dict | DataLoader: A new config; a built loader as it is.

    Raises:
        ValueError: Samples of a built loader are to be seeded.
    """
    if isinstance(loader, DataLoader):
        if seeded_samples:
            raise ValueError(
                'seeded_samples needs the config of a data loader, got a '
                'built one'
            )
        return loader
    config = copy.copy(loader)
    if isinstance(config['sampler'], dict):
        config['sampler'] = dict(
            type='mmtat.ResumableSampler', sampler=config['sampler']
        )
    if seeded_samples:
        dataset = config['dataset']
        if isinstance(dataset, dict):
            dataset = DATASETS.build(dataset)
            if hasattr(dataset, 'full_init'):
                dataset.full_init()
        config['dataset'] = SeededSamples(dataset, seed)
    return config


def must_replay(loader: DataLoader) -> bool:
    """Whether skipped batches must be read to come to the same place.

    Args:
        loader (DataLoader): Of the training.

    Returns:
        bool: True where workers draw random numbers from sample to sample,
        or the sampler is unknown.
    """
    is_known = isinstance(_sampler(loader), ResumableSampler)
    is_seeded = isinstance(loader.dataset, SeededSamples)
    return not is_known or not (is_seeded or loader.num_workers == 0)


def position(loader: DataLoader, batches: int) -> Tuple[int, int]:
    """Where in a loader's data a run by iterations is.

    Args:
        loader (DataLoader): That need not be replayed.
        batches (int): That the run had trained on; at least 1.

    Returns:
        tuple[int, int]: The epoch of the data that the last batch was of,
        and how many batches of it there were.
    """
    if _sampler(loader).is_endless:
        return 0, batches
    epoch = (batches - 1) // len(loader)
    return epoch, batches - epoch * len(loader)


def begin_at(loader: DataLoader, epoch: int, batches: int) -> None:
    """Let the next iteration of a loader begin amid its data.

    Args:
        loader (DataLoader): That need not be replayed.
        epoch (int): Of the data.
        batches (int): Of the epoch that the run had trained on; where these
            are all, the iteration gives none.
    """
    sampler, size = _sampler(loader), loader.batch_sampler.batch_size
    skip = batches * size
    if not sampler.is_endless:
        sampler.set_epoch(epoch)
        # The last batch may have been a smaller one.
        skip = min(skip, len(sampler))
    sampler.begin_at(epoch * len(sampler), skip)


def _sampler(loader: DataLoader) -> Any:
    return getattr(loader.batch_sampler, 'sampler', None)
