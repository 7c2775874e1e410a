"""Every checkpoint is the student's, and a resumed run is the same run."""

import logging
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from mmengine.runner import Runner

from mmtat.engine.launch import load_for_test

from .running import toy_config, train
from .toys import ToySegmentor, distillation

EMA = [dict(type='EMAHook', momentum=0.1)]


@HOOKS.register_module()
class PowerCut(Hook):
    """Ends the run before an iteration, by default the third."""

    def __init__(self, at=2):
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.at:
            raise KeyboardInterrupt


def student_names():
    return set(ToySegmentor(width=4, norm='none').state_dict())


@pytest.mark.parametrize('hooks', [[], EMA], ids=['plain', 'ema'])
def test_every_checkpoint_is_a_plain_student_checkpoint(tmp_path, hooks):
    runner = train(toy_config(tmp_path, custom_hooks=hooks))
    files = sorted(tmp_path.glob('*.pth'))
    files = [file for file in files if file.name != 'teacher.pth']
    assert any('best' in file.name for file in files) and len(files) >= 3
    for file in files:
        checkpoint = torch.load(file, weights_only=True)
        assert set(checkpoint['state_dict']) == student_names()
        assert set(checkpoint['distiller']) == set(
            runner.model.distiller.state_dict()
        )
        assert checkpoint['meta']['dataset_meta']['classes'] == ('a', 'b', 'c')
        result = ToySegmentor(width=4, norm='none').load_state_dict(
            checkpoint['state_dict'], strict=True
        )
        assert not result.missing_keys and not result.unexpected_keys
        if hooks:
            assert set(checkpoint['ema_distiller']) == set(
                checkpoint['distiller']
            )
            assert set(checkpoint['ema_state_dict']) == {'steps'} | {
                f'module.{name}' for name in student_names()
            }


def test_a_process_that_never_heard_of_mmtat_can_load_it(tmp_path):
    train(toy_config(tmp_path))
    code = (
        'import sys, torch\n'
        f'c = torch.load({str(tmp_path / "iter_4.pth")!r}, weights_only=True)'
        '\nhubs = c["message_hub"]["log_scalars"]\n'
        'assert "train/distill.loss_tat" in hubs, list(hubs)\n'
        'assert len(hubs["train/loss"]["log_history"]) == 4\n'
        'assert not any(m.startswith("mm") and m != "mmap" '
        'for m in sys.modules)\n'
    )
    subprocess.run([sys.executable, '-c', code], check=True)


def state_of(runner):
    state = dict(runner.model.state_dict())
    for hook in runner.hooks:
        if type(hook).__name__ == 'EMAHook':
            ema = hook.ema_model.state_dict()
            state.update({f'ema.{name}': value for name, value in ema.items()})
    optimizer = runner.optim_wrapper.state_dict()['state']
    for index, entry in optimizer.items():
        state[f'momentum.{index}'] = entry['momentum_buffer']
    return state


@pytest.mark.parametrize('hooks', [[], EMA], ids=['plain', 'ema'])
def test_training_2n_is_training_n_and_resuming_n(tmp_path, hooks):
    whole = train(toy_config(tmp_path / 'whole', custom_hooks=hooks))
    half = toy_config(tmp_path / 'half', custom_hooks=hooks)
    with pytest.raises(KeyboardInterrupt):
        train(dict(half, custom_hooks=[*hooks, dict(type='PowerCut')]))
    resumed = train(
        dict(half, resume=True, experiment_name='resumed' + str(len(hooks)))
    )
    assert resumed.iter == whole.iter == 4
    expected, actual = state_of(whole), state_of(resumed)
    assert set(expected) == set(actual) and len(expected) > 10
    for name in expected:
        assert torch.equal(actual[name], expected[name]), name
    scalars = resumed.message_hub.log_scalars['train/distill.loss_tat']
    assert len(scalars.data[0]) == 4


def test_a_scheduler_that_holds_a_function_resumes(tmp_path):
    config = toy_config(tmp_path)
    config['param_scheduler'] = [
        dict(type='OneCycleLR', eta_max=0.1, total_steps=4, by_epoch=False)
    ]
    whole = train(dict(config, work_dir=str(tmp_path / 'whole')))
    config['experiment_name'] = 'cut'
    with pytest.raises(KeyboardInterrupt):
        train(dict(config, custom_hooks=[dict(type='PowerCut')]))
    resumed = train(dict(config, resume=True, experiment_name='one_cycle'))
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(resumed.model.state_dict()[name], tensor), name


def test_resume_refuses_a_file_without_the_distiller(tmp_path):
    config = toy_config(tmp_path)
    train(config)
    checkpoint = torch.load(tmp_path / 'iter_2.pth')
    del checkpoint['distiller']
    torch.save(checkpoint, tmp_path / 'student.pth')
    again = dict(config, load_from=str(tmp_path / 'student.pth'))
    again['experiment_name'] = 'again'
    with pytest.raises(ValueError, match="has no entry 'distiller'"):
        train(dict(again, resume=True))
    train(dict(again, experiment_name='from_student'))


def test_resume_refuses_a_distiller_of_another_config(tmp_path):
    config = toy_config(tmp_path)
    train(config)
    config['model']['distiller']['query'] = dict(kernel_size=3)
    with pytest.raises(ValueError, match='of another model than TaTDistiller'):
        train(dict(config, resume=True, experiment_name='other'))


def test_a_file_of_another_model_is_refused_as_a_start(tmp_path):
    config = toy_config(tmp_path)
    torch.save(dict(state_dict=dict(x=torch.ones(1))), tmp_path / 'x.pth')
    config['load_from'] = str(tmp_path / 'x.pth')
    with pytest.raises(ValueError, match='0 of its 6 weights matched'):
        train(config)


def test_checkpoints_of_stock_mmrazor_load(tmp_path):
    model = dict(distillation(student=dict(norm='none')))
    model.update(type='mmrazor.SingleTeacherDistill', teacher_ckpt=None)
    stock = train(toy_config(tmp_path / 'stock', model=model))
    names = torch.load(tmp_path / 'stock' / 'iter_4.pth', weights_only=True)[
        'state_dict'
    ]
    assert 'architecture.backbone.conv.weight' in names
    assert 'teacher.backbone.conv.weight' in names
    config = toy_config(tmp_path / 'own')
    config['load_from'] = str(tmp_path / 'stock' / 'iter_4.pth')
    config['optim_wrapper']['optimizer']['lr'] = 0.0
    own = train(config)
    for name, tensor in own.model.student.state_dict().items():
        expected = stock.model.state_dict()[f'architecture.{name}']
        assert torch.equal(tensor, expected), name


def test_resuming_finds_the_data_set_unchanged(tmp_path, capsys):
    config = toy_config(tmp_path)
    train(config)
    capsys.readouterr()
    train(dict(config, resume=True, experiment_name='unchanged'))
    assert 'metainfo from the resumed' not in capsys.readouterr().out


def test_the_best_checkpoint_scores_what_the_log_says(tmp_path):
    runner = train(toy_config(tmp_path, custom_hooks=EMA))
    best = next(tmp_path.glob('best_score_iter_*.pth'))
    config = toy_config(tmp_path / 'test', load_from=str(best))
    config.update(
        test_dataloader=config['val_dataloader'],
        test_cfg=dict(),
        test_evaluator=config['val_evaluator'],
        experiment_name='test',
    )
    model = config['model']['architecture']
    tester = Runner.from_cfg(Config(dict(config, model=model)))
    score = tester.test()['score']
    assert score == pytest.approx(
        runner.message_hub.get_info('best_score'), rel=1e-5
    )


def test_the_runner_adds_the_hooks_once(tmp_path):
    hooks = [dict(type='mmtat.SaveStudentHook')]
    runner = Runner.from_cfg(Config(toy_config(tmp_path, custom_hooks=hooks)))
    names = [type(hook).__name__ for hook in runner.hooks]
    assert names.count('SaveStudentHook') == 1
    assert names.count('RestoreDistillerHook') == 1
    assert names.index('RestoreDistillerHook') < names.index('IterTimerHook')
    assert set(names[-3:-1]) == {'CheckpointHook', 'SaveStudentHook'}
    # It leaves when all else of a step is done.
    assert names[-1] == 'PreemptionHook'


def test_other_models_get_no_hooks(tmp_path):
    model = dict(type='ToySegmentor')
    runner = train(toy_config(tmp_path, model=model))
    names = [type(hook).__name__ for hook in runner.hooks]
    assert 'SaveStudentHook' not in names
    assert not (tmp_path / 'student.py').exists()


def test_the_student_config_is_plain(tmp_path):
    config = toy_config(
        tmp_path, custom_hooks=[dict(type='mmtat.SaveStudentHook'), *EMA]
    )
    train(dict(config, load_from=None))
    plain = Config.fromfile(tmp_path / 'student.py')
    assert plain.model == dict(type='ToySegmentor', width=4, norm='none')
    assert plain.custom_hooks == EMA
    assert plain.resume is False and plain.load_from is None
    assert 'mmtat' not in (tmp_path / 'student.py').read_text()
    assert plain.train_dataloader.batch_size == 2


def test_the_student_config_has_nothing_of_mmrazor(tmp_path):
    from mmtat.engine.student_config import student_config

    config = toy_config(
        tmp_path,
        custom_hooks=[dict(type='mmrazor.StopDistillHook', stop_epoch=1)],
        custom_imports=dict(imports='mmtat'),
        val_cfg=dict(type='mmrazor.SingleTeacherDistillValLoop'),
    )
    plain = student_config(Config(config))
    assert 'custom_hooks' not in plain and 'custom_imports' not in plain
    assert plain.val_cfg == dict()


def test_a_file_that_a_module_converts_fits():
    from mmengine.registry import MODELS, DefaultScope

    from mmtat.engine.checkpoint_check import check_fit

    def build(size):
        backbone = dict(
            type='VisionTransformer', arch='deit-tiny', img_size=size
        )
        return MODELS.build(dict(type='ImageClassifier', backbone=backbone))

    with DefaultScope.overwrite_default_scope('mmpretrain'):
        small, large = build(96), build(224)
    check_fit(small, large.state_dict(), strict=True)
    with pytest.raises(ValueError, match='is of another model'):
        check_fit(small, ToySegmentor().state_dict(), strict=False)


def test_what_has_no_plain_form_is_left_out_with_a_warning(monkeypatch):
    import numpy as np

    from mmtat.engine import plain

    lines = []
    monkeypatch.setattr(
        plain, 'print_log', lambda line, *args: lines.append((line, args))
    )
    value = plain.to_plain(
        dict(
            number=np.float64(0.5),
            array=np.arange(2),
            path=__import__('pathlib').Path('a') / 'b',
            function=print,
        )
    )
    assert value == dict(number=0.5, array=[0, 1], path='a/b')
    assert type(value['number']) is float
    assert 'checkpoint.function is a builtin' in lines[0][0]
    assert lines[0][1][1] == logging.WARNING


def test_epochs_resume_as_iterations_do(tmp_path):
    def config(folder):
        config = toy_config(tmp_path / folder)
        config['train_cfg'] = dict(by_epoch=True, max_epochs=3)
        config['param_scheduler'] = []
        config['log_processor'] = dict(by_epoch=True)
        config['default_hooks']['checkpoint'] = dict(type='CheckpointHook')
        return config

    whole = train(config('whole'))
    cut = config('cut')
    # An epoch is 4 iterations of 2 images.
    with pytest.raises(KeyboardInterrupt):
        train(dict(cut, custom_hooks=[dict(type='PowerCut', at=6)]))
    resumed = train(dict(cut, resume=True, experiment_name='epochs'))
    assert resumed.epoch == 3
    expected, actual = state_of(whole), state_of(resumed)
    for name in expected:
        assert torch.equal(actual[name], expected[name]), name


def test_an_averaged_model_is_tested_as_it_was_validated(tmp_path):
    config = toy_config(
        tmp_path, model=dict(type='ToySegmentor'), custom_hooks=EMA
    )
    expected = train(config).message_hub.get_scalar('val/score').current()
    config.update(
        test_dataloader=config['val_dataloader'],
        test_evaluator=config['val_evaluator'],
        test_cfg={},
        experiment_name='test',
    )
    runner = Runner.from_cfg(Config(config))
    load_for_test(runner, str(tmp_path / 'iter_4.pth'))
    assert runner.test()['score'] == pytest.approx(expected)
    weights = torch.load(tmp_path / 'iter_4.pth', weights_only=True)
    for name, tensor in runner.model.state_dict().items():
        assert torch.equal(tensor, weights['state_dict'][name])
