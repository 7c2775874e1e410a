"""Two CPU processes take the step of one, however DDP is told to work."""

import os

import pytest
import torch
from mmengine.config import Config
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.runner import Runner
from torch.utils.checkpoint import checkpoint

from . import running
from .steps import (
    IMAGES,
    Training,
    assert_same,
    build,
    by_hand,
    config,
    mean_of,
    plain,
    through_wrapper,
    train,
    with_a_pause,
)

pytestmark = pytest.mark.slow

FLAGS = dict(
    default=dict(),
    static=dict(static_graph=True),
    views=dict(gradient_as_bucket_view=True),
    both=dict(static_graph=True, gradient_as_bucket_view=True),
)
#: What the step does besides, and with what flags. A graph that is static
#: cannot begin without a synchronisation: torch then fails for any model.
MODES = dict(
    accumulated='views',
    everything='views',
    bfloat16='both',
    checkpointed='both',
    compiled='both',
    paused='both',
)
CASES = {
    f'{flags}, {mode}, {norm}, {"streamed" if stream else "direct"}': (
        FLAGS[flags],
        mode,
        norm,
        stream,
    )
    for flags, mode in [
        *((flags, 'plain') for flags in FLAGS),
        *((flags, mode) for mode, flags in MODES.items()),
    ]
    for norm in ('image', 'batch')
    for stream in (False, True)
}


def run_case(images, flags, mode, norm, stream):
    """Train on the images of one process."""
    is_half = mode in ('bfloat16', 'everything')
    dtype = torch.float32 if is_half else torch.float64
    model = build(stream, norm, dtype=dtype)
    if mode in ('checkpointed', 'everything'):
        forward = model.student.body.forward
        model.student.body.forward = lambda x: checkpoint(
            forward, x, use_reentrant=False
        )
    if mode == 'compiled':
        model.student.compile(backend='aot_eager')
    parts = 2 if mode in ('accumulated', 'everything') else 1
    wrapped = MMDistributedDataParallel(
        model, find_unused_parameters=False, **flags
    )
    step = through_wrapper(
        wrapped,
        images.to(dtype),
        parts,
        AmpOptimWrapper if is_half else OptimWrapper,
        accumulative_counts=parts,
    )
    if mode == 'paused':
        step = with_a_pause(model, step)
    return vars(train(model, step))


def run_by_the_runner(folder):
    """Train by the Runner, with all flags in its config."""
    model = config(True)
    model['distiller']['input_size'] = (8, 8)
    settings = running.toy_config(
        folder,
        model,
        2,
        launcher='pytorch',
        model_wrapper_cfg=dict(
            type='MMDistributedDataParallel',
            find_unused_parameters=False,
            **FLAGS['both'],
        ),
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
    )
    settings['train_dataloader']['batch_size'] //= 2
    runner = Runner.from_cfg(Config(settings))
    runner.train()
    assert runner.model.static_graph and runner.model.gradient_as_bucket_view
    return runner.model.module.state_dict()


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
    torch.distributed.init_process_group('gloo')
    results = {
        name: run_case(IMAGES[2 * rank : 2 * rank + 2], *case)
        for name, case in CASES.items()
    }
    results['runner'] = run_by_the_runner(folder / 'two')
    torch.save(results, folder / f'{rank}.pth')
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """What both processes got, by the names of the cases."""
    folder = tmp_path_factory.mktemp('distributed')
    torch.multiprocessing.spawn(
        train_on_one_of_two, (folder, 20000 + os.getpid() % 20000), nprocs=2
    )
    return [torch.load(folder / f'{rank}.pth') for rank in (0, 1)]


@pytest.mark.parametrize('name', CASES)
def test_two_processes_take_the_step_of_one(trained, name):
    _, mode, norm, _ = CASES[name]
    both = [Training(**results[name]) for results in trained]
    losses = [mean_of(pair) for pair in zip(*(one.losses for one in both))]
    # A norm of the batch is of what one process has at a time.
    parts = 4 if mode in ('accumulated', 'everything') else 2
    if mode == 'paused':
        model = build(False, norm)
        step = by_hand(model, IMAGES.double(), parts)
        expected = train(model, with_a_pause(model, step))
    else:
        expected = plain(False, norm, parts=parts)
    is_half = mode in ('bfloat16', 'everything')
    for one in both:
        found = Training(losses, one.gradients, one.changes)
        assert_same(found, expected, 2**-5 if is_half else 1e-9)


def test_the_runner_wraps_as_the_config_says(trained, tmp_path):
    model = config(True)
    model['distiller']['input_size'] = (8, 8)
    one = running.train(running.toy_config(tmp_path, model, 2))
    for name, tensor in one.model.state_dict().items():
        for two in trained:
            torch.testing.assert_close(two['runner'][name], tensor)
