"""Every method of configs/_base_/distillers, against its formula."""

import copy
import itertools
import pickle

import numpy as np
import pytest
import torch
from mmengine.model import ExponentialMovingAverage
from mmengine.registry import MODELS, DefaultScope
from scipy.stats import truncnorm

from .rivals import IMAGE, METHODS, build, distilled, features, method
from .test_relation_losses import naive_cc, naive_ickd, naive_sp, naive_wkd
from .toys import save_teacher


@pytest.mark.parametrize('name', METHODS)
def test_every_method_trains_the_student_and_all_of_its_own(name):
    model = build(method(name))
    losses = distilled(model)
    assert losses and all(torch.isfinite(loss) for loss in losses.values())
    sum(losses.values()).backward()
    assert model.student.backbone.conv.weight.grad.abs().sum() > 0
    for key, parameter in model.distiller.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key
    assert all(p.grad is None for p in model.teacher.parameters())


@pytest.mark.parametrize('name', METHODS)
def test_the_weight_scales_all_losses_of_a_method(name):
    losses = distilled(build(method(name)))
    weighted = distilled(build(method(name, loss_weight=0.25)))
    assert weighted.keys() == losses.keys()
    for key, loss in losses.items():
        assert loss > 0
        torch.testing.assert_close(weighted[key], 0.25 * loss)


def naive_l2(student, teacher):
    """Mean of the squared differences."""
    pairs = zip(student.flatten(), teacher.flatten())
    return sum((s - t) ** 2 for s, t in pairs) / student.numel()


def naive_at(student, teacher):
    """Mean of (Q_S / |Q_S| - Q_T / |Q_T|)^2, Q = sum_c A_c^2."""
    squares = []
    for s, t in zip(student, teacher):
        s, t = (sum(channel**2 for channel in x) for x in (s, t))
        s, t = (x / (x**2).sum().sqrt() for x in (s, t))
        squares += [((s - t) ** 2).flatten()]
    return torch.cat(squares).mean()


def naive_cwd(student, teacher):
    """1 / C sum_c KL(phi(t_c) || phi(s_c)), mean over images."""
    terms = []
    for s, t in zip(student.flatten(0, 1), teacher.flatten(0, 1)):
        s, t = (x.exp() / x.exp().sum() for x in (s, t))
        terms.append((t * (t / s).log()).sum())
    return sum(terms) / len(terms)


def naive_pkd(student, teacher):
    """1 - r of each channel; (m - 1) / m as the deviation is unbiased."""
    terms = []
    for c in range(student.shape[1]):
        pair = [x[:, c].flatten().detach().numpy() for x in (student, teacher)]
        m = len(pair[0])
        terms.append((1 - np.corrcoef(*pair)[0, 1]) * (m - 1) / m)
    return torch.tensor(sum(terms) / len(terms)).float()


def naive_mgd(student, teacher):
    """2e-5 of the sum of squares, mean over images."""
    return 2e-5 * naive_l2(student, teacher) * student[0].numel()


def huber(x, y):
    error = abs(x - y)
    return error**2 / 2 if error < 1 else error - 0.5


def naive_distances(student, teacher):
    """25 times Huber's loss of the distances over their mean."""
    tables = []
    for feature in (student, teacher):
        unit = [x / (x**2).sum().sqrt() for x in feature]
        pairs = list(itertools.product(unit, unit))
        far = [((a - b) ** 2).sum().sqrt() for a, b in pairs]
        mean = sum(far) / sum(1 for d in far if d > 0)
        tables.append([d / mean for d in far])
    losses = [huber(*pair) for pair in zip(*tables)]
    return 25 * sum(losses) / len(losses)


def naive_angles(student, teacher):
    """50 times Huber's loss of cos(angle) at each sample of two others."""
    tables = []
    for feature in (student, teacher):
        unit = [x / (x**2).sum().sqrt() for x in feature]
        table = []
        for corner, a, b in itertools.product(unit, unit, unit):
            a, b = a - corner, b - corner
            lengths = ((a**2).sum() * (b**2).sum()).sqrt()
            table.append((a * b).sum() / lengths if lengths > 0 else 0 * a[0])
        tables.append(table)
    losses = [huber(*pair) for pair in zip(*tables)]
    return 50 * sum(losses) / len(losses)


def naive_ofd(student, teacher):
    """1e-3 of the sum of squares, but where s <= t <= 0; mean over images."""
    total = 0
    for s, t in zip(student.flatten(), teacher.flatten()):
        total += 0 if s <= t <= 0 else (s - t) ** 2
    return total / len(student) / 1000


#: Reference of each method's losses of the features that reach them.
REFERENCES = dict(
    at=dict(loss_at=naive_at),
    cc=dict(loss_cc=naive_cc),
    cwd=dict(loss_cwd=naive_cwd),
    ickd=dict(loss_ickd=lambda s, t: naive_ickd(s, t, normalize=True)),
    l2=dict(loss_l2=naive_l2),
    mgd=dict(loss_mgd=naive_mgd),
    ofd=dict(loss_ofd=naive_ofd),
    pkd=dict(loss_pkd=naive_pkd),
    rkd=dict(loss_distance=naive_distances, loss_angle=naive_angles),
    sp=dict(loss_sp=naive_sp),
    wkd=dict(loss_wkd=naive_wkd),
)


@pytest.mark.parametrize('name', REFERENCES)
def test_a_methods_losses_equal_the_reference(name):
    # A mask that hides nothing, for the reference draws no other.
    bare = dict(type='MGDConnector', lambda_mgd=0.0)
    change = dict(student_connector=bare) if name == 'mgd' else {}
    model = build(method(name, loss_weight=0.5, **change))
    losses = distilled(model)
    student, teacher = features(model, model.distiller.pairs[0]['student'])
    if model.distiller.pool:
        student, teacher = student.mean((2, 3)), teacher.mean((2, 3))
    connectors = model.distiller.layer_connectors[0]
    student, teacher = (
        connectors['student'](student),
        connectors['teacher'](teacher),
    )
    assert losses.keys() == {f'distill.{key}' for key in REFERENCES[name]}
    for key, reference in REFERENCES[name].items():
        expected = 0.5 * reference(student, teacher)
        torch.testing.assert_close(
            losses[f'distill.{key}'], expected, rtol=2e-5, atol=1e-7
        )


def test_margins_are_the_teachers_mean_below_zero_once_it_is_loaded(tmp_path):
    state = save_teacher(tmp_path / 't.pth')
    state['backbone.norm.weight'].copy_(torch.linspace(-2, -1, 8))
    state['backbone.norm.weight'][::2] *= -1
    state['backbone.norm.bias'].copy_(torch.linspace(-1, 2, 8))
    # Hardly ever negative: it has no mean there.
    state['backbone.norm.bias'][3] = 9.0
    torch.save(dict(state_dict=state), tmp_path / 't.pth')
    model = build(method('ofd'), teacher_ckpt=str(tmp_path / 't.pth'))
    distilled(model)
    margin = model.distiller.layer_connectors[0]['teacher'].margin
    for channel in range(8):
        std = state['backbone.norm.weight'][channel].abs().item()
        mean = state['backbone.norm.bias'][channel].item()
        below = truncnorm(-float('inf'), -mean / std, mean, std).mean()
        expected = -3 * std if channel == 3 else below
        assert margin[0, channel, 0, 0].item() == pytest.approx(expected)


@pytest.mark.parametrize('name', ['crd', 'dkd'])
def test_a_copy_distils_as_the_model_does(name):
    model = build(method(name))
    images = model(IMAGE)
    copies = copy.deepcopy(model), ExponentialMovingAverage(model).module
    expected = distilled(model)
    for copied in copies:
        torch.testing.assert_close(distilled(copied), expected)
    copied = copy.deepcopy(model)
    torch.testing.assert_close(distilled(copied), distilled(model))
    restored = pickle.loads(pickle.dumps(model))
    torch.testing.assert_close(
        dict(restored.state_dict()), dict(model.state_dict())
    )
    assert restored(IMAGE).shape == images.shape


@pytest.mark.parametrize('name', ['crd', 'dkd', 'ofd'])
def test_it_works_inside_stock_single_teacher_distill(name):
    with DefaultScope.overwrite_default_scope('mmrazor'):
        model = MODELS.build(
            dict(
                type='mmrazor.SingleTeacherDistill',
                architecture=dict(type='ToySegmentor', width=4),
                teacher=dict(type='ToySegmentor', width=8),
                distiller=method(name),
            )
        )
    for step in (model, copy.deepcopy(model)):
        (loss,) = distilled(step).values()
        loss.backward()
        assert step.student.backbone.conv.weight.grad.abs().sum() > 0
