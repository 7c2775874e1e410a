"""Trainings with random numbers of every kind, and what ends them."""

import os
import random
import signal

import numpy as np
import torch
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS

from .running import ToyImages


@DATASETS.register_module()
class AugmentedImages(ToyImages):
    """Images with noise from every source of random numbers there is."""

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        noise = random.random() + np.random.rand() + torch.rand(()).item()
        return dict(inputs=sample['inputs'] + noise)


class Interrupted(RuntimeError):
    """Ends a training as a signal would."""


@HOOKS.register_module()
class Interrupt(Hook):
    """Ends a training in the middle of an iteration."""

    at = None

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == Interrupt.at:
            raise Interrupted


@HOOKS.register_module()
class KillAt(Hook):
    """Kills the process in an iteration that the environment names."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if str(runner.iter) == os.environ.get('KILL_AT'):
            os.kill(os.getpid(), signal.SIGKILL)
