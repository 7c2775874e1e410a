"""What is said at the start of a training whose teacher cannot teach."""

import json
import math

import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.registry import DATASETS, METRICS, MODELS
from mmengine.structures import BaseDataElement, PixelData
from torch import nn

from mmtat.engine.class_check import (
    classes_of_checkpoint,
    difference_of_classes,
)
from mmtat.engine.teacher_sense import (
    ChanceLevel,
    RecordLook,
    channel_ranges,
)

from .running import ToyImages, toy_config, train
from .toys import ToySegmentor, distillation, save_teacher

IMAGENET = dict(
    type='ImgDataPreprocessor', mean=[9.0, 8.0, 7.0], std=[2.0] * 3
)
SENSE = dict(type='mmtat.TeacherSenseHook')


# Chance.


def images_of(*labels):
    """An image of mmpretrain for each label."""
    samples = []
    for label in labels:
        sample = BaseDataElement()
        sample.gt_label = torch.tensor([label])
        samples.append(sample)
    return samples


def maps_of(*labels):
    """A label map of mmsegmentation for each list of pixels."""
    samples = []
    for pixels in labels:
        sample = BaseDataElement()
        sample.gt_sem_seg = PixelData(data=torch.tensor(pixels)[None, None])
        samples.append(sample)
    return samples


def chance(samples, classes=2):
    level = ChanceLevel([f'class {index}' for index in range(classes)])
    level.add(samples)
    return level


def test_an_accuracy_beside_the_largest_class():
    level = chance(images_of(*[0] * 18, *[1] * 12))
    line = level.warning({'accuracy/top1': 62.0, 'accuracy/top5': 100.0})
    assert "its accuracy/top1 is 62.00, and predicting 'class 0' " in line
    assert 'for every image gives 60.00 (30 images, 2 classes)' in line
    # A tenth of the way from 60 to 100.
    assert level.warning({'accuracy/top1': 64.0})
    assert level.warning({'accuracy/top1': 64.1}) is None


def test_an_accuracy_of_few_images_beside_a_guess():
    level = chance(images_of(0, 1, 1), classes=10)
    line = level.warning({'accuracy/top1': 15.0})
    assert 'guessing among 10 classes gives 10.00 (3 images' in line
    assert level.warning({'accuracy/top1': 15.1}) is None


def test_a_mean_iou_beside_one_class_everywhere():
    # Four pixels are unlabelled.
    pixels = [0] * 12 + [1] * 4 + [255] * 4
    level = chance(maps_of(pixels), classes=4)
    line = level.warning({'mIoU': 20.0, 'aAcc': 90.0})
    assert "predicting 'class 0' everywhere, which 75.0 % of the" in line
    # 0.75 / 4
    assert 'its mIoU is 20.00' in line and 'gives 18.75 (1 images' in line
    assert level.warning({'mIoU': 30.0, 'aAcc': 90.0}) is None


def test_a_constant_prediction_is_known_on_a_few_images():
    level = chance(maps_of([0] * 12 + [1] * 4), classes=20)
    # Of the two classes that are there.
    constant = {'mIoU': 37.5, 'aAcc': 75.0}
    assert 'everywhere' in level.warning(constant)
    assert level.warning(dict(constant, aAcc=76.0)) is None
    assert level.warning(dict(constant, mIoU=39.0)) is None


@pytest.mark.parametrize('metrics', [{}, {'score': 0.0}, {'mIoU': math.nan}])
def test_what_nobody_can_judge_is_not_judged(metrics):
    assert chance(images_of(0, 1)).warning(metrics) is None


def test_images_without_labels_are_not_judged():
    level = chance([torch.rand(3), BaseDataElement()])
    assert level.warning({'accuracy/top1': 0.0}) is None
    nameless = ChanceLevel(())
    nameless.add(images_of(0))
    assert nameless.warning({'accuracy/top1': 0.0}) is None


# Classes.


@pytest.mark.parametrize(
    ('own', 'data', 'expected'),
    [
        (['Tench, Tinca tinca', 'sea_horse'], ['tench', 'sea horse'], None),
        (
            ['a', 'b', 'c'],
            ['a', 'c', 'b'],
            "the same classes in another order: 2 of 3 differ, as 1 is 'b' "
            "there and 'c' here, 2 is 'c' there and 'b' here",
        ),
        (
            ['a', 'b'],
            ['a', 'd'],
            '2 classes of which 1 are in the data: 1 of 2 differ, as 1 is '
            "'b' there and 'd' here",
        ),
        (
            ['a', 'b', 'c', 'd'],
            ['b', 'x'],
            '4 classes (a, b, c, ...), and the data has 2 (b, x); 1 have the '
            'same name',
        ),
    ],
)
def test_how_classes_differ(own, data, expected):
    assert difference_of_classes(own, data) == expected


@pytest.mark.parametrize(
    ('checkpoint', 'expected'),
    [
        (dict(meta=dict(dataset_meta=dict(classes=('a', 'b')))), ('a', 'b')),
        (dict(meta=dict(CLASSES=['a'])), ('a',)),
        (dict(meta=dict(CLASSES=None)), None),
        (dict(meta=3), None),
        (dict(), None),
        ([], None),
    ],
)
def test_the_classes_that_a_checkpoint_names(checkpoint, expected):
    assert classes_of_checkpoint(checkpoint) == expected


# Features.


def test_ranges_of_maps_tokens_and_vectors():
    maps = torch.arange(16.0).view(2, 2, 2, 2)
    expected = torch.tensor([[0.0, 4.0], [11.0, 15.0]])
    assert torch.equal(channel_ranges(maps), expected)
    tokens = maps.flatten(2).transpose(1, 2)
    assert torch.equal(channel_ranges(tokens.half()), expected)
    vectors = torch.tensor([[1.0, 2.0, 3.0], [0.0, 5.0, 3.0]])
    assert channel_ranges(vectors).tolist() == [[0, 2, 3], [1, 5, 3]]


@MODELS.register_module()
class HeldSegmentor(ToySegmentor):
    """Whose feature is multiplied by one number for each channel."""

    def __init__(self, factors=1.0, offset=0.0, **kwargs):
        super().__init__(**kwargs)
        self.backbone.add_module('held', Held(factors, offset))


class Held(nn.Module):
    def __init__(self, factors, offset):
        super().__init__()
        self.factors, self.offset = factors, offset

    def forward(self, feature):
        factors = torch.tensor(self.factors).view(-1, 1, 1)
        return feature * factors + self.offset


def settings_of(folder, teacher=None, student=None, hooks=(SENSE,), **model):
    folder.mkdir(parents=True, exist_ok=True)
    save_teacher(folder / 'teacher.pth', norm='none')
    teacher = dict(type='HeldSegmentor', norm='none', **(teacher or {}))
    student = dict(type='HeldSegmentor', norm='none', **(student or {}))
    config = distillation(
        dict(type='mmtat.TaTDistiller', layers=['backbone.held']),
        student=student,
        teacher=teacher,
        teacher_ckpt=str(folder / 'teacher.pth'),
        **dict(dict(teacher_metric=0), **model),
    )
    settings = toy_config(folder, config, max_iters=2)
    # Its metric takes plain tensors.
    settings['custom_hooks'] = list(hooks)
    return settings


def warnings_of(folder):
    text = max(folder.glob('*/*.log')).read_text()
    return [line for line in text.splitlines() if ' WARNING ' in line]


def said(folder, words):
    return [line for line in warnings_of(folder) if words in line]


def test_nothing_is_said_where_all_is_well(tmp_path):
    train(settings_of(tmp_path / 'with'))
    train(settings_of(tmp_path / 'without', hooks=()))
    assert not said(tmp_path / 'with', 'layer')
    assert not said(tmp_path / 'with', 'trained on')
    losses = []
    for name in ('with', 'without'):
        log = max((tmp_path / name).glob('*/vis_data/scalars.json'))
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        losses.append([line['loss'] for line in lines if 'loss' in line])
    assert losses[0] == losses[1]


@pytest.mark.parametrize(
    ('role', 'held', 'expected'),
    [
        (
            'teacher',
            dict(factors=0.0),
            "the teacher layer 'backbone.held' is 0 everywhere: 8 channels, "
            '32 values each. There is little to be learnt from it',
        ),
        (
            'teacher',
            dict(factors=0.0, offset=2.5),
            "the teacher layer 'backbone.held' is constant: none of its 8 "
            'channels (32 values each) changes, from 2.5 to 2.5',
        ),
        (
            'teacher',
            dict(factors=[1.0] * 3 + [0.0] * 5),
            "'backbone.held' is dead in part: 5 of 8 channels (62 %, 32 "
            'values each) do not change, and 5 of them are 0',
        ),
        (
            'student',
            dict(factors=[0.0] * 2 + [1.0] * 2),
            "the student layer 'backbone.held' is dead in part: 2 of 4",
        ),
        (
            'student',
            dict(factors=float('inf')),
            'holds values that are not finite, in 4 of 4 channels',
        ),
    ],
)
def test_a_feature_that_holds_nothing(tmp_path, role, held, expected):
    settings = settings_of(tmp_path, **{role: held})
    # The run would end before its log has the step.
    settings['default_hooks'] = dict(
        non_finite=dict(type='mmtat.NonFiniteHook', policy='skip', most=9)
    )
    runner = train(settings)
    (line,) = said(tmp_path, 'In the first batch')
    assert expected in line
    assert 'compute_distill_losses' not in vars(runner.model.distiller)


def test_less_than_half_of_the_channels_are_no_news(tmp_path):
    train(settings_of(tmp_path, dict(factors=[0.0] * 3 + [1.0] * 5)))
    assert not said(tmp_path, 'In the first batch')


def test_a_look_waits_for_the_first_step_that_distils(tmp_path):
    fade = [
        dict(type='constant', value=0.0),
        dict(type='linear', begin=2, end=4, start=0.5, stop=1.0),
    ]
    schedule = dict(
        type='mmtat.DistillWeightHook', schedules=dict(loss_tat=fade)
    )
    settings = settings_of(
        tmp_path, dict(factors=0.0), hooks=[SENSE, schedule]
    )
    settings['train_cfg']['max_iters'] = 4
    train(settings)
    text = max(tmp_path.glob('*/*.log')).read_text()
    assert text.count('is 0 everywhere') == 1
    assert text.index('Iter(train) [2/4]') < text.index('is 0 everywhere')


def test_a_look_leaves_the_distiller_as_it_was():
    model = MODELS.build(distillation())
    images = torch.rand(2, 3, 8, 8)
    look = RecordLook(model.distiller)
    assert not look.has_seen
    model(images, mode='loss')
    assert look.has_seen and look.warnings() == []
    look.close()
    assert 'compute_distill_losses' not in vars(model.distiller)


# In runs.


@DATASETS.register_module()
class OtherClasses(ToyImages):
    metainfo = dict(classes=('a', 'c', 'b'))


def save_with_classes(path, classes):
    save_teacher(path, norm='none')
    content = torch.load(path)
    content['meta'] = dict(dataset_meta=dict(classes=classes))
    torch.save(content, path)


def test_a_teacher_of_other_classes(tmp_path):
    settings = settings_of(tmp_path)
    save_with_classes(tmp_path / 'teacher.pth', ('a', 'b', 'd', 'e'))
    train(settings)
    (line,) = said(tmp_path, 'The teacher was trained on')
    assert '4 classes (a, b, d, ...), and the data has 3 (a, b, c); 2' in line


def test_the_same_classes_are_no_news(tmp_path):
    settings = settings_of(tmp_path)
    save_with_classes(tmp_path / 'teacher.pth', ('A', 'b', 'c'))
    train(settings)
    assert not said(tmp_path, 'trained on')


def test_a_student_that_begins_from_other_classes(tmp_path):
    settings = settings_of(tmp_path)
    path = tmp_path / 'student.pth'
    student = MODELS.build(settings['model']['architecture'])
    meta = dict(dataset_meta=dict(classes=('a', 'c', 'b')))
    torch.save(dict(state_dict=student.state_dict(), meta=meta), path)
    settings['load_from'] = str(path)
    train(settings)
    (line,) = said(tmp_path, 'The student begins from')
    assert 'the same classes in another order: 2 of 3' in line


def test_a_resumed_run_says_nothing_again(tmp_path):
    train(settings_of(tmp_path, dict(factors=0.0)))
    settings = settings_of(tmp_path, dict(factors=0.0))
    settings['train_cfg']['max_iters'] = 3
    # Two runs of one second would share a log.
    settings['work_dir'] = str(tmp_path / 'again')
    settings['load_from'] = str(tmp_path / 'iter_2.pth')
    settings['resume'] = True
    settings['experiment_name'] += 'again'
    train(settings)
    logs = [*tmp_path.glob('*/*.log'), *tmp_path.glob('again/*/*.log')]
    counts = [log.read_text().count('is 0 everywhere') for log in logs]
    assert counts == [1, 0]


def test_a_teacher_that_gets_its_own_normalisation_is_no_news(tmp_path):
    settings = settings_of(tmp_path, dict(data_preprocessor=IMAGENET))
    settings['model']['architecture']['data_preprocessor'] = dict(
        IMAGENET, mean=[0.0] * 3
    )
    train(settings)
    assert not said(tmp_path, 'normalised')


def test_a_teacher_that_cannot_get_its_own_normalisation(tmp_path):
    settings = settings_of(tmp_path, dict(data_preprocessor=IMAGENET))
    train(settings)
    (line,) = said(tmp_path, 'The teacher was trained on images normalised')
    assert 'mean (9, 8, 7) and std (2, 2, 2), and gets' in line
    assert 'which are not normalised' in line


# The metric of a run.


@METRICS.register_module()
class Top1(BaseMetric):
    """As mmpretrain's, of labels that the data has."""

    default_prefix = 'accuracy'

    def process(self, data_batch, data_samples):
        self.results += [
            int(s['guess'] == s['gt_label']) for s in data_samples
        ]

    def compute_metrics(self, results):
        return dict(top1=100 * sum(results) / len(results))


@MODELS.register_module()
class Guesser(ToySegmentor):
    """Predicts one class, or what is right."""

    knows = False

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode != 'predict':
            return super().forward(inputs, data_samples, mode)
        samples = []
        for label in range(len(inputs)):
            (sample,) = images_of(label % 2)
            sample.guess = torch.tensor([label % 2 if self.knows else 2])
            samples.append(sample)
        return samples


@pytest.mark.parametrize('knows', [False, True])
def test_a_teacher_near_chance_is_warned_of(tmp_path, knows, monkeypatch):
    monkeypatch.setattr(Guesser, 'knows', knows)
    settings = settings_of(tmp_path, hooks=(), teacher_metric=4)
    settings['model']['distiller']['layers'] = ['backbone.conv']
    for role in ('teacher', 'architecture'):
        settings['model'][role]['type'] = 'Guesser'
    settings['val_evaluator'] = dict(type='Top1')
    settings['default_hooks']['checkpoint'].pop('save_best')
    train(settings)
    lines = said(tmp_path, 'The teacher does not know the task')
    assert len(lines) == (0 if knows else 1)
    if not knows:
        # Of three classes, eight images.
        assert 'its accuracy/top1 is 0.00, and guessing among 3' in lines[0]
