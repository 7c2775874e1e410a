"""Validation under shifts that training never showed."""

import copy
from typing import Any, Dict, List

import torch
from mmengine.logging import print_log
from mmengine.runner import Runner, ValLoop, autocast
from mmengine.runner.loops import _parse_losses, _update_losses
from torch.utils.data import DataLoader

from mmtat.registry import LOOPS

from ..dataset_check import datasets_of


@LOOPS.register_module()
class ShiftsValLoop(ValLoop):
    """The stock ValLoop, then the same data again under each shift.

    A shift's transforms stand right after the last ``LoadImage...`` of the
    pipeline, so before it is resized or packed; at the begin of a pipeline
    that has none, as where the data set itself holds the images. Its metrics
    are logged with its name in front, as ``noise/mIoU``, in the same record
    as the others, which keep their names for ``save_best`` and the like.
    Hooks of single iterations see the unshifted data alone.

    Args:
        runner (Runner): Of the run.
        dataloader (dict): Config of a data loader.
        evaluator (dict | list | Evaluator): Of every pass.
        shifts (dict[str, list[dict]]): By its name, the transforms of each
            shift. Let them be deterministic, so that runs can be compared.
        fp16 (bool): Whether to validate in float16. Defaults to False.

    Raises:
        TypeError: The data loader, a data set or ``shifts`` is no config.
        ValueError: A shift has no name, a slash in it, or no transform.

    Examples:
        >>> val_cfg = dict(
        ...     type='mmtat.ShiftsValLoop',
        ...     shifts=dict(noise=[dict(type='mmtat.GaussianNoise', std=40)]))
    """

    def __init__(
        self,
        runner: Runner,
        dataloader: Dict,
        evaluator: Any,
        shifts: Dict[str, List[Dict]],
        fp16: bool = False,
    ) -> None:
        _check_shifts(shifts)
        # Built last, for building changes a config.
        configs = {
            name: shifted_dataloader(dataloader, transforms)
            for name, transforms in shifts.items()
        }
        super().__init__(runner, dataloader, evaluator, fp16)
        diff_rank_seed = runner._randomness_cfg.get('diff_rank_seed', False)
        #: The data loader of each shift.
        self.shifted: Dict[str, DataLoader] = {
            name: runner.build_dataloader(
                config, seed=runner.seed, diff_rank_seed=diff_rank_seed
            )
            for name, config in configs.items()
        }

    def run(self) -> Dict[str, float]:
        """Validate without and with every shift.

        Returns:
            dict[str, float]: All metrics.
        """
        self.runner.call_hook('before_val')
        self.runner.call_hook('before_val_epoch')
        self.runner.model.eval()
        self.val_loss.clear()
        for index, batch in enumerate(self.dataloader):
            self.run_iter(index, batch)
        metrics = self.evaluator.evaluate(len(self.dataloader.dataset))
        if self.val_loss:
            metrics.update(_parse_losses(self.val_loss, 'val'))
        for name in self.shifted:
            metrics.update(self._metrics_under(name))
        self.runner.call_hook('after_val_epoch', metrics=metrics)
        self.runner.call_hook('after_val')
        return metrics

    @torch.no_grad()
    def _metrics_under(self, name: str) -> Dict[str, float]:
        print_log(f'Validating under the shift {name!r}', 'current')
        loader = self.shifted[name]
        for batch in loader:
            with autocast(enabled=self.fp16):
                outputs = self.runner.model.val_step(batch)
            outputs, _ = _update_losses(outputs, {})
            self.evaluator.process(data_samples=outputs, data_batch=batch)
        metrics = self.evaluator.evaluate(len(loader.dataset))
        return {f'{name}/{key}': value for key, value in metrics.items()}


def shifted_dataloader(dataloader: Dict, transforms: List[Dict]) -> Dict:
    """Insert transforms after the loading of the images.

    Args:
        dataloader (dict): Config of a data loader, also of wrapped data sets.
        transforms (list[dict]): What to insert.

    Returns:
        dict: A copy; see :class:`ShiftsValLoop` for the place.

    Raises:
        TypeError: The data loader, a data set or its pipeline is no config.
    """
    if not isinstance(dataloader, dict):
        raise TypeError(
            'dataloader must be a config, into whose pipeline the shifts '
            f'are inserted, got a {type(dataloader).__name__}'
        )
    shifted = copy.deepcopy(dataloader)
    datasets = list(datasets_of(dict(val=shifted), ['val']))
    if not datasets:
        raise TypeError(
            'dataloader.dataset must be a config, got a '
            f'{type(dataloader.get("dataset")).__name__}'
        )
    for dataset in datasets:
        pipeline = list(dataset.get('pipeline', ()))
        place = _place(pipeline)
        pipeline[place:place] = copy.deepcopy(list(transforms))
        dataset['pipeline'] = pipeline
    return shifted


def _place(pipeline: List[Dict]) -> int:
    """Where the image exists first."""
    place = 0
    for index, transform in enumerate(pipeline):
        if not isinstance(transform, dict):
            raise TypeError(
                'dataloader.dataset.pipeline must hold configs, got a '
                f'{type(transform).__name__}'
            )
        kind = transform.get('type')
        name = kind if isinstance(kind, str) else kind.__name__
        if name.split('.')[-1].startswith('LoadImage'):
            place = index + 1
    return place


def _check_shifts(shifts: Dict[str, List[Dict]]) -> None:
    if not isinstance(shifts, dict):
        raise TypeError(
            'shifts must be a dict of lists of transforms, such as '
            "dict(noise=[dict(type='mmtat.GaussianNoise', std=40)]), got "
            f'{shifts!r}'
        )
    for name, transforms in shifts.items():
        if not isinstance(name, str) or not name or '/' in name:
            raise ValueError(
                f'shifts: a name must be a word without a slash, got {name!r}'
            )
        is_list = isinstance(transforms, (list, tuple))
        if not is_list or not all(isinstance(t, dict) for t in transforms):
            raise TypeError(
                f'shifts.{name} must be a list of transform configs, got '
                f'{transforms!r}'
            )
        if not transforms:
            raise ValueError(f'shifts.{name} holds no transform')
