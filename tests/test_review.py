"""ReviewKD: fusion, hierarchical contexts, and the distiller of both."""

import copy
import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmtat.models import ABFConnector, HCLLoss, ReviewKDDistiller
from mmtat.ops import fuse_by_attention, hierarchical_context_loss

from .toys import ToySegmentor, distillation


class Stages(nn.Module):
    """Three convolutions, each with half the size, and a pooling."""

    def __init__(self, width):
        super().__init__()
        widths = [3, width, 2 * width, 3 * width]
        for index in range(3):
            conv = nn.Conv2d(*widths[index : index + 2], 3, 2, 1)
            self.add_module(f'stage{index + 1}', conv)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())

    def forward(self, image):
        first = self.stage1(image)
        second = self.stage2(first.relu())
        third = self.stage3(second.relu())
        self.pool(third)
        return first, second, third


@MODELS.register_module()
class StagedSegmentor(ToySegmentor):
    """A segmentor whose backbone returns several maps."""

    def __init__(self, width=4, **kwargs):
        super().__init__(width=width, norm='none', **kwargs)
        self.backbone = Stages(width)

    def extract_feat(self, inputs):
        return self.backbone(inputs)[0]


def naive_pool(feature, level):
    """Adaptive average pooling of one channel, window by window."""
    pooled = []
    for y, x in itertools.product(range(level), range(level)):
        (top, bottom), (left, right) = (
            (i * side // level, math.ceil((i + 1) * side / level))
            for i, side in ((y, feature.shape[0]), (x, feature.shape[1]))
        )
        pooled.append(feature[top:bottom, left:right].mean())
    return pooled


def naive_hcl(student, teacher, levels=(4, 2, 1)):
    """(sum over levels of 2^-k MSE of the pooled maps) / (sum of 2^-k)."""
    used = [level for level in levels if level < min(student.shape[2:])]
    errors = [[(student - teacher).square().mean()]]
    for level in used:
        squares = []
        for n, c in itertools.product(*map(range, student.shape[:2])):
            pairs = zip(
                naive_pool(student[n, c], level),
                naive_pool(teacher[n, c], level),
            )
            squares += [(s - t) ** 2 for s, t in pairs]
        errors.append(squares)
    means = [sum(squares) / len(squares) for squares in errors]
    weights = [0.5**k for k in range(len(means))]
    return sum(w * m for w, m in zip(weights, means)) / sum(weights)


def naive_conv_norm(conv, norm, feature):
    """A convolution, then the statistics of the batch."""
    out = F.conv2d(feature, conv.weight, padding=conv.padding)
    mean = out.mean((0, 2, 3), keepdim=True)
    variance = out.var((0, 2, 3), unbiased=False, keepdim=True)
    scale = norm.weight.view(1, -1, 1, 1)
    shift = norm.bias.view(1, -1, 1, 1)
    return (out - mean) / (variance + norm.eps).sqrt() * scale + shift


def naive_nearest(feature, size):
    rows = [y * feature.shape[2] // size[0] for y in range(size[0])]
    columns = [x * feature.shape[3] // size[1] for x in range(size[1])]
    return feature[:, :, rows][:, :, :, columns]


def naive_abf(connector, features, sizes):
    """From deep to shallow: embed, weigh against the deeper, project."""
    deeper, outputs = None, []
    for block, feature, size in list(zip(connector.blocks, features, sizes))[
        ::-1
    ]:
        embedded = naive_conv_norm(*block.embed, feature)
        if deeper is not None:
            deeper = naive_nearest(deeper, embedded.shape[2:])
            both = torch.cat([embedded, deeper], dim=1)
            conv = block.attention[0]
            fused = torch.zeros_like(embedded)
            for y, x in itertools.product(*map(range, embedded.shape[2:])):
                logits = both[:, :, y, x] @ conv.weight[:, :, 0, 0].T
                weights = 1 / (1 + torch.exp(-(logits + conv.bias)))
                fused[:, :, y, x] = (
                    weights[:, :1] * embedded[:, :, y, x]
                    + weights[:, 1:] * deeper[:, :, y, x]
                )
            embedded = fused
        deeper = naive_nearest(embedded, size)
        outputs.insert(0, naive_conv_norm(*block.project, deeper))
    return outputs


def maps(*shape):
    return torch.randn(2, *shape, dtype=torch.float64).requires_grad_()


@pytest.mark.parametrize(
    'shape', [(2, 3, 8, 8), (1, 2, 5, 7), (2, 3, 4, 9), (2, 3, 1, 1)]
)
@pytest.mark.parametrize('levels', [(4, 2, 1), (3,), ()])
def test_contexts_equal_the_reference(shape, levels):
    student, teacher = maps(*shape).unbind()
    loss = hierarchical_context_loss(student, teacher, levels)
    expected = naive_hcl(student, teacher, levels)
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=0)
    gradient = torch.autograd.grad(loss, student)
    naive = torch.autograd.grad(expected, student)
    torch.testing.assert_close(gradient, naive, rtol=1e-9, atol=1e-12)


def test_gradcheck_of_the_contexts():
    student, teacher = maps(1, 2, 5, 5).detach().unbind()
    assert torch.autograd.gradcheck(
        lambda s: hierarchical_context_loss(s, teacher),
        student.clone().requires_grad_(),
    )


def test_gradcheck_of_the_fusion():
    feature, residual = maps(1, 3, 2, 2).detach().unbind()
    attention = torch.rand(1, 2, 2, 2).double()
    arguments = [
        x.clone().requires_grad_() for x in (feature, residual, attention)
    ]
    assert torch.autograd.gradcheck(fuse_by_attention, arguments)


def test_equal_maps_give_zero_and_the_teacher_no_gradient():
    student = torch.randn(2, 3, 8, 8, requires_grad=True)
    teacher = torch.randn(2, 3, 8, 8, requires_grad=True)
    assert HCLLoss()(student, student).item() == 0
    HCLLoss()(student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


def test_half_precision_contexts_are_computed_in_float32():
    low = [x.detach().bfloat16() for x in maps(2, 3, 8, 8).unbind()]
    with torch.autocast('cpu', torch.bfloat16):
        loss = hierarchical_context_loss(*low)
    assert loss.dtype == torch.float32
    expected = hierarchical_context_loss(*(x.float() for x in low))
    torch.testing.assert_close(loss, expected)


def test_several_pairs_of_maps_add_up_with_one_weight():
    first, second = torch.randn(2, 2, 3, 8, 8), torch.randn(2, 2, 5, 4, 4)
    student, teacher = zip(first, second)
    loss = HCLLoss(loss_weight=0.3)(student, teacher)
    expected = sum(hierarchical_context_loss(*x) for x in (first, second))
    torch.testing.assert_close(loss, 0.3 * expected)


@pytest.mark.parametrize(
    'sizes', [[(8, 8), (4, 4), (2, 2)], [(9, 8), (4, 6), (3, 3)]]
)
def test_the_fusion_equals_the_reference(sizes):
    connector = ABFConnector((2, 3, 4), (5, 6, 7), mid_channels=3).double()
    for parameter in connector.parameters():
        nn.init.normal_(parameter)
    features = [
        maps(channels, side, side)
        for channels, side in ((2, 8), (3, 4), (4, 2))
    ]
    outputs = connector(features, sizes)
    expected = naive_abf(connector, features, sizes)
    assert [o.shape[1:] for o in outputs] == [
        (channels, *size) for channels, size in zip((5, 6, 7), sizes)
    ]
    torch.testing.assert_close(list(outputs), expected)
    torch.testing.assert_close(
        torch.autograd.grad(sum(o.exp().sum() for o in outputs), features),
        torch.autograd.grad(sum(o.exp().sum() for o in expected), features),
    )


def test_every_map_reviews_the_deeper_ones_and_no_shallower():
    connector = ABFConnector((2, 2, 2), (2, 2, 2))
    features = [torch.randn(2, 2, s, s, requires_grad=True) for s in (8, 4, 2)]
    for index, output in enumerate(connector(features)):
        gradients = torch.autograd.grad(
            output.square().mean(),
            features,
            retain_graph=True,
            allow_unused=True,
        )
        reached = [gradient is not None for gradient in gradients]
        assert reached == [depth >= index for depth in range(3)]


def test_the_deepest_map_has_no_attention_that_would_stay_untrained():
    connector = ABFConnector((2, 600), (2, 4))
    assert connector.blocks[1].attention is None
    assert connector.blocks[0].attention[0].in_channels == 2 * 512


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: ABFConnector((), ()), 'in_channels must be a list'),
        (lambda: ABFConnector((2,), 3), 'out_channels must be a list'),
        (lambda: ABFConnector((2, 0), (1, 1)), 'each of in_channels must be'),
        (lambda: ABFConnector((2, 3), (1,)), 'out_channels must be as many'),
        (lambda: ABFConnector((2,), (1,), 0.5), 'mid_channels must be a pos'),
        (lambda: HCLLoss(levels=4), 'levels must be a list'),
        (lambda: HCLLoss(levels=(4, 0)), 'each of levels must be a positive'),
        (lambda: HCLLoss(loss_weight=-1), 'loss_weight must be a number'),
    ],
)
def test_bad_numbers_are_refused_when_it_is_built(build, message):
    with pytest.raises(ValueError, match=f'^{message}'):
        build()


def test_maps_that_do_not_fit_raise():
    connector, loss = ABFConnector((2, 3), (2, 3)), HCLLoss()
    first, second = torch.rand(2, 2, 4, 4), torch.rand(2, 3, 2, 2)
    with pytest.raises(TypeError, match='feature must be a list of maps'):
        connector(first)
    with pytest.raises(ValueError, match='feature must .* expected 2, got 1'):
        connector([first])
    with pytest.raises(
        ValueError, match=r'feature\[0\] must have .*=2 channels'
    ):
        connector([second, second])
    with pytest.raises(TypeError, match=r'feature\[1\] must be a tensor'):
        connector([first, None])
    with pytest.raises(ValueError, match='s_feature must have the channels'):
        loss(first, torch.rand(2, 3, 4, 4))
    with pytest.raises(ValueError, match='s_feature must have the size'):
        loss(first, torch.rand(2, 2, 4, 5))
    with pytest.raises(ValueError, match='s_feature must have as many maps'):
        loss([first], [first, second])


def test_a_fusion_that_does_not_fit_raises():
    feature, weights = torch.rand(2, 3, 4, 4), torch.rand(2, 2, 4, 4)
    with pytest.raises(ValueError, match='^residual must be of shape'):
        fuse_by_attention(feature, feature[:, :2], weights)
    with pytest.raises(ValueError, match='^attention must be of shape'):
        fuse_by_attention(feature, feature, feature)


LAYERS = [f'backbone.{name}' for name in ('stage1', 'stage2', 'stage3')]


def review(**arguments):
    arguments = dict(dict(layers=LAYERS + ['backbone.pool']), **arguments)
    return dict(type='mmtat.ReviewKDDistiller', **arguments)


def build(distiller, **kwargs):
    toy = dict(type='StagedSegmentor')
    return MODELS.build(
        distillation(distiller, student=toy, teacher=toy, **kwargs)
    )


def assert_all_trained(model):
    assert model.student.backbone.stage3.weight.grad.abs().sum() > 0
    names = [name for name, _ in model.distiller.named_parameters()]
    assert names and all('blocks' in name for name in names)
    for name, parameter in model.distiller.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name
    assert all(p.grad is None for p in model.teacher.parameters())


def test_every_parameter_of_the_review_is_trained():
    model = build(review())
    losses = model(torch.rand(4, 3, 32, 32), mode='loss')
    losses['distill.loss_review'].backward()
    assert_all_trained(model)


def test_the_loss_is_that_of_the_fused_maps():
    model = build(review(loss_weight=0.5, levels=(2,), mid_channels=6))
    image = torch.rand(4, 3, 32, 32)
    loss = model(image, mode='loss')['distill.loss_review']
    student, teacher = (
        [*part.backbone(image), None]
        for part in (model.student, model.teacher)
    )
    for features in (student, teacher):
        features[-1] = features[2].mean((2, 3), keepdim=True)
    abf = model.distiller.abf
    assert abf.blocks[0].embed[0].out_channels == 6
    fused = naive_abf(abf, student, [t.shape[2:] for t in teacher])
    expected = sum(naive_hcl(s, t, (2,)) for s, t in zip(fused, teacher))
    torch.testing.assert_close(loss, 0.5 * expected)


def test_maps_of_another_size_are_resized_to_the_teachers():
    model = MODELS.build(
        distillation(
            review(layers=['backbone.conv', 'backbone']),
            teacher=dict(stride=1),
        )
    )
    losses = model(torch.rand(2, 3, 8, 8), mode='loss')
    assert torch.isfinite(losses['distill.loss_review'])


def test_other_losses_join_the_review_in_one_config():
    recorders = dict(f=dict(type='ModuleOutputs', source='backbone.stage2'))
    ends = [
        dict(recorder='f', from_student=is_student)
        for is_student in (True, False)
    ]
    model = build(
        review(
            student_recorders=recorders,
            teacher_recorders=recorders,
            distill_losses=dict(loss_sp=dict(type='mmtat.SPLoss')),
            loss_forward_mappings=dict(
                loss_sp=dict(s_feature=ends[0], t_feature=ends[1])
            ),
        )
    )
    losses = model(torch.rand(4, 3, 16, 16), mode='loss')
    assert losses['distill.loss_sp'] > 0
    assert losses['distill.loss_review'] > 0


def test_a_stock_distiller_fuses_what_one_layer_returns():
    recorders = dict(f=dict(type='ModuleOutputs', source='backbone'))
    distiller = dict(
        type='ConfigurableDistiller',
        student_recorders=recorders,
        teacher_recorders=recorders,
        connectors=dict(
            abf=dict(
                type='mmtat.ABFConnector',
                in_channels=(4, 8, 12),
                out_channels=(8, 16, 24),
            )
        ),
        distill_losses=dict(loss_review=dict(type='mmtat.HCLLoss')),
        loss_forward_mappings=dict(
            loss_review=dict(
                s_feature=dict(
                    recorder='f', from_student=True, connector='abf'
                ),
                t_feature=dict(recorder='f', from_student=False),
            )
        ),
    )
    model = build(distiller)
    losses = model(torch.rand(4, 3, 32, 32), mode='loss')
    losses['distill.loss_review'].backward()
    assert_all_trained(model)


def test_it_works_inside_stock_single_teacher_distill():
    toy = dict(type='StagedSegmentor')
    with DefaultScope.overwrite_default_scope('mmrazor'):
        model = MODELS.build(
            dict(
                type='mmrazor.SingleTeacherDistill',
                architecture=copy.deepcopy(toy),
                teacher=dict(toy, width=6),
                distiller=review(),
            )
        )
    losses = copy.deepcopy(model)(torch.rand(4, 3, 32, 32), mode='loss')
    assert losses['distill.loss_review'] > 0
    names = [name for name, _ in model.named_parameters()]
    assert 'distiller.abf.blocks.0.attention.0.weight' in names


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(layers=['backbone.stage']), 'close matches: backbone.stage'),
        (dict(layers=[]), 'layers must be a list'),
        (dict(layers=LAYERS[::-1]), 'layers must be in order, .*stage2'),
        (dict(layers=['backbone']), 'returns 3 values'),
        (dict(mid_channels=0), 'mid_channels must be a positive integer'),
        (dict(levels=(0,)), 'each of levels must be a positive integer'),
        (dict(loss_weight=-1), 'loss_weight must be a number'),
        (dict(input_size=64), 'input_size must be two positive'),
        (
            dict(distill_losses=dict(loss_review=dict(type='L2Loss'))),
            r"distill_losses: \['loss_review'\] are names",
        ),
    ],
)
def test_mistakes_raise_before_the_first_step(arguments, message):
    with pytest.raises(ValueError, match=message):
        distiller = ReviewKDDistiller(
            **{k: v for k, v in review(**arguments).items() if k != 'type'}
        )
        distiller.prepare_from_student(StagedSegmentor())
        distiller.prepare_from_teacher(StagedSegmentor())
