"""Exports in the hands of those who read them: real consumers only."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.model import revert_sync_batchnorm

from mmtat.engine.export import ExportOptions, export_student

from .students import SIZE, classifier, save, segmentor
from .test_main_job import LOADERS
from .voc import ROOT, make_imagenet, make_teacher, make_voc, run_tool
from .voc import voc_options as small_voc

extras = pytest.mark.extras


def export(checkpoint, out, **options):
    return export_student(str(checkpoint), str(out), ExportOptions(**options))


def run_onnx(path, images):
    onnxruntime = pytest.importorskip('onnxruntime')
    session = onnxruntime.InferenceSession(
        str(path), providers=['CPUExecutionProvider']
    )
    [output] = session.run(None, {'image': images.numpy()})
    return torch.from_numpy(output)


def predicted(model, images):
    """Labels of mmsegmentation for RGB images, which it gets as BGR."""
    data = dict(inputs=list(images.flip(1)), data_samples=None)
    with torch.no_grad():
        inputs = model.data_preprocessor(data)['inputs']
        samples = model.predict(inputs)
    return torch.stack([sample.pred_sem_seg.data[0] for sample in samples])


@extras
@pytest.mark.parametrize('head', ['FCNHead', 'PSPHead', 'ASPPHead'])
@pytest.mark.parametrize('fold', [False, True], ids=['', 'folded'])
def test_onnxruntime_predicts_what_mmsegmentation_does(head, fold, tmp_path):
    options = dict(PSPHead=dict(pool_scales=(1, 2, 3, 6)))
    options['ASPPHead'] = dict(dilations=(1, 2))
    config = segmentor(head=head, **options.get(head, {}))
    model = revert_sync_batchnorm(save(tmp_path / 'a.pth', config))
    made = export(
        tmp_path / 'a.pth',
        tmp_path / 'a.onnx',
        fold_norms=fold,
        preprocessing='uint8',
        argmax=True,
    )
    assert str(made.comparison) == 'equal argmax'
    images = torch.randint(0, 256, (3, 3, *SIZE), dtype=torch.uint8)
    labels = run_onnx(tmp_path / 'a.onnx', images)
    assert labels.dtype == torch.int64 and len(labels.unique()) > 1
    assert torch.equal(labels, predicted(model, images))


@extras
def test_a_dynamic_graph_follows_batch_and_size(tmp_path):
    import onnx

    config = segmentor(head='PSPHead', pool_scales=(1, 2, 3, 6))
    model = revert_sync_batchnorm(save(tmp_path / 'a.pth', config))
    export(tmp_path / 'a.pth', tmp_path / 'a.onnx', dynamic=True)
    graph = onnx.load(str(tmp_path / 'a.onnx')).graph
    shapes = {
        value.name: [
            d.dim_param or d.dim_value
            for d in value.type.tensor_type.shape.dim
        ]
        for value in (*graph.input, *graph.output)
    }
    assert shapes['image'] == ['batch', 3, 'height', 'width']
    assert shapes['logits'][0] == 'batch'
    for shape in ((1, 3, 40, 40), (3, 3, 64, 24)):
        inputs = torch.randn(shape)
        with torch.no_grad():
            samples = model.predict(inputs)
        logits = torch.stack([s.seg_logits.data for s in samples])
        found = run_onnx(tmp_path / 'a.onnx', inputs)
        assert torch.allclose(found, logits, atol=1e-4)


@extras
def test_a_graph_says_what_it_is(tmp_path):
    import onnx

    save(tmp_path / 'a.pth', segmentor())
    export(tmp_path / 'a.pth', tmp_path / 'a.onnx')
    model = onnx.load(str(tmp_path / 'a.onnx'))
    assert model.opset_import[0].version == 17
    properties = {item.key: item.value for item in model.metadata_props}
    assert 'ResNetV1c' in properties['config']
    classes = json.loads(properties['meta'])['dataset_meta']['classes']
    assert classes == ['class 0', 'class 1', 'class 2']
    card = (tmp_path / 'a.onnx.md').read_text()
    assert 'ONNX, opset 17' in card and '| onnxruntime | ' in card
    names = {tensor.name for tensor in model.graph.initializer}
    assert names and not any('auxiliary' in name for name in names)


@extras
def test_onnxruntime_scores_what_mmpretrain_does(tmp_path):
    model = save(tmp_path / 'a.pth', classifier())
    export(tmp_path / 'a.pth', tmp_path / 'a.onnx', fold_norms=True)
    inputs = torch.randn(3, 3, 32, 32)
    with torch.no_grad():
        samples = model.predict(inputs)
    scores = torch.stack([sample.pred_score for sample in samples])
    found = run_onnx(tmp_path / 'a.onnx', inputs)
    assert torch.allclose(found, scores, atol=1e-6)
    assert torch.equal(found.argmax(1), scores.argmax(1))


@extras
def test_an_operator_that_onnx_lacks_is_named(tmp_path):
    from mmengine.config import Config
    from mmengine.registry import MODELS

    from .toys import ToySegmentor

    class Odd(ToySegmentor):
        def extract_feat(self, inputs):
            return torch.special.i0(super().extract_feat(inputs))

    MODELS.register_module('Odd', module=Odd, force=True)
    text = Config(dict(model=dict(type='Odd'))).pretty_text
    content = dict(state_dict=Odd().state_dict(), meta=dict(cfg=text))
    torch.save(content, tmp_path / 'a.pth')
    with pytest.raises(ValueError, match='--format onnx: torch .*i0'):
        export(tmp_path / 'a.pth', tmp_path / 'a.onnx', size=(16, 16))
    assert [p.name for p in tmp_path.iterdir()] == ['a.pth']


@extras
def test_safetensors_reads_weights_config_and_classes(tmp_path):
    from safetensors import safe_open
    from safetensors.torch import load_file

    model = save(tmp_path / 'a.pth', segmentor())
    made = export(tmp_path / 'a.pth', tmp_path / 'a.safetensors')
    assert made.comparison.difference == 0
    weights = load_file(str(tmp_path / 'a.safetensors'))
    assert set(weights) == set(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert torch.equal(weights[name], tensor), name
    with safe_open(str(tmp_path / 'a.safetensors'), 'np') as file:
        metadata = file.metadata()
    (tmp_path / 'config.py').write_text(metadata['config'])
    from mmengine.config import Config

    config = Config.fromfile(tmp_path / 'config.py')
    assert config.model.backbone.type == 'ResNetV1c'
    assert json.loads(metadata['meta'])['dataset_meta']['classes'][2]


def in_another_process(code, folder, *arguments):
    done = subprocess.run(
        [sys.executable, '-W', 'ignore', '-c', code, *map(str, arguments)],
        cwd=folder,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


#: Loads weights by the zoo's own function and refuses what does not fit.
STOCK = """
import sys
import numpy as np
import torch
import mmtat
from mmengine.runner import checkpoint
from {package}.apis import init_model

config, weights, images, out = sys.argv[1:]
loads = checkpoint.load_state_dict
fits = []

def load(module, state_dict, strict=False, logger=None):
    fits.append(module.load_state_dict(state_dict, strict=False))
    return loads(module, state_dict, strict, logger)

checkpoint.load_state_dict = load
model = init_model(config, weights, device='cpu')
[fit] = fits
assert not fit.missing_keys and not fit.unexpected_keys, fit
if 'mmtat.' not in open(config).read():
    assert not [n for n in sys.modules if n.startswith('mmrazor.models')]
images = torch.from_numpy(np.load(images))
with torch.no_grad():
    data = dict(inputs=list(images.flip(1)))
    inputs = model.data_preprocessor(data)['inputs']
    samples = model(inputs, mode='predict')
scores = [{scores} for sample in samples]
np.save(out, torch.stack(scores).numpy())
print('classes', len(model.{meta}['classes']))
"""


def check_by_consumers(folder, checkpoint, package, size, classes):
    """Export to all four, and let each be read where it will be used."""
    is_map = package == 'mmseg'
    code = STOCK.format(
        package=package,
        scores='sample.seg_logits.data' if is_map else 'sample.pred_score',
        meta='dataset_meta' if is_map else '_dataset_meta',
    )
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 3, *size), dtype=np.uint8)
    np.save(folder / 'images.npy', images)
    images = torch.from_numpy(images)
    options = dict(size=size, preprocessing='uint8')
    export(checkpoint, folder / 'a.pth')
    export(checkpoint, folder / 'a.safetensors')
    for suffix in ('onnx', 'pt'):
        export(checkpoint, folder / f'a.{suffix}', fold_norms=True, **options)
    arguments = ('a.py', 'a.pth', 'images.npy', 'out.npy')
    output = in_another_process(code, folder, *arguments)
    assert f'classes {classes}' in output
    scores = torch.from_numpy(np.load(folder / 'out.npy'))
    limit = 1e-4 * max(1, scores.abs().max().item())
    traced = torch.jit.load(str(folder / 'a.pt'))(images)
    for found in (run_onnx(folder / 'a.onnx', images), traced):
        assert (found - scores).abs().max() < limit
        assert (found.argmax(1) != scores.argmax(1)).float().mean() < 1e-3
    from safetensors.torch import load_file

    weights = load_file(str(folder / 'a.safetensors'))
    own = torch.load(checkpoint)['state_dict']
    assert set(weights) == set(own)
    assert all(torch.equal(weights[name], own[name]) for name in own)


def killed_run(folder):
    """A distillation that was killed when it had validated once."""
    data = make_voc(folder / 'voc')
    teacher = make_teacher(folder / 'teacher.pth', 'deeplabv3plus')
    work_dir = folder / 'run'
    process = subprocess.Popen(
        [
            *(sys.executable, 'tools/train.py'),
            'configs/tat_deeplabv3plus_r101_r18_voc.py',
            *('--data-root', data, '--work-dir', work_dir, '--cfg-options'),
            *small_voc(teacher, 10**6),
        ],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 400
    while not any(
        '"mIoU"' in file.read_text()
        for file in work_dir.glob('*/vis_data/scalars.json')
    ):
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    teacher.unlink()
    return Path((work_dir / 'last_checkpoint').read_text())


@extras
@pytest.mark.slow
def test_the_student_of_a_killed_run_is_used_everywhere(tmp_path):
    checkpoint = killed_run(tmp_path)
    folder = tmp_path / 'exports'
    folder.mkdir()
    check_by_consumers(folder, checkpoint, 'mmseg', (64, 64), 21)
    card = (folder / 'a.onnx.md').read_text()
    assert 'deeplabv3plus_r101-d8_4xb4-40k_voc12aug' in card
    assert ', teacher.pth |' in card
    assert re.search(r'this checkpoint \| .*mIoU [\d.]+', card)
    assert '1 aeroplane' in card


@extras
@pytest.mark.slow
@pytest.mark.parametrize(
    'config', ['tat_resnet34_resnet18_in1k', 'imagenet/mobilenet_v1']
)
def test_a_classifier_is_used_everywhere(config, tmp_path, monkeypatch):
    data = make_imagenet(tmp_path / 'data')
    options = ['train_dataloader.batch_size=4', 'train_cfg.max_epochs=1']
    if 'tat' in config:
        teacher = make_teacher(tmp_path / 'teacher.pth', 'resnet34')
        options.append(f'model.teacher_ckpt={teacher}')
        options.append('model.architecture.pretrained=None')
    work_dir = tmp_path / 'run'
    status = run_tool(
        monkeypatch,
        'train',
        f'configs/{config}.py',
        *('--data-root', data, '--work-dir', work_dir, '--cfg-options'),
        *(*options, *LOADERS),
    )
    assert status == 0
    folder = tmp_path / 'exports'
    folder.mkdir()
    checkpoint = work_dir / 'epoch_1.pth'
    check_by_consumers(folder, checkpoint, 'mmpretrain', (64, 64), 1000)


@extras
@pytest.mark.slow
def test_the_stock_runner_tests_an_export(tmp_path, monkeypatch):
    data = make_voc(tmp_path / 'voc')
    teacher = make_teacher(tmp_path / 'teacher.pth', 'deeplabv3')
    status = run_tool(
        monkeypatch,
        'train',
        'configs/tat_deeplabv3_r101_r18_voc.py',
        *('--data-root', data, '--work-dir', tmp_path / 'run'),
        *('--cfg-options', *small_voc(teacher, 2)),
    )
    assert status == 0
    made = export(tmp_path / 'run' / 'iter_2.pth', tmp_path / 'a.pth')
    card = (tmp_path / 'a.pth.md').read_text()
    code = (
        'import sys, mmtat\n'
        'from mmengine import Config\n'
        'from mmengine.runner import Runner\n'
        'config = Config.fromfile(sys.argv[1])\n'
        'config.load_from = sys.argv[2]\n'
        'print("mIoU", Runner.from_cfg(config).test()["mIoU"])\n'
    )
    output = in_another_process(code, tmp_path, 'a.py', 'a.pth')
    miou = float(output.split('mIoU')[-1])
    own = re.search(r'this checkpoint \| .*mIoU ([\d.]+)', card)[1]
    assert float(own) == pytest.approx(miou, abs=1e-3)
    assert made.image.size == (64, 64)
