"""SP, CC, ICKD, VID, WKD-F against references written from the papers."""

import itertools
import math

import pytest
import torch
from mmengine.registry import MODELS, DefaultScope

from mmtat.models import CCLoss, ICKDLoss, SPLoss, VIDLoss, WKDLoss
from mmtat.ops import (
    correlation_congruence_loss,
    gaussian_wasserstein_loss,
    inter_channel_correlation_loss,
    similarity_preserving_loss,
    variational_information_loss,
)

from .toys import distillation


def dot(a, b):
    return sum(x * y for x, y in zip(a.flatten(), b.flatten()))


def naive_sp(student, teacher):
    """1 / N^2 ||G_T - G_S||_F^2, G the row-normalised Q Q^T."""
    grams = []
    for feature in (student, teacher):
        rows = []
        for a in feature:
            row = [dot(a, b) for b in feature]
            norm = sum(x**2 for x in row).sqrt()
            rows.append([x / norm for x in row])
        grams.append(rows)
    return mean_square(*grams)


def mean_square(first, second):
    """Of two square tables."""
    side = range(len(first))
    squares = [
        (first[i][j] - second[i][j]) ** 2
        for i, j in itertools.product(side, side)
    ]
    return sum(squares) / len(squares)


def naive_cc(student, teacher, gamma=0.4, order=2):
    """1 / N^2 sum (k(s_i, s_j) - k(t_i, t_j))^2, k the Taylor series."""
    tables = []
    for feature in (student, teacher):
        unit = [x.flatten() / dot(x, x).sqrt() for x in feature]
        tables.append(
            [
                [
                    sum(
                        math.exp(-2 * gamma)
                        * (2 * gamma) ** p
                        / math.factorial(p)
                        * dot(a, b) ** p
                        for p in range(order + 1)
                    )
                    for b in unit
                ]
                for a in unit
            ]
        )
    return mean_square(*tables)


def naive_ickd(student, teacher, patches=(1, 1), normalize=False):
    """1 / C^2 ||G_S - G_T||^2 per image and patch, then the mean."""
    (n, m), (_, channels, height, width) = patches, student.shape
    h, w = height // n, width // m
    losses = []
    for image, i, j in itertools.product(
        range(len(student)), range(n), range(m)
    ):
        tables = []
        for feature in (student, teacher):
            patch = feature[image, :, i * h : (i + 1) * h, j * w : (j + 1) * w]
            rows = [[dot(a, b) for b in patch] for a in patch]
            if normalize:
                norms = [sum(x**2 for x in row).sqrt() for row in rows]
                rows = [[x / k for x in r] for r, k in zip(rows, norms)]
            tables.append(rows)
        loss = mean_square(*tables)
        losses.append(loss * channels if normalize else loss)
    return sum(losses) / len(losses)


def naive_vid(mean, teacher, variance):
    """Mean over c, h, w of log sigma_c + (t - mu)^2 / (2 sigma_c^2)."""
    terms = []
    for n, c in itertools.product(*map(range, teacher.shape[:2])):
        for mu, t in zip(mean[n, c].flatten(), teacher[n, c].flatten()):
            squared = (t - mu) ** 2 / (2 * variance[c])
            terms.append(variance[c].sqrt().log() + squared)
    return sum(terms) / len(terms)


def naive_wkd(student, teacher, mean_weight=2.0):
    """Mean over n, c of w (mu_T - mu_S)^2 + (sigma_T - sigma_S)^2."""
    terms = []
    for n, c in itertools.product(*map(range, teacher.shape[:2])):
        moments = []
        for x in (student[n, c].flatten(), teacher[n, c].flatten()):
            mean = sum(x) / len(x)
            variance = sum((value - mean) ** 2 for value in x) / len(x)
            moments.append((mean, variance.sqrt()))
        (mu_s, sigma_s), (mu_t, sigma_t) = moments
        means, deviations = (mu_t - mu_s) ** 2, (sigma_t - sigma_s) ** 2
        terms.append(mean_weight * means + deviations)
    return sum(terms) / len(terms)


VARIANCE = torch.tensor([0.3, 2.0, 1.0], dtype=torch.float64)

#: Name: function, reference, whether it is 0 for equal features.
LOSSES = {
    'sp': (similarity_preserving_loss, naive_sp, True),
    'cc': (correlation_congruence_loss, naive_cc, True),
    'cc of order 4': (
        lambda s, t: correlation_congruence_loss(s, t, 0.7, 4),
        lambda s, t: naive_cc(s, t, 0.7, 4),
        True,
    ),
    'ickd': (inter_channel_correlation_loss, naive_ickd, True),
    'ickd by patches': (
        lambda s, t: inter_channel_correlation_loss(s, t, (2, 1)),
        lambda s, t: naive_ickd(s, t, (2, 1)),
        True,
    ),
    'ickd normalised': (
        lambda s, t: inter_channel_correlation_loss(s, t, (2, 2), True),
        lambda s, t: naive_ickd(s, t, (2, 2), True),
        True,
    ),
    'vid': (
        lambda s, t: variational_information_loss(s, t, VARIANCE),
        lambda s, t: naive_vid(s, t, VARIANCE),
        False,
    ),
    'wkd': (gaussian_wasserstein_loss, naive_wkd, True),
    'wkd of means that weigh less': (
        lambda s, t: gaussian_wasserstein_loss(s, t, 0.3),
        lambda s, t: naive_wkd(s, t, 0.3),
        True,
    ),
}


def maps(*shape, dtype=torch.float64):
    student = torch.randn(shape, dtype=dtype, requires_grad=True)
    return student, torch.randn(shape, dtype=dtype, requires_grad=True)


@pytest.mark.parametrize('shape', [(1, 3, 4, 2), (3, 3, 5, 3)])
@pytest.mark.parametrize('name', LOSSES)
def test_loss_and_gradient_equal_the_reference(name, shape):
    function, reference, _ = LOSSES[name]
    student, teacher = maps(*shape)
    loss, expected = function(student, teacher), reference(student, teacher)
    assert loss.shape == ()
    torch.testing.assert_close(loss, expected, rtol=1e-9, atol=1e-12)
    gradient = torch.autograd.grad(loss, student)
    naive = torch.autograd.grad(expected, student)
    torch.testing.assert_close(gradient, naive, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('name', LOSSES)
def test_gradcheck(name):
    student, teacher = maps(2, 3, 2, 2)
    teacher = teacher.detach()
    assert torch.autograd.gradcheck(
        lambda s: LOSSES[name][0](s, teacher), student
    )


def test_gradcheck_of_the_variance():
    student, teacher = maps(2, 3, 2, 2)
    variance = VARIANCE.clone().requires_grad_()
    assert torch.autograd.gradcheck(
        lambda v: variational_information_loss(
            student.detach(), teacher.detach(), v
        ),
        variance,
    )


@pytest.mark.parametrize('name', [n for n, loss in LOSSES.items() if loss[2]])
def test_equal_features_give_zero_and_others_more(name):
    student, teacher = maps(3, 3, 4, 4)
    assert LOSSES[name][0](student, student).item() == 0
    assert LOSSES[name][0](student, teacher).item() > 0


@pytest.mark.parametrize('name', LOSSES)
def test_no_gradient_reaches_the_teacher(name):
    student, teacher = maps(2, 3, 4, 4)
    LOSSES[name][0](student, teacher).backward()
    assert student.grad.abs().sum() > 0
    assert teacher.grad is None


@pytest.mark.parametrize('name', LOSSES)
def test_half_precision_is_computed_in_float32(name):
    function = LOSSES[name][0]
    low = [x.detach().bfloat16() for x in maps(3, 3, 8, 8)]
    with torch.autocast('cpu', torch.bfloat16):
        loss = function(*low)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, function(*(x.float() for x in low)))


@pytest.mark.parametrize('loss', [SPLoss(), CCLoss()])
def test_relations_of_samples_take_any_two_shapes_of_features(loss):
    vectors, teacher = torch.randn(4, 3), torch.randn(4, 5, 2, 2)
    pooled = teacher.flatten(1)
    torch.testing.assert_close(loss(vectors, teacher), loss(vectors, pooled))
    torch.testing.assert_close(
        loss(vectors, 3 * vectors), torch.tensor(0.0), atol=1e-6, rtol=0
    )


@pytest.mark.parametrize('loss', [SPLoss(), CCLoss()])
def test_a_batch_of_one_has_no_relations(loss):
    student = torch.randn(1, 3, requires_grad=True)
    value = loss(student, torch.randn(1, 5))
    value.backward()
    torch.testing.assert_close(value, torch.tensor(0.0))
    assert torch.isfinite(student.grad).all()


@pytest.mark.parametrize('loss', [SPLoss(), CCLoss(), ICKDLoss(), WKDLoss()])
def test_dead_features_give_finite_gradients(loss):
    student = torch.zeros(2, 3, 4, 4, requires_grad=True)
    loss(student, torch.randn(2, 3, 4, 4)).backward()
    assert torch.isfinite(student.grad).all()


def test_normalised_channel_correlations_ignore_size_and_scale():
    student, teacher = torch.randn(1, 3, 4, 4), torch.randn(1, 3, 6, 5)
    loss = ICKDLoss(normalize=True)
    torch.testing.assert_close(
        loss(student, teacher), loss(9 * student, teacher)
    )


def test_the_most_likely_variance_is_the_mean_squared_error():
    loss = VIDLoss(2, 3).double()
    student, teacher = torch.randn(2, 8, 2, 5, 5).double().unbind()
    teacher = teacher.repeat(1, 2, 1, 1)[:, :3]
    errors = (teacher - loss.mean(student)) ** 2
    best = errors.mean((0, 2, 3)).detach()
    # softplus(alpha) + eps = best
    loss.alpha.data = torch.log(torch.expm1(best - loss.eps))
    loss(student, teacher).backward()
    torch.testing.assert_close(
        loss.alpha.grad, torch.zeros(3).double(), atol=1e-9, rtol=0
    )


@pytest.mark.parametrize('variance', [0.01, 5.0, 1000.0])
def test_the_variance_begins_where_it_should(variance):
    loss = VIDLoss(2, 3, init_variance=variance)
    torch.testing.assert_close(loss.variance, torch.full((3,), variance))


def test_vid_learns_to_predict_the_teacher_better_than_its_mean():
    student = torch.randn(16, 2, 3, 3)
    teacher = torch.cat([student, student.abs()], dim=1)
    loss = VIDLoss(2, 4, mid_channels=16, init_variance=1.0)
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.03)
    for _ in range(60):
        optimizer.zero_grad()
        loss(student, teacher).backward()
        optimizer.step()
    error = (loss.mean(student) - teacher).square().mean((0, 2, 3))
    assert (error < 0.5 * teacher.var((0, 2, 3))).all()
    assert (loss.variance < 1).all()


def test_vid_takes_vectors_as_maps_of_one_position():
    loss = VIDLoss(2, 3)
    student, teacher = torch.randn(4, 2), torch.randn(4, 3)
    torch.testing.assert_close(
        loss(student, teacher),
        loss(student[..., None, None], teacher[..., None, None]),
    )


def test_the_weight_scales_every_loss():
    student, teacher = maps(2, 3, 4, 4, dtype=torch.float32)
    for kind in (SPLoss, CCLoss, ICKDLoss, WKDLoss):
        torch.testing.assert_close(
            kind(loss_weight=0.3)(student, teacher),
            0.3 * kind()(student, teacher),
        )
    vid = VIDLoss(3, 3, loss_weight=0.3)
    expected = vid(student, teacher) / 0.3
    vid.loss_weight = 1
    torch.testing.assert_close(vid(student, teacher), expected)


@pytest.mark.parametrize(
    'name', ['SPLoss', 'CCLoss', 'ICKDLoss', 'VIDLoss', 'WKDLoss']
)
@pytest.mark.parametrize('weight', [-1, 'much', float('nan')])
def test_a_weight_that_is_no_weight_raises(name, weight):
    channels = dict(student_channels=1, teacher_channels=1)
    config = dict(type=f'mmtat.{name}', loss_weight=weight)
    with DefaultScope.overwrite_default_scope('mmseg'):
        with pytest.raises(ValueError, match='loss_weight must be a number'):
            MODELS.build(dict(config, **channels if name[0] == 'V' else {}))


@pytest.mark.parametrize(
    ('build', 'message'),
    [
        (lambda: CCLoss(gamma=0), 'gamma must be a positive number'),
        (lambda: CCLoss(order=1.5), 'order must be a positive integer'),
        (lambda: WKDLoss(mean_weight=0), 'mean_weight must be a positive'),
        (lambda: ICKDLoss(patches=3), 'patches must be two positive'),
        (lambda: VIDLoss(0, 3), 'student_channels must be a positive int'),
        (lambda: VIDLoss(3, '3'), 'teacher_channels must be a positive int'),
        (lambda: VIDLoss(3, 3, -1), 'mid_channels must be a positive int'),
        (lambda: VIDLoss(3, 3, eps=6), 'init_variance must be above eps=6'),
    ],
)
def test_losses_refuse_bad_numbers_when_they_are_built(build, message):
    with pytest.raises(ValueError, match=f'^{message}'):
        build()


def test_a_switch_that_is_no_bool_raises():
    with pytest.raises(TypeError, match='normalize must be a bool'):
        ICKDLoss(normalize='rows')


@pytest.mark.parametrize(
    ('loss', 'student', 'teacher', 'message'),
    [
        (SPLoss(), (2, 3), (3, 3), 's_feature must have the batch size of'),
        (CCLoss(), (2, 3, 4), (2, 3), r's_feature must be of shape \(N, C\)'),
        (CCLoss(), (0, 3), (0, 3), 's_feature must not be empty'),
        (ICKDLoss(), (2, 3, 4, 4), (2, 5, 4, 4), 's_feature .* channels of'),
        (ICKDLoss(), (2, 3, 4, 4), (2, 3, 5, 4), 's_feature .* size of'),
        (ICKDLoss(), (2, 3), (2, 3), r's_feature must be .* \(N, C, H, W\)'),
        (ICKDLoss((5, 1)), (2, 3, 4, 4), (2, 3, 4, 4), 'patches must fit'),
        (WKDLoss(), (2, 3, 4, 4), (2, 5, 4, 4), 's_feature .* channels of'),
        (WKDLoss(), (2, 3), (2, 3), r's_feature must be .* \(N, C, H, W\)'),
        (VIDLoss(3, 4), (2, 3, 4, 4), (2, 4, 2, 4), 's_feature .* size of'),
        (VIDLoss(3, 4), (2, 2, 4, 4), (2, 4, 4, 4), '.*student_channels=3'),
        (VIDLoss(3, 4), (2, 3, 4, 4), (2, 5, 4, 4), 's_feature .* channels'),
    ],
)
def test_features_that_do_not_fit_raise(loss, student, teacher, message):
    with pytest.raises(ValueError, match=f'^{message}'):
        loss(torch.rand(student), torch.rand(teacher))


@pytest.mark.parametrize('loss', [SPLoss(), CCLoss(), ICKDLoss()])
def test_what_is_no_floating_tensor_raises(loss):
    feature = torch.rand(2, 3, 4, 4)
    with pytest.raises(TypeError, match='t_feature must be a tensor'):
        loss(feature, None)
    with pytest.raises(ValueError, match='s_feature must be of a floating'):
        loss(feature.long(), feature)


def test_a_variance_of_other_channels_raises():
    with pytest.raises(ValueError, match='variance must have one value'):
        variational_information_loss(*maps(2, 4, 2, 2), VARIANCE)
    with pytest.raises(TypeError, match='variance must be a tensor'):
        variational_information_loss(*maps(2, 4, 2, 2), 1.0)


def stock_distiller(loss, connectors=None):
    """A stock distiller with one loss between maps of 4 and 8 channels."""
    recorders = dict(f=dict(type='ModuleOutputs', source='backbone.conv'))
    student = dict(recorder='f', from_student=True)
    if connectors:
        student['connector'] = 'embed'
    return dict(
        type='ConfigurableDistiller',
        student_recorders=recorders,
        teacher_recorders=recorders,
        connectors=connectors,
        distill_losses=dict(loss_f=loss),
        loss_forward_mappings=dict(
            loss_f=dict(
                s_feature=student,
                t_feature=dict(recorder='f', from_student=False),
            )
        ),
    )


EMBED = dict(
    type='mmtat.EmbeddingConnector',
    in_channels=4,
    out_channels=8,
    norm='batch',
)


@pytest.mark.parametrize(
    ('loss', 'connectors', 'trained'),
    [
        (dict(type='mmtat.SPLoss'), None, 0),
        (dict(type='mmtat.CCLoss'), None, 0),
        (dict(type='mmtat.ICKDLoss'), dict(embed=EMBED), 3),
        (
            dict(type='mmtat.ICKDLoss', patches=(2, 2), normalize=True),
            dict(embed=EMBED),
            3,
        ),
        (
            dict(type='mmtat.VIDLoss', student_channels=4, teacher_channels=8),
            None,
            4,
        ),
    ],
)
def test_every_parameter_of_a_stock_distiller_is_trained(
    loss, connectors, trained
):
    model = MODELS.build(distillation(stock_distiller(loss, connectors)))
    losses = model(torch.rand(4, 3, 8, 8), mode='loss')
    losses['distill.loss_f'].backward()
    assert model.student.backbone.conv.weight.grad.abs().sum() > 0
    parameters = dict(model.distiller.named_parameters())
    assert len(parameters) == trained
    for name, parameter in parameters.items():
        assert parameter.grad.abs().sum() > 0, name
    assert all(p.grad is None for p in model.teacher.parameters())
