"""What a launcher begins anew goes on; what has lost another process ends."""

import os
import re
import signal
import subprocess
import sys

import pytest

from mmtat.compat import distributed as compat
from mmtat.engine.saving.lost_peers import lost_peers_named

from . import preempted
from .interruptions import Interrupt, Interrupted
from .test_exact_resume import assert_same, last_checkpoint
from .test_preemption import (
    alone,
    build,
    end_of,
    names,
    train,
    two_processes,
)
from .voc import ROOT

assert alone  # a fixture


def interrupt(config, at):
    Interrupt.at = at
    try:
        with pytest.raises(Interrupted):
            train(config)
    finally:
        Interrupt.at = None


@pytest.fixture
def slurm(monkeypatch):
    def job(number, restarts):
        monkeypatch.setenv('SLURM_JOB_ID', str(number))
        monkeypatch.setenv('SLURM_RESTART_COUNT', str(restarts))

    return job


def assert_equal(first, second):
    assert_same(end_of(first), end_of(second))


def test_a_requeued_job_goes_on_from_its_newest_checkpoint(tmp_path, slurm):
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    train(build(whole))
    slurm(7, 0)
    interrupt(build(cut), 7)
    assert names(cut)[-1] == 'iter_6.pth'
    slurm(7, 1)
    runner = train(build(cut))
    assert runner._load_from == str(cut / 'iter_6.pth')
    assert_equal(cut, whole)


@pytest.mark.slow
def test_a_requeued_job_that_had_saved_nothing_begins_anew(tmp_path, slurm):
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    slurm(1, 0)
    train(build(whole))
    train(build(cut))
    # Another job in the same folder: its restart is not to take the last
    # one's checkpoints for its own.
    slurm(2, 0)
    interrupt(build(cut), 2)
    slurm(2, 1)
    runner = train(build(cut))
    assert runner._load_from is None
    assert_equal(cut, whole)


def test_a_job_that_ended_before_it_began_takes_no_other_run(tmp_path, slurm):
    slurm(1, 0)
    train(build(tmp_path / 'cut'))
    slurm(2, 1)
    assert train(build(tmp_path / 'cut'))._load_from is None


@pytest.mark.slow
def test_a_restart_takes_the_newer_of_its_own_and_the_named_one(
    tmp_path, slurm
):
    cut = tmp_path / 'cut'
    interrupt(build(cut), 7)
    named = dict(resume=True, load_from=str(cut / 'iter_3.pth'))
    slurm(3, 0)
    interrupt(build(cut, **named), 5)
    slurm(3, 1)
    # It had saved nothing, so that the named one is the newest.
    interrupt(build(cut, **named), 7)
    slurm(3, 2)
    assert train(build(cut, **named))._load_from == str(cut / 'iter_6.pth')


def test_a_restart_skips_a_damaged_checkpoint(tmp_path, slurm):
    cut = tmp_path / 'cut'
    slurm(7, 0)
    interrupt(build(cut), 7)
    (cut / 'iter_6.pth').write_bytes(b'cut off')
    slurm(7, 1)
    assert train(build(cut))._load_from == str(cut / 'iter_3.pth')


@pytest.mark.slow
def test_from_a_file_of_the_last_step_of_an_epoch(tmp_path):
    options = dict(by_epoch=True, checkpoint=dict(interval=5))
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    train(build(whole, **options))
    interrupt(build(cut, **options), 7)
    train(build(cut, resume=True, **options))
    assert_equal(cut, whole)


def test_without_a_launcher_nothing_is_noted_or_resumed(tmp_path):
    cut = tmp_path / 'cut'
    interrupt(build(cut), 7)
    assert not (cut / '.begun').exists()
    assert train(build(cut))._load_from is None


@pytest.mark.slow
def test_torchrun_begins_anew_and_ends_as_undisturbed(tmp_path):
    folders = [tmp_path / 'whole', tmp_path / 'cut']
    configs = [two_processes(folder) for folder in folders]
    for config in configs:
        config['custom_hooks'].append(dict(type='KillOnce'))
    whole = preempted.launch(configs[0], folders[0])
    assert whole.returncode == 0, whole.stderr[-3000:]
    cut = preempted.launch(
        configs[1], folders[1], KILL='yes', MAX_RESTARTS='1'
    )
    assert cut.returncode == 0, cut.stderr[-3000:]
    assert 'Restart 1 of this run: it goes on from' in cut.stdout + cut.stderr
    assert 'exitcode: -9' in cut.stderr
    assert_equal(folders[1], folders[0])


def test_restarts_that_are_no_number_are_refused(tmp_path):
    done = subprocess.run(
        ['bash', ROOT / 'tools/dist_train.sh', 'config.py', '2'],
        env=dict(os.environ, MAX_RESTARTS='often'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2 and done.stderr.startswith('Usage: ')


# --- a process that is gone -------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize('lost', [0, 1])
def test_a_lost_rank_is_named_and_the_others_end(tmp_path, lost):
    folder = tmp_path / 'cut'
    config = two_processes(folder)
    config['custom_hooks'].append(dict(type='KillAt'))
    file = preempted.command_of(config, folder)
    variables = preempted.environment()
    ranks = [
        subprocess.Popen(
            [
                *(sys.executable, 'tools/train.py', file),
                *('--launcher', 'pytorch'),
            ],
            cwd=ROOT,
            env={
                **variables,
                'RANK': str(rank),
                'LOCAL_RANK': str(rank),
                'WORLD_SIZE': '2',
                'MASTER_ADDR': '127.0.0.1',
                'MASTER_PORT': variables['PORT'],
                **({'KILL_AT': '7'} if rank == lost else {}),
            },
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        told = [process.communicate(timeout=300)[1] for process in ranks]
    finally:
        for process in ranks:
            process.kill()
    assert ranks[lost].returncode == -signal.SIGKILL
    assert ranks[1 - lost].returncode == 1, told[1 - lost][-3000:]
    message = told[1 - lost]
    assert 'Traceback' not in message
    assert f'rank {1 - lost} of 2 lost rank {lost}' in message
    assert 'the same command with --resume goes on' in message
    # And it does.
    resumed = preempted.launch(config, folder, '--resume')
    assert resumed.returncode == 0, resumed.stderr[-3000:]
    assert last_checkpoint(folder)['meta']['iter'] == 12


@pytest.mark.parametrize(
    'text',
    [
        '[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection '
        'closed by peer [127.0.0.1]:4321',
        'Timed out after 601 seconds waiting for clients. 1/2 clients joined.',
        'NCCL error in: ../torch/csrc/distributed/c10d/ProcessGroupNCCL.cpp',
    ],
)
def test_an_error_of_another_process_says_what_to_do(text):
    with pytest.raises(ValueError, match='did not find each other in time'):
        with lost_peers_named():
            raise RuntimeError(text)


def test_an_error_of_its_own_stays_as_it_is():
    with pytest.raises(RuntimeError, match='^mat1 and mat2 shapes'):
        with lost_peers_named():
            raise RuntimeError('mat1 and mat2 shapes cannot be multiplied')


def test_processes_wait_ten_minutes_unless_told_otherwise(monkeypatch):
    monkeypatch.delenv(compat.TIMEOUT, raising=False)
    start = compat._bounded(lambda backend, **kwargs: kwargs.get('timeout'))
    assert start('gloo').total_seconds() == 600
    assert start('gloo', timeout=7) == 7
    assert start('nccl', init_backend='colossalai') is None
    monkeypatch.setenv(compat.TIMEOUT, '2.5')
    assert start('gloo', timeout=7).total_seconds() == 2.5


@pytest.mark.parametrize('text', ['soon', '0', '-1', 'inf', 'nan'])
def test_a_time_to_wait_must_be_one(monkeypatch, text):
    monkeypatch.setenv(compat.TIMEOUT, text)
    with pytest.raises(ValueError, match=f'{compat.TIMEOUT} must be'):
        compat._bounded(lambda backend, **_: None)('gloo')


def test_a_network_interface_must_be_there(monkeypatch):
    started = []
    start = compat._gloo_on_cpu(lambda *args: started.append(args))
    monkeypatch.setattr(compat, 'get_device', lambda: 'cpu')
    monkeypatch.setattr(compat.atexit, 'register', lambda function: None)
    monkeypatch.setenv(compat.INTERFACES, 'lo,eht0')
    message = "GLOO_SOCKET_IFNAME: .* no network interface 'eht0'; it has .*lo"
    with pytest.raises(ValueError, match=message):
        start('nccl')
    monkeypatch.setenv(compat.INTERFACES, 'lo')
    start('nccl')
    assert started == [('gloo',)]


def test_what_other_ranks_log_names_them(monkeypatch, capfd):
    from mmengine.logging import MMLogger

    monkeypatch.setattr('mmengine.logging.logger._get_rank', lambda: 3)
    monkeypatch.setattr('mmengine.dist.get_rank', lambda: 3)
    MMLogger('of_rank_3').error('lost')
    line = capfd.readouterr().out
    assert re.search(r'^\[rank 3\] .*lost$', line, re.MULTILINE)
