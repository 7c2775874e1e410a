"""Weights of distillation losses that move by the iteration."""

import copy
import json
import math

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS

from mmtat.engine.hooks import DistillWeightHook
from mmtat.engine.schedules import schedule_curves, schedules_by_loss
from mmtat.engine.weight_ranges import check_schedule, weight_at
from mmtat.models.distillers.loss_modules import loss_modules, weight_settings

from .rivals import build
from .running import toy_config, train
from .test_idle_distillation import DISTILLERS
from .toys import distillation, save_teacher

WARM_UP = dict(type='linear', end=4, start=0.0, stop=1.0)
FADE = dict(type='cosine', begin=10, end=14, start=1.0, stop=0.2)
STOP = dict(type='constant', begin=20, value=0.0)


@HOOKS.register_module()
class WeightRecorder(Hook):
    """Notes the weights that the forward of each iteration finds."""

    def __init__(self):
        self.weights = []
        self.teacher_ran = []

    def before_train(self, runner):
        model = runner.model
        module = loss_modules(model.distiller)['loss_tat']
        compute = model.loss

        def noted(*args, **kwargs):
            self.weights.append(module.loss_weight)
            before = len(model.teacher.calls)
            losses = compute(*args, **kwargs)
            self.teacher_ran.append(len(model.teacher.calls) > before)
            return losses

        model.loss = noted


def recorder_of(runner):
    (hook,) = [h for h in runner.hooks if isinstance(h, WeightRecorder)]
    return hook


def scheduled(folder, *ranges, weight=2.0, stream=True, **overrides):
    folder.mkdir(parents=True, exist_ok=True)
    save_teacher(folder / 'teacher.pth')
    model = distillation(
        dict(
            type='mmtat.TaTDistiller',
            layers=['backbone.conv'],
            branches=dict(whole=dict(loss_weight=weight)),
            stream=stream,
        ),
        # Dropout would make a resumed run differ.
        student=dict(norm='none'),
        teacher_ckpt=str(folder / 'teacher.pth'),
        teacher_metric=0,
    )
    hooks = [dict(type='WeightRecorder')]
    if ranges:
        schedules = {'distill.loss_tat': list(ranges)}
        hooks += [dict(type='mmtat.DistillWeightHook', schedules=schedules)]
    settings = toy_config(folder, model, custom_hooks=hooks, **overrides)
    if settings['train_cfg']['type'] == 'IterBasedTrainLoop':
        settings['train_dataloader']['sampler']['type'] = 'InfiniteSampler'
    return settings


# By hand.


def test_a_warm_up_a_fade_and_a_stop_by_hand():
    schedule = [WARM_UP, FADE, STOP]
    expected = {
        **{0: 0.0, 1: 0.5, 2: 1.0, 3: 1.5, 4: 2.0, 5: 2.0, 10: 2.0},
        11: 2 * (0.2 + 0.8 * (1 + math.cos(math.pi / 4)) / 2),
        **{12: 2 * 0.6, 14: 0.4, 19: 0.4, 20: 0.0, 10**6: 0.0},
    }
    for iteration, weight in expected.items():
        found = weight_at(schedule, iteration, 2.0)
        assert found == pytest.approx(weight, abs=1e-12), iteration
    # What a teacher runs for is exact.
    assert weight_at(schedule, 0, 2.0) == weight_at(schedule, 20, 2.0) == 0
    assert weight_at(schedule, 4, 2.0) == 2.0


def test_the_configured_weight_is_in_force_before_the_first_range():
    assert [weight_at([STOP], i, 0.3) for i in (0, 19, 20)] == [0.3, 0.3, 0]
    assert weight_at([], 7, 0.3) == 0.3


def test_ranges_may_touch_and_a_range_may_follow_a_stop():
    schedule = [
        dict(type='constant', value=0.0),
        dict(type='linear', begin=5, end=10, start=0.0, stop=1.0),
        dict(type='linear', begin=10, end=15, start=1.0, stop=0.0),
        dict(type='constant', begin=15, value=1.0),
    ]
    check_schedule(schedule, 'schedule')
    weights = [weight_at(schedule, i, 10.0) for i in (0, 4, 5, 6, 10, 11, 15)]
    assert weights == pytest.approx([0, 0, 0, 2, 10, 8, 10])


LINEAR = dict(type='linear', begin=0, end=4, start=0.0, stop=1.0)


@pytest.mark.parametrize(
    ('schedule', 'error', 'message'),
    [
        ([], TypeError, 'must be a list of ranges'),
        (LINEAR, TypeError, 'must be a list of ranges'),
        (['linear'], TypeError, 'must be a list of ranges'),
        ([dict(LINEAR, type='linaer')], ValueError, "did you mean 'linear'"),
        ([dict(LINEAR, stopp=1.0)], ValueError, "did you mean 'stop'"),
        ([dict(STOP, end=30)], ValueError, 'holds until the next range'),
        ([dict(type='linear', end=4)], ValueError, 'needs start, stop'),
        ([dict(LINEAR, begin=-1)], ValueError, 'begin must be an iteration'),
        ([dict(LINEAR, end=2.5)], ValueError, 'end must be an iteration'),
        ([dict(LINEAR, end=True)], ValueError, 'end must be an iteration'),
        ([dict(LINEAR, begin=4)], ValueError, 'end must be after begin=4'),
        ([dict(LINEAR, start=-0.1)], ValueError, 'start must be a factor'),
        ([dict(LINEAR, stop=math.inf)], ValueError, 'stop must be a factor'),
        ([dict(LINEAR, stop=math.nan)], ValueError, 'stop must be a factor'),
        ([dict(STOP, value='0')], ValueError, 'value must be a factor'),
        ([LINEAR, dict(FADE, begin=3)], ValueError, 'may not overlap'),
        ([FADE, LINEAR], ValueError, 'must be in order'),
        ([STOP, STOP], ValueError, 'may not overlap'),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(schedule, error, message):
    with pytest.raises(error, match=message):
        DistillWeightHook({'loss_tat': schedule})


@pytest.mark.parametrize('schedules', [None, {}, [LINEAR]])
def test_no_schedules_are_refused(schedules):
    with pytest.raises(TypeError, match='schedules must be a dict'):
        DistillWeightHook(schedules)


# Which loss is which module.


def losses_of(model):
    torch.manual_seed(1)
    with torch.no_grad():
        return model(torch.rand(4, 3, 8, 8), mode='loss')


@pytest.mark.parametrize('name', DISTILLERS)
def test_each_loss_is_scaled_by_the_weight_of_its_module(name):
    """What a schedule sets is what the log then shows, for any distiller."""
    model = build(DISTILLERS[name])
    before = losses_of(model)
    modules = loss_modules(model.distiller)
    keys = [key for key in before if key.startswith('distill.')]
    assert sorted(f'distill.{own}' for own in modules) == sorted(keys)
    for number, module in enumerate(modules.values()):
        module.loss_weight *= number + 2
    after = losses_of(model)
    for number, own in enumerate(modules):
        key = f'distill.{own}'
        torch.testing.assert_close(after[key], (number + 2) * before[key])


@pytest.mark.parametrize('name', DISTILLERS)
def test_settings_multiply_the_whole_distillation(name):
    def total(factor):
        config = copy.deepcopy(DISTILLERS[name])
        for key in settings:
            target, place = config, key.split('.')
            for part in place[:-1]:
                target = target.setdefault(part, {})
            target[place[-1]] = factor * settings[key]
        torch.manual_seed(0)
        losses = losses_of(build(config))
        return sum(v for k, v in losses.items() if k.startswith('distill.'))

    settings = weight_settings(build(DISTILLERS[name]).distiller)
    assert settings and all(key.endswith('loss_weight') for key in settings)
    torch.testing.assert_close(total(3.0), 3 * total(1.0))


def test_patterns_choose_losses():
    losses = loss_modules(build(DISTILLERS['tat_and_logits']).distiller)
    found = schedules_by_loss(
        {'distill.loss_tat*': [FADE], 'loss_kl': [STOP]}, losses
    )
    assert set(found) == set(losses) and len(found) == 5
    assert {name for name in found if found[name] == [STOP]} == {'loss_kl'}


@pytest.mark.parametrize(
    ('schedules', 'message'),
    [
        ({'loss_tatt_0': [STOP]}, "did you mean 'loss_tat_0'.*There are loss"),
        ({'student.loss_ce': [STOP]}, 'There are loss_tat_0'),
        ({'loss_tat*': [STOP], 'loss_*_1': [STOP]}, 'both for the loss'),
    ],
)
def test_names_that_no_loss_has_are_refused(schedules, message):
    losses = loss_modules(build(DISTILLERS['tat']).distiller)
    with pytest.raises(ValueError, match=message):
        schedules_by_loss(schedules, losses)


@pytest.mark.parametrize('weight', [None, 0.0, torch.ones(())])
def test_a_loss_without_a_weight_is_refused(weight):
    losses = loss_modules(build(DISTILLERS['feature']).distiller)
    losses['loss_l2'].loss_weight = weight
    with pytest.raises(ValueError, match='must have a loss_weight above 0'):
        schedules_by_loss({'loss_l2': [STOP]}, losses)


def test_a_run_with_an_unknown_name_ends_before_its_first_step(tmp_path):
    settings = scheduled(tmp_path)
    settings['custom_hooks'] = [
        dict(type='mmtat.DistillWeightHook', schedules=dict(loss_kl=[STOP]))
    ]
    with pytest.raises(ValueError, match="'loss_kl'.*There are loss_tat"):
        train(settings)
    assert not list(tmp_path.glob('iter_*'))


def test_a_student_alone_has_nothing_to_schedule(tmp_path):
    settings = toy_config(tmp_path, dict(type='ToySegmentor'))
    settings['custom_hooks'] = [
        dict(type='mmtat.DistillWeightHook', schedules=dict(loss_kl=[STOP]))
    ]
    with pytest.raises(ValueError, match='ToySegmentor distils nothing'):
        train(settings)


# In runs of the Runner.

RANGES = (
    dict(type='linear', end=2, start=0.0, stop=1.0),
    dict(type='constant', begin=4, value=0.0),
)
#: Of the iterations, at the configured weight 2.
WEIGHTS = [0.0, 1.0, 2.0, 2.0, 0.0, 0.0]


def logged(folder):
    log = max(folder.glob('*/vis_data/scalars.json')).read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    return [line for line in lines if 'loss' in line]


@pytest.mark.parametrize('stream', [False, True])
@pytest.mark.parametrize(
    'loop',
    [
        dict(),
        dict(
            train_cfg=dict(type='EpochBasedTrainLoop', max_epochs=2),
            log_processor=dict(by_epoch=True),
        ),
    ],
    ids=['iterations', 'epochs'],
)
def test_weights_are_set_before_the_forward(tmp_path, loop, stream):
    settings = scheduled(tmp_path, *RANGES, stream=stream, max_iters=6, **loop)
    # Three iterations are an epoch.
    settings['train_dataloader']['dataset']['length'] = 6
    runner = train(settings)
    recorder = recorder_of(runner)
    assert recorder.weights == WEIGHTS
    # Where the weight is 0, no teacher runs.
    assert recorder.teacher_ran == [weight > 0 for weight in WEIGHTS]
    lines = logged(tmp_path)
    assert [line['weight/tat'] for line in lines] == WEIGHTS
    for line in lines:
        assert ('distill_gradient_norm' in line) is (line['weight/tat'] > 0)
    # The student's own evaluation, or a second training, finds the config's.
    (module,) = loss_modules(runner.model.distiller).values()
    assert module.loss_weight == 2.0


def test_a_resumed_run_goes_on_with_the_schedule(tmp_path):
    whole = train(scheduled(tmp_path / 'whole', *RANGES, max_iters=6))
    settings = scheduled(tmp_path / 'rest', *RANGES, max_iters=6)
    checkpoint = tmp_path / 'whole' / 'iter_2.pth'
    settings.update(load_from=str(checkpoint), resume=True)
    rest = train(settings)
    assert recorder_of(rest).weights == WEIGHTS[2:]
    for name, tensor in whole.model.state_dict().items():
        assert torch.equal(tensor, rest.model.state_dict()[name]), name


def test_a_schedule_that_stays_at_1_changes_nothing(tmp_path):
    one = train(scheduled(tmp_path / 'one', max_iters=3))
    stay = dict(type='constant', value=1.0)
    other = train(scheduled(tmp_path / 'other', stay, max_iters=3))
    for name, tensor in one.model.state_dict().items():
        assert torch.equal(tensor, other.model.state_dict()[name]), name


def test_a_range_that_the_training_does_not_reach_is_told(
    tmp_path, monkeypatch
):
    from mmtat.engine.hooks import distill_weight_hook as module

    said = []
    monkeypatch.setattr(
        module, 'print_log', lambda line, *_: said.append(line)
    )
    train(scheduled(tmp_path, STOP, max_iters=2))
    (line,) = said
    assert 'begins in iteration 20, but the training has 2' in line


# Curves.


def curve_config(*ranges, **train_cfg):
    schedules = {'loss_tat*': list(ranges)}
    hooks = [dict(type='mmtat.DistillWeightHook', schedules=schedules)]
    return Config(
        dict(
            model=distillation(
                DISTILLERS['tat_and_logits'], teacher_ckpt='not/there.pth'
            ),
            train_cfg=train_cfg,
            custom_hooks=hooks if ranges else None,
        )
    )


def test_curves_are_the_weights_of_each_iteration():
    config = curve_config(WARM_UP, FADE, STOP, max_iters=40)
    curves = schedule_curves(config)
    assert set(curves) == {
        *(f'loss_tat{b}_{i}' for b in ('', '_anchor_point') for i in (0, 1)),
        'loss_kl',
    }
    iterations, weights = curves['loss_tat_1']
    assert iterations == list(range(41))
    expected = [weight_at([WARM_UP, FADE, STOP], i, 1.0) for i in range(41)]
    assert weights == expected
    assert curves['loss_kl'] == ([0, 40], [1.0, 1.0])


def test_a_long_training_is_thinned_but_keeps_its_jumps():
    stop = dict(type='constant', begin=12345, value=0.0)
    iterations, weights = schedule_curves(curve_config(stop, max_iters=40000))[
        'loss_tat_0'
    ]
    assert iterations == sorted(set(iterations)) and len(iterations) < 300
    assert iterations[0] == 0 and iterations[-1] == 40000
    by_iteration = dict(zip(iterations, weights))
    assert by_iteration[12344] == 1.0 and by_iteration[12345] == 0.0


def test_without_a_schedule_curves_are_constant_lines():
    curves = schedule_curves(curve_config(max_iters=10))
    assert all(curve == ([0, 10], [1.0, 1.0]) for curve in curves.values())


def test_epochs_end_where_the_last_range_does():
    config = curve_config(WARM_UP, FADE, max_epochs=3, by_epoch=True)
    iterations, _ = schedule_curves(config)['loss_tat_0']
    assert iterations[-1] == 16


def test_curves_of_what_distils_nothing_are_refused():
    config = Config(dict(model=dict(type='ToySegmentor')))
    with pytest.raises(ValueError, match='has no teacher and distiller'):
        schedule_curves(config)
    with pytest.raises(ValueError, match='may not overlap'):
        schedule_curves(curve_config(FADE, FADE, max_iters=10))


def test_the_hook_is_built_by_its_name():
    schedules = dict(loss_tat=[dict(WARM_UP)])
    hook = HOOKS.build(
        dict(type='mmtat.DistillWeightHook', schedules=schedules)
    )
    # A config that is changed afterwards does not change the run.
    schedules['loss_tat'][0]['stop'] = 9.0
    assert hook.schedules['loss_tat'][0]['stop'] == 1.0
    assert MODELS.get('mmtat.TaTDistiller') is not None
