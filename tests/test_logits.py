"""Distilling logits: KD, DIST and DKD, their labels, and maps of them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from mmengine.structures import BaseDataElement, PixelData

from mmtat.models.distillers.logits import LogitsDistillation

from .rivals import IMAGE, batch, build, distilled, method
from .toys import distillation


def naive_kd(student, teacher, tau):
    """tau^2 sum_k p_T log(p_T / p_S), mean over samples."""
    terms = []
    for s, t in zip(student / tau, teacher / tau):
        p_s, p_t = s.exp() / s.exp().sum(), t.exp() / t.exp().sum()
        terms.append(sum(b * (b / a).log() for a, b in zip(p_s, p_t)))
    return tau**2 * sum(terms) / len(terms)


def naive_dist(student, teacher, tau):
    """tau^2 (1 - mean r of the samples + 1 - mean r of the classes)."""
    s, t = ((x / tau).softmax(1).detach().numpy() for x in (student, teacher))
    loss = 0
    for first, second in ((s, t), (s.T, t.T)):
        pairs = zip(first, second)
        loss += 1 - np.mean([np.corrcoef(*pair)[0, 1] for pair in pairs])
    return torch.tensor(tau**2 * loss).float()


def naive_dkd(student, teacher, labels, tau, alpha, beta):
    """tau^2 (alpha KL(b_T, b_S) + beta KL(q_T, q_S)), mean over samples.

    b is (p_target, 1 - p_target), and q what is left without the target.
    """

    def divergence(p_t, p_s):
        return sum(t * (t / s).log() for t, s in zip(p_t, p_s))

    total = 0
    for s, t, label in zip(student / tau, teacher / tau, labels):
        binary, others = [], []
        for x in (t, s):
            p = x.exp() / x.exp().sum()
            binary.append([p[label], 1 - p[label]])
            rest = [p[k] for k in range(len(p)) if k != label]
            others.append([one / sum(rest) for one in rest])
        total += alpha * divergence(*binary) + beta * divergence(*others)
    return tau**2 * total / len(labels)


REFERENCES = {'KLDivergence': naive_kd, 'DISTLoss': naive_dist}
DKD = dict(type='DKDLoss', tau=2.0, alpha=1.0, beta=6.0)


def images(labels):
    """Data samples of mmpretrain's kind."""
    return [BaseDataElement(gt_label=torch.tensor([n])) for n in labels]


def scenes(labels):
    """Data samples of mmsegmentation's kind: maps (B, H, W)."""
    return [
        BaseDataElement(gt_sem_seg=PixelData(data=one[None])) for one in labels
    ]


def samples_of(logits):
    # (B, K, H, W) -> (B, H, W, K) -> (B*H*W, K)
    return logits.permute(0, 2, 3, 1).flatten(0, 2)


@pytest.mark.parametrize('tau', [1.0, 4.0])
@pytest.mark.parametrize('kind', REFERENCES)
def test_logits_equal_the_reference(kind, tau):
    student, teacher = torch.randn(2, 6, 5)
    loss = LogitsDistillation(type=kind, tau=tau)(student, teacher)
    expected = REFERENCES[kind](student, teacher, tau)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('kind', REFERENCES)
def test_each_pixel_of_a_map_is_a_sample(kind):
    student, teacher = torch.randn(2, 2, 5, 3, 4)
    loss = LogitsDistillation(type=kind, tau=2.0)(student, teacher)
    expected = REFERENCES[kind](samples_of(student), samples_of(teacher), 2.0)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_per_pixel_can_be_switched_off():
    student, teacher = torch.randn(2, 2, 5, 3, 4)
    distil = LogitsDistillation(per_pixel=False)
    loss = distil(student, teacher)
    pixels = LogitsDistillation()(student, teacher)
    # The mean over 2 images of sums, not that over 24 pixels.
    torch.testing.assert_close(loss, 12 * pixels)


def test_decoupled_logits_equal_the_reference():
    student, teacher = torch.randn(2, 6, 5)
    labels = [0, 4, 1, 1, 3, 2]
    loss = LogitsDistillation(**DKD)(student, teacher, images(labels))
    expected = naive_dkd(student, teacher, labels, 2.0, 1.0, 6.0)
    torch.testing.assert_close(loss, expected)


def test_decoupled_with_the_weights_of_its_sum_is_plain_distillation():
    # The paper: KD = TCKD + (1 - p_target of the teacher) NCKD.
    student, teacher = torch.randn(2, 1, 5)
    rest = 1 - teacher.softmax(1)[0, 3].item()
    loss = LogitsDistillation(type='DKDLoss', alpha=1.0, beta=rest)(
        student, teacher, images([3])
    )
    torch.testing.assert_close(loss, naive_kd(student, teacher, 1.0))


@pytest.mark.parametrize('ignored', [-100, 255, 5])
def test_samples_without_a_label_are_left_out(ignored):
    student, teacher = torch.randn(2, 4, 5)
    student.requires_grad_()
    distil = LogitsDistillation(**DKD)
    loss = distil(student, teacher, images([2, ignored, 0, ignored]))
    kept = distil(student[::2], teacher[::2], images([2, 0]))
    torch.testing.assert_close(loss, kept)
    loss.backward()
    reached = student.grad.abs().sum(1) > 0
    assert reached.tolist() == [True, False, True, False]


def test_maps_take_the_nearest_label_and_leave_the_ignored_out():
    student, teacher = torch.randn(2, 2, 3, 3, 2)
    labels = torch.randint(0, 3, (2, 7, 8))
    labels[0, :4] = 255
    loss = LogitsDistillation(**DKD)(student, teacher, scenes(labels))
    # A pixel of 3x2 takes the label of 7x8 at its upper left corner.
    near = labels[:, [0, 2, 4]][:, :, [0, 4]].flatten()
    known = near != 255
    assert 0 < known.sum() < len(near)
    expected = naive_dkd(
        samples_of(student)[known],
        samples_of(teacher)[known],
        near[known],
        2.0,
        1.0,
        6.0,
    )
    torch.testing.assert_close(loss, expected)


def test_labels_have_the_size_of_the_teachers_map():
    student, teacher = torch.randn(1, 3, 2, 2), torch.randn(1, 3, 4, 4)
    labels = torch.randint(0, 3, (1, 4, 4))
    distil = LogitsDistillation(**DKD)
    resized = F.interpolate(student, (4, 4), mode='bilinear')
    torch.testing.assert_close(
        distil(student, teacher, scenes(labels)),
        distil(resized, teacher, scenes(labels)),
    )


@pytest.mark.parametrize('dtype', [torch.float32, torch.float16])
def test_a_batch_without_any_label_gives_zero_and_a_gradient(dtype):
    # Their sum is beyond float16.
    student = torch.full((4, 5), 6e4).to(dtype).requires_grad_()
    teacher = torch.randn(4, 5)
    loss = LogitsDistillation(**DKD)(student, teacher, images([-100] * 4))
    loss.backward()
    assert loss.item() == 0
    assert torch.equal(student.grad, torch.zeros_like(student))


def test_half_precision_logits_are_compared_in_float32():
    student, teacher = torch.randn(2, 6, 5).bfloat16()
    labels = images([0, 4, 1, 1, 3, 2])
    distil = LogitsDistillation(**DKD)
    loss = distil(student, teacher, labels)
    assert loss.dtype == torch.float32
    expected = distil(student.float(), teacher.float(), labels)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize('name', ['kd', 'dist', 'dkd'])
def test_a_methods_loss_is_that_of_the_layers_of_logits(name):
    model = build(method(name))
    model.student.decode_head.dropout.p = 0
    (loss,) = distilled(model).values()
    student, teacher = model.student(IMAGE), model.teacher(IMAGE)
    labels = batch() if name == 'dkd' else None
    expected = model.distiller.logits(student, teacher, labels)
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize('kind', ['TaTDistiller', 'ReviewKDDistiller'])
def test_other_distillers_hand_labels_to_their_logits_too(kind):
    distiller = dict(
        type=f'mmtat.{kind}', layers=['backbone.conv'], logits=DKD
    )
    model = MODELS.build(distillation(distiller))
    losses = distilled(model)
    assert losses['distill.loss_logits'] > 0
    sum(losses.values()).backward()
    assert model.student.decode_head.conv_seg.weight.grad.abs().sum() > 0
