"""Files that are there whole, or not at all."""

import errno
import os
import signal
import subprocess
import sys

import pytest
import torch

from mmtat import files
from mmtat.files import (
    check_archive,
    replace_file,
    save_atomically,
    write_atomically,
)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_written_and_replaced(tmp_path):
    write_atomically(tmp_path / 'a.txt', 'one')
    write_atomically(str(tmp_path / 'a.txt'), b'two')
    assert (tmp_path / 'a.txt').read_text() == 'two'
    assert names(tmp_path) == ['a.txt']


@pytest.mark.parametrize(
    ('number', 'reason'),
    [
        (errno.ENOSPC, 'the disk is full'),
        (errno.EROFS, 'the file system is read-only'),
        (errno.EACCES, 'this user may not write there'),
    ],
)
def test_what_was_there_stays_where_nothing_can_be_written(
    tmp_path, number, reason
):
    path = tmp_path / 'a.pth'
    write_atomically(path, 'one')

    def fail(file):
        file.write(b'half')
        raise OSError(number, os.strerror(number))

    with pytest.raises(ValueError, match=f'{reason}; what was there is unch'):
        replace_file(path, fail)
    assert path.read_text() == 'one'
    assert names(tmp_path) == ['a.pth']
    with pytest.raises(ValueError, match=f'{reason}; nothing was left'):
        replace_file(tmp_path / 'b.pth', fail)
    assert names(tmp_path) == ['a.pth']


def test_an_error_that_followed_one_of_the_disk_is_of_the_disk(tmp_path):
    def fail(file):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            # As the writer of torch, which wants to end its archive.
            raise RuntimeError('unexpected pos 64 vs 0')

    with pytest.raises(ValueError, match='the disk is full; nothing was left'):
        replace_file(tmp_path / 'a.pth', fail)
    assert names(tmp_path) == []


def test_an_error_of_the_content_is_not_one_of_the_disk(tmp_path):
    def fail(file):
        raise RuntimeError('not of the disk')

    with pytest.raises(RuntimeError, match='not of the disk'):
        replace_file(tmp_path / 'a', fail)
    try:
        raise OSError(errno.ENOSPC, 'of something before')
    except OSError:
        with pytest.raises(RuntimeError, match='not of the disk'):
            replace_file(tmp_path / 'a', fail)
    assert names(tmp_path) == []


def test_a_checkpoint_is_read_back_before_it_is_put_in_place(
    tmp_path, monkeypatch
):
    path = tmp_path / 'a.pth'
    save_atomically(dict(a=torch.ones(4)), path)
    save = torch.save

    def damaging(value, file):
        save(value, file)
        file.seek(-200, os.SEEK_END)
        file.truncate()

    monkeypatch.setattr(files.torch, 'save', damaging)
    with pytest.raises(ValueError, match='reads back damaged'):
        save_atomically(dict(a=torch.zeros(4)), path)
    assert torch.equal(torch.load(path)['a'], torch.ones(4))


def test_a_changed_byte_is_noticed(tmp_path):
    path = tmp_path / 'a.pth'
    save_atomically(dict(a=torch.arange(1000)), path)
    check_archive(path)
    content = bytearray(path.read_bytes())
    place = content.index(torch.arange(500, 508).numpy().tobytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(OSError, match='reads back damaged: .*data'):
        check_archive(path)


KILLED = """
import sys, time
from mmtat.files import replace_file

def slowly(file):
    file.write(b'half')
    file.flush()
    print('writing', flush=True)
    time.sleep(60)

replace_file(sys.argv[1], slowly)
"""


def test_a_kill_amid_the_writing_leaves_the_old_file(tmp_path):
    path = tmp_path / 'a.pth'
    write_atomically(path, 'old')
    process = subprocess.Popen(
        [sys.executable, '-c', KILLED, str(path)], stdout=subprocess.PIPE
    )
    assert process.stdout.readline() == b'writing\n'
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert path.read_text() == 'old'
    assert all(n == 'a.pth' or n.endswith('.tmp') for n in names(tmp_path))
