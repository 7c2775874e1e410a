"""A dumped step is run once more, safely, and says where it goes wrong."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.structures import BaseDataElement, PixelData

from mmtat.engine.non_finite.plain_batch import (
    batch_of,
    file_names,
    plain_batch,
)
from mmtat.engine.non_finite.replay import replay

from .test_non_finite import (
    AMP,
    BRIGHT,
    BROKEN,
    STUDENT,
    BrightLoss,
    message_of,
    quick_config,  # noqa: F401
)
from .voc import ROOT, run_tool


def dump_of(folder, *args, **kwargs):
    told = message_of(folder, *args, **kwargs)
    path = str(folder / 'non_finite' / 'iter_3_rank0.pth')
    assert told.endswith(path)
    return path


def changed(path, **entries):
    dump = torch.load(path, weights_only=True)
    torch.save(dict(dump, **entries), path)
    return path


def test_the_losses_are_those_of_the_run(tmp_path):
    found = replay(dump_of(tmp_path, **BRIGHT))
    # Dropout, and the norms of the batch, are as they were.
    expected = found.dump['terms']
    assert found.terms['student.loss_seg'] == expected['student.loss_seg']
    assert np.isnan(found.terms['distill.loss_f'])
    assert found.is_reproduced
    assert found.files == ['image_4.jpg', 'image_5.jpg']
    assert found.layer.name == 'distiller.distill_losses.loss_f'
    assert not found.layer.is_given_any
    assert not found.weights


def test_the_layer_that_a_gradient_breaks_at_is_found(tmp_path):
    found = replay(dump_of(tmp_path, 'gradient', **BRIGHT))
    assert found.is_reproduced and found.layer is None
    name = 'distiller.connectors.c.conv_module.conv'
    assert found.gradient_layer.name in (name, name.rpartition('.')[0])
    assert 'architecture.backbone.conv.weight' in found.gradients


def test_the_command_says_what_it_saw(tmp_path, monkeypatch, capsys):
    path = dump_of(tmp_path, **BROKEN)
    capsys.readouterr()
    assert run_tool(monkeypatch, 'replay', path) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 'Iteration 3' in lines
    assert any(
        line.split()[:2] == ['student.loss_seg', 'nan'] for line in lines
    )
    assert 'images: image_4.jpg, image_5.jpg' in lines
    assert 'inputs that are not finite: inputs[1] (1 of 192 values)' in lines
    assert any(
        line.startswith('first output that is not finite: data_preprocessor')
        and line.endswith('its inputs and weights hold some too')
        for line in lines
    )


def test_the_command_says_when_all_is_finite(tmp_path, monkeypatch, capsys):
    path = dump_of(tmp_path, **BRIGHT)
    monkeypatch.setattr(
        BrightLoss, 'forward', lambda self, student, teacher: student.mean()
    )
    assert run_tool(monkeypatch, 'replay', path) == 1
    assert (
        'All losses and gradients are finite here' in capsys.readouterr().out
    )


@pytest.mark.slow
def test_the_command_works_in_a_process_of_its_own(tmp_path):
    path = changed(dump_of(tmp_path, **BRIGHT))
    dump = torch.load(path, weights_only=True)
    imports = dict(imports=['tests.test_non_finite'])
    changed(path, config=dict(dump['config'], custom_imports=imports))
    run = subprocess.run(
        [sys.executable, 'tools/replay.py', path],
        cwd=ROOT,
        env=dict(PYTHONPATH=str(ROOT), PATH=''),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert 'distiller.distill_losses.loss_f (BrightLoss)' in run.stdout


@pytest.mark.parametrize(
    'options', [dict(model=STUDENT), dict(optim_wrapper=AMP)]
)
def test_a_student_alone_and_half_precision_are_run_too(tmp_path, options):
    found = replay(dump_of(tmp_path, **options, **BROKEN))
    assert found.is_reproduced
    assert found.terms.keys() == found.dump['terms'].keys()


def test_a_teacher_without_a_file_is_in_the_dump(tmp_path):
    from .test_non_finite import distiller_of
    from .toys import distillation

    preprocessor = dict(data_preprocessor=dict(type='ImgDataPreprocessor'))
    model = distillation(
        distiller_of('value'),
        student=preprocessor,
        teacher=preprocessor,
        teacher_metric=0,
    )
    path = dump_of(tmp_path, model=model, **BROKEN)
    teacher = torch.load(path, weights_only=True)['teacher']
    assert teacher['backbone.conv.weight'].shape == (8, 3, 3, 3)
    assert replay(path).is_reproduced


def test_a_dump_runs_no_other_program(tmp_path):
    path = dump_of(tmp_path, **BRIGHT)
    config = torch.load(path, weights_only=True)['config']
    ran = tmp_path / 'ran'
    program = dict(type='subprocess.Popen', args=['touch', str(ran)])
    for where in ('architecture', 'distiller'):
        model = dict(config['model'], **{where: program})
        changed(path, config=dict(config, model=model))
        with pytest.raises(ValueError, match="type 'subprocess.Popen', which"):
            replay(path)
    program['type'] = 'mmengine.utils.misc.subprocess.Popen'
    model = dict(config['model'], architecture=program)
    changed(path, config=dict(config, model=model))
    with pytest.raises(ValueError, match='is no registered component'):
        replay(path)
    assert not ran.exists()


def test_other_files_are_refused(tmp_path, monkeypatch, capfd):
    other = tmp_path / 'other.pth'
    torch.save(dict(state_dict={}), other)
    assert run_tool(monkeypatch, 'replay', other) == 1
    assert 'is not of mmtat.NonFiniteHook' in capfd.readouterr().err
    assert run_tool(monkeypatch, 'replay', tmp_path / 'none.pth') == 1
    assert 'error: dump: no file' in capfd.readouterr().err


def test_a_model_of_another_shape_is_refused(tmp_path):
    path = dump_of(tmp_path, **BRIGHT)
    config = torch.load(path, weights_only=True)['config']
    config['model']['architecture']['classes'] = 7
    changed(path, config=config)
    with pytest.raises(ValueError, match='conv_seg.*Use the version'):
        replay(path)


def test_a_dump_of_a_run_without_config_is_refused(tmp_path):
    path = changed(dump_of(tmp_path, **BRIGHT), config=None)
    with pytest.raises(ValueError, match='was not built from a config'):
        replay(path)


def test_batches_come_back_from_plain_values(tmp_path):
    from mmpretrain.structures import DataSample
    from mmseg.structures import SegDataSample

    segmented = SegDataSample(
        metainfo=dict(
            img_path='a.jpg', scale_factor=np.float32(0.5), ori_shape=(4, 6)
        )
    )
    segmented.gt_sem_seg = PixelData(data=torch.arange(24).view(1, 4, 6))
    labelled = DataSample(metainfo=dict(img_path='b.jpg'))
    labelled.set_gt_label(3)
    batch = dict(
        inputs=[torch.rand(3, 4, 6), torch.ones(3, dtype=torch.uint8)],
        data_samples=[segmented, labelled],
        array=np.arange(6, dtype=np.uint16).reshape(2, 3),
        others=(1, 'two', None, True),
    )
    path = tmp_path / 'batch.pth'
    torch.save(plain_batch(batch), path)
    found = batch_of(torch.load(path, weights_only=True))
    assert file_names(found) == file_names(batch) == ['a.jpg', 'b.jpg']
    assert torch.equal(found['inputs'][0], batch['inputs'][0])
    assert found['inputs'][1].dtype == torch.uint8
    first, second = found['data_samples']
    assert type(first) is SegDataSample and type(second) is DataSample
    assert torch.equal(first.gt_sem_seg.data, segmented.gt_sem_seg.data)
    assert first.ori_shape == (4, 6) and first.scale_factor == 0.5
    assert second.gt_label.tolist() == [3]
    assert found['array'].dtype == np.uint16
    assert found['array'].tolist() == [[0, 1, 2], [3, 4, 5]]
    assert found['others'] == (1, 'two', None, True)


def test_elements_of_unknown_classes_are_not_imported():
    plain = plain_batch(BaseDataElement())
    plain['type'] = 'antigravity.Sample'
    with pytest.raises(ValueError, match="holds a 'antigravity.Sample'"):
        batch_of(plain)


def test_the_teacher_may_lie_elsewhere_by_now(tmp_path, monkeypatch, capfd):
    path = dump_of(tmp_path, **BRIGHT)
    (tmp_path / 'teacher.pth').rename(tmp_path / 'moved.pth')
    with pytest.raises(ValueError, match="no file '.*teacher.pth'"):
        replay(path)
    found = replay(path, str(tmp_path / 'moved.pth'))
    assert found.is_reproduced
    alone = dump_of(tmp_path / 'alone', model=STUDENT, **BROKEN)
    capfd.readouterr()
    assert run_tool(monkeypatch, 'replay', alone, '--teacher-ckpt', 'x') == 1
    told = capfd.readouterr().err
    assert told == 'error: --teacher-ckpt: the run has no teacher\n'
