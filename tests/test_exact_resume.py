"""A run that was interrupted ends, bit by bit, as one that was not."""

import contextlib

import numpy as np
import pytest
import torch

from .interruptions import Interrupt, Interrupted
from .processes import end_workers, forget_runs
from .running import toy_config, train
from .test_distributed import launch
from .toys import distillation, save_teacher


def config_of(
    work_dir,
    teacher,
    by_epoch=False,
    workers=0,
    persistent=False,
    seeded=False,
    sampler=None,
    length=10,
    **overrides,
):
    """A run of 12 iterations that saves in every third."""
    config = toy_config(
        work_dir,
        distillation(
            dict(type='mmtat.TaTDistiller', layers=['backbone.conv']),
            teacher_ckpt=str(teacher),
        ),
        max_iters=12,
        **overrides,
    )
    loader = config['train_dataloader']
    loader['dataset'] = dict(type='AugmentedImages', length=length)
    loader.update(num_workers=workers, persistent_workers=persistent)
    sampler = sampler or ('DefaultSampler' if by_epoch else 'InfiniteSampler')
    loader['sampler'] = dict(type=sampler, shuffle=True)
    config['default_hooks']['checkpoint'] = dict(
        type='mmtat.SafeCheckpointHook',
        by_epoch=False,
        interval=3,
        max_keep_ckpts=2,
        save_best='score',
        rule='greater',
    )
    if by_epoch:
        config['train_cfg'] = dict(
            type='mmtat.ExactEpochBasedTrainLoop', max_epochs=3
        )
    else:
        config['train_cfg'] = dict(
            type='mmtat.ExactIterBasedTrainLoop', max_iters=12, val_interval=3
        )
    config['train_cfg']['seeded_samples'] = seeded
    return config


def last_checkpoint(work_dir):
    name = (work_dir / 'last_checkpoint').read_text()
    return torch.load(name, weights_only=True)


def assert_same(found, expected, name=''):
    assert type(found) is type(expected), name
    if isinstance(expected, dict):
        assert list(found) == list(expected), name
        for key in expected:
            if key not in ('time', 'data_time', 'cfg', 'experiment_name'):
                assert_same(found[key], expected[key], f'{name}.{key}')
    elif isinstance(expected, (list, tuple)):
        assert len(found) == len(expected), name
        for index, pair in enumerate(zip(found, expected)):
            assert_same(*pair, f'{name}[{index}]')
    elif torch.is_tensor(expected):
        assert torch.equal(found, expected), name
    else:
        assert found == expected, name


def without_places(checkpoint):
    """A checkpoint without what only says where and when it was written."""
    for entry in ('last_ckpt', 'best_ckpt', 'cfg', 'experiment_name'):
        checkpoint['message_hub']['runtime_info'].pop(entry, None)
    for name in list(checkpoint['message_hub']['log_scalars']):
        if name.endswith('time'):
            del checkpoint['message_hub']['log_scalars'][name]
    checkpoint['run_state'].pop('settings')
    return checkpoint


def run(work_dir, teacher, at=None, **options):
    """Train in another process than the last, as far as torch can tell."""
    Interrupt.at = at
    # Where no seed is given, the Runner draws one from here.
    np.random.seed(options.get('resume', False))
    config = config_of(work_dir, teacher, **options)
    config.setdefault('custom_hooks', []).append(dict(type='Interrupt'))
    forget_runs()
    end = pytest.raises(Interrupted) if at else contextlib.nullcontext()
    with end:
        train(config)
    end_workers()


@pytest.mark.parametrize('by_epoch', [False, True])
@pytest.mark.parametrize('workers', [0, 1])
def test_a_seed_gives_what_it_gives_with_the_stock_loop(
    tmp_path, by_epoch, workers
):
    teacher, weights = tmp_path / 'teacher.pth', []
    save_teacher(teacher)
    for name in ('mmtat.Exact', ''):
        config = config_of(tmp_path / f'run{name}', teacher, by_epoch, workers)
        kind = config['train_cfg']['type'].replace('mmtat.Exact', name)
        config['train_cfg']['type'] = kind
        if not name:
            del config['train_cfg']['seeded_samples']
        forget_runs()
        weights.append(train(config).model.state_dict())
    assert_same(*weights)


def assert_goes_on_exactly(folder, at=7, **options):
    teacher = folder / 'teacher.pth'
    save_teacher(teacher)
    run(folder / 'whole', teacher, **options)
    run(folder / 'cut', teacher, at, **options)
    run(folder / 'cut', teacher, resume=True, **options)
    whole = last_checkpoint(folder / 'whole')
    assert whole['meta']['iter'] in (9, 12, 15)
    assert_same(
        without_places(last_checkpoint(folder / 'cut')), without_places(whole)
    )


OPTIMIZER = dict(type='SGD', lr=0.1, momentum=0.9)


@pytest.mark.parametrize('by_epoch', [False, True])
def test_without_workers(tmp_path, by_epoch):
    assert_goes_on_exactly(tmp_path, by_epoch=by_epoch)


def test_at_the_end_of_an_epoch_of_the_data(tmp_path):
    assert_goes_on_exactly(tmp_path, sampler='DefaultSampler', length=6)


@pytest.mark.slow
@pytest.mark.parametrize('by_epoch', [False, True])
@pytest.mark.parametrize('length', [5, 6])
@pytest.mark.parametrize(
    'options',
    [
        dict(seeded=True),
        dict(workers=2),
        dict(workers=2, persistent=True),
        dict(workers=2, seeded=True),
        dict(workers=2, seeded=True, persistent=True),
    ],
    ids=str,
)
def test_in_the_last_step_of_an_epoch(tmp_path, by_epoch, length, options):
    # Three batches an epoch, the last of which may hold one image.
    sampler = 'DefaultSampler'
    options = dict(options, by_epoch=by_epoch, length=length)
    assert_goes_on_exactly(tmp_path, 4, sampler=sampler, **options)


def test_with_workers_whose_samples_are_read_again(tmp_path):
    assert_goes_on_exactly(tmp_path, workers=2)


def test_with_seeded_samples(tmp_path):
    assert_goes_on_exactly(tmp_path, workers=2, seeded=True)


def test_with_seeded_samples_at_the_end_of_an_epoch(tmp_path):
    assert_goes_on_exactly(tmp_path, at=5, by_epoch=True, seeded=True)


def test_amid_an_accumulation_with_averaged_weights(tmp_path):
    assert_goes_on_exactly(
        tmp_path,
        optim_wrapper=dict(optimizer=OPTIMIZER, accumulative_counts=2),
        custom_hooks=[dict(type='EMAHook', momentum=0.1)],
    )


def test_without_a_seed(tmp_path):
    assert_goes_on_exactly(tmp_path, randomness=dict(seed=None))


@pytest.mark.slow
@pytest.mark.parametrize('by_epoch', [False, True])
@pytest.mark.parametrize('at', [3, 5, 6, 10])
@pytest.mark.parametrize(
    'options',
    [
        dict(),
        dict(workers=2),
        dict(workers=2, persistent=True),
        dict(workers=2, seeded=True),
        dict(workers=2, seeded=True, persistent=True),
        dict(seeded=True),
        dict(sampler='DefaultSampler'),
        dict(sampler='DefaultSampler', workers=2),
        dict(sampler='DefaultSampler', workers=2, seeded=True),
        dict(
            optim_wrapper=dict(type='AmpOptimWrapper', optimizer=OPTIMIZER),
            randomness=dict(seed=None),
        ),
    ],
    ids=str,
)
def test_wherever_it_stops(tmp_path, by_epoch, at, options):
    assert_goes_on_exactly(tmp_path, at, by_epoch=by_epoch, **options)


@pytest.mark.slow
@pytest.mark.parametrize('by_epoch', [False, True])
@pytest.mark.parametrize('options', [dict(), dict(workers=2)], ids=str)
def test_two_processes_that_are_killed(
    tmp_path, monkeypatch, by_epoch, options
):
    teacher = tmp_path / 'teacher.pth'
    save_teacher(teacher)
    folders = [tmp_path / 'whole', tmp_path / 'cut']
    configs = []
    for folder in folders:
        folder.mkdir()
        config = config_of(folder, teacher, by_epoch=by_epoch, **options)
        # Five steps for each of three epochs, or twelve.
        config['train_dataloader']['dataset']['length'] = 20
        config['custom_hooks'] = [dict(type='KillAt')]
        configs.append(config)
    whole = launch(configs[0], folders[0])
    assert whole.returncode == 0, whole.stderr[-3000:]
    monkeypatch.setenv('KILL_AT', '7')
    cut = launch(configs[1], folders[1])
    assert cut.returncode != 0
    assert last_checkpoint(folders[1])['meta']['iter'] == 6
    monkeypatch.delenv('KILL_AT')
    resumed = launch(configs[1], folders[1], '--resume')
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert_same(*(without_places(last_checkpoint(f)) for f in folders[::-1]))
