"""Runs of the real configs that are no longer finite, and their dumps."""

import pytest

from mmtat.engine.non_finite.replay import replay

from .voc import (
    loader_options,
    make_imagenet,
    make_teacher,
    make_voc,
    run_tool,
    voc_options,
)

pytestmark = pytest.mark.slow
HOOK = 'default_hooks.non_finite.type=mmtat.NonFiniteHook'


def train_and_replay(monkeypatch, capfd, folder, config, *options):
    """Train until the loss overflows; what the second run of it gives."""
    status = run_tool(
        monkeypatch,
        'train',
        config,
        *('--data-root', folder / 'data', '--work-dir', folder / 'run'),
        *('--cfg-options', HOOK, *options),
    )
    told = capfd.readouterr().err
    assert status == 1
    assert 'error: iteration 1: losses of the distillation' in told
    assert '.jpg' in told and 'learning rates: ' in told
    dump = folder / 'run' / 'non_finite' / 'iter_1_rank0.pth'
    assert f'run it once more: python tools/replay.py {dump}' in told
    found = replay(str(dump))
    assert found.is_reproduced and found.files
    for name, value in found.dump['terms'].items():
        assert found.terms[name] == pytest.approx(value, rel=1e-4), name
    assert run_tool(monkeypatch, 'replay', dump) == 0


def test_segmentation(tmp_path, monkeypatch, capfd):
    make_voc(tmp_path / 'data')
    teacher = make_teacher(tmp_path / 'teacher.pth', 'deeplabv3')
    train_and_replay(
        monkeypatch,
        capfd,
        tmp_path,
        'configs/tat_deeplabv3_r101_r18_voc.py',
        *voc_options(teacher),
        'model.distiller.branches.patch_group.loss_weight=1e39',
    )


def test_classification_by_epochs_in_half_precision(
    tmp_path, monkeypatch, capfd
):
    make_imagenet(tmp_path / 'data')
    teacher = make_teacher(tmp_path / 'teacher.pth', 'resnet34')
    train_and_replay(
        monkeypatch,
        capfd,
        tmp_path,
        'configs/tat_resnet34_resnet18_in1k.py',
        f'model.teacher_ckpt={teacher}',
        'model.architecture.pretrained=None',
        'train_dataloader.batch_size=4',
        'train_cfg.max_epochs=1',
        'optim_wrapper.type=AmpOptimWrapper',
        'model.distiller.branches.whole.loss_weight=1e39',
        *loader_options('train', 'val', 'test'),
    )
