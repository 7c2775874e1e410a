"""Kills and damaged files cost nothing: some of many, and all by --faults."""

import copy
import json
import os
import subprocess
import sys

import pytest
import torch

from mmtat.engine.saving import newest
from mmtat.engine.saving.newest import newest_loadable
from mmtat.files import remove_left_over, save_atomically, write_atomically

from .faults import damage, judge
from .faults.__main__ import failures
from .faults.phases import MMTAT
from .voc import ROOT

KILLS = 2 * len(MMTAT)


@pytest.fixture(scope='module')
def records(tmp_path_factory):
    """Some faults of each kind; forks need a process that never trained."""
    folder = tmp_path_factory.mktemp('faults')
    numbers = (KILLS, 1, 0, KILLS)
    command = [sys.executable, '-m', 'tests.faults.side', 'mmtat']
    command += [str(folder / 'runs'), str(folder / 'json')]
    done = subprocess.run(
        [*command, *map(str, numbers)],
        cwd=ROOT,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads((folder / 'json').read_text())


def test_a_kill_in_each_phase_of_a_save_costs_nothing(records):
    stopped = [record for record in records['kills'] if record['stopped']]
    assert [record['phase'] for record in stopped] == list(MMTAT)
    assert [record['found']['wrong'] for record in records['kills']] == (
        [[]] * KILLS
    )
    for record in stopped:
        found, phase = record['found'], record['phase']
        assert found['step'] == record['whole']
        # A pointer that is half written is in the phase 'renamed'.
        if phase != 'renamed':
            has_left = phase in ('temporary', 'flushed')
            assert found['temporary'] == has_left, phase
    assert sum('status' in r['found'] for r in records['kills']) == 2


def test_damaged_files_are_skipped_and_named(records):
    for record in records['damages']:
        kind, found = record['kind'], record['found']
        assert found['wrong'] == [], kind
        is_pointer = kind.startswith('pointer')
        assert found['step'] == damage.STEP - (not is_pointer), kind
        if kind != 'pointer gone':
            name = 'last_checkpoint' if is_pointer else f'_{damage.STEP}.pth'
            assert name in found['skipped'][0], kind


def test_a_disk_that_takes_no_more_ends_a_run_with_one_message(records):
    assert records['disks']
    for record in records['disks']:
        assert record['found']['wrong'] == []
    frozen = [r for r in records['disks'] if r['kind'] == 'folder read-only']
    for record in frozen:
        assert 'this user may not write there' in record['message']


def test_a_changed_bit_in_the_weights_is_noticed(saved):
    path = saved / 'iter_3.pth'
    data = bytearray(path.read_bytes())
    data[data.index(torch.ones(4).numpy().tobytes())] ^= 1
    path.write_bytes(data)
    # torch loads it without a word.
    assert not torch.equal(torch.load(path)['a'], torch.ones(4))
    there = judge.Found()
    said = there.skipped.append
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(newest, 'print_log', lambda line, *_: said(line))
        assert newest_loadable(saved).name == 'iter_2.pth'
    assert 'iter_3.pth' in there.skipped[0]
    assert 'reads back damaged' in there.skipped[0]


# --- the newest, and what is left over ---------------------------------------


@pytest.fixture
def saved(tmp_path):
    """Three checkpoints, of which the pointer names the second."""
    for step in (1, 2):
        save_atomically(dict(a=torch.ones(4)), tmp_path / f'iter_{step}.pth')
    write_atomically(tmp_path / 'last_checkpoint', 'elsewhere/iter_2.pth')
    save_atomically(dict(a=torch.ones(4)), tmp_path / 'iter_3.pth')
    return tmp_path


def written_at(path, seconds):
    os.utime(path, (seconds, seconds))


@pytest.mark.parametrize(
    ('times', 'step'),
    [
        ((10, 10, 30), 3),
        # Of a run before this one, in the same folder.
        ((10, 10, 5), 2),
        ((30, 10, 5), 2),
    ],
)
def test_a_file_that_its_pointer_did_not_come_to_name_is_newest(
    saved, times, step
):
    written_at(saved / 'last_checkpoint', 20)
    for number, seconds in enumerate(times, 1):
        written_at(saved / f'iter_{number}.pth', seconds)
    assert newest_loadable(saved).name == f'iter_{step}.pth'


def test_a_pointer_to_nothing_is_said(saved, monkeypatch):
    said = []
    monkeypatch.setattr(
        newest, 'print_log', lambda line, *_: said.append(line)
    )
    (saved / 'iter_2.pth').unlink()
    assert newest_loadable(saved).name == 'iter_3.pth'
    assert len(said) == 1 and "'elsewhere/iter_2.pth'" in said[0]


def test_temporary_files_of_the_dead_are_removed(tmp_path):
    process = subprocess.Popen(['true'])
    process.wait()
    dead, living = process.pid, os.getppid()
    for name in (
        f'.iter_2.pth.{dead}.tmp',
        f'.last_checkpoint.{os.getpid()}.tmp',
        f'.iter_2.pth.{living}.tmp',
        f'.notes.txt.{dead}.tmp',
        'iter_1.pth',
    ):
        (tmp_path / name).touch()
    remove_left_over(tmp_path)
    assert sorted(os.listdir(tmp_path)) == [
        f'.iter_2.pth.{living}.tmp',
        f'.notes.txt.{dead}.tmp',
        'iter_1.pth',
    ]


# --- the suite itself --------------------------------------------------------


def a_record(**overrides):
    return dict(phase='temporary', found=dict(wrong=[]), **overrides)


def test_the_suite_fails_where_something_is_lost():
    whole = dict(
        mmtat=dict(kills=[a_record()], damages=[], disks=[]),
        mmengine=dict(
            kills=[dict(a_record(), phase='half written')], uses_mmtat=False
        ),
        machines=[],
    )
    assert failures(whole, kills=1) == []
    whole['mmtat']['kills'][0]['found']['wrong'] = ['a saved step is lost']
    assert failures(whole, kills=1) == [
        'kills: temporary: a saved step is lost'
    ]
    whole['mmtat']['kills'] = []
    assert failures(whole, kills=2) == ['mmtat: only 0 kills inside a save']


def test_the_judge_sees_every_bit():
    one = dict(
        meta=dict(iter=3, time='now'),
        state_dict=dict(a=torch.zeros(3)),
        momentum=[torch.ones(2)],
    )
    other = copy.deepcopy(one)
    other['meta']['time'] = 'later'
    assert judge.difference(one, other) == ''
    other['state_dict']['a'][1] = 1e-30
    assert judge.difference(one, other) == 'checkpoint.state_dict.a'
    other = copy.deepcopy(one)
    other['momentum'].append(0)
    assert judge.difference(one, other) == 'checkpoint.momentum: other length'


@pytest.mark.faults
def test_nothing_is_lost_under_all_faults(capfd):
    with capfd.disabled():
        done = subprocess.run([sys.executable, '-m', 'tests.faults'], cwd=ROOT)
    assert done.returncode == 0
