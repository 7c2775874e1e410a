"""Teachers and students of the zoos, and two steps of distilling them."""

from argparse import Namespace

import numpy as np
from mmengine.config import Config
from PIL import Image

from mmtat.engine.dataset_check import datasets_of
from mmtat.engine.training import train
from mmtat.engine.wiring import checked_text, launch_command, make_plan
from mmtat.models.utils import without_pretrained

from .voc import make_imagenet, make_voc

CROP = 128
#: Teacher, student, data (None for the student's own) and method: CNNs and
#: transformers on either side, of both zoos and of timm.
PAIRS = [
    # Segmentation.
    (
        'mmseg::pspnet_r50-d8_4xb4-20k_voc12aug-512x512',
        'mmseg::fcn_hr18s_4xb4-20k_voc12aug-512x512',
        None,
        'tat',
    ),
    (
        'mmseg::deeplabv3plus_r101-d8_4xb4-40k_voc12aug-512x512',
        'mmseg::segformer_mit-b0_8xb2-160k_ade20k-512x512',
        'voc',
        'tat',
    ),
    (
        'mmseg::segformer_mit-b1_8xb2-160k_ade20k-512x512',
        'mmseg::mobilenet-v2-d8_fcn_4xb4-160k_ade20k-512x512',
        None,
        'tat',
    ),
    (
        'mmseg::convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512',
        'mmseg::segformer_mit-b0_8xb2-160k_ade20k-512x512',
        None,
        'tat',
    ),
    (
        'mmseg::upernet_r50_4xb4-80k_ade20k-512x512',
        'mmseg::swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-'
        '512x512',
        None,
        'tat',
    ),
    (
        'mmseg::swin-tiny-patch4-window7-in1k-pre_upernet_8xb2-160k_ade20k-'
        '512x512',
        'mmseg::convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512',
        None,
        'tat',
    ),
    (
        'mmseg::segmenter_vit-t_mask_8xb1-160k_ade20k-512x512',
        'mmseg::segnext_mscan-t_1xb16-adamw-160k_ade20k-512x512',
        None,
        'tat',
    ),
    (
        'mmseg::vit_deit-s16_upernet_8xb2-80k_ade20k-512x512',
        'mmseg::fpn_r50_4xb4-160k_ade20k-512x512',
        None,
        'tat',
    ),
    (
        'mmseg::ocrnet_hr18_4xb4-20k_voc12aug-512x512',
        'mmseg::bisenetv2_fcn_4xb4-160k_cityscapes-1024x1024',
        'voc',
        'cwd',
    ),
    (
        'mmpretrain::resnet50_8xb32_in1k',
        'mmseg::fcn_r50-d8_4xb4-20k_voc12aug-512x512',
        None,
        'tat',
    ),
    # Classification.
    (
        'mmpretrain::resnet34_8xb32_in1k',
        'mmpretrain::resnet18_8xb32_in1k',
        None,
        'tat',
    ),
    (
        'mmpretrain::deit-small_4xb256_in1k',
        'mmpretrain::mobilenet-v2_8xb32_in1k',
        None,
        'tat',
    ),
    (
        'mmpretrain::resnet50_8xb32_in1k',
        'mmpretrain::deit-tiny_4xb256_in1k',
        None,
        'tat',
    ),
    (
        'mmpretrain::swin-tiny_16xb64_in1k',
        'mmpretrain::mobilevit-small_8xb128_in1k',
        None,
        'tat',
    ),
    (
        'mmpretrain::vit-base-p16_64xb64_in1k-384px',
        'mmpretrain::mobilenet-v3-small_8xb128_in1k',
        None,
        'l2',
    ),
    (
        'mmpretrain::convnext-tiny_32xb128_in1k',
        'mmpretrain::swin-tiny_16xb64_in1k',
        None,
        'review',
    ),
    (
        'mmpretrain::efficientnet-b0_8xb32_in1k',
        'mmpretrain::poolformer-s12_32xb128_in1k',
        None,
        'kd',
    ),
]
TIMM_PAIRS = [
    (
        'timm::vit_tiny_patch16_224',
        'mmpretrain::resnet18_8xb32_in1k',
        None,
        'tat',
    ),
    (
        'mmpretrain::resnet34_8xb32_in1k',
        'timm::mobilenetv3_small_100',
        'imagenet',
        'tat',
    ),
]


def name_of(pair):
    """Of a pair, short enough for a test's name."""
    names = [source.partition('::')[2].split('_8x')[0] for source in pair[:2]]
    return '-'.join([pair[3], *(name.split('_4x')[0] for name in names)])


def make_ade(root):
    """ADE20K's layout: 4 training images, 2 to validate."""
    rng = np.random.default_rng(0)
    for split, count in (('training', 4), ('validation', 2)):
        folders = [root / kind / split for kind in ('images', 'annotations')]
        for folder in folders:
            folder.mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (150, 160, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folders[0] / f'{index}.jpg')
            label = rng.integers(0, 151, (15, 16), dtype=np.uint8)
            label = Image.fromarray(label).resize((160, 150), Image.NEAREST)
            label.save(folders[1] / f'{index}.png')
    return root


MAKERS = dict(
    PascalVOCDataset=make_voc, ADE20KDataset=make_ade, ImageNet=make_imagenet
)


def written(pair, out, cfg_options=None):
    """The config that the tool writes for a pair; returns its plan too."""
    teacher, student, data, method = pair
    plan = make_plan(teacher, student, data, method, None, cfg_options)
    text = checked_text(plan, str(out), launch_command(str(out)), cfg_options)
    out.write_text(text)
    return plan, text


def small_config(path, root):
    """A written config on tiny data, with small crops and no downloads."""
    config = Config.fromfile(path)
    kind = next(datasets_of(config))['type']
    model = config.model
    model.architecture = without_pretrained(model.architecture)
    if 'cfg_path' in model.architecture:
        model.architecture.pretrained = None
    model.teacher_ckpt = None
    if kind != 'ImageNet':
        for dataset in datasets_of(config):
            for transform in dataset.pipeline:
                if transform['type'] == 'RandomCrop':
                    transform.crop_size = (CROP, CROP)
                if transform['type'] in ('RandomResize', 'Resize'):
                    transform.scale = (2 * CROP, CROP)
        model.architecture.setdefault('data_preprocessor', {})
        model.architecture.data_preprocessor.size = (CROP, CROP)
        small = dict(patches=(4, 4), groups=4, anchors=(4, 4))
        for branch in model.distiller.get('branches', {}).values():
            branch.update({k: small[k] for k in small if k in branch})
    for name in ('train', 'val', 'test'):
        loader = config.get(f'{name}_dataloader')
        if loader:
            loader.update(num_workers=0, persistent_workers=False)
            loader.pop('prefetch_factor', None)
    config.train_dataloader.batch_size = 2
    if 'max_epochs' in config.train_cfg:
        # A few iterations, shorter than any warm-up.
        config.train_cfg.max_epochs = 1
        config.param_scheduler = None
    else:
        config.train_cfg.update(max_iters=2, val_interval=2)
    config.val_dataloader = config.val_cfg = config.val_evaluator = None
    config.default_hooks.logger.interval = 1
    config.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=1000, save_last=False
    )
    for dataset in datasets_of(config):
        dataset.data_root = str(root)
    return config


def train_small(config, folder):
    """Two iterations as ``tools/train.py`` makes them; returns the Runner."""
    path = folder / 'small.py'
    Config(config.to_dict()).dump(str(path))
    return train(
        Namespace(
            config=str(path),
            work_dir=str(folder / 'run'),
            data_root=None,
            cfg_options={},
            launcher='none',
            local_rank=0,
            resume=None,
            amp=False,
            auto_scale_lr=False,
        )
    )
