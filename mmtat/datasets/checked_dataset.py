"""A wrapper whose dataset names and counts the samples that fail."""

from typing import Any, Dict, Union

from mmengine.registry import DATASETS as MMENGINE_DATASETS
from torch.utils.data import Dataset

from mmtat.engine.data_check.in_run import MOST, check_samples, checked_share
from mmtat.registry import DATASETS


@DATASETS.register_module()
class CheckedDataset(Dataset):
    """A dataset that names and counts the samples that fail.

    For mmengine's ``IterBasedTrainLoop`` with workers, and outside of a
    Runner; elsewhere :class:`DataFaultHook` needs no other dataset. What is
    checked, and what mmengine does otherwise, is said in
    :func:`check_samples`. Everything else is the wrapped dataset's.

    Args:
        dataset (dict | Dataset): mmengine's, mmsegmentation's or
            mmpretrain's, or a wrapper around such.
        most (float): Share of the samples that may fail before the run ends,
            in [0, 1]. Defaults to 0.001; of less than 1000 samples none.
        seed (int): Of the samples that are taken instead. Defaults to 0.
        lazy_init (bool): Whether to read the lists of samples later.
            Defaults to False.

    Raises:
        ValueError: ``most`` is out of its range.
    """

    def __init__(
        self,
        dataset: Union[Dict, Dataset],
        most: float = MOST,
        seed: int = 0,
        lazy_init: bool = False,
    ) -> None:
        if isinstance(dataset, dict):
            dataset = MMENGINE_DATASETS.build(dataset)
        self.dataset = dataset
        self._most, self._seed = checked_share(most), seed
        self._fully_initialized = False
        if not lazy_init:
            self.full_init()

    def full_init(self) -> None:
        """Read the lists of samples."""
        if self._fully_initialized:
            return
        if hasattr(self.dataset, 'full_init'):
            self.dataset.full_init()
        check_samples(self.dataset, self._most, self._seed)
        self._fully_initialized = True

    def __getattr__(self, name: str) -> Any:
        if name == 'dataset' or name.startswith('__'):
            raise AttributeError(name)
        return getattr(self.dataset, name)

    @property
    def pipeline(self) -> Any:
        """That of the wrapped dataset, where it has one."""
        return self.dataset.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Any) -> None:
        # As the hooks do that change the augmentation amid a run.
        self.dataset.pipeline = pipeline
        check_samples(self.dataset, self._most, self._seed)

    def __len__(self) -> int:
        self.full_init()
        return len(self.dataset)

    def __getitem__(self, index: int) -> Any:
        self.full_init()
        return self.dataset[index]
