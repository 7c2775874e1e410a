"""The teacher's own metric, once, before the first iteration."""

import copy
import itertools
import json
import os
import random
from functools import partial

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS, METRICS, MODELS
from mmengine.runner import Runner
from torch.utils.data import DataLoader, IterableDataset

from mmtat.engine.hooks import TeacherMetricHook

from .running import ToyImages, toy_config, train
from .toys import ToySegmentor, distillation, save_teacher

OWN = dict(type='ImgDataPreprocessor', mean=[9.0] * 3, std=[2.0] * 3)


@HOOKS.register_module()
class DrawsAfterwards(Hook):
    """Notes what is drawn right before and after the teacher's metric."""

    priority = 'LOWEST'

    def __init__(self):
        self.draws = None

    def before_train(self, runner):
        self.draws = random.random(), np.random.rand(), torch.rand(1).item()


@HOOKS.register_module()
class NoValidation(Hook):
    """Ends validations before they begin."""

    def before_train(self, runner):
        runner._val_loop = None


@METRICS.register_module()
class FailingMetric(BaseMetric):
    """Finds the predictions of no use."""

    def process(self, data_batch, data_samples):
        self.results.append(0)

    def compute_metrics(self, results):
        raise KeyError('pred_sem_seg')


@MODELS.register_module()
class SilentSegmentor(ToySegmentor):
    """Cannot predict."""

    def forward(self, inputs, data_samples=None, mode='tensor'):
        if mode == 'predict':
            raise NotImplementedError('no predictions here')
        return super().forward(inputs, data_samples, mode)


@DATASETS.register_module()
class FourClasses(ToyImages):
    """Of a class more than the teacher knows."""

    metainfo = dict(classes=tuple('abcd'), palette=[[0, 0, 0]] * 4)


@MODELS.register_module()
class CountingSegmentor(ToySegmentor):
    """Its head knows its classes, as mmsegmentation's do."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.decode_head.num_classes = 3


def settings_of(folder, teacher=None, max_iters=1, hooks=(), **model):
    folder.mkdir(parents=True, exist_ok=True)
    save_teacher(folder / 'teacher.pth')
    config = distillation(
        student=dict(norm='none'),
        teacher=teacher,
        teacher_ckpt=str(folder / 'teacher.pth'),
        **model,
    )
    return toy_config(
        folder,
        config,
        max_iters=max_iters,
        custom_hooks=[dict(type='DrawsAfterwards'), *hooks],
    )


def lines_of(folder):
    log = max(folder.glob('*/vis_data/scalars.json')).read_text()
    return [json.loads(line) for line in log.splitlines()]


def teacher_lines(folder):
    return [
        line
        for line in lines_of(folder)
        if any(name.startswith('teacher/') for name in line)
    ]


def text_of(folder):
    return max(folder.glob('*/*.log')).read_text()


def score_by_hand(folder, indices, mean=0.0, std=1.0):
    """Mean logit of the teacher on some images."""
    teacher = ToySegmentor(width=8).eval()
    state = torch.load(folder / 'teacher.pth')['state_dict']
    teacher.load_state_dict(state)
    images = torch.stack([ToyImages()[i]['inputs'] for i in indices])
    with torch.no_grad():
        return teacher((images - mean) / std).mean().item()


def test_two_batches_spread_over_the_data_on_a_cpu(tmp_path):
    runner = train(settings_of(tmp_path, max_iters=4))
    # Of four batches of two images: the first and the third.
    expected = score_by_hand(tmp_path, [0, 1, 4, 5])
    (line,) = teacher_lines(tmp_path)
    assert line == {
        'teacher/score': pytest.approx(expected, rel=1e-4),
        'step': 0,
    }
    assert lines_of(tmp_path)[0] == line
    known = runner.message_hub.get_scalar('teacher/score').current()
    assert known == pytest.approx(expected)
    text = text_of(tmp_path)
    assert 'Evaluating the teacher on 2 of 4 validation batches' in text
    # It is there before anything is trained.
    assert text.index('The teacher: score') < text.index('Iter(train)')


@pytest.mark.parametrize(
    ('batches', 'indices'),
    [(1, [0, 1]), (3, [0, 1, 2, 3, 4, 5]), (4, range(8)), (100, range(8))],
)
def test_the_number_of_batches_can_be_chosen(tmp_path, batches, indices):
    settings = settings_of(tmp_path, teacher_metric=batches)
    train(settings)
    (line,) = teacher_lines(tmp_path)
    expected = score_by_hand(tmp_path, indices)
    assert line['teacher/score'] == pytest.approx(expected, rel=1e-4)


def test_a_gpu_takes_all(tmp_path, monkeypatch):
    from mmtat.engine.hooks import teacher_metric_hook as module

    monkeypatch.setattr(module, '_device', lambda _: torch.device('cuda'))
    train(settings_of(tmp_path))
    (line,) = teacher_lines(tmp_path)
    expected = score_by_hand(tmp_path, range(8))
    assert line['teacher/score'] == pytest.approx(expected, rel=1e-4)
    assert 'on all validation batches' in text_of(tmp_path)


def test_the_teacher_sees_its_own_normalisation(tmp_path):
    settings = settings_of(tmp_path, dict(data_preprocessor=OWN))
    settings['model']['architecture']['data_preprocessor'] = dict(
        OWN, mean=[0.0] * 3
    )
    settings['model']['teacher_metric'] = 4
    train(settings)
    (line,) = teacher_lines(tmp_path)
    expected = score_by_hand(tmp_path, range(8), 9.0, 2.0)
    assert line['teacher/score'] == pytest.approx(expected, rel=1e-4)
    assert expected != pytest.approx(score_by_hand(tmp_path, range(8)))


def test_the_training_goes_on_as_without_it(tmp_path):
    runs, drawn = {}, set()
    for name, batches in (('with', None), ('whole', 4), ('without', 0)):
        settings = settings_of(
            tmp_path / name, max_iters=4, teacher_metric=batches
        )
        settings['model']['architecture']['norm'] = 'BN'
        # Workers that stay draw a seed only when they are started.
        settings['val_dataloader'].update(
            num_workers=1, persistent_workers=True
        )
        runs[name] = train(settings)
        drawn.add(torch.rand(1).item())
    assert len(drawn) == 1
    assert not teacher_lines(tmp_path / 'without')
    assert 'teacher is' not in text_of(tmp_path / 'without')
    last = runs.pop('without')
    losses = lines_of(tmp_path / 'without')
    for name, one in runs.items():
        for key, tensor in one.model.state_dict().items():
            assert torch.equal(tensor, last.model.state_dict()[key]), key
        draws = [
            next(h for h in run.hooks if isinstance(h, DrawsAfterwards)).draws
            for run in (one, last)
        ]
        assert draws[0] == draws[1]
        own = lines_of(tmp_path / name)[1:]
        for line, other in zip(own, losses, strict=True):
            for key in ('loss', 'score'):
                assert line.get(key) == other.get(key)


def test_a_resumed_run_does_not_repeat_it(tmp_path):
    train(settings_of(tmp_path, max_iters=2))
    settings = settings_of(tmp_path, max_iters=3)
    settings['resume'] = True
    settings['experiment_name'] += 'again'
    runner = train(settings)
    assert runner.iter == 3
    folders = list(tmp_path.glob('*/vis_data'))
    found = [
        line
        for folder in folders
        for line in map(
            json.loads, (folder / 'scalars.json').read_text().splitlines()
        )
        if 'teacher/score' in line
    ]
    assert len(found) == 1
    # What the first run found stays with the checkpoints.
    known = runner.message_hub.get_scalar('teacher/score').current()
    assert known == pytest.approx(found[0]['teacher/score'], rel=1e-4)


def test_a_random_teacher_is_evaluated_as_it_is(tmp_path):
    settings = settings_of(tmp_path, teacher_metric=4)
    settings['model']['teacher_ckpt'] = None
    train(settings)
    (line,) = teacher_lines(tmp_path)
    trained = score_by_hand(tmp_path, range(8))
    assert line['teacher/score'] != pytest.approx(trained)


def drop_validation(settings):
    for name in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        settings[name] = None
    settings['default_hooks']['checkpoint'].pop('save_best')
    settings['default_hooks']['checkpoint'].pop('rule')


def silence(settings):
    settings['model']['teacher']['type'] = 'SilentSegmentor'


def other_classes(settings):
    settings['val_dataloader']['dataset']['type'] = 'FourClasses'
    settings['model']['teacher']['type'] = 'CountingSegmentor'


def useless_predictions(settings):
    settings['val_evaluator'] = dict(type='FailingMetric')
    # The student's own validation would fail, too.
    settings['custom_hooks'].append(
        dict(type='NoValidation', priority='LOWEST')
    )


@pytest.mark.parametrize(
    ('change', 'reason'),
    [
        (drop_validation, 'there is no validation'),
        (silence, 'it cannot predict: NotImplementedError: no predictions'),
        (other_classes, 'it knows 3 classes, and the validation data has 4'),
        (useless_predictions, "no metric: KeyError: 'pred_sem_seg'"),
    ],
    ids=['no validation', 'no predictions', 'other classes', 'no metric'],
)
def test_what_cannot_be_evaluated_is_told_in_one_line(
    tmp_path, change, reason
):
    settings = settings_of(tmp_path)
    change(settings)
    runner = train(settings)
    assert runner.iter == 1
    assert not teacher_lines(tmp_path)
    said = [
        line
        for line in text_of(tmp_path).splitlines()
        if 'The teacher is not evaluated' in line
    ]
    assert len(said) == 1 and reason in said[0]


def test_the_evaluator_of_the_validation_is_not_touched(tmp_path):
    runner = Runner.from_cfg(Config(settings_of(tmp_path)))
    loop = runner.val_loop
    metric = loop.evaluator.metrics[0]
    metric.output_dir, metric.results = 'mine', [7]
    compute = metric.compute_metrics
    hook = TeacherMetricHook(2)
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.model.train()
    hook.before_train(runner)
    assert runner.message_hub.get_scalar('teacher/score').current() != 7
    assert metric.output_dir == 'mine' and metric.results == [7]
    assert metric.compute_metrics == compute
    assert runner.model.student.training
    assert not runner.model.teacher.training


class Stream(IterableDataset):
    """Images without an end."""

    metainfo = ToyImages.metainfo

    def __iter__(self):
        return (ToyImages()[index] for index in itertools.count())


def test_a_stream_gives_its_first_batches_or_none(tmp_path, monkeypatch):
    runner = Runner.from_cfg(Config(settings_of(tmp_path)))
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    runner.val_loop.dataloader = DataLoader(Stream(), batch_size=2)
    TeacherMetricHook(2).before_train(runner)
    score = runner.message_hub.get_scalar('teacher/score').current()
    assert score == pytest.approx(score_by_hand(tmp_path, range(4)), rel=1e-4)
    monkeypatch.setattr(
        'mmtat.engine.hooks.teacher_metric_hook._device',
        lambda teacher: torch.device('cuda'),
    )
    TeacherMetricHook().before_train(runner)
    assert 'not evaluated: the validation data has no length' in (
        text_of(tmp_path)
    )


def test_an_endless_sampler_is_read_once_around(tmp_path):
    settings = settings_of(tmp_path)
    settings['val_dataloader']['sampler'] = dict(
        type='InfiniteSampler', shuffle=False
    )
    runner = Runner.from_cfg(Config(settings))
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    TeacherMetricHook(2).before_train(runner)
    score = runner.message_hub.get_scalar('teacher/score').current()
    expected = score_by_hand(tmp_path, [0, 1, 4, 5])
    assert score == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize('batches', [-1, 1.5, 'all', True])
def test_what_is_no_number_of_batches_is_refused(batches):
    with pytest.raises(ValueError, match='batches must be None, 0 for none'):
        TeacherMetricHook(batches)
    with pytest.raises(ValueError, match='teacher_metric must be None, 0'):
        MODELS.build(distillation(teacher_metric=batches))


# Two processes.


def settings_for_two(folder, **model):
    """Settings whose run logs, and what its teacher has to get."""
    settings = settings_of(folder, max_iters=2, **model)
    distiller = settings['model']['distiller']
    # One behind the other, so that gradients are sent through the student.
    distiller.update(stream=True, layers=['backbone.conv', 'backbone.relu'])
    return settings


def run_one_of_two(rank, folder, port, batches):
    os.environ.update(
        GLOO_SOCKET_IFNAME='lo',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        WORLD_SIZE='2',
        RANK=str(rank),
        LOCAL_RANK=str(rank),
    )
    torch.set_num_threads(1)
    torch.distributed.init_process_group('gloo')
    for name, count in batches.items():
        settings = settings_for_two(folder / name, teacher_metric=count)
        if name == 'fails on one':
            settings['model']['teacher']['type'] = 'SilentSegmentor'
            if rank == 0:
                settings['model']['teacher']['type'] = 'ToySegmentor'
        settings.update(
            launcher='pytorch',
            env_cfg=dict(dist_cfg=dict(backend='gloo')),
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel',
                static_graph=name == 'whole',
                gradient_as_bucket_view=name == 'whole',
            ),
        )
        settings['train_dataloader']['batch_size'] = 1
        runner = Runner.from_cfg(Config(copy.deepcopy(settings)))
        runner.train()
        assert runner.iter == 2
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_look_at_gradients_and_share_the_validation(tmp_path):
    batches = {'few': 1, 'whole': 2, 'fails on one': 2}
    for name in batches:
        settings_of(tmp_path / name)
    start = partial(torch.multiprocessing.spawn, nprocs=2)
    start(run_one_of_two, (tmp_path, 20000 + os.getpid() % 20000, batches))
    # Each process has every other image, in batches of two.
    for name, indices in (('few', [0, 2, 1, 3]), ('whole', range(8))):
        (line,) = teacher_lines(tmp_path / name)
        expected = score_by_hand(tmp_path / name, indices)
        assert line['teacher/score'] == pytest.approx(expected, rel=1e-4)
    assert not teacher_lines(tmp_path / 'fails on one')
    text = text_of(tmp_path / 'fails on one')
    assert 'it cannot predict in another process' in text
    # The gradients are those of the images of the first process.
    settings = settings_for_two(tmp_path / 'one', teacher_metric=0)
    settings['train_dataloader']['batch_size'] = 1
    train(settings)
    names = ('distill_gradient_norm', 'task_gradient_norm')
    first = [
        next(line for line in lines_of(tmp_path / name) if 'loss' in line)
        for name in ('one', 'few', 'whole')
    ]
    for name in names:
        assert first[1][name] == pytest.approx(first[0][name], rel=1e-3)
        assert first[2][name] == pytest.approx(first[0][name], rel=1e-3)
