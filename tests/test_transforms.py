"""What the pipelines of the segmentation recipes do to an image."""

import random
from copy import deepcopy
from functools import lru_cache

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmengine.registry import MODELS, TRANSFORMS, DefaultScope
from PIL import Image

from mmtat.datasets.transforms import EvaluateResized
from mmtat.models.utils import load_config

from .voc import ROOT

FOLDERS = ('voc', 'coco_stuff10k')
#: In the file; COCO-Stuff counts from 1 there.
LABEL = dict(voc=3, coco_stuff10k=4)


@lru_cache(maxsize=None)
def config_of(folder):
    path = ROOT / 'configs' / folder / 'deeplabv3plus_r18.py'
    return load_config(str(path), 'config')


def train_pipeline(folder):
    dataset = config_of(folder).train_dataloader.dataset
    return dataset.get('datasets', [dataset])[0].pipeline


def compose(pipeline):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return Compose(pipeline)


def build(transform):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return TRANSFORMS.build(transform)


@pytest.fixture(params=FOLDERS)
def sample(request, tmp_path):
    """A light image, 60 high and 90 wide, all of class 3; its folder."""
    Image.new('RGB', (90, 60), (200, 100, 50)).save(tmp_path / 'image.png')
    label = Image.new('L', (90, 60), LABEL[request.param])
    label.save(tmp_path / 'label.png')
    return request.param, dict(
        img_path=str(tmp_path / 'image.png'),
        seg_map_path=str(tmp_path / 'label.png'),
        reduce_zero_label=request.param == 'coco_stuff10k',
        seg_fields=[],
        label_map=None,
    )


def test_short_edges_are_drawn_evenly_from_256_to_1026():
    (resize,) = (t for t in train_pipeline('voc') if t.type == 'RandomResize')
    resize = build(resize)
    # 3 by 6 pixels: the long edge follows.
    shapes = []
    for _ in range(300):
        image = np.zeros((3, 6, 3), np.uint8)
        results = resize(dict(img=image, img_shape=(3, 6)))
        shapes.append(results['img'].shape[:2])
    short, long = np.array(shapes).T
    assert (long == 2 * short).all()
    assert 256 <= short.min() < 270 and 1010 < short.max() <= 1026
    # 4 standard errors of 300 uniform numbers.
    assert abs(short.mean() - 641) < 4 * (770 / 12**0.5) / 300**0.5


def test_half_of_the_images_are_blurred_by_a_radius_below_1():
    (blur,) = (t for t in train_pipeline('voc') if 'Blur' in t.type)
    blur = build(blur)
    image = np.zeros((9, 9, 3), np.uint8)
    image[4, 4] = 255
    peaks = np.array(
        [blur(dict(img=image.copy()))['img'][4, 4, 0] for _ in range(400)]
    )
    changed = peaks < 255
    # A radius of almost 0 changes nothing either.
    assert 0.35 < changed.mean() < 0.55
    # Pillow's radius is a standard deviation: at 1 the centre of the kernel
    # is 1 / (2 pi) = 0.16 of the point.
    assert 0.1 * 255 < peaks.min() < 0.35 * 255


def test_a_crop_is_513_and_its_border_black_background_or_ignored(sample):
    folder, results = sample
    pipeline = compose(train_pipeline(folder))
    preprocessor = config_of(folder).model.data_preprocessor
    with DefaultScope.overwrite_default_scope('mmseg'):
        preprocessor = MODELS.build(preprocessor)
    border = dict(voc=0, coco_stuff10k=255)[folder]
    padded = 0
    for seed in range(12):
        np.random.seed(seed)
        random.seed(seed)
        out = pipeline(deepcopy(results))
        label = out['data_samples'].gt_sem_seg.data
        assert out['inputs'].shape == (3, 513, 513)
        assert label.shape == (1, 513, 513)
        assert set(label.unique().tolist()) <= {3, border}
        # The blur reaches some rows over the edge.
        if not (label[:, -20:] == border).all():
            continue
        padded += 1
        batch = dict(
            inputs=[out['inputs']], data_samples=[out['data_samples']]
        )
        corner = preprocessor(batch, True)['inputs'][0, :, -1, -1]
        # Black, then normalised: not the mean of the images, which is 0.
        expected = -preprocessor.mean / preprocessor.std
        torch.testing.assert_close(corner, expected.flatten())
    assert padded > 1


def test_images_and_labels_are_flipped_together(sample):
    folder, results = sample
    image = np.asarray(Image.open(results['img_path'])).copy()
    label = np.asarray(Image.open(results['seg_map_path'])).copy()
    image[:, :45], label[:, :45] = 0, LABEL[folder] + 4
    Image.fromarray(image).save(results['img_path'])
    Image.fromarray(label).save(results['seg_map_path'])
    steps = [
        transform
        for transform in train_pipeline(folder)
        if transform.type not in ('RandomResize', 'Pad', 'RandomCrop')
    ]
    flips = set()
    pipeline = compose(steps)
    for _ in range(12):
        out = pipeline(deepcopy(results))
        label = out['data_samples'].gt_sem_seg.data[0]
        dark = out['inputs'][2] < 100
        assert torch.equal(dark, label == 7)
        flips.add(bool(label[0, 0] == 3))
    assert flips == {False, True}


def test_warped_validation_compares_at_513(sample):
    folder, results = sample
    out = compose(config_of(folder).warped_pipeline)(deepcopy(results))
    label = out['data_samples'].gt_sem_seg.data
    assert out['inputs'].shape == (3, 513, 513)
    assert label.shape == (1, 513, 513) and set(label.unique().tolist()) == {3}
    # Where mmsegmentation takes the size of its predictions from.
    assert out['data_samples'].ori_shape == (513, 513)


def test_validation_compares_at_the_images_own_size(sample):
    folder, results = sample
    pipeline = config_of(folder).val_dataloader.dataset.pipeline
    out = compose(pipeline)(deepcopy(results))
    assert out['inputs'].shape == (3, 513, 770)
    assert out['data_samples'].gt_sem_seg.data.shape == (1, 60, 90)
    assert out['data_samples'].ori_shape == (60, 90)


def test_the_original_size_becomes_that_of_the_resized_label():
    results = dict(
        img_shape=(4, 6), ori_shape=(8, 3), gt_seg_map=np.zeros((4, 6))
    )
    assert EvaluateResized()(results)['ori_shape'] == (4, 6)
    assert repr(EvaluateResized()) == 'EvaluateResized()'


@pytest.mark.parametrize('label', [None, np.zeros((8, 3))])
def test_a_label_that_was_not_resized_is_refused(label):
    results = dict(img_shape=(4, 6), ori_shape=(8, 3))
    if label is not None:
        results['gt_seg_map'] = label
    with pytest.raises(ValueError, match='LoadAnnotations before Resize'):
        EvaluateResized()(results)
