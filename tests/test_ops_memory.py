"""Where the tensor functions put things, and in which dtype."""

import pytest
import torch

from mmtat.ops import (
    HalfScale,
    ImagePass,
    PatchGroups,
    attention_row,
    images_at_a_time,
    is_large,
    match_features,
    target_aware_attention,
    with_gradient_laid_out,
)

from .layouts import LAYOUTS


@pytest.mark.parametrize('layout', ['channels_last', 'contiguous'])
def test_a_gradient_arrives_with_the_strides_of_its_map(layout):
    leaf = torch.rand(1, 3, 4, 5, requires_grad=True)
    feature = LAYOUTS[layout](leaf)
    seen = []
    feature.register_hook(lambda gradient: seen.append(gradient.stride()))
    for name in ('channels_last', 'contiguous'):
        weights = LAYOUTS[name](torch.rand(1, 3, 4, 5))
        out = with_gradient_laid_out(feature)
        out.backward(weights, retain_graph=True)
        assert torch.equal(leaf.grad, weights)
        leaf.grad = None
    # That of the only image moves nothing.
    assert [own[1:] for own in seen] == [feature.stride()[1:]] * 2


def test_a_map_without_a_gradient_is_left_as_it_is():
    feature = torch.rand(1, 2, 3, 3)
    assert with_gradient_laid_out(feature) is feature


@pytest.mark.parametrize('index', range(3))
def test_one_map_of_float64_makes_the_attention_float64(index):
    maps = [torch.rand(1, 2, 3, 3) for _ in range(3)]
    maps[index] = maps[index].double()
    out = target_aware_attention(*maps)
    assert out.dtype == torch.float64
    is_wide = index < 2
    row = attention_row(*maps[:2], 0)
    assert row.dtype == (torch.float64 if is_wide else torch.float32)
    exact = target_aware_attention(*(one.double() for one in maps))
    torch.testing.assert_close(out, exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    ('dtypes', 'expected'),
    [
        ((torch.bfloat16, torch.float16), torch.float32),
        ((torch.float32, torch.bfloat16), torch.float32),
        ((torch.float32, torch.float64), torch.float64),
    ],
)
def test_features_are_compared_in_one_dtype(dtypes, expected):
    features = [torch.rand(2, 3, dtype=dtype) for dtype in dtypes]
    for pair in (features, features[::-1]):
        assert {one.dtype for one in match_features(*pair)} == {expected}


def test_maps_are_large_from_a_mebibyte_on():
    assert is_large(torch.empty(1, 256, 32, 32))
    assert not is_large(torch.empty(9, 256, 32, 31))
    assert is_large(torch.empty(1, 512, 32, 32, dtype=torch.float16))


@pytest.mark.parametrize(('device', 'mebibytes'), [('cpu', 16), ('meta', 64)])
def test_as_many_images_are_taken_as_their_maps_have_room(device, mebibytes):
    # Maps of 3 MiB, and one that alone is more than there is room for.
    count = images_at_a_time(torch.empty(1, 768, 32, 32, device=device))
    assert (count, type(count)) == (mebibytes // 3, int)
    assert images_at_a_time(torch.empty(1, 2**25, 1, 1, device=device)) == 1


def test_the_scale_of_half_precision_is_halved_by_an_overflow_alone():
    scale = HalfScale()
    cpu = torch.device('cpu')
    assert scale.on(cpu).item() == 2**16
    # Finite, though the sum of its squares would not be.
    scale.settle([torch.full((4,), 6e4, dtype=torch.float16), None])
    assert scale.on(cpu).item() == 2**16
    for expected in (2**15, 2**14):
        scale.settle([torch.tensor([1.0, float('inf')])])
        assert scale.on(cpu).item() == expected
    scale.settle([torch.tensor([float('nan')])])
    assert scale.on(cpu).item() == 2**13
    for _ in range(20):
        scale.settle([torch.tensor([float('inf')])])
    assert scale.on(cpu).item() == 1
    assert scale.on(torch.device('meta')).device.type == 'meta'


@pytest.mark.parametrize(
    ('patches', 'groups', 'blocks'),
    [
        # Rows of patches: as many blocks as divide them, at most 8.
        ((8, 2), 16, 8),
        ((9, 2), 18, 3),
        ((7, 2), 14, 7),
        ((16, 2), 32, 8),
        # Groups of two whole rows, and of all of them.
        ((8, 2), 4, 4),
        ((4, 2), 1, 1),
    ],
)
def test_a_map_is_cut_into_at_most_8_blocks(patches, groups, blocks):
    cut = PatchGroups(patches, groups)
    rows = patches[0] // blocks
    assert (cut.blocks, cut.rows) == (blocks, rows)
    feature = torch.rand(*patches, 3)
    for block in range(blocks):
        regions = cut.view(feature, block).reshape(-1, 3)
        expected = feature[block * rows : (block + 1) * rows].reshape(-1, 3)
        assert torch.equal(regions, expected)


@pytest.mark.parametrize(
    ('patches', 'groups', 'expected'),
    [((4, 6), 8, True), ((4, 6), 2, True), ((4, 6), 6, False)],
)
def test_groups_are_parts_of_rows_or_whole_rows(patches, groups, expected):
    assert PatchGroups.serves(patches, groups) is expected


def test_a_map_that_no_loss_looks_at_gets_a_gradient_of_zero():
    student, teacher = torch.rand(2, 5, 3, 2, 2)
    weight = torch.tensor(2.0, requires_grad=True)
    images = ImagePass(
        lambda own, other, _: [weight * other.mean()], [weight], 2
    )
    values, (gradient, slope) = images.run(student, teacher, [True, True])
    torch.testing.assert_close(values, [2 * teacher.mean()])
    torch.testing.assert_close(slope, teacher.mean())
    assert torch.equal(gradient, torch.zeros_like(student))
