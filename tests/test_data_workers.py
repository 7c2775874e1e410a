"""Data workers live as long as their run, and no longer."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmtat.engine.saving import data_workers
from mmtat.engine.saving.data_workers import Shielded, shield_workers

from .running import toy_config
from .toys import ToySegmentor  # noqa: F401
from .voc import ROOT


@pytest.fixture
def worker():
    """Starts a process as a data worker, and tells when it is ready."""
    context, processes = multiprocessing.get_context('fork'), []

    def start(one_request):
        data_workers.ONE_REQUEST = one_request
        has_ended, ready = context.RawValue('b', 0), context.Event()

        def work():
            Shielded(has_ended)(0)
            ready.set()
            while True:
                time.sleep(0.01)

        process = context.Process(target=work, daemon=True)
        process.start()
        assert ready.wait(20)
        processes.append(process)
        return process, has_ended

    before = data_workers.ONE_REQUEST
    yield start
    data_workers.ONE_REQUEST = before
    for process in processes:
        process.kill()


def terminate(process):
    os.kill(process.pid, signal.SIGTERM)
    time.sleep(0.2)


def test_signals_of_one_request_do_not_end_a_worker(worker):
    process, _ = worker(one_request=60)
    for _ in range(3):
        terminate(process)
        os.kill(process.pid, signal.SIGUSR1)
    assert process.is_alive()


def test_another_request_ends_it(worker):
    process, _ = worker(one_request=0)
    terminate(process)
    assert process.is_alive()
    terminate(process)
    process.join(20)
    assert process.exitcode == -signal.SIGTERM


@pytest.mark.parametrize('asked', [0, 1])
def test_after_its_run_it_ends_as_torch_has_it(worker, asked):
    process, has_ended = worker(one_request=60)
    for _ in range(asked):
        terminate(process)
    has_ended.value = 1
    terminate(process)
    process.join(20)
    assert process.exitcode == 0


STUCK = """
import multiprocessing, signal, sys, time
from types import SimpleNamespace
from mmtat.engine.saving import asked_to_leave
from mmtat.engine.saving.data_workers import Shielded

asked_to_leave.LAST_WORDS = 0.5
asked = asked_to_leave.AskedToLeave(SimpleNamespace)
asked.listen()
ready = multiprocessing.Event()

def work():
    Shielded(asked.has_ended)(0)
    # As one that never comes back from C.
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
    ready.set()
    time.sleep(600)

multiprocessing.Process(target=work, daemon=True).start()
ready.wait()
if sys.argv[1] == 'well':
    asked.restore()
print('done', flush=True)
"""


@pytest.mark.parametrize('ending', ['well', 'by an error'])
def test_a_worker_that_is_stuck_does_not_hold_up_the_end(ending):
    done = subprocess.run(
        [sys.executable, '-c', STUCK, ending],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, 'done\n'), done.stderr


def test_all_loaders_of_a_loop_are_shielded_once():
    loaders = [DataLoader([0]) for _ in range(3)]
    shifted = dict(blur=loaders[1], noise=loaders[2])
    loop = SimpleNamespace(dataloader=loaders[0], shifted=shifted)
    loaders[0].worker_init_fn = print
    for mark in ('first', 'second'):
        shield_workers(loop, mark)
    for loader in loaders:
        assert loader.worker_init_fn._has_ended == 'second'
    begins = [loader.worker_init_fn._begin for loader in loaders]
    assert begins == [print, None, None]


@pytest.mark.parametrize('workers', [0, 1])
def test_workers_that_run_already_are_a_warning(tmp_path, workers):
    config = toy_config(tmp_path, model=dict(type='ToySegmentor'), max_iters=1)
    config['train_dataloader'].update(num_workers=workers)
    config['default_hooks']['preemption'] = dict(type='mmtat.PreemptionHook')
    runner = Runner.from_cfg(config)
    lines = []
    runner.logger.warning = lines.append
    runner.train()
    runner.train_loop.dataloader_iterator = None
    said = [line for line in lines if 'cannot shield the data workers' in line]
    assert len(said) == workers
