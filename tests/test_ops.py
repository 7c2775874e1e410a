"""The tensor functions against a naive reference written from the paper."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from mmtat.ops import (
    group_patches,
    pool_anchors,
    target_aware_attention,
    target_aware_loss,
)


def naive_loss(query, key, value, target):
    """Eq. 3-5, position by position."""
    batch, _, height, width = query.shape
    errors = []
    for n, y, x in itertools.product(
        range(batch), range(height), range(width)
    ):
        scores = [
            (query[n, :, y, x] * key[n, :, v, u]).sum()
            for v in range(key.shape[2])
            for u in range(key.shape[3])
        ]
        weights = torch.exp(torch.stack(scores) - torch.stack(scores).max())
        weights = weights / weights.sum()
        out = sum(
            weight * value[n, :, i // key.shape[3], i % key.shape[3]]
            for i, weight in enumerate(weights)
        )
        errors.append((out - target[n, :, y, x]) ** 2)
    return torch.stack(errors).mean()


def maps(batch, width, value_width, query_size, key_size, dtype=torch.float64):
    shapes = [
        (batch, width, *query_size),
        (batch, width, *key_size),
        (batch, value_width, *key_size),
        (batch, value_width, *query_size),
    ]
    return [
        torch.randn(shape, dtype=dtype, requires_grad=True) for shape in shapes
    ]


SHAPES = [
    (1, 1, 1, (1, 1), (1, 1)),
    (1, 3, 2, (2, 3), (2, 3)),
    (2, 4, 4, (3, 3), (3, 3)),
    (2, 5, 3, (2, 2), (4, 3)),
    (3, 2, 6, (4, 1), (1, 5)),
]


@pytest.mark.parametrize('shape', SHAPES)
def test_loss_and_gradients_equal_the_naive_reference(shape):
    arguments = maps(*shape)
    loss = target_aware_loss(*arguments)
    expected = naive_loss(*arguments)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    gradients = torch.autograd.grad(loss, arguments)
    references = torch.autograd.grad(expected, arguments, allow_unused=True)
    for gradient, reference in zip(gradients, references):
        torch.testing.assert_close(gradient, reference, rtol=1e-9, atol=1e-12)


def test_gradcheck():
    arguments = maps(2, 3, 2, (2, 2), (3, 2))
    assert torch.autograd.gradcheck(target_aware_loss, arguments)


@pytest.mark.parametrize(
    ('dtype', 'tolerance'), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)]
)
def test_lower_precisions_stay_near_float64(dtype, tolerance):
    arguments = maps(2, 16, 8, (4, 4), (4, 4))
    expected = target_aware_loss(*arguments).item()
    low = target_aware_loss(*(a.to(dtype) for a in arguments))
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(expected, rel=tolerance)


def test_logits_are_not_scaled_and_not_rounded_under_autocast():
    # Logits near 128 differ by 0.5: bfloat16 would call them equal.
    query = torch.ones(1, 128, 1, 1)
    key = torch.ones(1, 128, 1, 2)
    key[0, 0, 0, 1] = 1.5
    value = torch.tensor([[[[0.0, 1.0]]]])
    with torch.autocast('cpu', torch.bfloat16):
        out = target_aware_attention(query, key, value)
    expected = torch.sigmoid(torch.tensor(0.5))
    torch.testing.assert_close(out.flatten()[0], expected)


def test_swapping_query_and_key_changes_the_loss():
    query, key, value, target = maps(1, 4, 4, (3, 3), (3, 3))
    right = target_aware_loss(query, key, value, target).item()
    swapped = target_aware_loss(key, query, value, target).item()
    assert abs(right - swapped) > 0.01 * right


def test_a_constant_key_gives_the_mean_of_the_values():
    query, key, value, target = maps(2, 3, 4, (2, 2), (3, 3))
    out = target_aware_attention(query, torch.ones_like(key), value)
    mean = value.mean((2, 3), keepdim=True).expand_as(target)
    torch.testing.assert_close(out, mean)


@pytest.mark.parametrize(
    ('name', 'shape'),
    [
        ('key', (2, 5, 3, 3)),
        ('key', (1, 4, 3, 3)),
        ('value', (2, 6, 3, 2)),
        ('target', (2, 7, 3, 3)),
        ('target', (2, 6, 2, 3)),
        ('query', (2, 4, 9)),
    ],
)
def test_shapes_that_do_not_fit_raise_and_name_the_argument(name, shape):
    arguments = dict(
        query=torch.rand(2, 4, 3, 3),
        key=torch.rand(2, 4, 3, 3),
        value=torch.rand(2, 6, 3, 3),
        target=torch.rand(2, 6, 3, 3),
    )
    arguments[name] = torch.rand(shape)
    with pytest.raises(ValueError, match=f'^{name} must'):
        target_aware_loss(**arguments)


def test_what_is_no_tensor_raises():
    with pytest.raises(TypeError, match='value must be a tensor'):
        tensor = torch.rand(1, 2, 3, 3)
        target_aware_loss(tensor, tensor, None, tensor)


@pytest.mark.parametrize('groups', [1, 2, 3, 6])
@pytest.mark.parametrize('size', [(6, 9), (7, 11)])
def test_patch_groups_stack_patches_in_raster_order(groups, size):
    feature = torch.randn(2, 5, *size)
    n, m = 2, 3
    grouped = group_patches(feature, (n, m), groups)
    h, w = size[0] // n, size[1] // m
    p = n * m // groups
    assert grouped.shape == (2 * groups, p * 5, h, w)
    for b, patch, c in itertools.product(range(2), range(n * m), range(5)):
        row, column = divmod(patch, m)
        expected = feature[
            b, c, row * h : (row + 1) * h, column * w : (column + 1) * w
        ]
        group, inside = divmod(patch, p)
        actual = grouped[b * groups + group, inside * 5 + c]
        assert torch.equal(actual, expected)


def test_the_loss_of_groups_is_the_mean_over_groups():
    query, key, value, target = maps(1, 4, 4, (4, 4), (4, 4))
    parts = [group_patches(t, (2, 2), 2) for t in (query, key, value, target)]
    whole = target_aware_loss(*parts)
    single = [
        target_aware_loss(*(part[i : i + 1] for part in parts))
        for i in range(2)
    ]
    torch.testing.assert_close(whole, sum(single) / 2)


@pytest.mark.parametrize(
    ('patches', 'groups', 'message'),
    [
        ((9, 2), 1, 'patches must fit the map'),
        ((2, 2), 3, 'possible are 1, 2, 4'),
        ((2, 2), 0, 'groups must divide'),
        ((0, 2), 1, 'patches must be two positive integers'),
        ((2.0, 2), 1, 'patches must be two positive integers'),
    ],
)
def test_patches_that_cannot_be_cut_raise(patches, groups, message):
    with pytest.raises(ValueError, match=message):
        group_patches(torch.rand(1, 2, 8, 8), patches, groups)


@pytest.mark.parametrize(
    ('size', 'anchors'),
    [((8, 12), (4, 4)), ((17, 9), (8, 9)), ((5, 5), (1, 5))],
)
def test_anchors_are_means_of_their_windows(size, anchors):
    feature = torch.randn(2, 3, *size)
    pooled = pool_anchors(feature, anchors)
    assert pooled.shape == (2, 3, *anchors)
    h, w = size[0] // anchors[0], size[1] // anchors[1]
    for y, x in itertools.product(*map(range, anchors)):
        window = feature[:, :, y * h : (y + 1) * h, x * w : (x + 1) * w]
        torch.testing.assert_close(pooled[:, :, y, x], window.mean((2, 3)))


@pytest.mark.parametrize('anchors', [(24, 24), (65, 8), (40, 64)])
def test_anchors_that_the_map_cannot_give_raise(anchors):
    with pytest.raises(
        ValueError, match='cannot be pooled from a map of 64x64'
    ):
        pool_anchors(torch.rand(1, 1, 64, 64), anchors)


def test_the_message_names_the_nearest_anchors():
    with pytest.raises(ValueError, match='gives 21 or 32 anchors, not 24'):
        pool_anchors(torch.rand(1, 1, 64, 64), (24, 24))


def test_an_identical_target_gives_zero():
    query, key, value, _ = maps(1, 2, 3, (2, 2), (2, 2))
    out = target_aware_attention(query, key, value)
    assert F.mse_loss(out, out).item() == 0
    assert target_aware_loss(query, key, value, out).item() == 0
