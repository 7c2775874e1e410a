"""Two normalisations of one batch."""

import numpy as np
import pytest
import torch
from mmengine.model import ImgDataPreprocessor
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import PixelData

from mmtat.models.utils import DistillDataPreprocessor, teacher_preprocessor

from .toys import distillation

IMAGENET = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375])
HALF = dict(mean=[127.5, 127.5, 127.5], std=[127.5, 127.5, 127.5])


def seg_preprocessor(**kwargs):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(
            dict(type='mmseg.SegDataPreProcessor', size=(6, 6), **kwargs)
        )


def seg_batch():
    from mmseg.structures import SegDataSample

    inputs = [
        torch.randint(0, 256, (3, 4, 6), dtype=torch.uint8),
        torch.randint(0, 256, (3, 6, 5), dtype=torch.uint8),
    ]
    samples = [
        SegDataSample(
            gt_sem_seg=PixelData(data=torch.ones(1, *image.shape[1:]).long())
        )
        for image in inputs
    ]
    return dict(inputs=inputs, data_samples=samples)


def test_equal_normalisation_needs_no_second_batch():
    student = seg_preprocessor(bgr_to_rgb=True, **IMAGENET)
    assert teacher_preprocessor(student, student) is None
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        classifier = MODELS.build(
            dict(type='ClsDataPreprocessor', to_rgb=True, **IMAGENET)
        )
    assert teacher_preprocessor(student, classifier) is None


def test_the_teacher_sees_its_own_mean_std_channels_and_padding():
    student = seg_preprocessor(bgr_to_rgb=True, pad_val=0, **IMAGENET)
    teacher = seg_preprocessor(pad_val=-3, **HALF)
    both = DistillDataPreprocessor(
        student, teacher_preprocessor(student, teacher)
    )
    batch = seg_batch()
    images = [image.clone() for image in batch['inputs']]
    result = both(batch, training=True)
    for key, flip, settings, pad in (
        ('inputs', True, IMAGENET, 0),
        ('teacher_inputs', False, HALF, -3),
    ):
        mean = torch.tensor(settings['mean']).view(3, 1, 1)
        std = torch.tensor(settings['std']).view(3, 1, 1)
        for image, out in zip(images, result[key]):
            image = image[[2, 1, 0]] if flip else image
            expected = torch.full((3, 6, 6), float(pad))
            height, width = image.shape[1:]
            expected[:, :height, :width] = (image.float() - mean) / std
            torch.testing.assert_close(out, expected)
    # Labels are padded once.
    assert result['data_samples'][0].gt_sem_seg.data.shape == (1, 6, 6)


def test_mixup_and_cutmix_reach_both_alike():
    from mmpretrain.structures import DataSample

    def preprocessor(**settings):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            return MODELS.build(
                dict(
                    type='ClsDataPreprocessor',
                    num_classes=4,
                    batch_augments=dict(
                        augments=[
                            dict(type='Mixup', alpha=0.8),
                            dict(type='CutMix', alpha=1.0),
                        ]
                    ),
                    **settings,
                )
            )

    student, teacher = preprocessor(**IMAGENET), preprocessor(**HALF)
    both = DistillDataPreprocessor(
        student, teacher_preprocessor(student, teacher)
    )
    mean, std = (
        torch.tensor(IMAGENET[name]).view(3, 1, 1) for name in ('mean', 'std')
    )
    for seed in range(6):
        np.random.seed(seed)
        torch.manual_seed(seed)
        batch = dict(
            inputs=torch.randint(0, 256, (4, 3, 8, 8), dtype=torch.uint8),
            data_samples=[DataSample().set_gt_label(i) for i in range(4)],
        )
        raw = batch['inputs'].float()
        result = both(batch, training=True)
        mixed = result['inputs'] * std + mean
        assert not torch.allclose(mixed, raw)
        torch.testing.assert_close(
            result['teacher_inputs'], (mixed - 127.5) / 127.5
        )


def test_a_run_with_a_second_batch_draws_the_same_random_numbers():
    student = seg_preprocessor(**IMAGENET)
    teacher = seg_preprocessor(**HALF)
    both = DistillDataPreprocessor(
        student, teacher_preprocessor(student, teacher)
    )
    torch.manual_seed(1)
    student(seg_batch(), True)
    expected = torch.rand(1), np.random.rand()
    torch.manual_seed(1)
    np.random.seed(0)
    both(seg_batch(), True)
    assert torch.equal(torch.rand(1), expected[0])


def test_testing_prepares_the_student_only():
    student, teacher = seg_preprocessor(**IMAGENET), seg_preprocessor(**HALF)
    both = DistillDataPreprocessor(
        student, teacher_preprocessor(student, teacher)
    )
    batch = seg_batch()
    batch['inputs'][1] = batch['inputs'][0]
    assert 'teacher_inputs' not in both(batch, training=False)


def test_a_student_that_does_not_normalise_can_have_a_teacher_that_does():
    student, teacher = seg_preprocessor(), seg_preprocessor(**HALF)
    own = teacher_preprocessor(student, teacher)
    raw = seg_batch()
    images = [image.clone() for image in raw['inputs']]
    out = own(raw, True)['inputs']
    expected = (images[0].float() - 127.5) / 127.5
    torch.testing.assert_close(out[0, :, :4, :6], expected)


@pytest.mark.parametrize('differs', [True, False])
def test_the_algorithm_gives_the_teacher_its_own_inputs(differs):
    teacher = dict(HALF) if differs else dict(IMAGENET)
    preprocessors = [
        dict(type='ImgDataPreprocessor', **settings)
        for settings in (IMAGENET, teacher)
    ]
    model = MODELS.build(
        distillation(
            student=dict(data_preprocessor=preprocessors[0]),
            teacher=dict(data_preprocessor=preprocessors[1]),
        )
    )
    seen = []
    model.teacher.backbone.conv.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0])
    )
    image = torch.randint(0, 256, (3, 8, 8), dtype=torch.uint8)
    batch = model.data_preprocessor(dict(inputs=[image, image]), True)
    model(**batch, mode='loss')
    mean = torch.tensor(teacher['mean']).view(3, 1, 1)
    std = torch.tensor(teacher['std']).view(3, 1, 1)
    torch.testing.assert_close(seen[-1][0], (image.float() - mean) / std)
    plain = isinstance(model.data_preprocessor, ImgDataPreprocessor)
    assert plain is not differs
    assert not any('data_preprocessor' in name for name in model.state_dict())
