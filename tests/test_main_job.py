"""The configs through tools/train.py, and what the stock tools make of it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from .voc import (
    ROOT,
    loader_options,
    make_imagenet,
    make_teacher,
    make_voc,
    run_tool,
    voc_options,
)

LOADERS = loader_options('train', 'val', 'test')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_voc(tmp_path_factory.mktemp('data') / 'voc')


@pytest.fixture(scope='module')
def teacher(tmp_path_factory):
    path = tmp_path_factory.mktemp('teacher') / 'deeplabv3.pth'
    return make_teacher(path, 'deeplabv3')


def scalars(work_dir):
    file = next(Path(work_dir).glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in file.read_text().splitlines()]


def result(work_dir):
    """Metrics of a test run."""
    return json.loads(next(Path(work_dir).glob('*/2*.json')).read_text())


def losses(work_dir):
    return [line for line in scalars(work_dir) if 'loss' in line]


def test_deeplabv3_distils_is_killed_and_resumes(tmp_path, data, teacher):
    """The whole promise: train, kill, resume, evaluate, and by stock mmseg."""
    work_dir = tmp_path / 'run'
    command = [
        *(sys.executable, 'tools/train.py'),
        'configs/tat_deeplabv3_r101_r18_voc.py',
        *('--data-root', data, '--work-dir', work_dir),
    ]
    environment = dict(os.environ, PYTHONPATH=str(ROOT))
    process = subprocess.Popen(
        [*command, '--cfg-options', *voc_options(teacher, 10**6)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.time() + 240
    while not (work_dir / 'last_checkpoint').exists():
        assert process.poll() is None and time.time() < deadline
        time.sleep(0.2)
    process.send_signal(signal.SIGKILL)
    process.wait()
    last = Path((work_dir / 'last_checkpoint').read_text())
    done = torch.load(last, weights_only=True)['meta']['iter']
    subprocess.run(
        [
            *(*command, '--resume', '--cfg-options'),
            *voc_options(teacher, done + 2),
        ],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.DEVNULL,
        check=True,
    )
    checkpoint = work_dir / f'iter_{done + 2}.pth'
    content = torch.load(checkpoint, weights_only=True)
    assert (
        len(content['message_hub']['log_scalars']['train/loss']['log_history'])
        == done + 2
    )
    evaluate = (
        'import sys, mmtat\n'
        'from mmengine import Config\n'
        'from mmengine.runner import Runner\n'
        'from mmseg.apis import init_model\n'
        'import torch\n'
        'config, checkpoint = sys.argv[1:]\n'
        'names = set(torch.load(checkpoint)["state_dict"])\n'
        'model = init_model(config, checkpoint, device="cpu")\n'
        'assert set(model.state_dict()) == names\n'
        'cfg = Config.fromfile(config)\n'
        'cfg.load_from = checkpoint\n'
        'assert "mmtat" not in cfg.pretty_text.replace(cfg.work_dir, "")\n'
        'print("mIoU", Runner.from_cfg(cfg).test()["mIoU"])\n'
    )
    stock = subprocess.run(
        [sys.executable, '-c', evaluate, work_dir / 'student.py', checkpoint],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert stock.returncode == 0, stock.stderr[-2000:]
    miou = float(stock.stdout.split('mIoU')[-1])
    trained = [
        line['mIoU'] for file in work_dir.glob('*/vis_data/scalars.json')
        for line in map(json.loads, file.read_text().splitlines())
        if 'mIoU' in line and line['step'] == done + 2
    ]  # fmt: skip
    # The log rounds what the metric gives in float32.
    assert trained == [pytest.approx(miou, abs=1e-4)]


def test_deeplabv3plus_distils(tmp_path, data, monkeypatch):
    teacher = make_teacher(tmp_path / 'teacher.pth', 'deeplabv3plus')
    status = run_tool(
        monkeypatch,
        'train',
        'configs/tat_deeplabv3plus_r101_r18_voc.py',
        *('--data-root', data, '--work-dir', tmp_path / 'run'),
        *('--cfg-options', *voc_options(teacher)),
    )
    assert status == 0
    logged = losses(tmp_path / 'run')
    assert len(logged) == 2
    for line in logged:
        assert line['distill.loss_tat_patch_group'] > 0
        assert line['distill.loss_tat_anchor_point'] > 0
        assert line['student.decode.loss_ce'] > 0
    total = sum(v for k, v in logged[0].items() if '.' in k and 'loss' in k)
    assert logged[0]['loss'] == pytest.approx(total, rel=1e-4)


@pytest.fixture(scope='module')
def classifier(tmp_path_factory):
    """A distilled ResNet-18 on two of ImageNet's classes."""
    folder = tmp_path_factory.mktemp('in1k')
    make_imagenet(folder / 'data')
    teacher = make_teacher(folder / 'teacher.pth', 'resnet34')
    with pytest.MonkeyPatch.context() as monkeypatch:
        status = run_tool(
            monkeypatch,
            'train',
            'configs/tat_resnet34_resnet18_in1k.py',
            *('--data-root', folder / 'data', '--work-dir', folder / 'run'),
            '--cfg-options',
            f'model.teacher_ckpt={teacher}',
            'model.architecture.pretrained=None',
            'train_dataloader.batch_size=4',
            'train_cfg.max_epochs=1',
            'default_hooks.logger.interval=1',
            *LOADERS,
        )
    assert status == 0
    return folder


def test_a_classifier_distils_with_tat_and_logits(classifier):
    logged = losses(classifier / 'run')
    assert len(logged) == 2
    for line in logged:
        assert line['distill.loss_tat'] > 0 and line['distill.loss_kl'] > 0


def test_stock_mmpretrain_reads_the_student(classifier):
    from mmpretrain.apis import init_model

    checkpoint = classifier / 'run' / 'epoch_1.pth'
    model = init_model(
        str(classifier / 'run' / 'student.py'), str(checkpoint), device='cpu'
    )
    weights = torch.load(checkpoint)['state_dict']
    assert set(model.state_dict()) == set(weights)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, weights[name]), name


@pytest.mark.parametrize('tta', [False, True])
def test_the_classifiers_checkpoint_is_tested(
    tta, classifier, tmp_path, monkeypatch
):
    output = ['--tta'] if tta else ['--show-dir', tmp_path / 'show']
    out = tmp_path / 'new' / ('out.pth' if tta else 'out.pkl')
    status = run_tool(
        monkeypatch,
        'test',
        'configs/tat_resnet34_resnet18_in1k.py',
        classifier / 'run' / 'epoch_1.pth',
        *('--data-root', classifier / 'data', '--work-dir', tmp_path / 'test'),
        *('--out', out, *output),
        *('--cfg-options', *LOADERS),
    )
    assert status == 0
    shown = list((tmp_path / 'show').rglob('*.*g'))
    assert len(shown) == (0 if tta else 8)
    assert out.stat().st_size > 0
    if tta:
        predictions = torch.load(out, weights_only=True)
        assert len(predictions) == 8
        assert all(p['pred_score'].shape == (1000,) for p in predictions)
    assert 0 <= result(tmp_path / 'test')['accuracy/top1'] <= 100


@pytest.mark.parametrize('config', ['distillation', 'student'])
def test_a_segmentors_checkpoint_is_tested(
    config, tmp_path, data, teacher, monkeypatch
):
    run = tmp_path / 'run'
    options = voc_options(teacher)
    train = 'configs/tat_deeplabv3_r101_r18_voc.py'
    assert run_tool(
        monkeypatch, 'train', train, '--amp', '--data-root', data,
        '--work-dir', run, '--cfg-options', *options,
    ) == 0  # fmt: skip
    tested = train if config == 'distillation' else run / 'student.py'
    assert run_tool(
        monkeypatch, 'test', tested, run / 'iter_2.pth', '--data-root', data,
        '--work-dir', tmp_path / 'test', '--out', tmp_path / 'out',
        '--show-dir', tmp_path / 'show', '--cfg-options', *LOADERS,
        'test_dataloader.dataset.pipeline.1.scale=(128,64)',
    ) == 0  # fmt: skip
    names = (data / 'ImageSets/Segmentation/val.txt').read_text().split()
    assert {p.stem for p in (tmp_path / 'out').iterdir()} == set(names)
    assert len(list((tmp_path / 'show').rglob('*.png'))) == 2
    trained = [line for line in scalars(run) if 'mIoU' in line][-1]
    assert result(tmp_path / 'test')['mIoU'] == trained['mIoU']
