"""The TaT distiller: wiring, formulations, branches, sizes, bad input."""

import copy

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmtat.models import EmbeddingConnector, TaTDistiller
from mmtat.models.distillers.tat_layer import TaTLayer
from mmtat.ops import group_patches, pool_anchors, target_aware_loss

from .toys import ToySegmentor, distillation

EMBEDDING = dict(kernel_size=1, norm='image')


def layer_of(formulation, branches=None, resize=False, **embeddings):
    embeddings = dict(
        dict(query=EMBEDDING, key=EMBEDDING, value=EMBEDDING), **embeddings
    )
    return TaTLayer(
        3,
        5,
        formulation=formulation,
        branches=branches or dict(whole=dict()),
        resize=resize,
        **embeddings,
    )


def test_released_looks_from_the_student_over_the_teacher():
    layer = layer_of('released')
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4)
    expected = target_aware_loss(
        layer.query(student), layer.key(teacher), layer.value(student), teacher
    )
    torch.testing.assert_close(layer(student, teacher)['whole'], expected)
    assert layer.query.conv.in_channels == 3
    assert layer.key.conv.in_channels == 5


def test_paper_looks_from_the_teacher_over_the_student():
    layer = layer_of('paper')
    student, teacher = torch.randn(2, 3, 3, 2), torch.randn(2, 5, 4, 4)
    expected = target_aware_loss(
        layer.query(teacher), layer.key(student), layer.value(student), teacher
    )
    torch.testing.assert_close(layer(student, teacher)['whole'], expected)
    assert layer.query.conv.in_channels == 5
    assert layer.key.conv.in_channels == 3


@pytest.mark.parametrize('formulation', ['released', 'paper'])
def test_every_branch_cuts_all_four_maps_the_same(formulation):
    branches = dict(
        whole=dict(loss_weight=0.5),
        patch_group=dict(patches=(2, 2), groups=2, loss_weight=0.1),
        anchor_point=dict(anchors=(2, 2)),
    )
    layer = layer_of(formulation, branches)
    student, teacher = torch.randn(2, 3, 4, 4), torch.randn(2, 5, 4, 4)
    losses = layer(student, teacher)
    first, second = (
        (student, teacher) if formulation == 'released' else (teacher, student)
    )
    maps = [
        layer.query(first), layer.key(second), layer.value(student), teacher
    ]  # fmt: skip
    torch.testing.assert_close(losses['whole'], 0.5 * target_aware_loss(*maps))
    torch.testing.assert_close(
        losses['patch_group'],
        0.1 * target_aware_loss(*(group_patches(m, (2, 2), 2) for m in maps)),
    )
    torch.testing.assert_close(
        losses['anchor_point'],
        target_aware_loss(*(pool_anchors(m, (2, 2)) for m in maps)),
    )


def test_the_embeddings_run_once_for_all_branches(monkeypatch):
    branches = dict(
        whole=dict(), anchor_point=dict(anchors=(2, 2)),
    )  # fmt: skip
    layer = layer_of('released', branches)
    calls = []
    for name in ('query', 'key', 'value'):
        embedding = getattr(layer, name)
        monkeypatch.setattr(
            embedding,
            'mix',
            lambda x, mix=embedding.mix, name=name: (
                calls.append(name) or mix(x)
            ),
        )
    layer(torch.randn(1, 3, 4, 4), torch.randn(1, 5, 4, 4))
    assert calls == ['query', 'key', 'value']


def test_paper_takes_maps_of_different_sizes_in_every_branch():
    branches = dict(
        whole=dict(),
        patch_group=dict(patches=(2, 2), groups=4),
        anchor_point=dict(anchors=(2, 2)),
    )
    losses = layer_of('paper', branches)(
        torch.randn(1, 3, 4, 4), torch.randn(1, 5, 8, 6)
    )
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_released_resizes_the_student_to_the_teacher():
    layer = layer_of('released', resize=True)
    student, teacher = torch.randn(1, 3, 2, 2), torch.randn(1, 5, 4, 4)
    resized = nn.functional.interpolate(student, (4, 4), mode='bilinear')
    torch.testing.assert_close(
        layer(student, teacher)['whole'], layer(resized, teacher)['whole']
    )


def test_released_without_resizing_refuses_different_sizes():
    layer = layer_of('released', resize=False)
    with pytest.raises(ValueError, match='must have equal sizes'):
        layer(torch.randn(1, 3, 2, 2), torch.randn(1, 5, 4, 4))


def test_no_gradient_reaches_the_teacher():
    student = torch.randn(1, 3, 4, 4, requires_grad=True)
    teacher = torch.randn(1, 5, 4, 4, requires_grad=True)
    layer_of('paper')(student, teacher)['whole'].backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_none_is_the_identity():
    layer = layer_of('released', key=None)
    assert isinstance(layer.key, nn.Identity)
    with pytest.raises(ValueError, match='query=None is the identity'):
        layer_of('released', query=None)


def prepared(student=None, teacher=None, **arguments):
    distiller = TaTDistiller(**arguments)
    distiller.prepare_from_student(student or ToySegmentor(width=4))
    distiller.prepare_from_teacher(teacher or ToySegmentor(width=8))
    return distiller


def test_channels_are_found_without_typing_them():
    distiller = prepared(
        layers=['backbone.conv', dict(student='backbone', teacher='backbone')]
    )
    assert len(distiller.tat) == 2
    for layer in distiller.tat:
        assert isinstance(layer.query, EmbeddingConnector)
        assert layer.query.conv.weight.shape == (8, 4, 1, 1)
        assert layer.key.conv.weight.shape == (8, 8, 1, 1)


def test_the_dry_run_leaves_no_trace():
    student, teacher = ToySegmentor(width=4), ToySegmentor(width=8)
    student.train()
    before = {k: v.clone() for k, v in student.state_dict().items()}
    state = torch.get_rng_state()
    distiller = TaTDistiller(layers=['backbone.conv'])
    distiller.prepare_from_student(student)
    assert torch.equal(torch.get_rng_state(), state)
    assert student.training and student.backbone.norm.training
    for name, value in student.state_dict().items():
        assert torch.equal(value, before[name]), name
    distiller.prepare_from_teacher(teacher)
    for manager in (distiller.student_recorders, distiller.teacher_recorders):
        assert manager.get_recorder('layer_0').data_buffer == []


def test_one_line_in_the_log_says_what_happens_to_the_sizes(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmtat.models.distillers.tat_distiller.print_log',
        lambda line, *args: lines.append(line),
    )
    prepared(
        layers=['backbone.conv'],
        teacher=ToySegmentor(width=8, stride=1),
        input_size=(16, 16),
    )
    assert len(lines) == 1
    assert "the student's map is resized to the teacher's" in lines[0]
    assert '(4, 8, 8)' in lines[0] and '(8, 16, 16)' in lines[0]


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(layers=['backbone.convs']), 'close matches: backbone.conv'),
        (dict(layers=[]), 'layers must be a list'),
        (dict(layers=[dict(student='backbone')]), 'each of layers must be'),
        (dict(layers=['backbone'], formulation='exact'), 'formulation must'),
        (
            dict(layers=['backbone'], branches=dict(all=dict())),
            "unknown 'all'",
        ),
        (dict(layers=['backbone'], branches=dict()), 'at least one of whole'),
        (dict(layers=['auxiliary_head.nothing']), 'has no layer'),
        (dict(layers=[dict(student=3, teacher=4)]), 'each of layers must be'),
        (
            dict(layers=['backbone'], branches=dict(whole=dict(weight=1))),
            "branches.whole has no argument 'weight'; did you mean 'loss_wei",
        ),
        (
            dict(layers=['backbone'], branches=dict(anchor_point=dict(a=1))),
            "branches.anchor_point has no argument 'a'",
        ),
        (
            dict(layers=['backbone'], query=dict(kernel=1)),
            "query has no argument 'kernel'; did you mean 'kernel_size'",
        ),
        (dict(layers=['backbone'], query=dict(norm=dict())), 'norm must be'),
        (dict(layers=['backbone'], input_size=64), 'input_size must be two'),
        (
            dict(
                layers=['backbone'],
                teacher_recorders=dict(layer_0=dict(type='ModuleOutputs')),
            ),
            "teacher_recorders: 'layer_0' is the name",
        ),
        (
            dict(
                layers=['backbone'],
                distill_losses=dict(loss_tat=dict(type='L2Loss')),
            ),
            r"distill_losses: \['loss_tat'\] are names",
        ),
        (
            dict(
                layers=['backbone'],
                logits=dict(),
                student_recorders=dict(
                    logits=dict(type='ModuleOutputs', source='backbone')
                ),
            ),
            "student_recorders: 'logits' is the name",
        ),
        (dict(layers=['backbone'], logits=dict(tau=0)), 'tau must be positi'),
        (dict(layers=['backbone'], logits=dict(t=1)), 'logits: .*argument'),
        (
            dict(
                layers=['backbone'],
                logits=dict(type='CRDLoss', sample_n=4, neg_num=2),
            ),
            'logits: CRDLoss needs .*data_samples',
        ),
        (
            dict(layers=['backbone'], logits=dict(type='KLDivergenc')),
            "logits: unknown type 'KLDivergenc'.*close matches: KLDivergence",
        ),
        (dict(layers=['backbone'], query=dict(norm='layer')), 'norm must be'),
        (
            dict(
                layers=['backbone'],
                branches=dict(patch_group=dict(patches=(9, 9), groups=1)),
                input_size=(16, 16),
            ),
            r'patches must fit the map: got patches=\(9, 9\)',
        ),
        (
            dict(
                layers=['backbone'],
                branches=dict(anchor_point=dict(anchors=(5, 5))),
                input_size=(16, 16),
            ),
            'gives 4 or 8 anchors, not 5',
        ),
        (
            dict(
                layers=['backbone'],
                branches=dict(patch_group=dict(patches=(2, 2), groups=3)),
            ),
            'groups must divide the 4 patches',
        ),
    ],
)
def test_mistakes_raise_before_the_first_step(arguments, message):
    with pytest.raises(ValueError, match=message):
        prepared(**arguments)


@pytest.mark.parametrize(
    'arguments',
    [
        dict(query='conv'),
        dict(logits=True),
        dict(resize='yes'),
        dict(branches=['whole']),
        dict(branches=dict(whole=1.0)),
    ],
)
def test_arguments_of_the_wrong_kind_are_named(arguments):
    name = next(iter(arguments))
    with pytest.raises(TypeError, match=f'^{name}'):
        TaTDistiller(layers=['backbone'], **arguments)


def test_a_model_that_cannot_run_says_why():
    student = ToySegmentor(width=4)
    student.decode_head.conv_seg = nn.Conv2d(5, 3, 1)
    with pytest.raises(ValueError, match='the student does not run .* 4 chan'):
        prepared(student=student, layers=['decode_head.conv_seg'])


def test_the_size_of_a_teacher_that_has_one_is_the_dry_runs():
    teacher = ToySegmentor(width=8)
    teacher.backbone.img_size = 40
    distiller = prepared(teacher=teacher, layers=['backbone.conv'])
    assert distiller.input_size == (40, 40)
    assert distiller.runs['student'].records['layer_0'][0][2:] == (20, 20)


@pytest.mark.parametrize('kind', ['ChannelWiseDivergence', 'DISTLoss'])
def test_other_losses_of_logits_get_them_as_they_are(kind):
    distiller = prepared(layers=['backbone'], logits=dict(type=kind))
    student, teacher = torch.randn(2, 2, 3, 4, 4)
    if kind == 'DISTLoss':
        student, teacher = student[:, :, 0, 0], teacher[:, :, 0, 0]
    expected = distiller.logits.loss(student, teacher)
    torch.testing.assert_close(distiller.logits(student, teacher), expected)
    assert distiller.logits.loss_name == 'loss_logits'


def test_logits_of_different_classes_raise():
    with pytest.raises(ValueError, match='student has 3 classes and the teac'):
        prepared(
            layers=['backbone'],
            logits=dict(),
            teacher=ToySegmentor(width=8, classes=4),
        )


def test_logits_join_tat_and_are_the_mean_over_pixels():
    model = MODELS.build(
        distillation(
            dict(
                type='mmtat.TaTDistiller',
                layers=['backbone.conv'],
                logits=dict(tau=2.0, loss_weight=0.5),
            )
        )
    )
    image = torch.rand(2, 3, 8, 8)
    model.student.eval()
    losses = model(image, mode='loss')
    student, teacher = model.student(image), model.teacher(image)
    log_ratio = (teacher / 2).log_softmax(1) - (student / 2).log_softmax(1)
    per_pixel = ((teacher / 2).softmax(1) * log_ratio).sum(1)
    torch.testing.assert_close(
        losses['distill.loss_kl'], 0.5 * 4 * per_pixel.mean()
    )
    assert set(losses) == {
        'student.loss_seg',
        'student.loss_aux',
        'distill.loss_tat',
        'distill.loss_kl',
    }


def test_branches_and_layers_have_their_own_log_keys():
    distiller = dict(
        type='mmtat.TaTDistiller',
        layers=['backbone.conv', 'backbone'],
        branches=dict(
            whole=dict(),
            patch_group=dict(patches=(2, 2), groups=2),
            anchor_point=dict(anchors=(2, 2)),
        ),
    )
    losses = MODELS.build(distillation(distiller))(
        torch.rand(2, 3, 8, 8), mode='loss'
    )
    assert {name for name in losses if name.startswith('distill')} == {
        f'distill.loss_tat{branch}_{layer}'
        for branch in ('', '_patch_group', '_anchor_point')
        for layer in (0, 1)
    }


def test_it_is_a_configurable_distiller_with_its_own_losses_beside():
    distiller = dict(
        type='mmtat.TaTDistiller',
        layers=['backbone.conv'],
        student_recorders=dict(
            seg=dict(type='ModuleOutputs', source='decode_head.conv_seg')
        ),
        teacher_recorders=dict(
            seg=dict(type='ModuleOutputs', source='decode_head.conv_seg')
        ),
        distill_losses=dict(
            loss_cwd=dict(type='ChannelWiseDivergence', loss_weight=3.0)
        ),
        loss_forward_mappings=dict(
            loss_cwd=dict(
                preds_S=dict(recorder='seg', from_student=True),
                preds_T=dict(recorder='seg', from_student=False),
            )
        ),
    )
    losses = MODELS.build(distillation(distiller))(
        torch.rand(2, 3, 8, 8), mode='loss'
    )
    assert losses['distill.loss_cwd'] > 0
    assert losses['distill.loss_tat'] > 0


@pytest.mark.parametrize('scope', ['mmrazor', 'mmseg'])
def test_it_works_inside_stock_single_teacher_distill(scope):
    with DefaultScope.overwrite_default_scope(scope):
        model = MODELS.build(
            dict(
                type='mmrazor.SingleTeacherDistill',
                architecture=dict(type='ToySegmentor', width=4),
                teacher=dict(type='ToySegmentor', width=8),
                distiller=dict(
                    type='mmtat.TaTDistiller', layers=['backbone.conv']
                ),
            )
        )
    model.teacher.eval()
    model.student.eval()
    image = torch.rand(2, 3, 8, 8)
    losses = model(image, mode='loss')
    expected = model.distiller.tat[0](
        model.student.backbone.conv(image), model.teacher.backbone.conv(image)
    )
    torch.testing.assert_close(losses['distill.loss_tat'], expected['whole'])
    losses['distill.loss_tat'].backward()
    assert model.student.backbone.conv.weight.grad.abs().sum() > 0
    names = [name for name, _ in model.named_parameters()]
    assert 'distiller.tat.0.query.conv.weight' in names


def test_inside_stock_distillation_it_follows_replaced_norms():
    from mmengine.model import revert_sync_batchnorm

    with DefaultScope.overwrite_default_scope('mmrazor'):
        model = MODELS.build(
            dict(
                type='mmrazor.SingleTeacherDistill',
                architecture=dict(type='ToySegmentor', norm='SyncBN'),
                teacher=dict(type='ToySegmentor', norm='SyncBN', width=8),
                distiller=dict(
                    type='mmtat.TaTDistiller', layers=['backbone.norm']
                ),
            )
        )
    model = revert_sync_batchnorm(model)
    losses = model(torch.rand(2, 3, 8, 8), mode='loss')
    assert losses['distill.loss_tat'] > 0
    copied = copy.deepcopy(model)
    assert copied(torch.rand(2, 3, 8, 8), mode='loss')['distill.loss_tat'] > 0
