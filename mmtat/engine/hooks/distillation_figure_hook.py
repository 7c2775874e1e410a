"""Draws what a distillation does to some images, while it trains."""

from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner

from mmtat.ops import check_positive
from mmtat.registry import HOOKS

from ..checked_runner import bare_model


@HOOKS.register_module()
class DistillationFigureHook(Hook):
    """Draw Fig. 4 of the paper for the same images again and again.

    Every ``interval`` iterations it draws the student's features, the
    features that TaT makes of them, the teacher's, and where in the student
    pixels of the teacher look; see ``tools/visualize.py maps``. The figures
    go through ``runner.visualizer``, and so to whatever backends it has, as
    ``distillation_<image>``.

    Training goes on as without it: training flags, statistics of norms,
    random states and recorders are left as they were. Only the first process
    draws.

    Args:
        interval (int): Iterations from one figure to the next. Defaults to
            1000.
        images (int | list[str]): Paths of images, or how many of the first
            validation images. Defaults to 2.
        pixels (list[tuple[int, int]], optional): (x, y) in every image; by
            default some are picked in each: one of each class that the
            teacher predicts, or where its features are strongest.
        layer (int): Index of the distiller's pair of layers. Defaults to 0.
        branch (str, optional): One of the distiller's; by default all.
        reading (str): 'matched' or 'mixed', see
            :mod:`mmtat.engine.visualization.looks`. Defaults to 'matched'.

    Raises:
        ValueError: At once for arguments that cannot be; before training
            for images, pixels or layers that are not there.
    """

    priority = 'LOW'

    def __init__(
        self,
        interval: int = 1000,
        images: Union[int, Sequence[str]] = 2,
        pixels: Optional[Sequence[Tuple[int, int]]] = None,
        layer: int = 0,
        branch: Optional[str] = None,
        reading: str = 'matched',
    ) -> None:
        check_positive('interval', interval, whole=True)
        if not isinstance(images, (list, tuple)):
            check_positive('images', images, whole=True)
        elif not images:
            raise ValueError('images must be paths or a number, got none')
        from ..visualization.subject import check_reading

        check_reading(reading)
        self.interval = interval
        self.images = images
        _check_pixels(pixels or ())
        self.pixels = [tuple(pair) for pair in pixels or ()]
        self.layer = layer
        self.branch = branch
        self.reading = reading
        self._looker: Any = None
        self._pictures: List[Any] = []

    def before_train(self, runner: Runner) -> None:
        """Read the images, and refuse what cannot be drawn.

        Args:
            runner (Runner): Of a ``FrozenTeacherDistill`` with TaT.

        Raises:
            ValueError: See the class.
        """
        error = None
        if runner.rank == 0:
            try:
                self._prepare(runner)
            except ValueError as caught:
                error = caught
        # Else the other processes would wait for this one, and time out.
        failed = torch.tensor(float(error is not None))
        all_reduce(failed, 'max')
        if error is not None:
            raise error
        if failed:
            raise ValueError(
                'DistillationFigureHook: the first process cannot draw, and '
                'says why'
            )

    def _prepare(self, runner: Runner) -> None:
        # Takes a second, that only who draws has to wait.
        from ..visualization.images import first_pictures
        from ..visualization.looker import Looker
        from ..visualization.pixels import Pixel, check_inside

        pixels = [Pixel(*pair) for pair in self.pixels]
        self._looker = Looker(
            bare_model(runner), runner.cfg, self.layer, self.branch, pixels
        )
        loop = runner.val_loop
        dataset = None if loop is None else loop.dataloader.dataset
        self._pictures = first_pictures(self.images, dataset)
        for picture in self._pictures:
            check_inside(pixels, picture)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Optional[Dict] = None,
    ) -> None:
        """Draw, in every ``interval``-th iteration.

        Args:
            runner (Runner): Of the run.
            batch_idx (int): Unused.
            data_batch (Any): Unused.
            outputs (dict, optional): Unused.
        """
        is_due = self.every_n_train_iters(runner, self.interval)
        if runner.rank != 0 or not is_due:
            return
        from ..visualization.outputs import as_array

        self._looker.algorithm.load_teacher()
        for picture in self._pictures:
            figure = self._looker.figure(
                self._looker.look_at(picture),
                f'iteration {runner.iter + 1}',
                self.reading,
            )
            runner.visualizer.add_image(
                f'distillation_{picture.name}',
                as_array(figure),
                step=runner.iter + 1,
            )


def _check_pixels(pairs: Sequence[Tuple[int, int]]) -> None:
    for pair in pairs:
        is_pair = isinstance(pair, (list, tuple)) and len(pair) == 2
        if not is_pair or not all(isinstance(one, int) for one in pair):
            raise ValueError(
                'pixels must be pairs (x, y) of whole numbers, column and '
                f'row in the image, got {pair!r}'
            )
