"""A run that is asked to leave is saved, and goes on as if it never was."""

import os
import signal
import subprocess
import sys
import threading

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmtat.engine.hooks import PreemptionHook
from mmtat.engine.saving.agreement import MOST_STEPS, steps_between

from . import preempted
from .interruptions import Interrupt, Interrupted
from .processes import forget_runs
from .test_exact_resume import (
    OPTIMIZER,
    assert_same,
    config_of,
    last_checkpoint,
    without_places,
)
from .toys import save_teacher
from .voc import ROOT


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    """Whoever runs the tests may be a job of Slurm."""
    for name in list(os.environ):
        if name.startswith(('SLURM_', 'TORCHELASTIC_', 'MMTAT_LAUNCH')):
            monkeypatch.delenv(name)


def build(work_dir, seconds=0, checkpoint=None, **options):
    teacher = work_dir.parent / 'teacher.pth'
    if not teacher.exists():
        save_teacher(teacher)
    config = config_of(work_dir, teacher, **options)
    config['default_hooks']['checkpoint'].update(checkpoint or {})
    config['custom_hooks'] = [
        *config.get('custom_hooks', []),
        dict(type='Interrupt'),
        dict(type='SignalAt'),
        dict(type='mmtat.PreemptionHook', seconds=seconds),
    ]
    return config


def train(config):
    forget_runs()
    runner = Runner.from_cfg(Config(config))
    runner.train()
    return runner


def leave(config):
    with pytest.raises(SystemExit) as left:
        train(config)
    assert left.value.code == 75


def names(folder):
    return sorted(path.name for path in folder.glob('*.pth'))


def log_of(folder):
    return ''.join(path.read_text() for path in folder.glob('*/*.log'))


def end_of(folder):
    checkpoint = without_places(last_checkpoint(folder))
    keys = checkpoint['message_hub']['resumed_keys']
    # The first save may have come at another time.
    checkpoint['message_hub']['resumed_keys'] = dict(sorted(keys.items()))
    return checkpoint


def assert_goes_on(folder, monkeypatch, at, saved, **options):
    handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGUSR1)]
    train(build(folder / 'whole', **options))
    monkeypatch.setenv('SIGNAL_AT', at)
    leave(build(folder / 'cut', **options))
    monkeypatch.delenv('SIGNAL_AT')
    assert handlers == [
        signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGUSR1)
    ]
    last = last_checkpoint(folder / 'cut')
    assert (last['meta']['epoch'], last['meta']['iter']) == saved
    train(build(folder / 'cut', resume=True, **options))
    assert_same(end_of(folder / 'cut'), end_of(folder / 'whole'))
    # The file of the leaving is gone, and no other.
    assert names(folder / 'cut') == names(folder / 'whole')
    return last


def test_the_step_under_way_is_finished_and_saved(tmp_path, monkeypatch):
    last = assert_goes_on(
        tmp_path, monkeypatch, 'SIGTERM train 6 self 0', (0, 7)
    )
    assert last['preempted'] is True


def test_amid_an_epoch(tmp_path, monkeypatch):
    options = dict(by_epoch=True, checkpoint=dict(by_epoch=True, interval=1))
    assert_goes_on(
        *(tmp_path, monkeypatch, 'SIGUSR1 train 6 self 0', (1, 7)), **options
    )


def test_in_the_last_step_of_an_epoch(tmp_path, monkeypatch):
    options = dict(by_epoch=True, checkpoint=dict(interval=7))
    assert_goes_on(
        *(tmp_path, monkeypatch, 'SIGTERM train 4 self 0', (1, 5)), **options
    )


def test_a_validation_is_broken_off_and_done_again(tmp_path, monkeypatch):
    last = assert_goes_on(
        *(tmp_path, monkeypatch, 'SIGTERM val 6 self 0', (0, 6)),
        checkpoint=dict(interval=4),
        optim_wrapper=dict(optimizer=OPTIMIZER, accumulative_counts=4),
        custom_hooks=[dict(type='EMAHook', momentum=0.1)],
    )
    assert last['preempted'] is True


def test_the_last_validation_of_a_run_by_epochs_is_done_again(
    tmp_path, monkeypatch
):
    options = dict(by_epoch=True, checkpoint=dict(by_epoch=True, interval=1))
    train(build(tmp_path / 'whole', **options))
    monkeypatch.setenv('SIGNAL_AT', 'SIGTERM val 15 self 0')
    leave(build(tmp_path / 'cut', **options))
    monkeypatch.delenv('SIGNAL_AT')
    assert 'best_score_epoch_3.pth' not in names(tmp_path / 'cut')
    train(build(tmp_path / 'cut', resume=True, **options))
    assert names(tmp_path / 'cut') == names(tmp_path / 'whole')
    cut, whole = (
        torch.load(
            tmp_path / name / 'best_score_epoch_3.pth', weights_only=True
        )
        for name in ('cut', 'whole')
    )
    assert_same(cut['state_dict'], whole['state_dict'])
    scores = cut['message_hub']['log_scalars']['val/score']
    assert len(scores['log_history']) == 3
    assert_same(scores, whole['message_hub']['log_scalars']['val/score'])


@pytest.mark.slow
def test_what_is_saved_already_is_not_saved_again(tmp_path, monkeypatch):
    last = assert_goes_on(
        tmp_path, monkeypatch, 'SIGTERM val 6 self 0', (0, 6)
    )
    assert 'preempted' not in last


@pytest.mark.slow
def test_a_save_under_way_is_finished(tmp_path, monkeypatch):
    assert_goes_on(tmp_path, monkeypatch, 'SIGTERM save 2 self 0', (0, 3))


def test_before_the_first_step_nothing_is_saved(tmp_path, monkeypatch, capfd):
    monkeypatch.setenv('SIGNAL_AT', 'SIGTERM start 0 self 0')
    leave(build(tmp_path / 'cut'))
    assert names(tmp_path / 'cut') == []
    assert (
        'SIGTERM: leaving before the first iteration' in capfd.readouterr()[1]
    )


@pytest.mark.slow
def test_data_workers_outlive_a_signal_to_the_whole_job(tmp_path, monkeypatch):
    assert_goes_on(
        *(tmp_path, monkeypatch, 'SIGTERM train 6 all 0', (0, 7)),
        workers=1,
        seeded=True,
    )


@pytest.mark.parametrize(
    'ending',
    [
        'as it should',
        pytest.param('by an error', marks=pytest.mark.slow),
        pytest.param('by an epoch', marks=pytest.mark.slow),
        pytest.param('when it was asked', marks=pytest.mark.slow),
    ],
)
def test_a_process_ends_with_its_data_workers(tmp_path, ending):
    folder, by_epoch = tmp_path / 'run', ending == 'by an epoch'
    folder.mkdir()
    config = build(folder, workers=2, persistent=True, by_epoch=by_epoch)
    config['custom_hooks'].append(dict(type='FailAt'))
    asked = {'by an error': dict(FAIL_AT='3')}
    asked['when it was asked'] = dict(SIGNAL_AT='SIGTERM train 6 all 0')
    done = subprocess.run(
        [
            *(sys.executable, 'tools/train.py'),
            preempted.command_of(config, folder),
        ],
        cwd=ROOT,
        env=preempted.environment(**asked.get(ending, {})),
        capture_output=True,
        text=True,
        timeout=120,
    )
    status = {'by an error': 1, 'when it was asked': 75}.get(ending, 0)
    assert done.returncode == status, done.stderr[-3000:]
    assert 'Exception ignored' not in done.stderr
    assert ('Wrong by purpose' in done.stderr) is (ending == 'by an error')


def test_the_stock_hook_saves_as_well(tmp_path, monkeypatch):
    monkeypatch.setenv('SIGNAL_AT', 'SIGTERM train 6 self 0')
    config = build(tmp_path / 'cut')
    config['default_hooks']['checkpoint'] = dict(
        type='CheckpointHook', by_epoch=False, interval=3, max_keep_ckpts=1
    )
    config['train_cfg'] = dict(type='IterBasedTrainLoop', max_iters=12)
    leave(config)
    assert names(tmp_path / 'cut') == ['iter_6.pth', 'iter_7.pth']
    config['resume'] = True
    train(config)
    assert names(tmp_path / 'cut') == ['iter_12.pth']


def test_a_run_without_a_checkpoint_hook_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv('SIGNAL_AT', 'SIGTERM train 6 self 0')
    config = build(tmp_path / 'cut')
    config['default_hooks']['checkpoint'] = None
    leave(config)
    assert 'nothing is saved, for the run has no' in log_of(tmp_path / 'cut')


def test_after_an_error_signals_mean_what_they_meant(tmp_path):
    heard = []
    before = signal.signal(signal.SIGUSR1, lambda *_: heard.append(1))
    try:
        Interrupt.at = 2
        with pytest.raises(Interrupted):
            train(build(tmp_path / 'cut'))
        signal.raise_signal(signal.SIGUSR1)
    finally:
        Interrupt.at = None
        signal.signal(signal.SIGUSR1, before)
    assert heard == [1]


@pytest.mark.slow
def test_another_thread_than_the_main_one_takes_no_signal(tmp_path):
    before, seen = signal.getsignal(signal.SIGTERM), []

    def run():
        runner = train(build(tmp_path / 'whole'))
        seen.append((signal.getsignal(signal.SIGTERM), runner.iter))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [(before, 12)]


def test_ctrl_c_is_left_alone(tmp_path, monkeypatch):
    config = build(tmp_path / 'cut')
    hook = PreemptionHook()
    runner = Runner.from_cfg(Config(config))
    runner._train_loop = runner.build_train_loop(runner._train_loop)
    before = signal.getsignal(signal.SIGINT)
    hook.before_run(runner)
    assert signal.getsignal(signal.SIGTERM) == hook._asked._hear
    assert signal.getsignal(signal.SIGINT) is before
    hook.after_run(runner)


#: Its main thread is in C, so that none of Python's handlers runs there.
BUSY = """
import hashlib, os, signal, threading
from types import SimpleNamespace
from mmtat.engine.saving import asked_to_leave
asked_to_leave.ONE_REQUEST = 0.0

class Run:
    def train(self):
        asked = asked_to_leave.AskedToLeave(self)
        asked.listen()
        asked.has_trained = True
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked.name == 'SIGTERM'
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        hashlib.pbkdf2_hmac('sha256', b'', b'', 2**31 - 1)

Run().train()
"""


@pytest.mark.slow
def test_a_second_signal_ends_even_a_run_that_hangs():
    done = subprocess.run(
        [sys.executable, '-c', BUSY],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 75
    assert 'A second signal: leaving at once' in done.stderr


@pytest.mark.parametrize(
    ('seconds', 'pace', 'steps'),
    [
        (0, 0.0, 1),
        (0, 0.5, 1),
        (1, 0.5, 2),
        (1, 3.0, 1),
        (1, 0.02, 50),
        (1, 0.001, MOST_STEPS),
        (1, 0.0, MOST_STEPS),
    ],
)
def test_processes_ask_each_other_once_in_some_seconds(seconds, pace, steps):
    assert steps_between(seconds, pace) == steps


def test_a_time_below_zero_is_refused():
    with pytest.raises(ValueError, match='seconds must not be negative'):
        PreemptionHook(seconds=-1)


# --- several processes ------------------------------------------------------


def two_processes(folder):
    folder.mkdir()
    config = build(folder)
    # Five steps for each of two epochs of the data.
    config['train_dataloader']['dataset']['length'] = 20
    return config


def test_a_signal_to_one_rank_has_all_leave(tmp_path):
    config = two_processes(tmp_path / 'cut')
    done = preempted.launch(
        *(config, tmp_path / 'cut'),
        SIGNAL_AT='SIGUSR1 train 6 self 1',
        WRITES_OF=str(tmp_path / 'cut'),
        WRITES_TO=str(tmp_path / 'writes'),
    )
    assert done.returncode == 75, done.stderr[-3000:]
    last = last_checkpoint(tmp_path / 'cut')
    assert last['meta']['iter'] == 7 and len(last['run_state']['ranks']) == 2
    assert 'A signal to another process: the run leaves' in (
        done.stdout + done.stderr
    )
    assert 'iter_7.pth' in (tmp_path / 'writes.0').read_text()
    assert not (tmp_path / 'writes.1').exists()


@pytest.mark.slow
@pytest.mark.parametrize('name', ['SIGTERM', 'SIGUSR1'])
@pytest.mark.parametrize('restarts', [{}, dict(MAX_RESTARTS='2')])
def test_a_signal_to_the_launcher_saves_once(tmp_path, name, restarts):
    folders = [tmp_path / 'whole', tmp_path / 'cut']
    configs = [two_processes(folder) for folder in folders]
    whole = preempted.launch(configs[0], folders[0])
    assert whole.returncode == 0, whole.stderr[-3000:]
    cut = preempted.launch(
        *(configs[1], folders[1]),
        SIGNAL_AT=f'{name} train 6 launcher 0',
        **restarts,
    )
    assert cut.returncode == 75, cut.stderr[-3000:]
    last = last_checkpoint(folders[1])
    assert last['meta']['iter'] in (7, 8)
    resumed = preempted.launch(configs[1], folders[1], '--resume')
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert_same(*(end_of(folder) for folder in folders[::-1]))


# --- Slurm ------------------------------------------------------------------

SRUN = """#!/usr/bin/env bash
[ -z "$NOTE" ] || touch "$MMTAT_LAUNCH_NOTES/asked-1"
exit $STATUS
"""


@pytest.mark.parametrize(
    ('job', 'note', 'status', 'requeued', 'left'),
    [
        ('17', 'yes', '0', True, 75),
        ('17', '', '75', True, 75),
        ('17', '', '1', False, 1),
        ('17', '', '0', False, 0),
        ('', '', '75', False, 75),
    ],
)
def test_a_batch_job_that_was_asked_is_requeued(
    tmp_path, job, note, status, requeued, left
):
    (tmp_path / 'bin').mkdir()
    for name, text in (
        ('srun', SRUN),
        ('scontrol', '#!/bin/sh\necho scontrol "$@"\n'),
    ):
        (tmp_path / 'bin' / name).write_text(text)
        (tmp_path / 'bin' / name).chmod(0o755)
    done = subprocess.run(
        ['bash', ROOT / 'tools/slurm_train.sh', 'part', 'job', 'config.py'],
        cwd=tmp_path,
        env=dict(
            os.environ,
            PATH=f'{tmp_path / "bin"}{os.pathsep}{os.environ["PATH"]}',
            SLURM_JOB_ID=job,
            STATUS=status,
            NOTE=note,
        ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == left, done.stderr
    assert ('scontrol requeue 17' in done.stdout) is requeued
    assert [path.name for path in tmp_path.iterdir()] == ['bin']
