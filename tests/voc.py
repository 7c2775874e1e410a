"""A tiny folder in the layout of VOC, and the real configs made small."""

import runpy
import sys
from pathlib import Path

import torch

from mmtat.datasets.digit_scenes import write_digit_scenes
from mmtat.models.utils import (
    build_model,
    resolve_model_config,
    without_pretrained,
)

from .processes import forget_runs

ROOT = Path(__file__).parents[1]
CROP = 64

TEACHERS = dict(
    deeplabv3='mmseg::deeplabv3/'
    'deeplabv3_r101-d8_4xb4-40k_voc12aug-512x512.py',
    deeplabv3plus='mmseg::deeplabv3plus/'
    'deeplabv3plus_r101-d8_4xb4-40k_voc12aug-512x512.py',
    resnet34='mmpretrain::resnet/resnet34_8xb32_in1k.py',
)


def make_voc(root):
    """VOC-aug layout, of digit scenes: 4 + 4 training images, 2 to val."""
    return write_digit_scenes(root, train=4, tuning=1, val=2, aug=4, size=64)


def make_imagenet(root):
    """ImageNet layout with its 1000 folders, of which two hold images."""
    import cv2
    import numpy as np

    rng = np.random.default_rng(0)
    for split in ('train', 'val'):
        lines = []
        for label in (0, 1):
            for index in range(4):
                name = f'n{label}/n{label}_{index}.jpg'
                path = Path(root, split, name)
                path.parent.mkdir(parents=True, exist_ok=True)
                image = rng.integers(0, 256, (80, 90, 3), dtype=np.uint8)
                cv2.imwrite(str(path), image)
                lines.append(f'{name} {label}\n')
        Path(root, 'meta').mkdir(exist_ok=True)
        Path(root, 'meta', f'{split}.txt').write_text(''.join(lines))
    return Path(root)


def make_teacher(path, source):
    """A file as the zoo's, with random weights."""
    source = TEACHERS.get(source, source)
    config, _ = resolve_model_config(source, 'teacher')
    model = build_model(without_pretrained(config), 'teacher')
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


def loader_options(*names):
    """Options that read data in the main process."""
    return [
        f'{name}_dataloader.{option}'
        for name in names
        for option in ('num_workers=0', 'persistent_workers=False')
    ]


def voc_options(teacher, iters=2):
    """Options that make a VOC config run in seconds."""
    crop = f'({CROP},{CROP})'
    datasets = 'train_dataloader.dataset.datasets'
    return [
        f'model.teacher_ckpt={teacher}',
        'model.architecture.pretrained=None',
        f'model.architecture.data_preprocessor.size={crop}',
        'model.distiller.branches.patch_group.patches=(4,4)',
        'model.distiller.branches.patch_group.groups=4',
        'model.distiller.branches.anchor_point.anchors=(4,4)',
        *(f'{datasets}.{i}.pipeline.2.scale=(128,64)' for i in (0, 1)),
        *(f'{datasets}.{i}.pipeline.3.crop_size={crop}' for i in (0, 1)),
        *(f'{datasets}.{i}.pipeline.6.size={crop}' for i in (0, 1)),
        'val_dataloader.dataset.pipeline.1.scale=(128,64)',
        'test_dataloader.dataset.pipeline.1.scale=(128,64)',
        'train_dataloader.batch_size=2',
        *loader_options('train', 'val', 'test'),
        f'train_cfg.max_iters={iters}',
        'train_cfg.val_interval=2',
        'default_hooks.checkpoint.interval=2',
        'default_hooks.logger.interval=1',
    ]


def run_tool(monkeypatch, name, *arguments):
    """Run a tool as its file does; returns its exit status."""
    forget_runs()
    monkeypatch.chdir(ROOT)
    tool = str(ROOT / 'tools' / f'{name}.py')
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    try:
        runpy.run_path(tool, run_name='__main__')
    except SystemExit as exit:
        return exit.code or 0
    return 0
