"""Datasets of numbers, some of which fail."""

import random

import numpy as np
import torch
from mmengine.dataset import BaseDataset
from mmengine.registry import DATASETS, TRANSFORMS


@DATASETS.register_module()
class Numbers(BaseDataset):
    """Samples that are their index; some raise, some are None."""

    def __init__(self, length=8, bad=(), none=(), start=0, **kwargs):
        self.length, self.start = length, start
        pipeline = kwargs.pop('pipeline', [])
        pipeline = [dict(type='Take', bad=bad, none=none), *pipeline]
        # Serializing collects the garbage of the whole process.
        kwargs.setdefault('serialize_data', False)
        super().__init__(ann_file='', pipeline=pipeline, **kwargs)

    def load_data_list(self):
        numbers = range(self.start, self.start + self.length)
        return [
            dict(number=number, img_path=f'n{number}') for number in numbers
        ]

    def get_cat_ids(self, idx):
        return [idx % 2]


@TRANSFORMS.register_module()
class Take:
    """Fails for some samples, after it drew random numbers."""

    def __init__(self, bad, none):
        self.bad, self.none = bad, none

    def __call__(self, results):
        results['noise'] = np.random.rand() + random.random()
        if results['number'] in self.bad:
            raise OSError('broken')
        return None if results['number'] in self.none else results


@TRANSFORMS.register_module()
class ToInputs:
    """An image that shows the number, and noise of every source."""

    def __call__(self, results):
        value = results['number'] + results['noise'] + torch.rand(()).item()
        return dict(inputs=torch.full((3, 8, 8), value))
