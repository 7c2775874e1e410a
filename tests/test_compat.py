"""Each workaround: needed, not needed, and what it must never allow."""

import functools
import http.server
import importlib
import os
import pickle
import socket
import subprocess
import sys
import threading
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.config import config as config_module
from mmengine.device import get_device
from mmengine.hooks import EmptyCacheHook
from mmengine.hub import get_config
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import Runner, checkpoint
from mmengine.runner.checkpoint import CheckpointLoader
from torch import nn

from mmtat import compat
from mmtat.compat import (
    amp,
    compiled_ops,
    distributed,
    package_lookups,
    quantization,
    safe_loading,
    search_imports,
    start_up,
)

ROOT = Path(__file__).resolve().parent.parent
VOC_TEACHER = 'deeplabv3/deeplabv3_r101-d8_4xb4-40k_voc12aug-512x512.py'


# --- applying ---------------------------------------------------------------


def patched_objects():
    from mmengine.dist import utils
    from mmengine.model import MMDistributedDataParallel

    return [
        checkpoint.torch,
        checkpoint.load_url,
        utils._init_dist_pytorch,
        MMDistributedDataParallel.__init__,
        Runner.wrap_model,
        Runner.register_hooks,
        AmpOptimWrapper.__init__,
        sys.modules.get('mmcv._ext'),
        sys.modules.get(quantization._BACKEND_CONFIG),
    ]


def test_applying_twice_changes_nothing():
    before, active = patched_objects(), compat.active()
    compat.apply()
    assert all(a is b for a, b in zip(before, patched_objects()))
    assert compat.active() == active
    assert len(set(active)) == len(active)


def test_only_what_is_needed_is_applied_and_only_once(monkeypatch):
    calls = []

    def workaround(name, needed):
        return compat.Workaround(
            name, '', '', lambda: needed, lambda: calls.append(name)
        )

    table = (workaround('needed', True), workaround('idle', False))
    monkeypatch.setattr(compat, 'WORKAROUNDS', table)
    monkeypatch.setattr(compat, '_applied', [])
    compat.apply()
    compat.apply()
    assert calls == ['needed']
    assert compat.active() == ['needed']


def test_every_workaround_says_what_it_is_for_and_when_it_can_go():
    assert len({w.name for w in compat.WORKAROUNDS}) == len(compat.WORKAROUNDS)
    for workaround in compat.WORKAROUNDS:
        assert len(workaround.reason) > 20, workaround.name
        assert len(workaround.until) > 20, workaround.name


# --- versions ---------------------------------------------------------------


@pytest.mark.parametrize('torch_version', ['2.4.0', '2.6.1+cpu', '2.11.0'])
@pytest.mark.parametrize('python', [(3, 11, 2), (3, 12, 0)])
def test_tested_versions_pass_in_silence(torch_version, python):
    assert compat.outside_tested_range(torch_version, python) is None


@pytest.mark.parametrize(
    ('torch_version', 'python'),
    [
        ('2.3.1', (3, 11)),
        ('2.12.0.dev20260101', (3, 11)),
        ('3.0.0', (3, 12)),
        ('2.11.0', (3, 13)),
        ('2.11.0', (3, 10)),
    ],
)
def test_other_versions_get_one_line_that_names_them(torch_version, python):
    line = compat.outside_tested_range(torch_version, python)
    assert '\n' not in line
    assert torch_version in line
    assert '.'.join(map(str, python)) in line


def test_the_line_is_logged_and_the_rest_goes_on(monkeypatch):
    lines, applied = [], []
    workaround = compat.Workaround(
        'x', '', '', lambda: True, lambda: applied.append('x')
    )
    monkeypatch.setattr(compat, 'WORKAROUNDS', (workaround,))
    monkeypatch.setattr(compat, '_applied', [])
    monkeypatch.setattr(compat, 'outside_tested_range', lambda *_: 'a line')
    monkeypatch.setattr(compat, 'print_log', lambda *args: lines.append(args))
    compat.apply()
    compat.apply()
    assert [line[0] for line in lines] == ['a line']
    assert applied == ['x']


# --- mmrazor's quantisation configs -----------------------------------------


def test_mmrazor_models_import():
    assert importlib.import_module('mmrazor.models').SingleTeacherDistill


def test_quantisation_configs_are_replaced_where_torch_lacks_their_names(
    monkeypatch,
):
    monkeypatch.setitem(sys.modules, 'torch.nn.quantized._reference', None)
    assert quantization._quantization_needed()


def test_quantisation_configs_stay_where_torch_has_their_names(monkeypatch):
    names = {
        'torch.nn.quantized._reference': ['Conv1d'],
        'torch.ao.quantization.fuser_method_mappings': [
            'reverse2',
            'reverse3',
            'reverse_sequential_wrapper2',
        ],
        'torch.ao.quantization.qconfig_mapping': [
            '_FIXED_QPARAMS_OP_TO_OBSERVER'
        ],
    }
    for name, attributes in names.items():
        module = types.ModuleType(name)
        vars(module).update(dict.fromkeys(attributes, object()))
        monkeypatch.setitem(sys.modules, name, module)
    assert not quantization._quantization_needed()


def test_a_replaced_quantisation_config_says_why_it_cannot_be_had(
    monkeypatch,
):
    monkeypatch.delitem(
        sys.modules, quantization._BACKEND_CONFIG, raising=False
    )
    quantization._apply_quantization()
    module = sys.modules.pop(quantization._BACKEND_CONFIG)
    assert len(module.__all__) == 9
    with pytest.raises(ImportError, match='cannot quantise with torch'):
        module.get_tensorrt_backend_config_dict()


# --- mmcv without its compiled operators ------------------------------------


@pytest.fixture
def mmcv_folder(monkeypatch, tmp_path):
    """An mmcv whose submodules are looked for in an empty folder."""
    import mmcv

    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    monkeypatch.setattr(mmcv, '__path__', [str(tmp_path)])
    importlib.invalidate_caches()
    return tmp_path


def test_missing_operators_are_replaced(mmcv_folder):
    assert compiled_ops._mmcv_ext_needed()
    compiled_ops._apply_mmcv_ext()
    assert importlib.util.find_spec('mmcv._ext') is not None
    assert not compiled_ops._mmcv_ext_needed()


def test_operators_of_a_full_mmcv_stay(mmcv_folder):
    (mmcv_folder / '_ext.py').write_text('')
    importlib.invalidate_caches()
    assert not compiled_ops._mmcv_ext_needed()


def test_no_mmcv_at_all_is_told_with_both_ways_out(monkeypatch):
    monkeypatch.delitem(sys.modules, 'mmcv._ext', raising=False)
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(ImportError, match=r'mmtat\[lite\].*mmcv==2\.1\.0'):
        compiled_ops._mmcv_ext_needed()


@pytest.mark.skipif(
    'mmcv-lite' not in compat.active(), reason='the full mmcv is installed'
)
def test_calling_a_missing_operator_names_it_and_the_remedy():
    from mmcv.ops import sigmoid_focal_loss

    with pytest.raises(
        ImportError, match=r'sigmoid_focal_loss\w* needs the compiled mmcv'
    ):
        sigmoid_focal_loss(torch.zeros(1, 2), torch.zeros(1).long())


# --- config strings without pkg_resources -----------------------------------


@pytest.fixture
def no_pkg_resources(monkeypatch):
    """mmengine as it is under setuptools >= 82, with the workaround."""
    import mmengine.config.config
    import mmengine.hub.hub
    from mmengine.utils import package_utils

    for module in (
        package_utils,
        mmengine.utils,
        mmengine.config.config,
        mmengine.hub.hub,
    ):
        for name in ('is_installed', 'get_installed_path', 'package2module'):
            if hasattr(module, name):  # restored at the end
                monkeypatch.setattr(module, name, getattr(module, name))
    monkeypatch.setitem(sys.modules, 'pkg_resources', None)
    assert package_lookups._package_lookups_needed()
    package_lookups._apply_package_lookups()


def test_zoo_configs_resolve_without_pkg_resources(no_pkg_resources, tmp_path):
    assert get_config(f'mmseg::{VOC_TEACHER}').model.type == 'EncoderDecoder'
    heir = tmp_path / 'heir.py'
    heir.write_text("_base_ = 'mmpretrain::resnet/resnet34_8xb32_in1k.py'")
    assert Config.fromfile(heir).model.backbone.depth == 34


def test_packages_are_found_as_mmengine_finds_them(no_pkg_resources):
    from mmengine import utils

    site = Path(torch.__file__).parent.parent
    for package in ('mmengine', 'torch', 'mmseg', 'mmsegmentation'):
        assert utils.is_installed(package)
    assert Path(utils.get_installed_path('mmengine')) == site / 'mmengine'
    assert Path(utils.get_installed_path('mmsegmentation')) == site / 'mmseg'
    assert Path(utils.get_installed_path('mmseg')) == site / 'mmseg'
    assert not utils.is_installed('no-such-package')
    with pytest.raises(importlib.metadata.PackageNotFoundError):
        utils.get_installed_path('no-such-package')


def test_lookups_stay_where_pkg_resources_is(monkeypatch):
    module = types.ModuleType('pkg_resources')
    module.__spec__ = importlib.machinery.ModuleSpec('pkg_resources', None)
    monkeypatch.setitem(sys.modules, 'pkg_resources', module)
    assert not package_lookups._package_lookups_needed()


# --- toys -------------------------------------------------------------------


class Toy(BaseModel):
    """A convolution, a norm and a mean: enough for a Runner."""

    def __init__(self, norm=nn.BatchNorm2d):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 2, 1), norm(2))

    def forward(self, inputs, mode='tensor'):
        output = self.layers(inputs)
        return {'loss': output.square().mean()} if mode == 'loss' else output


def toy_runner(work_dir, model=None, iters=2, **kwargs):
    data = [{'inputs': torch.rand(3, 4, 4)} for _ in range(8)]
    settings = dict(
        model=model or Toy(),
        work_dir=str(work_dir),
        train_dataloader=dict(
            batch_size=2,
            collate_fn=dict(type='default_collate'),
            dataset=data,
            sampler=dict(type='DefaultSampler', shuffle=False),
        ),
        train_cfg=dict(by_epoch=False, max_iters=iters),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9)),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False, interval=2)
        ),
        experiment_name=work_dir.name + str(iters),
    )
    return Runner(**{**settings, **kwargs})


# --- loading only weights ---------------------------------------------------


class Reach:
    """Pickles as ``getattr(owner, name)``; a call of it as that call."""

    def __init__(self, owner, name):
        self.owner, self.name = owner, name

    def __reduce__(self):
        return getattr, (self.owner, self.name)

    def __call__(self, *args):
        return Call(self, *args)


class Call:
    """Pickles as ``function(*args)``."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def exploit(canary):
    """What the real ``getattr`` on the list would open: make a folder."""
    names = Reach(Reach(HistoryBuffer, 'update'), '__globals__')
    builtins = Call(Reach(names, 'get'), '__builtins__')
    find = Reach(Call(Reach(builtins, 'get'), '__import__'), '__call__')
    return Call(Reach(Call(find, 'os'), 'mkdir'), str(canary))


CRAFTED = {
    'chain from HistoryBuffer': exploit,
    'os.mkdir itself': lambda canary: Call(os.mkdir, str(canary)),
    'eval': lambda canary: Call(eval, f'__import__("os").mkdir("{canary}")'),
    'another method': lambda _: Reach(HistoryBuffer, 'update'),
    'a dunder': lambda _: Reach(HistoryBuffer, '__init__'),
    'globals of a method': lambda _: Reach(
        Reach(HistoryBuffer, 'mean'), '__globals__'
    ),
    'a method of an instance': lambda _: Reach(HistoryBuffer(), 'mean'),
    'an attribute of an array class': lambda _: Reach(np.ndarray, 'tofile'),
    'an attribute of a tensor': lambda _: Reach(torch.zeros(1), 'numpy'),
    'a statistic that is called': lambda _: Call(
        Reach(HistoryBuffer, 'mean'), HistoryBuffer()
    ),
    'an array loader': lambda canary: Call(np.load, str(canary)),
}


@pytest.fixture(scope='module')
def stock_checkpoint(tmp_path_factory):
    """A file as mmengine writes it, HistoryBuffers and all."""
    work_dir = tmp_path_factory.mktemp('stock')
    toy_runner(work_dir).train()
    return work_dir / 'iter_2.pth'


def test_the_patch_is_needed_once():
    assert not safe_loading._weights_only_needed()


def test_the_patch_is_needed_where_mmengine_loads_by_torch(monkeypatch):
    monkeypatch.setattr(checkpoint, 'torch', torch)
    assert safe_loading._weights_only_needed()


@pytest.mark.parametrize(
    'load',
    [
        CheckpointLoader.load_checkpoint,
        functools.partial(torch.load, weights_only=True),
    ],
    ids=['mmengine', 'torch'],
)
def test_a_stock_checkpoint_loads_as_weights_only(stock_checkpoint, load):
    loaded = load(str(stock_checkpoint))
    history = loaded['message_hub']['log_scalars']['train/loss']
    assert isinstance(history, HistoryBuffer)
    assert history.statistics('mean') == pytest.approx(history.data[0].mean())
    assert history.statistics('current') == history.data[0][-1]
    assert loaded['state_dict'].keys() == Toy().state_dict().keys()


def test_a_stock_run_resumes(stock_checkpoint):
    runner = toy_runner(
        stock_checkpoint.parent,
        iters=4,
        resume=True,
        load_from=str(stock_checkpoint),
    )
    runner.train()
    assert runner.iter == 4
    assert len(runner.message_hub.get_scalar('train/loss').data[0]) == 4


def test_the_exploit_would_work_on_an_unsafe_load(tmp_path):
    path, canary = tmp_path / 'crafted.pth', tmp_path / 'canary'
    torch.save({'state_dict': exploit(canary)}, path)
    torch.load(path, weights_only=False)
    assert canary.exists()


@pytest.mark.parametrize('craft', CRAFTED.values(), ids=CRAFTED.keys())
@pytest.mark.parametrize('zipped', [True, False], ids=['zip', 'legacy'])
def test_a_crafted_file_is_refused(tmp_path, craft, zipped):
    path, canary = tmp_path / 'crafted.pth', tmp_path / 'canary'
    torch.save(
        {'state_dict': craft(canary)},
        path,
        _use_new_zipfile_serialization=zipped,
    )
    with pytest.raises(pickle.UnpicklingError):
        CheckpointLoader.load_checkpoint(str(path))
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path, weights_only=True)
    assert not canary.exists()


def test_the_real_getattr_is_not_on_the_list():
    allowed = safe_loading.safe_globals()
    assert all(entry is not getattr for entry in allowed)
    for name in ('mean', 'max', 'min', 'current'):
        method = getattr(HistoryBuffer, name)
        assert safe_loading._history_method(HistoryBuffer, name) is method


def test_bytes_are_decoded_as_pickle_writes_them_and_not_otherwise():
    assert safe_loading._bytes_of('\xe9', 'latin1') == b'\xe9'
    with pytest.raises(pickle.UnpicklingError, match='rot13'):
        safe_loading._bytes_of('a', 'rot13')


def rename_globals(path, old, new):
    """Rewrite a zipped checkpoint so that its pickle names ``new``."""
    with zipfile.ZipFile(path) as archive:
        records = {i: archive.read(i) for i in archive.infolist()}
    with zipfile.ZipFile(path, 'w') as archive:
        for info, data in records.items():
            if info.filename.endswith('data.pkl'):
                data = data.replace(f'c{old}\n'.encode(), f'c{new}\n'.encode())
                assert f'c{new}\n'.encode() in data
            archive.writestr(info.filename, data)


@pytest.mark.parametrize('core', ['numpy.core', 'numpy._core'])
def test_arrays_load_under_both_names_of_numpys_core(tmp_path, core):
    path = tmp_path / 'arrays.pth'
    arrays = {
        'float': np.arange(3.0),
        'int': np.arange(3),
        'scalar': np.float64(0.5),
        # What mmsegmentation's metric hands to save_best.
        'best': np.float32(0.25),
    }
    torch.save(arrays, path)
    here = np.zeros(1).__reduce__()[0].__module__
    rename_globals(path, here, f'{core}.multiarray')
    loaded = CheckpointLoader.load_checkpoint(str(path))
    np.testing.assert_array_equal(loaded['float'], arrays['float'])
    np.testing.assert_array_equal(loaded['int'], arrays['int'])
    assert loaded['scalar'] == 0.5
    assert loaded['best'] == 0.25


@pytest.fixture
def served(tmp_path, monkeypatch):
    """A folder and the address under which it is served."""
    folder = tmp_path / 'served'
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv('TORCH_HOME', str(tmp_path / 'torch_home'))
    monkeypatch.setenv('no_proxy', '127.0.0.1')
    yield folder, f'http://127.0.0.1:{server.server_port}'
    server.shutdown()
    server.server_close()


def test_a_file_from_the_network_loads(served, stock_checkpoint):
    folder, address = served
    (folder / 'stock.pth').write_bytes(stock_checkpoint.read_bytes())
    loaded = CheckpointLoader.load_checkpoint(f'{address}/stock.pth')
    assert loaded['state_dict'].keys() == Toy().state_dict().keys()


def test_a_crafted_file_from_the_network_is_refused(served, tmp_path):
    folder, address = served
    canary = tmp_path / 'canary'
    torch.save({'state_dict': exploit(canary)}, folder / 'crafted.pth')
    with pytest.raises(pickle.UnpicklingError):
        CheckpointLoader.load_checkpoint(f'{address}/crafted.pth')
    assert not canary.exists()


# --- distributed training on a CPU ------------------------------------------


@pytest.mark.parametrize('module', [distributed, amp])
def test_cpu_workarounds_are_for_machines_without_a_gpu(monkeypatch, module):
    for device, answer in (('cpu', True), ('cuda', False), ('mps', False)):
        monkeypatch.setattr(module, 'get_device', lambda d=device: d)
        assert module.WORKAROUND.needed() is answer


def test_a_gpu_keeps_its_backend(monkeypatch):
    monkeypatch.setattr(distributed, 'get_device', lambda: 'cuda')
    start = distributed._gloo_on_cpu(lambda backend, **_: backend)
    assert start('nccl', timeout=1) == 'nccl'


def test_a_cpu_starts_by_gloo_and_touches_no_gpu(monkeypatch):
    monkeypatch.setattr(distributed, 'get_device', lambda: 'cpu')
    original = torch.cuda.set_device

    def init(backend, fail=False):
        assert torch.cuda.set_device(0) is None
        if fail:
            raise RuntimeError('no peers')
        return backend

    start = distributed._gloo_on_cpu(init)
    assert start('nccl') == 'gloo'
    with pytest.raises(RuntimeError, match='no peers'):
        start('nccl', fail=True)
    assert torch.cuda.set_device is original


TWO_PROCESSES = """
import atexit
import sys
import mmtat, torch
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from test_compat import Toy, toy_runner
from torch import distributed, nn

# Handlers run in reverse: this one after the group was left.
# One write, which another process cannot cut.
atexit.register(
    lambda: sys.stdout.write(f'left {not distributed.is_initialized()}\\n')
)

runner = toy_runner(
    Path(sys.argv[2]),
    Toy(nn.SyncBatchNorm),
    launcher='pytorch',
    env_cfg=dict(dist_cfg=dict(backend='nccl')),
    cfg=dict(sync_bn='torch'),
)
runner.train()
assert runner.distributed and runner.world_size == 2
weight = runner.model.module.layers[0].weight.detach()
other = [torch.empty_like(weight) for _ in range(2)]
distributed.all_gather(other, weight)
assert torch.equal(*other), other
assert not any(
    isinstance(m, nn.SyncBatchNorm) for m in runner.model.modules())
wrapped = runner.wrap_model(dict(find_unused_parameters=True), Toy())
assert wrapped.find_unused_parameters and wrapped.device_ids is None
if runner.rank == 0:
    print('trained with', distributed.get_backend())
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def test_two_processes_train_on_a_cpu(tmp_path):
    script = tmp_path / 'train.py'
    script.write_text(TWO_PROCESSES)
    environment = {
        **os.environ,
        'PYTHONPATH': f'{ROOT}{os.pathsep}{os.environ.get("PYTHONPATH", "")}',
        'CUDA_VISIBLE_DEVICES': '',
        'OMP_NUM_THREADS': '1',
    }
    launcher = [sys.executable, '-m', 'torch.distributed.run']
    launcher += ['--nproc_per_node=2', f'--master_port={free_port()}']
    done = subprocess.run(
        [*launcher, script, ROOT / 'tests', tmp_path / 'work'],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'trained with gloo' in done.stdout
    assert done.stdout.count('left True') == 2
    assert 'SyncBN becomes BN' in done.stdout + done.stderr


# --- mixed precision --------------------------------------------------------


@pytest.mark.parametrize('dtype', [None, 'float16', 'bfloat16'])
def test_mixed_precision_trains(tmp_path, dtype):
    seen = []

    class Watching(Toy):
        def forward(self, inputs, mode='tensor'):
            seen.append(self.layers[0](inputs).dtype)
            return super().forward(inputs, mode)

    model = Watching()
    before = model.layers[0].weight.detach().clone()
    runner = toy_runner(
        tmp_path,
        model,
        iters=4,
        optim_wrapper=dict(
            type='AmpOptimWrapper',
            optimizer=dict(type='SGD', lr=0.1),
            dtype=dtype,
        ),
    )
    runner.train()
    after = runner.model.layers[0].weight.detach().cpu()
    assert after.dtype == torch.float32
    assert torch.isfinite(after).all()
    assert not torch.equal(before, after)
    if get_device() == 'cpu':
        assert set(seen) == {torch.bfloat16}
        assert not runner.optim_wrapper.loss_scaler.is_enabled()


# --- hooks that a model brings along ----------------------------------------


class Bringing(Toy):
    def required_hooks(self):
        return [dict(type='EmptyCacheHook')]


def brought_hooks(runner):
    return [hook for hook in runner.hooks if isinstance(hook, EmptyCacheHook)]


def test_a_model_brings_its_hooks(tmp_path):
    assert len(brought_hooks(toy_runner(tmp_path, Bringing()))) == 1


def test_a_hook_that_is_there_is_not_brought_again(tmp_path):
    runner = toy_runner(tmp_path, Bringing(), custom_hooks=[EmptyCacheHook()])
    assert len(brought_hooks(runner)) == 1


def test_a_model_without_hooks_brings_none(tmp_path):
    assert brought_hooks(toy_runner(tmp_path)) == []


# --- a quicker start --------------------------------------------------------


SEARCH = """
import sys
import mmtat
import mmrazor.models

assert 'sklearn' not in sys.modules, 'sklearn was imported'
assert 'scipy.stats' not in sys.modules, 'scipy.stats was imported'

import numpy as np
from mmrazor.models.distillers import ofd_distiller
from mmrazor.models.task_modules.predictor import metric_predictor
from mmrazor.models.task_modules.predictor.handler import CartsHandler

print(ofd_distiller.norm.cdf(0.0))
handler = CartsHandler(num_trees=2)
handler.fit(np.zeros((8, 2)), np.full(8, 3.0))
print(handler.predict(np.zeros((1, 2))).item())
print(metric_predictor.stats.kendalltau([1, 2], [3, 4])[0])
"""


def test_mmrazor_imports_its_search_when_it_is_used():
    done = subprocess.run(
        [sys.executable, '-c', SEARCH], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert [float(x) for x in done.stdout.split()] == [0.5, 3.0, 1.0]


def test_a_package_that_is_not_there_gets_no_stand_in():
    with search_imports._stand_in('no_such_package.part'):
        assert 'no_such_package.part' not in sys.modules


def test_a_file_is_read_again_only_after_it_changed(tmp_path):
    reads = []
    file = tmp_path / 'metafile.yml'

    def load(path):
        reads.append(path)
        return Path(path).read_text()

    load_once = start_up._read_once(load)
    file.write_text('one')
    assert [load_once(str(file)), load_once(str(file))] == ['one', 'one']
    assert len(reads) == 1
    file.write_text('two')
    os.utime(file, ns=(1, 1))
    assert load_once(str(file)) == 'two'


def test_a_config_is_formatted_once(monkeypatch):
    calls = []
    monkeypatch.setattr(
        config_module,
        'FormatCode',
        start_up._format_once(
            lambda text, style_config: calls.append(text) or (text, True)
        ),
    )
    config = Config(dict(a=1))
    assert config.pretty_text == config.pretty_text == 'a=1'
    config.a = 2
    assert config.pretty_text == 'a=2'
    assert calls == ['a=1', 'a=2']
