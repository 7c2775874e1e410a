"""Validation under shifts that training never showed."""

import copy
import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, METRICS, TRANSFORMS, DefaultScope
from mmengine.runner import Runner

from mmtat.datasets import write_digit_scenes
from mmtat.engine.loops import ShiftsValLoop
from mmtat.engine.loops.shifts_val_loop import shifted_dataloader
from mmtat.models.utils import load_config

from .voc import ROOT

NOISE = dict(type='mmtat.GaussianNoise', std=60)
SHIFTS = ['noise', 'blur', 'contrast']


@METRICS.register_module()
class MeanScore(BaseMetric):
    """A number that depends on every pixel and every weight."""

    def process(self, data_batch, data_samples):
        self.results += [one['pred_score'][0].item() for one in data_samples]

    def compute_metrics(self, results):
        return dict(score=sum(results) / len(results))


def grey(side=64):
    return np.full((side, side, 3), 128, np.uint8)


def noisy(image, **arguments):
    with DefaultScope.overwrite_default_scope('mmseg'):
        transform = TRANSFORMS.build(dict(NOISE, **arguments))
    return transform(dict(img=image.copy()))['img']


@pytest.fixture(scope='module')
def scenes(tmp_path_factory):
    root = tmp_path_factory.mktemp('scenes') / 'data'
    return write_digit_scenes(root, train=4, tuning=2, val=7, labelled=2)


def digits(work_dir):
    """A random student on the first 40 digits of val, in two batches."""
    config = load_config(
        str(ROOT / 'configs/digits/digits_student.py'), 'config'
    )
    config.work_dir = str(work_dir)
    config.val_dataloader.batch_size = 25
    config.val_dataloader.dataset.indices = 40
    config.val_evaluator = dict(type='MeanScore')
    config.experiment_name = str(work_dir).replace('/', '_')
    return config


def test_an_image_gets_the_same_noise_at_each_reading():
    first = noisy(grey())
    np.random.seed(5)
    np.random.rand(3)
    assert (noisy(grey()) == first).all()
    brighter = grey() + 1
    difference = noisy(brighter).astype(int) - first
    assert difference.std() > 30
    assert not (noisy(grey(), seed=1) == first).all()


def test_the_noise_is_as_strong_as_it_says():
    noise = noisy(grey(), std=20).astype(float) - 128
    assert noise.dtype == float and noise.shape == (64, 64, 3)
    assert abs(noise.mean()) < 1 and abs(noise.std() - 20) < 1
    assert (noise[..., 0] != noise[..., 1]).mean() > 0.9
    assert (noisy(grey(), std=0) == grey()).all()


def test_what_leaves_the_range_is_clipped_and_not_wrapped():
    black = noisy(np.zeros((64, 64), np.uint8))
    assert black.dtype == np.uint8 and black.shape == (64, 64)
    # Half of a normal distribution is cut, the rest is near.
    assert 0.45 < (black == 0).mean() < 0.55 and black.max() < 6 * 60


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(std=-1), 'std must be a number from 0, got -1'),
        (dict(std='much'), "std must be .*, got 'much'"),
        (dict(std=float('nan')), 'std must be .*, got nan'),
        (dict(seed=-1), 'seed must be a whole number from 0, got -1'),
        (dict(seed=0.5), 'seed must be .*, got 0.5'),
    ],
)
def test_bad_noise_is_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        noisy(grey(), **arguments)


def test_noise_on_floats_is_refused():
    with pytest.raises(TypeError, match='img must be uint8, got float32'):
        noisy(grey().astype(np.float32))


def types(pipeline):
    return [transform['type'] for transform in pipeline]


def test_a_shift_stands_right_after_the_image_is_loaded(scenes):
    config = load_config(
        str(ROOT / 'configs/digit_scenes/scenes_teacher.py'), 'config'
    )
    before = copy.deepcopy(config.val_dataloader)
    shifted = shifted_dataloader(config.val_dataloader, [NOISE])
    # Labels are loaded later, after Resize.
    assert types(shifted.dataset.pipeline) == [
        'LoadImageFromFile',
        'mmtat.GaussianNoise',
        'Resize',
        'LoadAnnotations',
        'PackSegInputs',
    ]
    assert config.val_dataloader == before


def test_a_shift_comes_first_where_nothing_is_loaded():
    wrapped = dict(
        dataset=dict(
            type='ConcatDataset',
            datasets=[
                dict(type='mmtat.Digits', pipeline=[dict(type='PackInputs')]),
                dict(type='mmtat.Digits'),
            ],
        )
    )
    shifted = shifted_dataloader(wrapped, [NOISE, NOISE])['dataset']
    pipelines = [types(d['pipeline']) for d in shifted['datasets']]
    noise = ['mmtat.GaussianNoise'] * 2
    assert pipelines == [[*noise, 'PackInputs'], noise]


@pytest.mark.parametrize('scope', ['mmseg', 'mmpretrain'])
def test_the_shifts_of_the_configs_change_every_image(scenes, scope):
    folder, name = dict(
        mmseg=('digit_scenes', 'scenes_teacher'),
        mmpretrain=('digits', 'digits_teacher'),
    )[scope]
    config = load_config(
        str(ROOT / 'configs' / folder / f'{name}.py'), 'config'
    )
    if scope == 'mmseg':
        config.val_dataloader.dataset.data_root = str(scenes)
    loaders = dict(
        none=config.val_dataloader,
        **{
            shift: shifted_dataloader(config.val_dataloader, transforms)
            for shift, transforms in config.val_cfg.shifts.items()
        },
    )
    assert list(loaders) == ['none', *SHIFTS]
    with DefaultScope.overwrite_default_scope(scope):
        images = {
            shift: [
                DATASETS.build(copy.deepcopy(loader.dataset))[index]['inputs']
                for index in (0, 3, 3)
            ]
            for shift, loader in loaders.items()
        }
    for shift in SHIFTS:
        first, other, again = images[shift]
        assert first.shape == images['none'][0].shape
        assert (other == again).all()
        for one, plain in zip(images[shift], images['none']):
            assert (one.float() - plain.float()).abs().mean() > 5


class Recorder(Hook):
    def __init__(self):
        self.calls = []
        self.metrics = None

    def before_val(self, runner):
        self.calls.append('before_val')

    def before_val_epoch(self, runner):
        self.calls.append('before_val_epoch')

    def after_val_iter(self, runner, batch_idx, data_batch, outputs):
        self.calls.append(f'after_val_iter {batch_idx}')

    def after_val_epoch(self, runner, metrics):
        self.calls.append('after_val_epoch')
        self.metrics = metrics

    def after_val(self, runner):
        self.calls.append('after_val')


def logged(work_dir):
    """The one record of a validation."""
    log = next(work_dir.glob('*/vis_data/scalars.json'))
    (line,) = log.read_text().splitlines()
    return json.loads(line)


def test_all_metrics_are_of_one_validation(tmp_path):
    runner = Runner.from_cfg(digits(tmp_path))
    recorder = Recorder()
    runner.register_hook(recorder)
    metrics = runner.val()
    assert isinstance(runner.val_loop, ShiftsValLoop)
    assert list(metrics) == ['score', *(f'{s}/score' for s in SHIFTS)]
    assert len(set(metrics.values())) == 4
    assert recorder.metrics == metrics
    assert recorder.calls == [
        'before_val',
        'before_val_epoch',
        'after_val_iter 0',
        'after_val_iter 1',
        'after_val_epoch',
        'after_val',
    ]
    assert logged(tmp_path).items() >= metrics.items()


def test_metrics_equal_those_of_the_stock_loop_on_shifted_data(tmp_path):
    shifts = dict(noise=[NOISE], none=[dict(NOISE, std=0)])
    config = digits(tmp_path)
    config.val_cfg.shifts = shifts
    runner = Runner.from_cfg(copy.deepcopy(config))
    metrics = runner.val()
    assert list(metrics) == ['score', 'noise/score', 'none/score']
    assert metrics['none/score'] == metrics['score']
    config.val_dataloader.dataset.pipeline.insert(0, NOISE)
    config.val_cfg = dict()
    config.experiment_name += '_stock'
    stock = Runner.from_cfg(config)
    stock.model.load_state_dict(runner.model.state_dict())
    assert metrics['noise/score'] == stock.val()['score']


def test_segmentation_is_validated_under_shifts(tmp_path, scenes):
    config = load_config(
        str(ROOT / 'configs/digit_scenes/scenes_student.py'), 'config'
    )
    config.work_dir = str(tmp_path)
    config.val_dataloader.dataset.data_root = str(scenes)
    metrics = Runner.from_cfg(config).val()
    for shift in SHIFTS:
        assert {'mIoU', 'aAcc', f'{shift}/mIoU', f'{shift}/aAcc'} <= {*metrics}
    assert logged(tmp_path).items() >= metrics.items()


def test_two_processes_measure_what_one_does(tmp_path):
    config = digits(tmp_path / 'one')
    # An odd number of images: one process reads one of the other's too.
    config.val_dataloader.dataset.indices = 41
    runner = Runner.from_cfg(config)
    expected = runner.val()
    start = str(tmp_path / 'start.pth')
    torch.save(runner.model.state_dict(), start)
    config.update(
        work_dir=str(tmp_path / 'two'),
        load_from=start,
        launcher='pytorch',
        custom_imports=dict(imports=['tests.test_shifts']),
    )
    config.dump(str(tmp_path / 'config.py'))
    script = tmp_path / 'validate.py'
    script.write_text(
        'import sys\n'
        'import mmtat\n'
        'from mmengine.config import Config\n'
        'from mmengine.runner import Runner\n'
        'Runner.from_cfg(Config.fromfile(sys.argv[1])).val()\n'
    )
    run = subprocess.run(
        [
            *(sys.executable, '-m', 'torch.distributed.run'),
            *('--nproc_per_node=2', '--master_port'),
            *(str(20000 + os.getpid() % 20000), str(script)),
            str(tmp_path / 'config.py'),
        ],
        env=dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr[-3000:]
    measured = logged(tmp_path / 'two')
    for name, value in expected.items():
        assert measured[name] == pytest.approx(value, rel=1e-6)


@pytest.mark.parametrize(
    'shifts, error, message',
    [
        ([NOISE], TypeError, 'shifts must be a dict of lists'),
        ({'a/b': [NOISE]}, ValueError, "without a slash, got 'a/b'"),
        ({1: [NOISE]}, ValueError, 'a name must be a word'),
        (dict(noise=NOISE), TypeError, 'shifts.noise must be a list'),
        (dict(noise=['x']), TypeError, 'shifts.noise must be a list'),
        (dict(noise=[]), ValueError, 'shifts.noise holds no transform'),
    ],
)
def test_bad_shifts_are_named(shifts, error, message):
    with pytest.raises(error, match=message):
        ShiftsValLoop(None, dict(), [], shifts)


def test_what_no_shift_can_enter_is_named():
    with pytest.raises(TypeError, match='dataloader must be a config, .*list'):
        shifted_dataloader([], [NOISE])
    with pytest.raises(TypeError, match='dataset must be a config, got a obj'):
        shifted_dataloader(dict(dataset=object()), [NOISE])
    built = dict(dataset=dict(type='mmtat.Digits', pipeline=[len]))
    with pytest.raises(TypeError, match='pipeline must hold configs'):
        shifted_dataloader(built, [NOISE])
