"""Two CPU processes train what one does."""

import os
import subprocess

import pytest
import torch
from mmengine.config import Config

from .running import toy_config, train
from .toys import distillation, save_teacher
from .voc import ROOT


def launch(config, work_dir, *arguments):
    file = work_dir / 'config.py'
    Config(config).dump(file)
    with open(file, 'a') as out:
        imports = ['tests.running', 'tests.interruptions']
        out.write(f'custom_imports = dict(imports={imports})\n')
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    environment['PORT'] = str(20000 + os.getpid() % 20000)
    return subprocess.run(
        ['bash', 'tools/dist_train.sh', str(file), '2', *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )


def with_batch(config, size):
    config['train_dataloader']['batch_size'] = size
    return config


@pytest.mark.parametrize('formulation', ['released', 'paper'])
def test_two_processes_equal_one_of_twice_the_batch(tmp_path, formulation):
    def config(folder, size):
        work_dir = tmp_path / folder
        work_dir.mkdir()
        save_teacher(work_dir / 'teacher.pth')
        model = distillation(
            dict(
                type='mmtat.TaTDistiller',
                layers=['backbone.conv'],
                formulation=formulation,
                logits=dict(),
            ),
            student=dict(norm='none'),
            teacher_ckpt=str(work_dir / 'teacher.pth'),
        )
        return with_batch(toy_config(work_dir, model, max_iters=2), size)

    one = train(config('one', 4))
    run = launch(config('two', 2), tmp_path / 'two')
    assert run.returncode == 0, run.stderr[-3000:]
    two = torch.load(tmp_path / 'two' / 'iter_2.pth', weights_only=True)
    student = one.model.student.state_dict()
    distiller = one.model.distiller.state_dict()
    for name, tensor in student.items():
        torch.testing.assert_close(two['state_dict'][name], tensor)
    for name, tensor in distiller.items():
        torch.testing.assert_close(two['distiller'][name], tensor)
    before = torch.load(tmp_path / 'one' / 'teacher.pth')['state_dict']
    assert not torch.equal(before['backbone.conv.bias'][:4], student[
        'backbone.conv.bias'
    ])  # fmt: skip


def test_sync_bn_and_a_resumed_run_work_on_two_processes(tmp_path):
    save_teacher(tmp_path / 'teacher.pth')
    model = distillation(
        dict(type='mmtat.TaTDistiller', layers=['backbone.norm']),
        student=dict(norm='SyncBN'),
        teacher_ckpt=str(tmp_path / 'teacher.pth'),
    )
    config = toy_config(tmp_path, model, max_iters=2)
    run = launch(config, tmp_path)
    assert run.returncode == 0, run.stderr[-3000:]
    assert 'SyncBN becomes BN' in run.stdout + run.stderr
    config = toy_config(tmp_path, model, max_iters=4)
    run = launch(config, tmp_path, '--resume')
    assert run.returncode == 0, run.stderr[-3000:]
    checkpoint = torch.load(tmp_path / 'iter_4.pth', weights_only=True)
    assert checkpoint['meta']['iter'] == 4
    assert 'backbone.norm.running_mean' in checkpoint['state_dict']
