"""Numbers that are not finite end a training, or leave no trace in it."""

import copy

import pytest
import torch
from mmengine.config import config as config_module
from mmengine.hooks import Hook
from mmengine.registry import DATASETS, HOOKS
from mmengine.structures import BaseDataElement
from mmrazor.registry import MODELS as MMRAZOR_MODELS
from torch import nn

from mmtat.engine.hooks import NonFiniteHook
from mmtat.engine.non_finite import step_watch
from mmtat.engine.non_finite.finiteness import broken, suspicion
from mmtat.engine.non_finite.report import NonFiniteError
from mmtat.engine.non_finite.verdict import loss_flags, terms_of

from .processes import forget_runs
from .running import ToyImages, toy_config, train
from .toys import distillation, save_teacher

NAN, INFINITE = float('nan'), float('inf')


@pytest.fixture(autouse=True)
def quick_config(monkeypatch):
    """Spare every Runner the formatting of its config, half of its time."""
    spare_formatting(monkeypatch.setattr)


def spare_formatting(setattr=setattr):
    setattr(config_module, 'FormatCode', lambda text, **style: (text, True))


@DATASETS.register_module()
class NamedImages(ToyImages):
    """Images with names; some are too bright, and some not finite."""

    def __init__(self, bright=(), broken=(), length=8):
        super().__init__(length)
        self.bright, self.broken = bright, broken

    def __getitem__(self, index):
        image = super().__getitem__(index)['inputs']
        if index in self.bright:
            image = image * 1e4
        if index in self.broken:
            image[0, 0, 0] = NAN
        sample = BaseDataElement(metainfo=dict(img_path=f'image_{index}.jpg'))
        return dict(inputs=image, data_samples=sample)


@MMRAZOR_MODELS.register_module()
class BrightLoss(nn.Module):
    """Not finite for features of bright images, or its gradient is not."""

    def __init__(self, breaks='value', loss_weight=1.0):
        super().__init__()
        self.breaks, self.loss_weight = breaks, loss_weight

    def forward(self, student, teacher):
        loss = (student - teacher.clamp(-1, 1)).square().mean()
        if teacher.abs().max() < 100:
            return self.loss_weight * loss
        if self.breaks == 'value':
            return loss * NAN
        # sqrt(0) has an infinite slope.
        return (student - student.detach()).abs().sqrt().mean()


def distiller_of(breaks):
    recorders = dict(f=dict(type='ModuleOutputs', source='backbone.conv'))
    return dict(
        type='ConfigurableDistiller',
        student_recorders=recorders,
        teacher_recorders=recorders,
        connectors=dict(
            c=dict(
                type='ConvModuleConnector',
                in_channel=4,
                out_channel=8,
                act_cfg=None,
            )
        ),
        distill_losses=dict(loss_f=dict(type='BrightLoss', breaks=breaks)),
        loss_forward_mappings=dict(
            loss_f=dict(
                student=dict(recorder='f', from_student=True, connector='c'),
                teacher=dict(recorder='f', from_student=False),
            )
        ),
    )


def config_of(work_dir, breaks='value', iters=4, hook=None, **overrides):
    """Batches of two named images; the third has the images 4 and 5."""
    data = overrides.pop('data', {})
    interval = overrides.pop('interval', 100)
    hooks = overrides.pop('hooks', [])
    work_dir.mkdir(parents=True, exist_ok=True)
    save_teacher(work_dir / 'teacher.pth')
    preprocessor = dict(data_preprocessor=dict(type='ImgDataPreprocessor'))
    model = overrides.pop('model', None) or distillation(
        distiller_of(breaks),
        student=preprocessor,
        teacher=preprocessor,
        teacher_ckpt=str(work_dir / 'teacher.pth'),
        teacher_metric=0,
    )
    config = toy_config(
        work_dir, model, iters, custom_hooks=hooks, **overrides
    )
    config['train_dataloader'].update(
        collate_fn=dict(type='pseudo_collate'),
        dataset=dict(type='NamedImages', **data),
    )
    for key in ('val_dataloader', 'val_cfg', 'val_evaluator'):
        del config[key]
    config['train_cfg'].pop('val_interval', None)
    config['default_hooks']['checkpoint'] = dict(
        type='CheckpointHook', by_epoch=False, interval=interval
    )
    if hook is not False:
        config['default_hooks']['non_finite'] = dict(
            type='mmtat.NonFiniteHook', **(hook or {})
        )
    return config


def run(*args, **kwargs):
    forget_runs()
    return train(config_of(*args, **kwargs))


def message_of(*args, **kwargs):
    with pytest.raises(NonFiniteError) as caught:
        run(*args, **kwargs)
    return str(caught.value)


def state(work_dir, iteration):
    """What a checkpoint says of model, distiller, averages and optimizer."""
    path = work_dir / f'iter_{iteration}.pth'
    saved = torch.load(path, weights_only=True)
    return {
        f'{entry}.{name}': value
        for entry in ('state_dict', 'distiller', 'ema_state_dict')
        for name, value in saved.get(entry, {}).items()
    } | {
        f'momentum.{name}': value['momentum_buffer']
        for name, value in saved['optimizer']['state'].items()
    }


def assert_same(found, expected):
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(found[name], tensor), name


SKIP = dict(policy='skip', most=1)
DROP = dict(policy='drop', most=1)
BRIGHT = dict(data=dict(bright=[5]))
BROKEN = dict(data=dict(broken=[5]))


@HOOKS.register_module()
class PauseAt(Hook):
    """Trains an iteration without distillation."""

    def __init__(self, at):
        self.at = at

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        runner.model.distillation_stopped = runner.iter == self.at


@HOOKS.register_module()
class BreakWeight(Hook):
    """Makes a weight infinite, before an iteration or after it."""

    priority = 'LOW'

    def __init__(self, before=None, after=None):
        self.before, self.after = before, after

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.before:
            self._break(runner)

    def after_train_iter(self, runner, *args, **kwargs):
        if runner.iter == self.after:
            self._break(runner)

    def _break(self, runner):
        runner.model.student.backbone.conv.weight.data[0, 0, 0, 0] = INFINITE


@HOOKS.register_module()
class ScaleLoss(Hook):
    """Gives AMP a scaler on a CPU, which needs none."""

    def __init__(self, **kwargs):
        self.options = kwargs

    def before_train(self, runner):
        scaler = torch.amp.GradScaler('cpu', **self.options)
        runner.optim_wrapper.loss_scaler = scaler
        runner.model.distiller.distill_losses.loss_f.loss_weight = 100.0


OPTIMIZER = dict(type='SGD', lr=0.1, momentum=0.9)
AMP = dict(type='AmpOptimWrapper', optimizer=OPTIMIZER)
SMALL_STEPS = dict(AMP, optimizer=dict(type='SGD', lr=1e-4, momentum=0.9))
STUDENT = dict(
    type='ToySegmentor', data_preprocessor=dict(type='ImgDataPreprocessor')
)
CASES = dict(
    raised=dict(),
    skipped=dict(hook=SKIP),
    dropped=dict(hook=DROP),
    half=dict(optim_wrapper=AMP),
    averaged=dict(hook=SKIP, hooks=[dict(type='EMAHook')]),
    accumulated=dict(
        optim_wrapper=dict(optimizer=OPTIMIZER, accumulative_counts=3)
    ),
    clipped=dict(
        optim_wrapper=dict(optimizer=OPTIMIZER, clip_grad=dict(max_norm=0.1))
    ),
    alone=dict(model=STUDENT, hook=SKIP),
    epochs=dict(train_cfg=dict(by_epoch=True, max_epochs=1)),
)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    'case',
    [
        'raised',
        'accumulated',
        *(
            pytest.param(name, marks=SLOW)
            for name in CASES
            if name not in ('raised', 'accumulated')
        ),
    ],
)
def test_a_good_run_is_as_without_the_hook(tmp_path, case, capfd):
    options = copy.deepcopy(CASES[case])
    plain = copy.deepcopy(dict(options, hook=False))
    run(tmp_path / 'plain', **plain)
    capfd.readouterr()
    runner = run(tmp_path / 'watched', **options)
    told = capfd.readouterr()
    assert 'not finite' not in told.out + told.err
    assert_same(state(tmp_path / 'watched', 4), state(tmp_path / 'plain', 4))
    assert not (tmp_path / 'watched' / 'non_finite').exists()
    # Nothing is left that would be run, or copied, with the model.
    assert not runner.model._forward_hooks


def test_a_run_ends_with_all_that_is_known(tmp_path):
    told = message_of(tmp_path, interval=1, **BRIGHT)
    first, *lines = told.split('\n  ')
    assert first == (
        'iteration 3: losses of the distillation and gradients are not finite'
    )
    assert lines[0].startswith('student.loss_seg 0.')
    assert lines[0].endswith('distill.loss_f nan')
    assert lines[1] == 'images: image_4.jpg, image_5.jpg'
    assert lines[2].startswith('gradients that are not finite: ')
    assert 'architecture.backbone.conv.weight (108 of 108 values)' in told
    assert lines[3] == 'learning rates: lr 0.1'
    dump = tmp_path / 'non_finite' / 'iter_3_rank0.pth'
    assert dump.is_file()
    assert lines[4:] == [f'run it once more: python tools/replay.py {dump}']
    assert sorted(path.name for path in tmp_path.glob('iter_*')) == [
        'iter_1.pth',
        'iter_2.pth',
    ]


def test_an_input_that_is_not_finite_is_named(tmp_path):
    told = message_of(tmp_path, **BROKEN)
    assert 'losses of the task, losses of the distillation and grad' in told
    assert 'inputs that are not finite: inputs[1] (1 of 192 values)' in told


def test_a_gradient_alone_counts_as_well(tmp_path):
    told = message_of(tmp_path, 'gradient', **BRIGHT)
    assert told.startswith('iteration 3: gradients are not finite\n')
    assert 'distill.loss_f 0' in told
    assert 'decode_head' not in told
    assert 'architecture.backbone.conv.weight' in told


@pytest.mark.parametrize(
    'breaks, by_epoch',
    [
        ('value', False),
        pytest.param('value', True, marks=SLOW),
        pytest.param('gradient', False, marks=SLOW),
        ('gradient', True),
    ],
)
def test_a_skipped_step_leaves_no_trace(tmp_path, breaks, by_epoch, capfd):
    options = dict(data=dict(bright=[4]), hook=SKIP, interval=1)
    if by_epoch:
        options['train_cfg'] = dict(by_epoch=True, max_epochs=1)
    run(tmp_path, breaks, **options)
    before, after = (state(tmp_path, iteration) for iteration in (2, 3))
    assert_same(after, before)
    last = state(tmp_path, 4)
    assert not torch.equal(
        last['state_dict.backbone.conv.weight'],
        before['state_dict.backbone.conv.weight'],
    )
    told = capfd.readouterr()
    told = ' '.join((told.out + told.err).split())
    assert 'the step is left out (1 of at most 1)' in told
    assert 'image_4.jpg, image_5.jpg' in told
    # The means that are logged would be nan for long.
    saved = torch.load(tmp_path / 'iter_4.pth', weights_only=True)
    scalars = saved['message_hub']['log_scalars']
    losses = scalars['train/loss']['log_history']
    assert len(losses) == (3 if breaks == 'value' else 4)
    assert losses.isfinite().all()
    assert scalars['train/non_finite_steps']['log_history'].tolist() == [1]


def test_statistics_and_averages_of_a_skipped_step_stay(tmp_path):
    hooks = [dict(type='EMAHook', momentum=0.5, update_buffers=True)]
    run(tmp_path, interval=1, hook=SKIP, hooks=hooks, **BROKEN)
    for iteration in (3, 4):
        found = state(tmp_path, iteration)
        assert 'ema_state_dict.module.backbone.norm.running_mean' in found
        assert not broken(found)


def test_no_more_steps_are_skipped_than_allowed(tmp_path):
    told = message_of(tmp_path, data=dict(bright=[3, 5]), hook=SKIP)
    assert told.startswith('iteration 3: ')
    assert 'steps that were spared before: 1' in told.split('\n')[0]
    # Of what was skipped first, and of what ended the run.
    dumps = (tmp_path / 'non_finite').iterdir()
    assert sorted(dump.name for dump in dumps) == [
        'iter_2_rank0.pth',
        'iter_3_rank0.pth',
    ]


def test_a_resumed_run_remembers_what_it_skipped(tmp_path):
    options = dict(data=dict(bright=[3, 5]), hook=SKIP)
    run(tmp_path, iters=2, **options)
    told = message_of(tmp_path, resume=True, **options)
    assert told.startswith('iteration 3: ')


@pytest.mark.parametrize(
    'breaks, accumulated',
    [
        pytest.param('value', 1, marks=SLOW),
        ('value', 2),
        ('gradient', 1),
        pytest.param('gradient', 2, marks=SLOW),
    ],
)
def test_a_dropped_distillation_leaves_the_task(tmp_path, breaks, accumulated):
    options = dict(
        optim_wrapper=dict(
            optimizer=OPTIMIZER, accumulative_counts=accumulated
        ),
        **BRIGHT,
    )
    run(tmp_path / 'dropped', breaks, hook=DROP, **copy.deepcopy(options))
    pause = [dict(type='PauseAt', at=2)]
    run(tmp_path / 'paused', breaks, hook=False, hooks=pause, **options)
    found, expected = (
        state(tmp_path / name, 4) for name in ('dropped', 'paused')
    )
    assert_same(found, expected)


def test_what_cannot_be_put_back_ends_the_run(tmp_path, monkeypatch):
    monkeypatch.setattr(step_watch, '_LARGE', 0)
    told = message_of(tmp_path, hook=SKIP, **BROKEN)
    assert told.startswith('iteration 3: ')
    assert '; it got into a buffer that is too large to be put back' in told
    # As a step that only changes weights can be.
    run(tmp_path / 'bright', hook=SKIP, **BRIGHT)


def test_a_task_that_is_not_finite_cannot_be_dropped(tmp_path):
    told = message_of(tmp_path, hook=dict(policy='drop', most=9), **BROKEN)
    assert told.startswith('iteration 3: losses of the task')


@SLOW
@pytest.mark.parametrize('breaks', ['value', 'gradient'])
def test_no_more_are_dropped_than_allowed(tmp_path, breaks):
    told = message_of(tmp_path, breaks, data=dict(bright=[3, 5]), hook=DROP)
    assert told.startswith('iteration 3: ')
    assert 'distill.loss_f nan' in told or breaks == 'gradient'


@pytest.mark.parametrize(
    'breaks', [pytest.param('value', marks=SLOW), 'gradient']
)
def test_of_an_accumulation_the_batch_at_fault_is_named(tmp_path, breaks):
    wrapper = dict(optimizer=OPTIMIZER, accumulative_counts=4)
    told = message_of(
        tmp_path, breaks, data=dict(bright=[2]), optim_wrapper=wrapper
    )
    assert told.startswith('iteration 2: ')
    assert 'images: image_2.jpg, image_3.jpg' in told


def test_weights_that_were_broken_before_are_told_apart(tmp_path):
    told = message_of(
        tmp_path,
        hook=dict(policy='skip', most=9),
        hooks=[dict(type='BreakWeight', before=1)],
    )
    assert told.startswith('iteration 2: losses of the task')
    assert (
        'weights that were not finite before this step: '
        'architecture.backbone.conv.weight (1 of 108 values). The cause '
        'lies before it' in told
    )


@pytest.mark.parametrize(
    'policy',
    [dict(), pytest.param(dict(policy='skip', most=9), marks=SLOW)],
)
def test_a_step_of_the_optimizer_may_be_at_fault(tmp_path, policy):
    told = message_of(
        tmp_path,
        model=dict(STUDENT, norm='none'),
        hook=policy,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=1e38)),
        data=dict(bright=[0]),
    )
    assert told.startswith("iteration 1: the optimizer's step made weights")
    assert 'is the learning rate too high?' in told
    assert 'learning rates: lr 1e+38' in told
    assert 'before this step' not in told


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    told = message_of(
        tmp_path, interval=1, hooks=[dict(type='BreakWeight', after=1)]
    )
    assert told == (
        'no checkpoint is saved after iteration 2: 1 weights, or statistics '
        'of norms, are not finite: architecture.backbone.conv.weight'
    )
    assert not (tmp_path / 'iter_2.pth').exists()


def test_a_loss_scaler_may_overflow(tmp_path):
    scale = dict(type='ScaleLoss', init_scale=2.0**127)
    run(tmp_path, iters=12, optim_wrapper=SMALL_STEPS, hooks=[scale])
    saved = torch.load(tmp_path / 'iter_12.pth', weights_only=True)
    # It overflowed some times, and then no more.
    assert 2.0**116 < saved['optimizer']['loss_scaler']['scale'] < 2.0**126
    assert saved['optimizer']['state']


@pytest.mark.parametrize('fused', [False, pytest.param(True, marks=SLOW)])
def test_a_loss_scaler_that_only_overflows_ends_the_run(tmp_path, fused):
    scale = dict(type='ScaleLoss', init_scale=2.0**127, backoff_factor=0.99)
    wrapper = copy.deepcopy(SMALL_STEPS)
    wrapper['optimizer']['fused'] = fused
    told = message_of(tmp_path, iters=40, optim_wrapper=wrapper, hooks=[scale])
    assert told.startswith(
        'iteration 20: the loss scaler leaves out one step after the other: '
        '20 in a row'
    )


@SLOW
def test_a_scaled_loss_that_is_not_finite_counts_at_once(tmp_path):
    scale = dict(type='ScaleLoss', init_scale=2.0)
    told = message_of(tmp_path, optim_wrapper=AMP, hooks=[scale], **BROKEN)
    assert told.startswith('iteration 3: losses of the task')


def test_a_full_disk_does_not_hide_the_cause(tmp_path):
    (tmp_path / 'non_finite').write_text('in the way')
    told = message_of(tmp_path, **BRIGHT)
    assert told.startswith('iteration 3: losses of the distillation')
    assert 'it could not be dumped: ValueError: ' in told


@pytest.mark.parametrize(
    'options, error',
    [
        (dict(policy='warn'), "policy must be one of ('raise', 'skip'"),
        (dict(policy='skip'), 'most must be 0 for policy='),
        (dict(most=3), 'most must be 0 for policy='),
        (dict(policy='drop', most=-1), 'most must be 0 for policy='),
        (dict(policy='skip', most=1.5), 'most must be a number of steps'),
        (dict(policy='skip', most=True), 'most must be a number of steps'),
    ],
)
def test_bad_arguments_are_refused(options, error):
    with pytest.raises((TypeError, ValueError)) as caught:
        NonFiniteHook(**options)
    assert error in str(caught.value)


def test_there_must_be_something_to_drop(tmp_path):
    with pytest.raises(ValueError, match='and ToySegmentor is none; take'):
        run(tmp_path, model=STUDENT, hook=DROP)


@pytest.mark.parametrize('dtype', ['float16', 'bfloat16', 'float64'])
@pytest.mark.parametrize('value', [NAN, INFINITE, -INFINITE])
def test_one_value_of_many_is_found(dtype, value):
    tensors = [torch.rand(3, 4), torch.arange(3), torch.empty(0)]
    tensors.append(torch.rand(50).to(getattr(torch, dtype)))
    assert not suspicion(tensors)
    tensors[-1][7] = value
    assert suspicion(tensors)
    named = dict(enumerate(tensors))
    assert broken(named) == {3: '1 of 50 values'}


def test_large_numbers_are_finite():
    tensors = dict(a=torch.tensor([3e38, 1.0]))
    assert suspicion(tensors.values())
    assert broken(tensors) == {}


def test_the_terms_are_what_is_learnt_from():
    losses = dict(
        loss=torch.tensor(7.0),
        loss_a=[torch.ones(2), torch.tensor(NAN)],
        loss_b=torch.tensor([1.0, 3.0]),
        accuracy=torch.tensor(NAN),
    )
    terms = terms_of(losses)
    assert list(terms) == ['loss_a', 'loss_b']
    assert terms['loss_a'].isnan() and terms['loss_b'] == 2
    # Of a step that logs nothing else.
    assert terms_of(dict(loss=torch.tensor(7.0))) == dict(loss=7.0)
    assert list(map(bool, loss_flags(terms))) == [True, False]
