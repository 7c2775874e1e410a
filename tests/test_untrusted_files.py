"""No checkpoint runs what it holds, wherever it is read, unless trusted."""

import collections
import io
import logging
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer
from mmengine.registry import MODELS
from mmengine.runner import CheckpointLoader, Runner

from mmtat.compat import safe_loading, weights_only
from mmtat.compat.pickle_globals import is_tar, unsafe_globals
from mmtat.compat.weights_only import RefusedFile, load_weights
from mmtat.datasets import write_digit_scenes
from mmtat.engine.checked_runner import CheckedRunner
from mmtat.engine.export import ExportOptions, export_student
from mmtat.engine.saving import newest
from mmtat.models.utils import (
    read_checkpoint,
    read_state_dict,
    trust_checkpoints,
)

from .distilled import CONFIG, DistilledRun
from .hostile_files import WRITERS, Payload, content, write_zip
from .running import toy_config, train
from .toys import ToySegmentor, distillation, save_teacher
from .voc import loader_options, run_tool

FORMATS = pytest.mark.parametrize('kind', WRITERS)


@pytest.fixture
def marker(tmp_path):
    path = tmp_path / 'it-ran'
    yield path
    assert not path.exists(), 'the payload ran'


@pytest.fixture
def hostile(tmp_path, marker):
    """Writes a hostile file of a kind, whose weights fit a toy student."""

    def write(kind='zip', weights=None):
        path = tmp_path / f'{kind.replace(" ", "_")}.pth'
        WRITERS[kind](path, content(marker, weights))
        return path

    return write


def refusal(error, path, argument):
    """Whether an error names file, argument and what the file imports."""
    message = str(getattr(error, 'value', error))
    assert message.startswith(f'{argument}: '), message
    assert repr(str(path)) in message
    assert 'posix.system' in message
    assert '--trust-checkpoint' in message
    return True


# --- the files are live -----------------------------------------------------


@FORMATS
def test_a_plain_load_would_run_the_payload(tmp_path, kind):
    marker = tmp_path / 'ran'
    path = tmp_path / 'hostile.pth'
    WRITERS[kind](path, content(marker))
    file = path
    if kind == 'zipped legacy':
        with zipfile.ZipFile(path) as archive:
            file = io.BytesIO(archive.read('model.pth'))
    if kind.startswith('plain'):
        pickle.loads(path.read_bytes())
    else:
        torch.load(file, weights_only=False)
    assert marker.exists()


# --- every way in -----------------------------------------------------------


@FORMATS
def test_a_teacher_is_refused(hostile, kind):
    path = hostile(kind)
    model = MODELS.build(distillation(teacher_ckpt=str(path)))
    with pytest.raises(ValueError) as error:
        model.init_weights()
    assert refusal(error, path, 'teacher_ckpt')


@FORMATS
@pytest.mark.parametrize('resume', [False, True], ids=['load_from', 'resume'])
def test_a_stock_runner_refuses_it(hostile, tmp_path, kind, resume):
    path = hostile(kind)
    config = toy_config(
        tmp_path / 'run',
        model=dict(type='ToySegmentor'),
        load_from=str(path),
        resume=resume,
    )
    runner = Runner.from_cfg(Config(config))
    with pytest.raises(RefusedFile) as error:
        runner.load_or_resume()
    assert refusal(error, path, 'resume' if resume else 'load_from')


@pytest.mark.parametrize('resume', [False, True], ids=['load_from', 'resume'])
def test_the_checked_runner_refuses_it_before_it_writes(
    hostile, tmp_path, resume
):
    path = hostile(weights=ToySegmentor(norm='none').state_dict())
    config = toy_config(tmp_path / 'run', load_from=str(path), resume=resume)
    with pytest.raises(RefusedFile) as error:
        CheckedRunner.from_cfg(Config(config))
    assert refusal(error, path, '--resume' if resume else 'load_from')
    assert not list((tmp_path / 'run').glob('*.py'))


@FORMATS
@pytest.mark.parametrize('prefix', [None, 'backbone.'])
def test_init_cfg_refuses_it(hostile, kind, prefix):
    path = hostile(kind)
    init_cfg = dict(type='Pretrained', checkpoint=str(path), prefix=prefix)
    model = ToySegmentor(init_cfg=init_cfg)
    with pytest.raises(RefusedFile) as error:
        model.init_weights()
    assert refusal(error, path, 'init_cfg of ToySegmentor')


def test_a_folder_of_checkpoints_skips_the_hostile_one(
    tmp_path, marker, monkeypatch
):
    lines = []
    monkeypatch.setattr(
        newest, 'print_log', lambda line, *args: lines.append(line)
    )
    write_zip(tmp_path / 'iter_4.pth', content(marker))
    torch.save(dict(state_dict={}), tmp_path / 'iter_2.pth')
    assert newest.newest_loadable(tmp_path) == tmp_path / 'iter_2.pth'
    assert any('posix.system' in line for line in lines)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('run')
    run = DistilledRun(folder)
    run.data = write_digit_scenes(
        folder / 'labelled', train=4, tuning=1, val=2, labelled=2, size=40
    )
    return run


def tool_arguments(run, out):
    """Commands that read a checkpoint, by the argument that they name."""
    small = [
        *loader_options('train', 'val'),
        'train_cfg.max_iters=1',
        'train_dataloader.batch_size=2',
    ]
    data = ['--data-root', run.data]
    train = ['train', CONFIG, *data, '--work-dir', out]
    teacher = f'model.teacher_ckpt={run.teacher}'
    student = 'model.architecture.backbone.init_cfg'
    options = ['--cfg-options', *small]
    start = [*options, teacher]
    return {
        'teacher': (
            'teacher_ckpt',
            lambda file: [
                *train,
                *options,
                f'model.teacher_ckpt={file}',
                'load_from=None',
            ],
        ),
        'resume': (
            '--resume',
            lambda file: [*train, '--resume', file, *start],
        ),
        'load_from': (
            'load_from',
            lambda file: [*train, *start, f'load_from={file}'],
        ),
        'init_cfg': (
            'init_cfg of ',
            lambda file: [
                *train,
                *start,
                'load_from=None',
                f'{student}.type=Pretrained',
                f'{student}.checkpoint={file}',
            ],
        ),
        'test': (
            'checkpoint',
            lambda file: ['test', CONFIG, file, *data, '--work-dir', out],
        ),
        'export': (
            'checkpoint',
            lambda file: ['export_student', file, f'{out}.pth'],
        ),
        'maps': (
            'checkpoint',
            lambda file: (
                ['visualize', 'maps', CONFIG, file, run.image()]
                + ['--teacher-ckpt', run.teacher, '--out', out]
            ),
        ),
        'the teacher of maps': (
            'teacher_ckpt',
            lambda file: (
                ['visualize', 'maps', CONFIG, run.checkpoint]
                + [run.image(), '--teacher-ckpt', file, '--out', out]
            ),
        ),
        'compare': (
            '--checkpoints a',
            lambda file: (
                ['visualize', 'compare', CONFIG, run.image()]
                + ['--checkpoints', f'a={file}', '--out', out]
            ),
        ),
    }


# The others of a training take the same way, and were gone by the Runner.
WAYS = (
    *('teacher', 'test', 'export', 'maps', 'the teacher of maps', 'compare'),
    *(
        pytest.param(way, marks=pytest.mark.slow)
        for way in ('resume', 'load_from', 'init_cfg')
    ),
)


@pytest.mark.parametrize('way', WAYS)
def test_a_tool_refuses_it_in_one_line(
    run, tmp_path, marker, monkeypatch, capfd, way
):
    path = tmp_path / 'hostile.pth'
    write_zip(path, content(marker))
    argument, arguments = tool_arguments(run, tmp_path / 'out')[way]
    status = run_tool(monkeypatch, *arguments(path))
    errors = capfd.readouterr().err
    lines = [x for x in errors.splitlines() if x.startswith('error: ')]
    assert status == 1 and len(lines) == 1, errors
    assert 'Traceback' not in errors
    assert lines[0].startswith(f'error: {argument}')
    assert repr(str(path)) in lines[0] and 'posix.system' in lines[0]


# --- the only way round -----------------------------------------------------


# torch.load knows no plain pickle, trusted or not.
@pytest.mark.parametrize('kind', ['zip', 'legacy', 'tar', 'zipped legacy'])
def test_trust_reads_it_and_says_so_loudly(tmp_path, monkeypatch, kind):
    lines = []
    monkeypatch.setattr(
        weights_only, 'print_log', lambda *args: lines.append(args)
    )
    marker, path = tmp_path / 'ran', tmp_path / 'mine.pth'
    WRITERS[kind](path, content(marker))
    with trust_checkpoints():
        read_checkpoint(str(path), 'teacher_ckpt')
    assert marker.exists()
    [(line, _, level)] = lines
    assert level == logging.WARNING
    for part in ('teacher_ckpt', str(path), 'posix.system', 'UNSAFELY'):
        assert part in line
    with pytest.raises(RefusedFile):
        read_checkpoint(str(path), 'teacher_ckpt')


def test_trust_reads_what_is_safe_as_weights_only(tmp_path, monkeypatch):
    loads = []
    load = torch.load

    def watched(*args, **kwargs):
        loads.append(kwargs['weights_only'])
        return load(*args, **kwargs)

    monkeypatch.setattr(torch, 'load', watched)
    save_teacher(tmp_path / 't.pth')
    with trust_checkpoints():
        read_state_dict(str(tmp_path / 't.pth'), 'teacher_ckpt')
    assert loads == [True]


def test_no_trust_inside_trust_stays_trust_and_ends_with_it():
    with trust_checkpoints():
        with trust_checkpoints(False):
            assert weights_only._trusted.get()
    assert not weights_only._trusted.get()


def test_the_option_is_the_way_of_a_tool(run, tmp_path, monkeypatch, capfd):
    marker, path = tmp_path / 'ran', tmp_path / 'mine.pth'
    weights = torch.load(run.alone, weights_only=True)['state_dict']
    write_zip(path, content(marker, weights))
    arguments = ['test', CONFIG, path, '--data-root', run.data]
    arguments += ['--work-dir', tmp_path / 'out', '--trust-checkpoint']
    arguments += ['--cfg-options', *loader_options('test')]
    assert run_tool(monkeypatch, *arguments) == 0
    printed = capfd.readouterr()
    assert 'UNSAFELY' in printed.out + printed.err
    assert marker.exists()


def test_the_environment_of_torch_is_no_way_round(hostile, monkeypatch):
    monkeypatch.setenv('TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD', '1')
    path = hostile()
    with pytest.raises(RefusedFile):
        CheckpointLoader.load_checkpoint(str(path))


# --- what is named, and what is allowed -------------------------------------


def test_every_global_is_named_once_and_allowed_ones_are_not(tmp_path):
    class Loads:
        def __reduce__(self):
            return pickle.loads, (b'x',)

    value = [Payload('x'), Loads(), Payload('y'), torch.ones(1)]
    value += [collections.OrderedDict(), np.float64(1)]
    value.append(HistoryBuffer([1.0], [1]))
    for kind in WRITERS:
        if kind != 'tar':
            WRITERS[kind](tmp_path / 'a.pth', value)
            found = unsafe_globals(tmp_path / 'a.pth')
            # A tensor outside of torch.save is bytes that torch.load reads.
            assert found[0] == 'posix.system', kind
            assert found[1] in ('pickle.loads', '_pickle.loads'), kind
            # Protocol 4 names the methods of HistoryBuffer without getattr.
            others = {n for n in found[2:] if 'HistoryBuffer.' not in n}
            assert others <= {'torch.storage._load_from_bytes'}, kind
    with pytest.raises(
        RefusedFile, match='posix.system, .*pickle.loads, whic'
    ):
        write_zip(tmp_path / 'a.pth', value)
        load_weights(tmp_path / 'a.pth')


def test_a_stream_is_refused_as_a_file_is(marker):
    stream = io.BytesIO()
    torch.save(content(marker), stream)
    stream.seek(0)
    with pytest.raises(RefusedFile, match="a stream' .* holds posix.system"):
        load_weights(stream)


def test_what_is_no_pickle_names_nothing(tmp_path):
    path = tmp_path / 'x.pth'
    for data in (b'', b'text', b'PK\x03\x04 no zip', bytes(600), b'\x80\x05'):
        path.write_bytes(data)
        assert unsafe_globals(path) == []
        assert not is_tar(path)


def test_names_that_are_pushed_in_parts_are_found(tmp_path):
    path = tmp_path / 'x.pth'
    # The module is kept in the memo, and fetched for the second name.
    path.write_bytes(
        b'\x80\x04\x8c\x05posix\x94\x8c\x06system\x94\x93'
        b'h\x00\x8c\x05popen\x94\x93.'
    )
    assert unsafe_globals(path) == ['posix.system', 'posix.popen']


class Twisted:
    """numpy's type of numbers, told that its bytes are addresses."""

    def __reduce__(self):
        fields = {'a': (np.dtype('f8'), 0)}
        state = (4, '<', None, ('a',), fields, 8, 8, 63)
        return np.dtype, ('f8', False, True), state


def test_the_type_of_an_array_cannot_be_twisted(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(Twisted(), path)
    assert torch.load(path, weights_only=False).flags == 63
    loaded = load_weights(path)
    assert loaded == np.dtype('f8') and loaded.flags == 0
    assert np.dtype('f8').flags == 0


@pytest.mark.parametrize('kind', ['O', 'V8', 'S4', [('a', 'O')]])
def test_arrays_of_anything_but_numbers_are_refused(tmp_path, kind):
    torch.save(np.zeros(1, kind), tmp_path / 'x.pth')
    with pytest.raises(RefusedFile, match='asks for arrays of'):
        load_weights(tmp_path / 'x.pth')


def test_the_allowed_list_is_this_one():
    names = sorted(
        f'{entry.__module__}.{entry.__qualname__}'
        for entry in safe_loading.safe_globals()
    )
    assert names == [
        '_codecs.encode',
        'builtins.getattr',
        'mmengine.logging.history_buffer.HistoryBuffer',
        *(
            f'numpy.{core}.multiarray.{name}'
            for core in ('_core', 'core')
            for name in ('_reconstruct', 'scalar')
        ),
        'numpy.dtype',
        'numpy.dtypes.Float32DType',
        'numpy.dtypes.Float64DType',
        'numpy.dtypes.Int64DType',
        'numpy.ndarray',
    ]


def test_a_torchscript_archive_is_said_to_be_code(tmp_path):
    path = tmp_path / 'script.pth'
    torch.jit.script(torch.nn.ReLU()).save(str(path))
    with pytest.raises(RefusedFile, match='code'):
        read_checkpoint(str(path), 'teacher_ckpt')


def test_an_old_file_in_a_zip_loads(tmp_path):
    WRITERS['zipped legacy'](tmp_path / 'x.pth', dict(a=torch.ones(2)))
    loaded = read_state_dict(str(tmp_path / 'x.pth'), 'teacher_ckpt', True)
    assert torch.equal(loaded['a'], torch.ones(2))


@pytest.mark.parametrize('version', ['2.4.0', '2.5.1+cu121'])
def test_an_old_torch_is_told_of_once(tmp_path, monkeypatch, version):
    lines = []
    monkeypatch.setattr(
        weights_only, 'print_log', lambda line, *args: lines.append(line)
    )
    monkeypatch.setattr(torch, '__version__', version)
    weights_only._warn_of_old_torch.cache_clear()
    save_teacher(tmp_path / 't.pth')
    for _ in range(2):
        load_weights(tmp_path / 't.pth')
    weights_only._warn_of_old_torch.cache_clear()
    [line] = lines
    assert version in line and 'CVE-2025-32434' in line and '2.6' in line


@pytest.mark.parametrize('version', ['2.6.0', '2.11.0+cpu'])
def test_a_newer_torch_is_not(monkeypatch, version):
    monkeypatch.setattr(torch, '__version__', version)
    assert weights_only.old_torch_hole() == ''


# --- what mmtat writes ------------------------------------------------------


@pytest.fixture(scope='module')
def written(tmp_path_factory):
    """Every checkpoint of a run, and an export of its student."""
    tmp_path = tmp_path_factory.mktemp('written')
    config = toy_config(
        tmp_path / 'run', custom_hooks=[dict(type='EMAHook', momentum=0.1)]
    )
    config['default_hooks']['checkpoint']['type'] = 'mmtat.SafeCheckpointHook'
    config['train_cfg']['type'] = 'mmtat.ExactIterBasedTrainLoop'
    train(config)
    export_student(
        str(tmp_path / 'run' / 'iter_4.pth'),
        str(tmp_path / 'student.pth'),
        ExportOptions(),
    )
    files = sorted(tmp_path.rglob('*.pth'))
    names = [file.name for file in files]
    assert 'iter_4.pth' in names and 'student.pth' in names
    assert any('best' in name for name in names)
    return files


@pytest.fixture
def nothing_allowed():
    """torch as it is where nobody added to its list."""
    allowed = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    yield
    torch.serialization.add_safe_globals(allowed)


def test_what_a_run_writes_needs_nothing_on_the_list(written, nothing_allowed):
    for file in written:
        assert unsafe_globals(file) == []
        torch.load(file, weights_only=True)


@pytest.mark.slow
def test_what_a_run_writes_loads_where_mmtat_never_was(written):
    code = (
        'import sys, torch\n'
        f'for file in {list(map(str, written))!r}:\n'
        '    torch.load(file, weights_only=True)\n'
        'assert not any(m.startswith("mm") and m != "mmap" '
        'for m in sys.modules)\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True, timeout=300)
