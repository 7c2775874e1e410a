"""A number that is not finite in one of two processes: both act alike."""

import os
from datetime import timedelta

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmengine.runner import runner as runner_module

from mmtat.engine.non_finite.replay import replay
from mmtat.engine.non_finite.report import NonFiniteError

from .processes import forget_runs
from .test_non_finite import config_of, spare_formatting, state

#: The second batch of rank 1 has the images 5 and 7.
DATA = dict(bright=[7])
CASES = dict(
    raised=dict(),
    raised_gradient=dict(breaks='gradient'),
    skipped=dict(hook=dict(policy='skip', most=2)),
    dropped=dict(hook=dict(policy='drop', most=2)),
    dropped_gradient=dict(breaks='gradient', hook=dict(policy='drop', most=2)),
)


def train_on_one_of_two(rank, folder, port):
    os.environ.update(
        GLOO_SOCKET_IFNAME='lo',
        MASTER_ADDR='127.0.0.1',
        MASTER_PORT=str(port),
        WORLD_SIZE='2',
        RANK=str(rank),
        LOCAL_RANK=str(rank),
    )
    torch.set_num_threads(1)
    spare_formatting()
    runner_module.collect_env = dict
    # A process that hangs fails the test, rather than the whole job.
    torch.distributed.init_process_group(
        'gloo', timeout=timedelta(seconds=300)
    )
    told = {}
    for name, case in CASES.items():
        forget_runs()
        config = config_of(
            folder / f'{name}_{rank}',
            iters=3,
            interval=1,
            data=DATA,
            launcher='pytorch',
            env_cfg=dict(dist_cfg=dict(backend='gloo')),
            model_wrapper_cfg=dict(
                type='MMDistributedDataParallel', find_unused_parameters=False
            ),
            **case,
        )
        config['work_dir'] = str(folder / name)
        try:
            Runner.from_cfg(Config(config)).train()
        except NonFiniteError as error:
            told[name] = str(error)
    torch.save(told, folder / f'told_{rank}.pth')
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('two')
    torch.multiprocessing.spawn(
        train_on_one_of_two, (folder, 20000 + os.getpid() % 20000), nprocs=2
    )
    return folder


@pytest.fixture(scope='module')
def told(folder):
    """What each process said at its end, by the names of the cases."""
    return [torch.load(folder / f'told_{rank}.pth') for rank in (0, 1)]


def test_both_end_with_the_same_message(folder, told):
    assert sorted(told[0]) == sorted(told[1]) == ['raised', 'raised_gradient']
    assert told[0] == told[1]
    lines = told[0]['raised'].split('\n  ')
    assert lines[0].startswith('iteration 2: losses of the distillation')
    ranks = {
        line[:6]: line
        for line in lines
        if line.startswith('rank ') and 'loss' in line
    }
    assert 'nan' not in ranks['rank 0'] and 'nan' in ranks['rank 1']
    assert 'rank 1: images: image_5.jpg, image_7.jpg' in lines
    dumps = (folder / 'raised' / 'non_finite').iterdir()
    assert [dump.name for dump in dumps] == ['iter_2_rank1.pth']


def test_a_gradient_of_one_is_dumped_by_both(folder, told):
    assert told[0]['raised_gradient'].startswith(
        'iteration 2: gradients are not finite'
    )
    dumps = folder / 'raised_gradient' / 'non_finite'
    found = {
        rank: replay(str(dumps / f'iter_2_rank{rank}.pth')) for rank in (0, 1)
    }
    # Which of them it came from is found so.
    assert not found[0].is_reproduced
    assert found[1].is_reproduced


def test_a_skipped_step_is_skipped_by_both(folder):
    before, after = (state(folder / 'skipped', i) for i in (1, 2))
    assert before.keys() == after.keys()
    for name, tensor in before.items():
        assert torch.equal(after[name], tensor), name


@pytest.mark.parametrize('name', ['dropped', 'dropped_gradient'])
def test_a_dropped_distillation_leaves_both_the_task(folder, name):
    before, after = (state(folder / name, i) for i in (1, 2))
    conv = 'state_dict.backbone.conv.weight'
    assert not torch.equal(after[conv], before[conv])
    assert all(tensor.isfinite().all() for tensor in after.values())
    assert (folder / name / 'iter_3.pth').is_file()
