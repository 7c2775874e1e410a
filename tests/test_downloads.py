"""Fetched files are whole, the right ones, fetched once, and kept."""

import errno
import fcntl
import hashlib
import io
import multiprocessing
import os
import shutil
import signal
import threading
from collections import namedtuple

import pytest
import torch
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader, checkpoint

from mmtat.downloads import (
    FetchError,
    Patience,
    cache_folder,
    digest_in_name,
    fetch,
    sha256,
)
from mmtat.downloads import names as names_module
from mmtat.downloads.transfer import Transfer
from mmtat.models.utils import read_state_dict

from .file_server import serving, until
from .toys import ToySegmentor, distillation, save_teacher

SOON = Patience(timeout=20, attempts=3, pause=0.001, stalled=60)
DATA = bytes(range(256)) * 40
FORK = multiprocessing.get_context('fork')


def named(data, stem='model'):
    """A name as the zoos give it."""
    return f'{stem}-{hashlib.sha256(data).hexdigest()[:8]}.pth'


NAME = named(DATA)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """The folder of fetched files, with no proxy on the way to them."""
    monkeypatch.setenv('MMTAT_CACHE', str(tmp_path / 'cache'))
    for name in ('http_proxy', 'HTTP_PROXY', 'all_proxy', 'ALL_PROXY'):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / 'cache'


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def ranges(server):
    return [wanted for _, wanted in server.asked]


def get(server, name=NAME, patience=SOON):
    return fetch(
        f'{server.address}/zoo/{name}', 'teacher_ckpt', None, patience
    )


# --- whole ------------------------------------------------------------------


def test_a_file_is_fetched_once_and_lies_in_the_folder(folder):
    with serving(files={NAME: DATA}) as server:
        path = get(server)
        assert path == folder / NAME and path.read_bytes() == DATA
        assert files(folder) == [NAME]
        get(server)
    assert get(server) == path
    assert ranges(server) == [None]


def test_a_cut_file_goes_on_where_it_was_cut():
    with serving(files={NAME: DATA}, cuts=[1000, 2000, 0]) as server:
        assert get(server).read_bytes() == DATA
    assert ranges(server) == [
        *(None, 'bytes=1000-', 'bytes=3000-', 'bytes=3000-')
    ]


def test_a_server_without_ranges_is_asked_for_the_whole_again():
    manners = dict(files={NAME: DATA}, cuts=[1000], knows_ranges=False)
    with serving(**manners) as server:
        assert get(server).read_bytes() == DATA
    assert ranges(server) == [None, 'bytes=1000-']


def test_a_server_that_always_cuts_is_given_up(folder):
    manners = dict(files={NAME: DATA}, always_cut=500, knows_ranges=False)
    with serving(**manners) as server, pytest.raises(FetchError) as error:
        get(server)
    message = str(error.value)
    assert f'cut after 500 of {len(DATA)} bytes' in message
    assert 'after 3 attempts without progress' in message
    assert f'{server.address}/zoo/{NAME}' in message
    assert repr(str(folder)) in message and 'MMTAT_CACHE' in message
    # What came is there for the next time.
    assert files(folder) == [f'.{NAME}.partial']
    assert len(server.asked) == 3


def test_a_part_that_begins_elsewhere_is_not_taken():
    with serving(files={NAME: DATA}, cuts=[1000], wrong_part=1) as server:
        assert get(server).read_bytes() == DATA
    assert ranges(server) == [None, 'bytes=1000-', None]


def test_what_a_dead_process_left_is_gone_on_with(folder):
    folder.mkdir()
    (folder / f'.{NAME}.partial').write_bytes(DATA[:4000])
    (folder / f'.{NAME}.lock').write_bytes(b'process 1 on elsewhere')
    with serving(files={NAME: DATA}) as server:
        assert get(server).read_bytes() == DATA
    assert ranges(server) == ['bytes=4000-']
    assert files(folder) == [NAME]


def test_what_is_whole_already_is_not_fetched_again(folder):
    folder.mkdir()
    (folder / f'.{NAME}.partial').write_bytes(DATA)
    with serving(files={NAME: DATA}) as server:
        assert get(server).read_bytes() == DATA
    assert ranges(server) == [f'bytes={len(DATA)}-']


@pytest.mark.parametrize('left', [b'x' * 4000, b'x' * 20000])
def test_parts_of_two_files_are_fetched_anew(folder, left):
    folder.mkdir()
    (folder / f'.{NAME}.partial').write_bytes(left)
    with serving(files={NAME: DATA}) as server:
        assert get(server).read_bytes() == DATA
    assert ranges(server) == [f'bytes={len(left)}-', None]


def test_without_digits_nothing_of_another_process_is_joined(folder):
    folder.mkdir()
    (folder / '.model.pth.partial').write_bytes(b'x' * 4000)
    manners = dict(files={'model.pth': DATA}, cuts=[1000])
    with serving(**manners) as server:
        assert get(server, 'model.pth').read_bytes() == DATA
    # Nor are two answers that nothing says to be of one file.
    assert ranges(server) == [None, None]


def test_without_digits_parts_of_one_version_are_joined():
    manners = dict(files={'model.pth': DATA}, cuts=[1000])
    with serving(**manners, headers={'ETag': '"v1"'}) as server:
        assert get(server, 'model.pth').read_bytes() == DATA
    assert ranges(server) == [None, 'bytes=1000-']


@pytest.mark.parametrize('knows_ranges', [True, False])
def test_a_length_that_is_too_long_is_believed_less_than_digits(knows_ranges):
    manners = dict(files={NAME: DATA}, announced=50)
    with serving(**manners, knows_ranges=knows_ranges) as server:
        assert get(server).read_bytes() == DATA


def test_a_length_that_is_too_long_is_a_cut_without_digits(folder):
    with serving(files={'model.pth': DATA}, announced=50) as server:
        with pytest.raises(FetchError, match='cut after 10240 of 10290'):
            get(server, 'model.pth')
    assert 'model.pth' not in files(folder)


def test_a_length_that_is_too_short_is_found_by_the_digits(folder):
    with serving(files={NAME: DATA}, announced=-50) as server:
        with pytest.raises(FetchError, match='damaged, or another file'):
            get(server)
    assert files(folder) == []


def test_a_server_that_says_no_is_not_asked_again(folder):
    with serving() as server:
        with pytest.raises(FetchError, match='the server answers 404 Not F'):
            get(server)
    assert len(server.asked) == 1
    assert files(folder) == []


def test_a_server_that_is_busy_is_asked_again():
    manners = dict(files={NAME: DATA}, statuses=[503, 429])
    with serving(**manners) as server:
        assert get(server).read_bytes() == DATA
    assert len(server.asked) == 3


def test_silence_ends_after_the_timeout():
    patience = Patience(timeout=0.05, attempts=2, pause=0.001)
    manners = dict(files={'model.pth': DATA}, stalls=threading.Event())
    with serving(**manners) as server:
        with pytest.raises(FetchError, match=r'cut after \d+ of 10240.*timed'):
            get(server, 'model.pth', patience)


def test_what_is_compressed_unasked_is_refused():
    headers = {'Content-Encoding': 'gzip'}
    with serving(files={NAME: DATA}, headers=headers) as server:
        with pytest.raises(FetchError, match='compressed'):
            get(server)


# --- the right one ----------------------------------------------------------


def test_another_content_is_refused_and_both_digests_are_named(folder):
    other = b'<html>log in</html>'
    with serving(files={NAME: other}) as server:
        with pytest.raises(FetchError) as error:
            get(server)
    message = str(error.value)
    assert message.startswith('teacher_ckpt: ')
    assert hashlib.sha256(other).hexdigest()[:8] in message
    assert NAME[-12:-4] in message
    assert 'web page' in message and 'rename it without the digits' in message
    assert files(folder) == [] and len(server.asked) == 1


def test_a_file_that_lies_there_is_compared_each_time(folder):
    folder.mkdir()
    (folder / NAME).write_bytes(DATA)
    assert fetch(f'http://unknown.invalid/{NAME}') == folder / NAME
    (folder / NAME).write_bytes(DATA[:-1])
    with pytest.raises(FetchError, match='Delete it to have it fetched') as e:
        fetch(f'http://unknown.invalid/{NAME}')
    assert sha256(folder / NAME)[:8] in str(e.value)
    assert NAME[-12:-4] in str(e.value)
    # It is the user's to delete.
    assert files(folder) == [NAME]


@pytest.mark.parametrize(
    ('name', 'digits'),
    [
        ('resnet34_8xb32_in1k_20210831-f257d4e6.pth', 'f257d4e6'),
        ('shufflenetv2_x1-5666bf0f80.pth', '5666bf0f80'),
        ('resnet50_8xb32_in1k-20210831.pth', None),
        ('a-12345678.pth', '12345678'),
        ('iter_40000.pth', None),
        ('sam_vit_b_01ec64.pth', None),
        ('a-1234567.pth', None),
    ],
)
def test_digits_of_a_name_are_known(name, digits):
    assert digest_in_name(name) == digits


def test_a_message_shows_no_password_and_no_key():
    url = 'https://me:secret@host:8/a/b.pth?X-Key=hidden#f'
    assert names_module.shown(url) == 'https://host:8/a/b.pth'
    assert names_module.file_name(url) == 'b.pth'


@pytest.mark.parametrize('path', ['', '/', '/a/', '/a/..'])
def test_a_url_without_a_file_is_refused(path):
    with pytest.raises(FetchError, match='names no file'):
        fetch(f'http://unknown.invalid{path}')


# --- once -------------------------------------------------------------------


def fetch_in_process(address, name, answers):
    try:
        answers.put(fetch(f'{address}/{name}', patience=SOON).read_bytes())
    except Exception as error:
        answers.put(repr(error))


def started(address, name=NAME):
    answers = FORK.SimpleQueue()
    process = FORK.Process(
        target=fetch_in_process, args=(address, name, answers), daemon=True
    )
    process.start()
    return process, answers


@pytest.mark.parametrize('name', [NAME, 'model.pth'])
def test_several_processes_fetch_once(folder, name):
    stalls = threading.Event()
    with serving(files={name: DATA}, stalls=stalls) as server:
        processes = [started(server.address, name) for _ in range(4)]
        until(lambda: server.asked)
        stalls.set()
        assert [answers.get() for _, answers in processes] == [DATA] * 4
        for process, _ in processes:
            process.join(60)
    assert len(server.asked) == 1
    assert files(folder) == [name]


def test_several_threads_fetch_once(folder):
    paths = []
    with serving(files={NAME: DATA}) as server:
        threads = [
            threading.Thread(target=lambda: paths.append(get(server)))
            for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert paths == [folder / NAME] * 4
    assert len(server.asked) == 1


def test_a_killed_process_blocks_nobody(folder):
    stalls = threading.Event()
    with serving(files={NAME: DATA}, stalls=stalls) as server:
        process, _ = started(server.address)
        partial = folder / f'.{NAME}.partial'
        until(lambda: partial.exists() and partial.stat().st_size)
        os.kill(process.pid, signal.SIGKILL)
        process.join(60)
        assert (folder / f'.{NAME}.lock').exists()
        stalls.set()
        assert get(server).read_bytes() == DATA
    # It went on where the dead one was.
    assert ranges(server)[1].startswith('bytes=')
    assert files(folder) == [NAME]


def test_a_process_that_makes_no_progress_is_named(folder):
    folder.mkdir()
    lock = folder / f'.{NAME}.lock'
    patience = Patience(stalled=0.1)
    with open(lock, 'w') as file, serving(files={NAME: DATA}) as server:
        file.write('process 12 on another')
        file.flush()
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(FetchError) as error:
            get(server, patience=patience)
    assert 'process 12 on another' in str(error.value)
    assert repr(str(lock)) in str(error.value)
    assert server.asked == []


def test_a_file_system_without_locks_still_serves(folder, monkeypatch):
    def refuse(*args):
        raise OSError(errno.ENOLCK, 'no locks')

    monkeypatch.setattr(fcntl, 'flock', refuse)
    with serving(files={NAME: DATA}, cuts=[1000]) as server:
        assert get(server).read_bytes() == DATA
    assert NAME in files(folder)
    assert not list(folder.glob('.*.partial'))


# --- where, and without a network -------------------------------------------


def test_the_folder_is_torchs_own_unless_it_is_chosen(tmp_path, monkeypatch):
    assert cache_folder() == tmp_path / 'cache'
    monkeypatch.delenv('MMTAT_CACHE')
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch'))
    assert cache_folder() == tmp_path / 'torch/hub/checkpoints'


def test_without_a_network_one_error_says_what_to_do(folder):
    url = f'http://127.0.0.1:9/zoo/{NAME}'
    with pytest.raises(ValueError) as error:
        fetch(url, 'teacher_ckpt', None, SOON)
    message = str(error.value)
    assert message.startswith(f'teacher_ckpt: {url!r} cannot be fetched')
    assert f'put the file into {str(folder)!r}' in message
    assert files(folder) == []
    (folder / NAME).write_bytes(DATA)
    assert fetch(url) == folder / NAME


def test_a_proxy_of_the_environment_is_asked(folder, monkeypatch):
    with serving(files={NAME: DATA}) as proxy:
        monkeypatch.setenv('http_proxy', proxy.address)
        monkeypatch.setenv('no_proxy', '')
        path = fetch(f'http://zoo.invalid/a/{NAME}', patience=SOON)
    assert path.read_bytes() == DATA and len(proxy.asked) == 1


def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch):
    (tmp_path / 'file').write_text('')
    monkeypatch.setenv('MMTAT_CACHE', str(tmp_path / 'file' / 'cache'))
    with serving(files={NAME: DATA}) as server:
        with pytest.raises(FetchError, match='cannot be kept in .*Not a dir'):
            get(server)


def test_a_disk_that_is_too_small_is_said_before(folder, monkeypatch):
    usage = namedtuple('usage', 'total used free')(1, 1, 100)
    monkeypatch.setattr(shutil, 'disk_usage', lambda path: usage)
    with serving(files={NAME: DATA}) as server:
        with pytest.raises(FetchError, match='MiB more in .* are free'):
            get(server)
    assert files(folder) == []


def test_a_disk_that_fills_up_keeps_no_part(folder, monkeypatch):
    def full(self, response, file, done, total):
        file.write(b'some')
        raise OSError(errno.ENOSPC, 'No space left on device')

    monkeypatch.setattr(Transfer, '_copy', full)
    with serving(files={NAME: DATA}) as server:
        with pytest.raises(FetchError, match='kept in .*No space left'):
            get(server)
    assert files(folder) == []


# --- through mmengine -------------------------------------------------------


@pytest.fixture
def zoo(tmp_path):
    """A server of a teacher's file, and what is in it."""
    state = save_teacher(tmp_path / 't.pth')
    data = (tmp_path / 't.pth').read_bytes()
    with serving(files={named(data): data}) as server:
        server.url = f'{server.address}/{named(data)}'
        yield server, state


def test_a_teacher_comes_through_the_folder(zoo, folder):
    server, state = zoo
    model = MODELS.build(distillation(teacher_ckpt=server.url))
    model.init_weights()
    for name, tensor in model.teacher.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    assert len(server.asked) == 1 and len(files(folder)) == 1


def test_what_init_cfg_names_comes_through_the_folder(zoo):
    server, state = zoo
    init_cfg = dict(type='Pretrained', checkpoint=server.url)
    model = ToySegmentor(width=8, init_cfg=init_cfg)
    model.init_weights()
    assert torch.equal(
        model.backbone.conv.weight, state['backbone.conv.weight']
    )


@pytest.mark.parametrize('prefix', ['open-mmlab', 'openmmlab', 'torchvision'])
def test_names_of_a_zoo_come_through_the_folder(zoo, monkeypatch, prefix):
    server, state = zoo
    for lookup in ('get_external_models', 'get_torchvision_models'):
        monkeypatch.setattr(checkpoint, lookup, lambda: {'x': server.url})
    loaded = CheckpointLoader.load_checkpoint(f'{prefix}://x', 'cpu')
    assert set(loaded['state_dict']) == set(state)


def test_a_wrong_file_names_what_it_is_for(folder):
    buffer = io.BytesIO()
    torch.save({'a': torch.ones(1)}, buffer)
    with serving(files={NAME: buffer.getvalue()}) as server:
        url = f'{server.address}/{NAME}'
        with pytest.raises(FetchError, match='^teacher_ckpt: what .* sent'):
            read_state_dict(url, 'teacher_ckpt')
        init_cfg = dict(type='Pretrained', checkpoint=url)
        with pytest.raises(FetchError, match='^init_cfg of ToySegmentor: '):
            ToySegmentor(init_cfg=init_cfg).init_weights()
    assert files(folder) == []
