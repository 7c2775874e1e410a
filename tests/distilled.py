"""A distillation run as it is left behind, without having trained."""

from pathlib import Path

import torch

from mmtat.datasets import write_digit_scenes
from mmtat.engine.inspected import built, read_config

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / 'configs/demo/digit_scenes_tat.py'
WHOLE = 'model.distiller.branches.whole.loss_weight'


class DistilledRun:
    """Data, checkpoint and teacher of a run of the demo's config."""

    def __init__(self, folder, seed=0):
        self.data = write_digit_scenes(
            folder / 'data', train=2, tuning=1, val=3, size=40
        )
        self.checkpoint = folder / 'iter_2.pth'
        self.teacher = folder / 'teacher.pth'
        torch.manual_seed(seed)
        algorithm = built(read_config(str(CONFIG)))
        student, distiller = {}, {}
        for name, tensor in algorithm.state_dict().items():
            own = name.removeprefix('distiller.')
            (student if own == name else distiller)[own] = tensor
        content = dict(state_dict=student, distiller=distiller, meta={})
        torch.save(content, self.checkpoint)
        self.alone = folder / 'alone.pth'
        torch.save(dict(state_dict=student, meta={}), self.alone)
        teacher = algorithm.teacher.state_dict()
        torch.save(dict(state_dict=teacher), self.teacher)

    def image(self, index=0):
        """Path of a validation image."""
        return self.data / 'JPEGImages' / f'val_{index:05d}.jpg'
