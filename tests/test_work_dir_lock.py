"""Two trainings at once cannot harm each other."""

import logging
import os
import signal
import subprocess
import sys

import pytest
from mmengine.config import Config

from mmtat.engine.checked_runner import CheckedRunner
from mmtat.engine.saving import work_dir_lock
from mmtat.engine.saving.work_dir_lock import lock_work_dir, unlock_work_dir

from .running import train
from .test_exact_resume import config_of
from .toys import save_teacher
from .voc import ROOT

HOLDS = """
import sys, time
from mmtat.engine.saving.work_dir_lock import lock_work_dir
lock_work_dir(sys.argv[1])
print('locked', flush=True)
time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that trains in the folder ``run``."""
    (tmp_path / 'run').mkdir()
    process = subprocess.Popen(
        [sys.executable, '-c', HOLDS, str(tmp_path / 'run')],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == 'locked\n'
    yield process
    process.kill()
    process.wait()


def test_the_second_training_in_a_work_dir_is_refused(tmp_path, holder):
    save_teacher(tmp_path / 'teacher.pth')
    config = config_of(tmp_path / 'run', tmp_path / 'teacher.pth')
    message = (
        'work_dir: another training is running in .*run.*'
        rf'process {holder.pid} on '
    )
    with pytest.raises(ValueError, match=message):
        train(config)
    with pytest.raises(ValueError, match=message):
        CheckedRunner.from_cfg(Config(config))
    assert not list((tmp_path / 'run').glob('*.pth'))
    # As by a power failure: nobody tidied up.
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    train(config)
    assert (tmp_path / 'run' / 'last_checkpoint').exists()


def test_a_training_alone_gives_its_work_dir_back(tmp_path):
    save_teacher(tmp_path / 'teacher.pth')
    train(config_of(tmp_path / 'run', tmp_path / 'teacher.pth'))
    assert can_lock(tmp_path / 'run')


def can_lock(folder):
    """Whether another process gets the lock."""
    done = subprocess.run(
        [sys.executable, '-c', HOLDS.replace('600', '0'), str(folder)],
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    assert done.stdout or 'another training is running' in done.stderr
    return done.stdout == 'locked\n'


def test_forks_do_not_hold_the_lock(tmp_path):
    for _ in range(2):
        lock_work_dir(tmp_path)
    child = os.fork()
    if child == 0:
        # As a data worker, which outlives the process for a moment.
        signal.pause()
        os._exit(0)
    assert not can_lock(tmp_path)
    for _ in range(2):
        unlock_work_dir(tmp_path)
    assert can_lock(tmp_path)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_training_on_another_machine_is_a_warning(
    tmp_path, holder, monkeypatch
):
    lines = []
    monkeypatch.setattr(
        work_dir_lock, 'print_log', lambda *args: lines.append(args)
    )
    monkeypatch.setattr(work_dir_lock.socket, 'gethostname', lambda: 'other')
    lock_work_dir(tmp_path / 'run')
    [(line, _, level)] = lines
    assert level == logging.WARNING
    assert f'process {holder.pid} on' in line and 'that machine' in line
    assert str(tmp_path / 'run') not in work_dir_lock._held


def test_where_there_are_no_locks_a_training_goes_on(tmp_path, monkeypatch):
    def unsupported(*args):
        raise OSError(95, 'Operation not supported')

    monkeypatch.setattr(work_dir_lock.fcntl, 'lockf', unsupported)
    for folder in (tmp_path, tmp_path / 'a folder that is not there'):
        lock_work_dir(folder)
        assert str(folder) not in work_dir_lock._held
