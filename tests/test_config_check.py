"""All that is wrong with a config, in one report, before it is built."""

import copy

import pytest
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS
from torch import nn

from mmtat.engine import config_check
from mmtat.engine.config_check import Problem, config_problems, report_of
from mmtat.engine.config_check import checking as checking
from mmtat.engine.config_check.signatures import arguments_of
from mmtat.engine.schedules import schedule_curves
from mmtat.models.distillers import FeatureDistiller, TaTDistiller

from .rivals import METHODS, feature, method
from .running import toy_config
from .test_idle_distillation import DISTILLERS
from .toys import distillation

TAT = dict(
    type='mmtat.TaTDistiller',
    layers=['backbone.conv'],
    branches=dict(
        patch_group=dict(patches=(2, 2), groups=2, loss_weight=0.5),
        anchor_point=dict(anchors=(2, 2), loss_weight=0.5),
    ),
    input_size=(8, 8),
)
L2 = dict(type='L2Loss', normalize=False, div_element=True)
#: Wired by recorders and mappings, as mmrazor's own configs are.
WIRED = dict(
    type='ConfigurableDistiller',
    student_recorders=dict(
        logits=dict(type='ModuleOutputs', source='decode_head.conv_seg')
    ),
    teacher_recorders=dict(
        logits=dict(type='ModuleOutputs', source='decode_head.conv_seg')
    ),
    distill_losses=dict(loss_kl=dict(type='KLDivergence', tau=1.0)),
    loss_forward_mappings=dict(
        loss_kl=dict(
            preds_S=dict(recorder='logits', from_student=True),
            preds_T=dict(recorder='logits', from_student=False),
        )
    ),
)


@MODELS.register_module()
class Keeper(nn.Module):
    """Gives what it does not know to somebody else."""

    def __init__(self, own=1, **kwargs):
        super().__init__()
        self.settings = dict(kwargs)


class Passer(nn.Module):
    """Takes one argument out, and passes the others on to its base."""

    def __init__(self, given, kept=None):
        super().__init__()


class PassesOn(Passer):
    def __init__(self, own, *args, **kwargs):
        kwargs.setdefault('kept', 1)
        taken = kwargs.pop('taken', None)
        super().__init__(*args, **kwargs)
        self.taken = taken


@HOOKS.register_module()
class PlainHook(Hook):
    """Takes nothing."""


def problems(distiller=TAT, builds=True, model=None, **settings):
    """Of a toy distillation, as lines."""
    config = dict(
        model=distillation(distiller, **(model or {})),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=20),
        **settings,
    )
    found = config_problems(Config(copy.deepcopy(config)), builds)
    return [str(problem) for problem in found]


def changed(config, **changes):
    """A copy with settings of other values; __ stands for a dot."""
    config = copy.deepcopy(config)
    for key, value in changes.items():
        target, *places = [config, *key.split('__')]
        for place in places[:-1]:
            target = target[place]
        target[places[-1]] = value
    return config


def only(lines):
    (line,) = lines
    return line


# No false alarms.


def quick(names, chosen):
    """The others run with --all."""
    return [
        name
        if name in chosen
        else pytest.param(name, marks=[pytest.mark.slow])
        for name in names
    ]


@pytest.mark.parametrize('name', quick(METHODS, {'cwd', 'ofd', 'review'}))
def test_a_method_of_the_bases_has_no_problem(name):
    assert problems(method(name)) == []


@pytest.mark.parametrize('name', quick(DISTILLERS, {'tat_and_more'}))
def test_a_distiller_that_trains_has_no_problem(name):
    assert problems(DISTILLERS[name]) == []


def test_a_whole_toy_training_has_no_problem(tmp_path):
    config = Config(toy_config(tmp_path))
    before = copy.deepcopy(config.to_dict())
    assert config_problems(config) == []
    assert config.to_dict() == before
    student = toy_config(tmp_path, dict(type='ToySegmentor', width=4))
    assert config_problems(Config(student)) == []


def test_a_distiller_wired_by_mappings_has_no_problem():
    assert problems(WIRED) == []


# One thing wrong, with its place and what would be right.

STATIC = {
    'a key of the distiller': (
        changed(TAT, branchs={}),
        "model.distiller.branchs: TaTDistiller has no argument 'branchs'; "
        "did you mean 'branches'",
    ),
    'a key of a base class': (
        changed(TAT, input_sise=(8, 8)),
        "did you mean 'input_size'",
    ),
    'a type': (
        changed(TAT, type='mmtat.TaTDistiler'),
        "model.distiller.type: there is no model 'mmtat.TaTDistiler'; did "
        "you mean 'mmtat.TaTDistiller'",
    ),
    'a type of another scope': (
        changed(TAT, type='TaTDistiller'),
        "did you mean 'mmtat.TaTDistiller'?",
    ),
    'a branch': (
        changed(TAT, branches=dict(patch_groups={})),
        'model.distiller.branches.patch_groups: there is no branch '
        "'patch_groups'; did you mean 'patch_group'",
    ),
    'a key of a branch': (
        changed(TAT, branches__patch_group__group=2),
        "branches.patch_group has no argument 'group'; did you mean 'groups'",
    ),
    'a key of an embedding': (
        changed(TAT, query=dict(kernel=3)),
        "model.distiller.query.kernel: query has no argument 'kernel'; did "
        "you mean 'kernel_size'",
    ),
    'a formulation': (
        changed(TAT, formulation='papers'),
        'model.distiller.formulation: formulation must be one of',
    ),
    'a key of the logits': (
        changed(TAT, logits=dict(taus=1.0)),
        "model.distiller.logits.taus: KLDivergence has no argument 'taus'; "
        "did you mean 'tau'",
    ),
    'a loss of features': (
        feature(losses=dict(loss_l2=dict(L2, type='L2Los'))),
        "model.distiller.losses.loss_l2.type: there is no model 'L2Los'; "
        "did you mean 'L2Loss'",
    ),
    'a key of a loss': (
        feature(losses=dict(loss_l2=dict(L2, normalise=True))),
        'model.distiller.losses.loss_l2.normalise: L2Loss has no argument '
        "'normalise'; did you mean 'normalize'",
    ),
    'a connector': (
        feature(
            losses=dict(loss_l2=L2),
            student_connector=dict(type='mmtat.EmbeddingConector'),
        ),
        "student_connector.type: there is no model 'mmtat.EmbeddingConector'"
        "; did you mean 'mmtat.EmbeddingConnector'",
    ),
    'a recorder': (
        changed(WIRED, student_recorders__logits=dict(type='ModuleOutput')),
        'student_recorders.logits.type: there is no task util '
        "'ModuleOutputRecorder'; did you mean 'ModuleOutputsRecorder'",
    ),
    'a key of a recorder': (
        changed(WIRED, student_recorders__logits__sources='x'),
        "ModuleOutputsRecorder has no argument 'sources'; did you mean "
        "'source'",
    ),
    'a weight that is none': (
        changed(TAT, branches__patch_group__loss_weight='1'),
        'model.distiller.branches.patch_group.loss_weight: loss_weight must '
        "be a number of at least 0, got '1'",
    ),
    'a mapping of no loss': (
        changed(WIRED, loss_forward_mappings__loss_lk={}),
        "there is no loss 'loss_lk'; did you mean 'loss_kl'? There are "
        'loss_kl',
    ),
    'an argument of no loss': (
        changed(
            WIRED,
            loss_forward_mappings__loss_kl__pred_S=dict(
                recorder='logits', from_student=True
            ),
        ),
        "the forward of KLDivergence has no argument 'pred_S'; did you mean "
        "'preds_S'",
    ),
    'an argument that lacks': (
        changed(
            WIRED,
            loss_forward_mappings__loss_kl=dict(
                preds_S=dict(recorder='logits', from_student=True)
            ),
            teacher_recorders={},
        ),
        "loss_forward_mappings.loss_kl: lacks 'preds_T', which KLDivergence",
    ),
    'a recorder of no name': (
        changed(
            WIRED, loss_forward_mappings__loss_kl__preds_S__recorder='logit'
        ),
        'loss_kl.preds_S.recorder: there is no recorder of the student '
        "'logit'; did you mean 'logits'",
    ),
    'a connector of no name': (
        changed(
            WIRED, loss_forward_mappings__loss_kl__preds_S__connector='up'
        ),
        "preds_S.connector: there is no connector 'up'. There are none",
    ),
    'a side that is none': (
        changed(
            WIRED, loss_forward_mappings__loss_kl__preds_S__from_student='s'
        ),
        "preds_S.from_student: must be True or False, got 's'",
    ),
}


@pytest.mark.parametrize('name', STATIC)
def test_a_mistake_is_named_without_building_anything(name, monkeypatch):
    def no_model(*args, **kwargs):
        raise AssertionError('a model was built')

    monkeypatch.setattr('mmtat.engine.inspected.build_model', no_model)
    distiller, message = STATIC[name]
    lines = problems(distiller, builds=False)
    assert any(message in line for line in lines), lines


#: Runs, and is for nothing.
DOUBTS = {
    'a weight of 0': (
        changed(TAT, branches__patch_group__loss_weight=0),
        'branches.patch_group.loss_weight: is 0, so that this loss does',
    ),
    'a recorder that is not used': (
        changed(
            WIRED,
            student_recorders__more=dict(
                type='ModuleOutputs', source='backbone.conv'
            ),
        ),
        'student_recorders.more: is never used: no entry of loss_forward',
    ),
    'a connector that is not used': (
        changed(
            WIRED,
            connectors=dict(
                up=dict(
                    type='mmtat.EmbeddingConnector',
                    in_channels=3,
                    out_channels=3,
                )
            ),
        ),
        'connectors.up: is never used',
    ),
    'a loss that is only logged': (
        changed(
            WIRED,
            distill_losses=dict(kl=dict(type='KLDivergence')),
            loss_forward_mappings=dict(
                kl=WIRED['loss_forward_mappings']['loss_kl']
            ),
        ),
        "distill_losses.kl: is only logged, as its name has no 'loss' in it; "
        "call it 'loss_kl'",
    ),
    'no loss at all': (
        dict(type='ConfigurableDistiller'),
        'model.distiller: distils nothing',
    ),
}


@pytest.mark.parametrize('name', DOUBTS)
def test_what_runs_for_nothing_is_named_and_stops_no_training(name):
    distiller, message = DOUBTS[name]
    config = Config(dict(model=distillation(distiller)))
    (problem,) = config_problems(config)
    assert message in str(problem)
    assert not problem.stops


def test_a_loss_that_is_never_computed_stops_a_training():
    lost = changed(WIRED, distill_losses__loss_l2=L2)
    (problem,) = config_problems(Config(dict(model=distillation(lost))))
    assert problem.stops
    assert str(problem) == (
        'model.distiller.distill_losses.loss_l2: is never computed, as '
        "loss_forward_mappings has no entry 'loss_l2'"
    )


# What shows when the models are built.

BUILT = {
    'a layer of both': (
        changed(TAT, layers=['backbone.cnov']),
        [
            'layers[0]: the student (ToySegmentor) has no layer '
            "'backbone.cnov'; close matches: backbone.conv",
            'layers[0]: the teacher (ToySegmentor) has no layer',
        ],
    ),
    'a layer of the teacher': (
        changed(
            TAT, layers=[dict(student='backbone.conv', teacher='backbone.k')]
        ),
        ['layers[0].teacher: the teacher (ToySegmentor) has no layer'],
    ),
    'branches that do not fit': (
        changed(
            TAT,
            branches__patch_group__patches=(8, 8),
            branches__anchor_point__anchors=(3, 3),
        ),
        [
            'patches=(8, 8) for a map of 4x4',
            'branches.anchor_point: ',
        ],
    ),
    'an identity between other channels': (
        changed(TAT, query=None),
        ['model.distiller.query: query=None is the identity on the student'],
    ),
    'layers that are none': (
        changed(TAT, layers=[3]),
        ['model.distiller.layers: each of layers must be'],
    ),
    'a recorded layer': (
        changed(WIRED, student_recorders__logits__source='decode_head.seg'),
        [
            'student_recorders.logits.source: the student (ToySegmentor) has '
            "no layer 'decode_head.seg'; close matches: decode_head"
        ],
    ),
    'features of other channels': (
        feature(losses=dict(loss_l2=L2)),
        ['model.distiller.layers: losses cannot be computed: RuntimeErr'],
    ),
    'a connector that cannot be': (
        feature(
            losses=dict(loss_l2=L2),
            student_connector=dict(type='mmtat.EmbeddingConnector', norm='x'),
        ),
        ["model.distiller.student_connector: norm must be 'image'"],
    ),
}


@pytest.mark.parametrize('name', BUILT)
def test_what_does_not_fit_is_named_at_its_place(name):
    distiller, messages = BUILT[name]
    lines = problems(distiller)
    assert len(lines) == len(messages), lines
    for line, message in zip(lines, messages):
        assert message in line


def test_models_that_cannot_be_built_do_not_hide_each_other():
    lines = problems(
        changed(TAT, branches__patch_group__group=3),
        model=dict(
            student=dict(type='ToySegmentator'), teacher=dict(norm='XN')
        ),
    )
    assert len(lines) == 3
    assert "model.architecture.type: there is no model 'ToySegment" in lines[0]
    assert "did you mean 'ToySegmentor'" in lines[0]
    assert 'model.distiller.branches.patch_group.group: ' in lines[1]
    assert lines[2] == "model.teacher: KeyError: 'XN'"


def test_logits_of_other_classes():
    line = only(
        problems(
            changed(TAT, logits=dict(student='decode_head.conv_seg')),
            model=dict(teacher=dict(classes=5)),
        )
    )
    assert line.startswith('model.distiller.logits: the student has 3 classes')


def test_keys_of_the_algorithm():
    lines = problems(
        builds=False,
        model=dict(
            teacher_option={},
            teacher_options=dict(dtyp='bfloat16'),
            teacher_ckpt=dict(checkpoint='a.pth', prefx='b'),
        ),
    )
    assert [line.partition(':')[0] for line in lines] == [
        'model.teacher_option',
        'model.teacher_options.dtyp',
        'model.teacher_ckpt.prefx',
    ]
    assert "did you mean 'teacher_options'" in lines[0]


def test_a_distillation_without_its_distiller():
    config = distillation(TAT)
    config['distilller'] = config.pop('distiller')
    lines = [str(p) for p in config_problems(Config(dict(model=config)))]
    assert "did you mean 'distiller'" in lines[0]
    assert lines[1] == 'model.distiller: is missing'


# Hooks, schedules and the length of the run.

FADE = [dict(type='linear', end=4, start=1.0, stop=0.0)]


def weights(**schedules):
    return dict(type='mmtat.DistillWeightHook', schedules=schedules)


def test_hooks_and_loops():
    lines = problems(
        builds=False,
        custom_hooks=[
            dict(type='mmtat.DistillationMonitorHook', intervall=2),
            dict(type='PlainHook', priority='LOW', what=1),
            dict(type='mmtat.DistilWeightHook'),
        ],
        default_hooks=dict(logger=dict(type='LoggerHook', intervals=3)),
    )
    assert len(lines) == 4 + 1
    assert 'default_hooks.logger.intervals: LoggerHook has no' in lines[0]
    assert 'custom_hooks[0].intervall: DistillationMonitorHook' in lines[1]
    assert "did you mean 'interval'" in lines[1]
    assert 'custom_hooks[1].what: PlainHook has no argument' in lines[2]
    assert "did you mean 'mmtat.DistillWeightHook'" in lines[3]
    # By its default.
    assert 'custom_hooks[0].interval: is 50 iterations, but' in lines[4]
    loop = dict(type='mmtat.ExactIterBasedTrainLoop', max_iter=3)
    config = dict(model=distillation(TAT), train_cfg=loop)
    (line,) = config_problems(Config(config), builds=False)
    assert 'train_cfg.max_iter: ExactIterBasedTrainLoop has no' in str(line)


def test_schedules_of_all_hooks():
    lines = problems(
        builds=False,
        custom_hooks=[
            weights(loss_tat_patch_group=FADE),
            weights(loss_kl=FADE, **{'loss_tat*': [dict(type='lin')]}),
        ],
    )
    assert len(lines) == 3, lines
    assert (
        'custom_hooks[1].schedules.loss_kl: no distillation loss is named '
        "'loss_kl'. There are loss_tat_anchor_point, loss_tat_patch_group"
    ) in lines[0]
    assert 'schedules.loss_tat*: schedules.loss_tat*[0]: type must' in lines[1]
    assert (
        "is for the loss 'loss_tat_patch_group', which custom_hooks[0]"
    ) in lines[2]


def test_the_curves_are_of_all_hooks():
    config = Config(
        dict(
            model=distillation(TAT),
            custom_hooks=[
                weights(loss_tat_patch_group=FADE),
                weights(loss_tat_anchor_point=FADE),
            ],
            train_cfg=dict(max_iters=8),
        )
    )
    curves = schedule_curves(config)
    assert all(values[-1] == 0 for _, values in curves.values())
    config.custom_hooks[1] = config.custom_hooks[0]
    with pytest.raises(ValueError, match='stands in two hooks'):
        schedule_curves(config)


def test_schedules_by_what_the_built_losses_have():
    no_weight = changed(WIRED, distill_losses__loss_kl__loss_weight=0)
    lines = problems(no_weight, custom_hooks=[weights(loss_kl=FADE)])
    assert 'loss_kl.loss_weight: is 0' in lines[0]
    assert 'must have a loss_weight above 0' in lines[1]
    late = [dict(type='constant', begin=30, value=0.0)]
    line = only(problems(custom_hooks=[weights(loss_tat_patch_group=late)]))
    assert 'begins in iteration 30, but the training has 20' in line


def test_hooks_that_wait_longer_than_the_run():
    lines = problems(
        builds=False,
        default_hooks=dict(
            logger=dict(type='LoggerHook', interval=50),
            checkpoint=dict(
                type='CheckpointHook',
                interval=40,
                by_epoch=False,
                save_last=False,
            ),
        ),
        custom_hooks=[dict(type='mmtat.DistillationFigureHook')],
    )
    assert [line.partition(':')[0] for line in lines] == [
        'default_hooks.logger.interval',
        'default_hooks.checkpoint.interval',
        'custom_hooks[0].interval',
    ]
    assert 'is 50 iterations, but the training has 20: it logs' in lines[0]
    assert 'it saves nothing' in lines[1]
    # The last checkpoint is saved anyway.
    last = dict(type='CheckpointHook', interval=40, by_epoch=False)
    assert not problems(builds=False, default_hooks=dict(checkpoint=last))


# One report.


def test_all_problems_are_in_one_report():
    lines = problems(
        changed(
            TAT,
            layers=['backbone.cnov'],
            branches__patch_group__group=2,
            branches__anchor_point__loss_weight=0,
            logits=dict(tau=1.0, typ='x'),
        ),
        model=dict(gradient_balanc=True),
        custom_hooks=[weights(loss_tat=FADE)],
    )
    places = [line.partition(':')[0] for line in lines]
    assert places == [
        'model.gradient_balanc',
        'model.distiller.logits.typ',
        'model.distiller.branches.patch_group.group',
        'model.distiller.branches.anchor_point.loss_weight',
        'custom_hooks[0].schedules.loss_tat',
        'model.distiller.layers[0]',
        'model.distiller.layers[0]',
    ]


def test_a_check_that_fails_hides_no_other(monkeypatch):
    def broken(config):
        raise RuntimeError('no idea\nof this')
        yield

    monkeypatch.setattr(checking, 'distiller_problems', broken)
    found = config_problems(
        Config(
            dict(
                model=distillation(
                    changed(TAT, branches__patch_group__loss_weight=0),
                    gradient_balanc=True,
                )
            )
        ),
        builds=False,
    )
    assert [str(problem) for problem in found] == [
        'model.gradient_balanc: FrozenTeacherDistill has no argument '
        f"'gradient_balanc'; did you mean 'gradient_balance'? There are "
        f'{", ".join(sorted(arguments_of(type_of_algorithm())))}',
        'config: not checked: RuntimeError: no idea',
        'model.distiller.branches.patch_group.loss_weight: is 0, so that '
        'this loss does nothing; give it a weight, or take it out',
    ]
    assert [problem.stops for problem in found] == [True, False, False]


def type_of_algorithm():
    from mmtat.models import FrozenTeacherDistill

    return FrozenTeacherDistill


def test_the_report_begins_with_what_stops():
    doubt = Problem('a', 'is 0', stops=False)
    assert report_of([doubt]) == 'a: is 0'
    assert report_of([doubt, Problem('b', 'is missing')]) == (
        'b: is missing\na: is 0\n(2 problems in the config)'
    )
    assert config_check.report_of is report_of


# Arguments of classes.


def test_arguments_by_kwargs_are_those_of_the_bases():
    known = arguments_of(TaTDistiller)
    assert {'layers', 'branches', 'logits', 'input_size'} <= known
    assert {'distill_losses', 'connectors', 'init_cfg'} <= known
    assert not {'kwargs', 'self', 'loss_weight'} & known
    # Its own are also read for a message.
    assert 'loss_weight' in arguments_of(FeatureDistiller)
    assert arguments_of(PassesOn) == {'own', 'kept', 'taken', 'given'}


@pytest.mark.parametrize('component', [Keeper, nn.Identity, dict])
def test_what_takes_anything_refuses_nothing(component):
    assert arguments_of(component) is None
