"""Trainings that get signals, and what is watched of them."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from mmtat.engine.hooks import PreemptionHook

from .voc import ROOT


def wait_for(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.01)


def parent_of(process):
    text = Path(f'/proc/{process}/stat').read_text()
    return int(text.rpartition(')')[2].split()[1])


@HOOKS.register_module()
class SignalAt(Hook):
    """Sends a signal as the environment says, and waits until it is there.

    SIGNAL_AT is as 'SIGTERM train 7 self 0': the signal, the phase, its
    iteration, to whom, and the rank that sends it.
    """

    def before_train(self, runner):
        self._send(runner, 'start', 0)

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        self._send(runner, 'train', runner.iter)

    def before_save_checkpoint(self, runner, checkpoint):
        self._send(runner, 'save', runner.iter)

    def after_val_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        self._send(runner, 'val', runner.iter)

    def _send(self, runner, *when):
        name, phase, step, target, rank = os.environ.get(
            'SIGNAL_AT', '- - 0 - 0'
        ).split()
        if (phase, int(step), int(rank)) != (*when, runner.rank):
            return
        targets = [os.getpid()]
        if target == 'launcher':
            # train.py < torchrun < dist_train.sh
            targets = [parent_of(os.getppid())]
        if target == 'all':
            workers = multiprocessing.active_children()
            assert workers
            targets = [*(worker.pid for worker in workers), *targets]
        for process in targets:
            os.kill(process, getattr(signal, name))
        hook = next(h for h in runner.hooks if isinstance(h, PreemptionHook))
        wait_for(lambda: hook._asked.name is not None)


@HOOKS.register_module()
class FailAt(Hook):
    """Fails in an iteration that the environment names."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if str(runner.iter) == os.environ.get('FAIL_AT'):
            raise RuntimeError('Wrong by purpose')


@HOOKS.register_module()
class KillOnce(Hook):
    """Kills one rank amid a step, the first time that it runs."""

    def after_train_iter(
        self, runner, batch_idx, data_batch=None, outputs=None
    ):
        if (
            runner.iter == 6
            and runner.rank == 1
            and os.environ.get('TORCHELASTIC_RESTART_COUNT', '0') == '0'
            and 'KILL' in os.environ
        ):
            os.kill(os.getpid(), signal.SIGKILL)


def _note_writes(folder, notes):
    """Write down which rank opens, makes or renames what in a folder."""
    rank = os.environ['RANK']

    def audit(event, arguments):
        if event == 'open':
            writes = isinstance(arguments[2], int) and arguments[2] & (
                os.O_WRONLY | os.O_RDWR | os.O_CREAT
            )
        else:
            writes = event in ('os.rename', 'os.remove', 'os.truncate')
        if writes and str(arguments[0]).startswith(folder):
            with open(f'{notes}.{rank}', 'a') as out:
                out.write(f'{arguments[0]}\n')

    sys.addaudithook(audit)


if 'WRITES_OF' in os.environ:
    _note_writes(os.environ['WRITES_OF'], os.environ['WRITES_TO'])


def command_of(config, work_dir):
    """A config's file, with what it needs of the tests."""
    file = work_dir / 'config.py'
    Config(config).dump(file)
    names = ['running', 'interruptions', 'preempted']
    imports = [f'tests.{name}' for name in names]
    with open(file, 'a') as out:
        out.write(f'\ncustom_imports = dict(imports={imports})\n')
    return str(file)


def environment(**more):
    # Below the ports that the system gives to whoever asks for any.
    port = str(20000 + os.getpid() % 12000)
    return dict(
        os.environ,
        PYTHONPATH=str(ROOT),
        OMP_NUM_THREADS='1',
        PORT=port,
        MMTAT_DIST_TIMEOUT='120',
        **more,
    )


def launch(config, work_dir, *arguments, **variables):
    """Train in two processes."""
    file = command_of(config, work_dir)
    return subprocess.run(
        ['bash', 'tools/dist_train.sh', file, '2', *arguments],
        cwd=ROOT,
        env=environment(**variables),
        capture_output=True,
        text=True,
        timeout=600,
    )
