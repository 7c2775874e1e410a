"""Data, loops and schedules of a config, checked before they are built."""

import pytest
from mmengine.config import Config
from mmseg.datasets.transforms import Albu

from mmtat.engine.config_check import config_problems

from .running import toy_config
from .voc import ROOT

#: A config of mmsegmentation, as its users have it.
VOC = str(ROOT / 'configs' / 'deeplabv3_r18_voc.py')

MISTAKES = {
    'a dataset': (
        {'train_dataloader.dataset.type': 'ToyImage'},
        "train_dataloader.dataset.type: there is no dataset 'ToyImage'; did "
        "you mean 'ToyImages'?",
    ),
    'a key of a dataset': (
        {'val_dataloader.dataset.lenght': 3},
        'val_dataloader.dataset.lenght: ToyImages has no argument '
        "'lenght'; did you mean 'length'? There are length",
    ),
    'a key of a loader': (
        {'train_dataloader.batchsize': 3},
        "DataLoader has no argument 'batchsize'; did you mean 'batch_size'",
    ),
    'a sampler': (
        {'train_dataloader.sampler.type': 'InfinitSampler'},
        'train_dataloader.sampler.type: there is no data sampler '
        "'InfinitSampler'; did you mean 'InfiniteSampler'",
    ),
    'a key of a sampler': (
        {'train_dataloader.sampler.shufle': True},
        "DefaultSampler has no argument 'shufle'; did you mean 'shuffle'",
    ),
    'a metric': (
        {'val_evaluator.type': 'MeanLogits'},
        "val_evaluator.type: there is no metric 'MeanLogits'; did you mean "
        "'MeanLogit'",
    ),
    'a key of a metric': (
        {'val_evaluator': [dict(type='MeanLogit', prefx='x')]},
        "val_evaluator[0].prefx: MeanLogit has no argument 'prefx'; did you "
        "mean 'prefix'",
    ),
    'a metric of an evaluator': (
        {'val_evaluator': dict(metrics=[dict(type='MeanLogits')])},
        "val_evaluator.metrics[0].type: there is no metric 'MeanLogits'",
    ),
    'an evaluator': (
        {'val_evaluator': dict(type='Evaluater', metrics=[])},
        "val_evaluator.type: there is no evaluator 'Evaluater'; did you mean "
        "'Evaluator'",
    ),
    'a loop': (
        {'train_cfg.type': 'IterBasedTrainLop'},
        "train_cfg.type: there is no loop 'IterBasedTrainLop'; did you mean "
        "'IterBasedTrainLoop'",
    ),
    'a key of a loop': (
        {'train_cfg.max_iter': 3},
        "train_cfg.max_iter: IterBasedTrainLoop has no argument 'max_iter'; "
        "did you mean 'max_iters'",
    ),
    'a key of the loop that by_epoch means': (
        {'train_cfg': dict(by_epoch=True, max_epoch=3)},
        "EpochBasedTrainLoop has no argument 'max_epoch'; did you mean "
        "'max_epochs'",
    ),
    'a key of the validation': (
        {'val_cfg.fp61': True},
        "val_cfg.fp61: ValLoop has no argument 'fp61'; did you mean 'fp16'",
    ),
    'no iterations': (
        {'train_cfg.max_iters': -1},
        'train_cfg.max_iters: must be a positive whole number, got -1',
    ),
    'iterations and a half': (
        {'train_cfg.max_iters': 2.5},
        'train_cfg.max_iters: must be a positive whole number, got 2.5',
    ),
    'iterations that are no number': (
        {'train_cfg.max_iters': 'many'},
        "train_cfg.max_iters: must be a positive whole number, got 'many'",
    ),
    'an interval of nothing': (
        {'train_cfg.val_interval': 0},
        'train_cfg.val_interval: must be a positive whole number, got 0',
    ),
    'a wrapper': (
        {'optim_wrapper.type': 'AmpOptimWraper'},
        "optim_wrapper.type: there is no optim_wrapper 'AmpOptimWraper'; "
        "did you mean 'AmpOptimWrapper'",
    ),
    'a key of the wrapper that is the default': (
        {'optim_wrapper.clip_grads': dict(max_norm=1)},
        "optim_wrapper.clip_grads: OptimWrapper has no argument 'clip_grads'"
        "; did you mean 'clip_grad'",
    ),
    'an optimizer': (
        {'optim_wrapper.optimizer.type': 'SGDD'},
        "optim_wrapper.optimizer.type: there is no optimizer 'SGDD'",
    ),
    'a key of an optimizer': (
        {'optim_wrapper.optimizer.momentun': 0.9},
        "optim_wrapper.optimizer.momentun: SGD has no argument 'momentun'; "
        "did you mean 'momentum'",
    ),
    'a schedule': (
        {'param_scheduler': dict(type='MultiStepLRs', milestones=[3])},
        'param_scheduler[0].type: there is no parameter scheduler '
        "'MultiStepLRs'; did you mean 'MultiStepLR",
    ),
    'a key of a schedule': (
        {'param_scheduler': [dict(type='MultiStepLR', milestone=[3])]},
        'param_scheduler[0].milestone: MultiStepLR has no argument '
        "'milestone'; did you mean 'milestones'",
    ),
}


@pytest.fixture
def toy(tmp_path):
    return Config(toy_config(tmp_path, model=dict(type='ToySegmentor')))


def lines_of(config):
    found = config_problems(config, builds=False)
    return [str(problem) for problem in found if problem.stops]


@pytest.mark.parametrize('name', MISTAKES)
def test_a_mistake_is_named_at_its_place(toy, name):
    options, message = MISTAKES[name]
    for key, value in options.items():
        # What is replaced as a whole is not merged into.
        if '.' in key:
            toy.merge_from_dict({key: value})
        else:
            toy[key] = value
    (line,) = lines_of(toy)
    assert message in line


def test_a_slip_in_a_key_of_the_runner_is_a_warning(toy):
    toy.optim_wraper, toy.crop_size = dict(clip_grad=None), (64, 64)
    (problem,) = config_problems(toy, builds=False)
    assert not problem.stops
    assert str(problem) == (
        "optim_wraper: is no key of the Runner; did you mean 'optim_wrapper'?"
    )


def test_whole_numbers_may_be_floats(toy):
    toy.train_cfg.max_iters = 4e4
    assert lines_of(toy) == []


def test_transforms_are_looked_at_wherever_they_stand():
    config = Config.fromfile(VOC)
    assert lines_of(config) == []
    pipeline = config.train_dataloader.dataset.datasets[0].pipeline
    pipeline[3].cat_max_rato = 0.5
    pipeline.append(
        dict(
            type='RandomApply',
            transforms=[[dict(type='RandomFlipp', prob=0.5)]],
        )
    )
    place = 'train_dataloader.dataset.datasets[0].pipeline'
    foreign = [dict(type='Blur')]
    pipeline.append(dict(type='Albu', transforms=foreign))
    pipeline.append(dict(type=Albu, transforms=foreign))
    first, second = lines_of(config)
    assert first.startswith(f'{place}[3].cat_max_rato: RandomCrop has no')
    assert second.startswith(
        f'{place}[{len(pipeline) - 3}].transforms[0][0].type: there is no '
        "transform 'RandomFlipp'; did you mean 'RandomFlip'"
    )


def test_datasets_inside_datasets_are_looked_at():
    config = Config.fromfile(VOC)
    inner = config.train_dataloader.dataset
    inner.datasets[1].data_rot = 'x'
    config.train_dataloader.dataset = dict(
        type='RepeatDataset', times=2, dataset=inner
    )
    (line,) = lines_of(config)
    assert line.startswith(
        'train_dataloader.dataset.dataset.datasets[1].data_rot: '
        "PascalVOCDataset has no argument 'data_rot'; did you mean 'data_root'"
    )


def test_what_is_built_already_is_left_alone(toy):
    toy.val_dataloader = toy.val_cfg = toy.val_evaluator = None
    toy.param_scheduler = None
    toy.optim_wrapper = dict(constructor='Own', student=dict(lr=1))
    assert lines_of(toy) == []
