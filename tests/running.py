"""Runs of the stock Runner on toy data, for the tests."""

import copy

import numpy as np
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import DATASETS, METRICS
from mmengine.runner import Runner
from torch.utils.data import Dataset

from .toys import distillation, save_teacher


@DATASETS.register_module()
class ToyImages(Dataset):
    """Images of noise; the same index is always the same image."""

    metainfo = dict(classes=('a', 'b', 'c'), palette=[[0, 0, 0]] * 3)

    def __init__(self, length=8):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        generator = torch.Generator().manual_seed(index)
        return dict(inputs=torch.rand(3, 8, 8, generator=generator))


@METRICS.register_module()
class MeanLogit(BaseMetric):
    """A number that depends on every weight that predicts."""

    def process(self, data_batch, data_samples):
        self.results += [sample.mean().item() for sample in data_samples]

    def compute_metrics(self, results):
        # Of numpy, as mmsegmentation's are.
        return dict(score=np.float32(sum(results) / len(results)))


def toy_config(work_dir, model=None, max_iters=4, **overrides):
    """A whole config; the run checkpoints and validates every 2 iterations."""
    loader = dict(
        batch_size=2,
        num_workers=0,
        collate_fn=dict(type='default_collate'),
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(type='ToyImages'),
    )
    if model is None:
        path = work_dir / 'teacher.pth'
        work_dir.mkdir(parents=True, exist_ok=True)
        save_teacher(path)
        model = distillation(
            dict(type='mmtat.TaTDistiller', layers=['backbone.conv']),
            # Dropout would make a resumed run differ: mmengine saves no
            # random state.
            student=dict(norm='none'),
            teacher_ckpt=str(path),
        )
    config = dict(
        model=model,
        work_dir=str(work_dir),
        train_dataloader=loader,
        val_dataloader=copy.deepcopy(loader),
        train_cfg=dict(
            type='IterBasedTrainLoop', max_iters=max_iters, val_interval=2
        ),
        val_cfg=dict(),
        val_evaluator=dict(type='MeanLogit'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        param_scheduler=[
            dict(type='MultiStepLR', milestones=[3], by_epoch=False)
        ],
        default_hooks=dict(
            checkpoint=dict(
                type='CheckpointHook',
                by_epoch=False,
                interval=2,
                save_best='score',
                rule='greater',
            ),
            logger=dict(type='LoggerHook', interval=1),
        ),
        log_processor=dict(by_epoch=False),
        randomness=dict(seed=0),
        experiment_name=f'{work_dir.name}_{torch.rand(1).item()}',
    )
    return copy.deepcopy(dict(config, **overrides))


def train(config):
    """Train by the stock Runner and return it."""
    from mmengine.config import Config

    runner = Runner.from_cfg(Config(copy.deepcopy(config)))
    runner.train()
    return runner
