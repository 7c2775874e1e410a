"""The digits for classifiers, and the configs made on them."""

import numpy as np
import pytest
import torch
from mmengine.registry import DATASETS, MODELS, DefaultScope

from mmtat.datasets.digits import Digits
from mmtat.datasets.scenes import split_digits
from mmtat.models.utils import load_config

from .voc import ROOT

#: Trained without and with a teacher, and what both start from.
PAIRS = {
    ('digits_further', 'digits_tat'): 'digits_student',
    ('digits_further_few', 'digits_tat_few'): 'digits_student_few',
    ('digits_scratch', 'digits_tat_scratch'): None,
    ('scenes_further', 'scenes_tat'): 'scenes_student',
    ('scenes_further_few', 'scenes_tat_few'): 'scenes_student_few',
}


def config_of(name):
    folder = 'digits' if name.startswith('digits') else 'digit_scenes'
    return load_config(str(ROOT / 'configs' / folder / f'{name}.py'), 'config')


def build(config):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return DATASETS.build(config)


def labels(dataset):
    return [dataset[index]['gt_label'] for index in range(len(dataset))]


@pytest.mark.parametrize(
    'split, length', [('train', 1078), ('tuning', 270), ('val', 449)]
)
def test_a_split_holds_its_digits(split, length):
    dataset = Digits(split)
    assert len(dataset) == length
    assert labels(dataset) == split_digits(0)[split][1].tolist()
    assert dataset.metainfo['classes'] == tuple('0123456789')


def test_an_image_is_the_digit_enlarged_fourfold():
    image = Digits('val')[3]['img']
    assert image.shape == (32, 32, 3) and image.dtype == np.uint8
    assert (image == image[..., :1]).all()
    small = image[..., 0].reshape(8, 4, 8, 4).mean((1, 3)) / 255
    assert np.abs(small - split_digits(0)['val'][0][3]).max() < 0.2


@pytest.mark.parametrize('scope', ['mmengine', 'mmseg', 'mmpretrain'])
def test_the_data_set_is_reachable_from_any_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        dataset = DATASETS.build(dict(type='mmtat.Digits', split='tuning'))
    assert type(dataset) is Digits


def test_a_share_of_the_training_images_keeps_its_labels():
    every = labels(Digits('train'))
    tenth = labels(Digits('train', labelled=0.1))
    assert tenth == every[:108] + [-100] * 970
    fifth = labels(Digits('train', labelled=0.2))
    assert fifth == every[:216] + [-100] * 862


def test_both_parts_together_are_the_whole():
    whole = Digits('train', labelled=0.1)
    parts = [
        sample
        for only in ('labelled', 'unlabelled')
        for sample in Digits('train', labelled=0.1, only=only)
    ]
    assert len({part['img_path'] for part in parts}) == 1078
    for one, other in zip(whole, parts):
        assert one['img_path'] == other['img_path']
        assert one['gt_label'] == other['gt_label']
        assert (one['img'] == other['img']).all()


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(split='test'), "split must be one of train, .*, got 'test'"),
        (dict(split='val', labelled=0.5), 'labelled is for the split train'),
        (dict(split='train', labelled=0), r'labelled must be .* in \(0, 1\]'),
        (dict(split='train', labelled=True), 'labelled must be a number'),
        (dict(split='train', labelled='few'), 'labelled must be a number'),
        (dict(split='train', only='labelled'), 'needs labelled'),
        (
            dict(split='train', labelled=0.1, only='others'),
            "only must be .*, got 'others'",
        ),
    ],
)
def test_a_bad_argument_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        Digits(**arguments)


def test_an_image_without_label_gives_neither_loss_nor_gradient():
    from mmpretrain.structures import DataSample

    def loss_of(name, features, digits):
        config = config_of(name).model.head
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            torch.manual_seed(0)
            head = MODELS.build(config)
        samples = [DataSample().set_gt_label(digit) for digit in digits]
        return head.loss((features,), samples)['loss']

    features = torch.randn(4, 16, requires_grad=True)
    nothing = loss_of('digits_further_few', features, [-100] * 4)
    assert nothing == 0
    half = loss_of('digits_further_few', features, [3, -100, 7, -100])
    half.backward()
    assert (features.grad[[1, 3]] == 0).all()
    alone = features.detach()[[0, 2]].requires_grad_()
    few = loss_of('digits_student_few', alone, [3, 7])
    few.backward()
    # Half of a batch of twice the size: each label weighs the same.
    torch.testing.assert_close(half, few)
    torch.testing.assert_close(features.grad[[0, 2]], alone.grad)


def test_the_batches_of_few_labels_are_half_labelled():
    few = config_of('digits_student_few').train_dataloader
    mixed = config_of('digits_further_few').train_dataloader
    assert mixed.batch_size == 2 * few.batch_size
    samples = [sample['data_samples'] for sample in build(mixed.dataset)]
    given = np.array([sample.gt_label.item() for sample in samples]) >= 0
    assert len({sample.img_path for sample in samples}) == 1078
    assert len(build(few.dataset)) == 108
    assert given.sum() == 9 * 108 and (~given).sum() == 970


@pytest.mark.parametrize('pair', PAIRS, ids=lambda pair: pair[1])
def test_with_and_without_a_teacher_all_else_is_equal(pair):
    alone, tat = map(config_of, pair)
    student = tat.model.architecture
    assert student == alone.model
    assert {key: alone[key] for key in alone if key != 'model'} == {
        key: tat[key] for key in tat if key not in ('model', 'layer')
    }


@pytest.mark.parametrize('pair', PAIRS, ids=lambda pair: pair[1])
def test_checkpoints_are_the_last_of_the_runs_before(pair):
    tat = config_of(pair[1])
    teacher = pair[1].split('_')[0] + '_teacher'
    files = {teacher: tat.model.teacher_ckpt, PAIRS[pair]: tat.load_from}
    for name, file in files.items():
        if name is None:
            assert file is None
            continue
        steps = config_of(name).train_cfg.max_iters
        assert file == f'work_dirs/{name}/iter_{steps}.pth'


@pytest.mark.parametrize(
    'name', sorted({name for pair in PAIRS for name in pair})
)
def test_the_learning_rate_turns_where_the_run_does(name):
    config = config_of(name)
    up, down = config.param_scheduler
    steps = config.train_cfg.max_iters
    assert (up.end, down.begin, down.end) == (steps * 0.3, up.end, steps)
