"""Parity with the released segmentation loss, in float64.

``data/tat_released.json`` holds numbers that the authors' code gave for
inputs and weights that a formula gives (its head says which).
"""

import json
from pathlib import Path

import pytest
import torch

from mmtat.models.distillers.tat_layer import TaTLayer

CASES = json.loads(
    (Path(__file__).parent / 'data' / 'tat_released.json').read_text()
)['cases']


def wave(shape, a, b):
    numel = torch.Size(shape).numel()
    return torch.sin(a * torch.arange(numel).double() + b).reshape(shape)


def pooled_size(case):
    """Anchors that the released code made; 16 of a side of 17 were 17."""
    sides = zip((case['H'], case['W']), case['anchor'])
    return tuple(side // (side // anchor) for side, anchor in sides)


def build_layer(case):
    layer = TaTLayer(
        case['Cs'],
        case['Ct'],
        formulation='released',
        query=dict(norm='image'),
        key=dict(norm='image'),
        value=dict(norm='image'),
        branches=dict(
            patch_group=dict(
                patches=(case['n'], case['m']),
                groups=case['heads'],
                loss_weight=case['beta'],
            ),
            anchor_point=dict(
                anchors=pooled_size(case), loss_weight=case['gamma']
            ),
        ),
        resize=False,
    ).double()
    factors = dict(query=(0.71, 0.2), key=(0.43, 0.4), value=(0.91, 0.6))
    with torch.no_grad():
        for index, (name, factor) in enumerate(factors.items()):
            part = getattr(layer, name)
            part.conv.weight.copy_(wave(part.conv.weight.shape, *factor) * 0.5)
            channels = part.norm.weight.shape
            part.norm.weight.copy_(1 + 0.1 * wave(channels, 1.3, index))
            part.norm.bias.copy_(0.1 * wave(channels, 1.7, index))
    return layer


def run(case):
    shape = case['H'], case['W']
    student = wave((case['B'], case['Cs'], *shape), 0.37, 0.1)
    teacher = wave((case['B'], case['Ct'], *shape), 0.53, 0.7)
    layer = build_layer(case)
    student.requires_grad_()
    losses = layer(student, teacher)
    # The released numbers are sums over the images.
    (sum(losses.values()) * case['B']).backward()
    return layer, student, losses


@pytest.mark.parametrize('case', CASES, ids=lambda c: f'groups{c["heads"]}')
def test_losses_equal_the_released_ones(case):
    _, _, losses = run(case)
    batch = case['B']
    patch_group = losses['patch_group'].item() / case['beta'] * batch
    anchor_point = losses['anchor_point'].item() / case['gamma'] * batch
    assert patch_group == pytest.approx(case['patch_group_sum'], rel=1e-9)
    assert anchor_point == pytest.approx(case['anchor_sum'], rel=1e-9)
    total = sum(losses.values()).item() * batch
    assert total == pytest.approx(case['total_sum'], rel=1e-9)


@pytest.mark.parametrize('case', CASES, ids=lambda c: f'groups{c["heads"]}')
def test_gradients_equal_the_released_ones(case):
    layer, student, _ = run(case)
    gradients = dict(
        f_s=student.grad,
        conv_q=layer.query.conv.weight.grad,
        bn_q_w=layer.query.norm.weight.grad,
        bn_q_b=layer.query.norm.bias.grad,
        conv_k=layer.key.conv.weight.grad,
        bn_k_w=layer.key.norm.weight.grad,
        conv_v=layer.value.conv.weight.grad,
        bn_v_w=layer.value.norm.weight.grad,
        bn_v_b=layer.value.norm.bias.grad,
    )
    assert set(gradients) == set(case['grad_norm_and_first'])
    for name, (norm, first) in case['grad_norm_and_first'].items():
        gradient = gradients[name]
        assert gradient.norm().item() == pytest.approx(norm, rel=1e-9), name
        assert gradient.flatten()[0].item() == pytest.approx(
            first, rel=1e-9, abs=1e-13
        ), name


def test_the_bias_of_the_keys_norm_gets_no_gradient():
    layer, _, _ = run(CASES[0])
    assert layer.key.norm.bias.grad.abs().max().item() < 1e-14
