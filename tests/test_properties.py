"""What holds for maps of every shape, dtype and layout in memory."""

from unittest import mock

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mmtat.models.connectors import (
    ABFConnector,
    AnchorPointConnector,
    EmbeddingConnector,
    PatchGroupConnector,
)
from mmtat.models.distillers.tat_layer import TaTLayer
from mmtat.ops import (
    RegionGrid,
    attention_column,
    attention_entropy,
    attention_row,
    correlation_congruence_loss,
    gaussian_wasserstein_loss,
    group_patches,
    hierarchical_context_loss,
    inter_channel_correlation_loss,
    mean_and_var,
    mix_channels,
    negative_margin,
    normalise_images,
    pool_anchors,
    pooled_attention,
    rebuilt_map,
    scaled_channels,
    similarity_preserving_loss,
    target_aware_attention,
    target_aware_loss,
    tiled,
    tokens_and_grid,
    tokens_to_map,
    ungroup_patches,
    variational_information_loss,
    with_gradient_laid_out,
)

from .layouts import (
    FEW,
    LAYOUTS,
    attentions,
    batches,
    layouts,
    maps,
    numbers,
    patchings,
    seeds,
    sizes,
    widths,
)

BACKENDS = ['plain', 'sdpa', 'fused']
RELATIONS = [
    similarity_preserving_loss,
    correlation_congruence_loss,
    inter_channel_correlation_loss,
    hierarchical_context_loss,
    gaussian_wasserstein_loss,
]
backends = st.sampled_from(BACKENDS)


def reference_loss(query, key, value, target):
    """Eq. 3-5 of the paper, image by image, without torch."""
    errors = []
    for q, k, v, t in zip(*(m.numpy() for m in (query, key, value, target))):
        logits = np.einsum('chw,cuv->hwuv', q, k)
        weights = np.exp(logits - logits.max((2, 3), keepdims=True))
        weights /= weights.sum((2, 3), keepdims=True)
        rebuilt = np.einsum('hwuv,cuv->chw', weights, v)
        errors.append(((rebuilt - t) ** 2).mean())
    return float(np.mean(errors))


def loss_and_gradients(arguments, backend, needs=(True,) * 4):
    """Of those that need one; each argument stays the view that it is."""
    arguments = [
        argument.detach().requires_grad_(need)
        for argument, need in zip(arguments, needs)
    ]
    loss = target_aware_loss(*arguments, backend=backend)
    asked = [argument for argument in arguments if argument.requires_grad]
    return loss.detach(), torch.autograd.grad(loss, asked)


def assert_close(found, expected, tolerance=1e-9):
    torch.testing.assert_close(found, expected, rtol=tolerance, atol=tolerance)


# --- the loss ----------------------------------------------------------------


@FEW
@given(attentions(), backends)
def test_the_loss_is_that_of_the_paper_for_every_image(arguments, backend):
    found = target_aware_loss(*arguments, backend=backend).item()
    assert found == pytest.approx(reference_loss(*arguments), rel=1e-9)


@FEW
@given(attentions(scales=(0.1, 0.5)), backends, st.integers(0, 3), seeds)
def test_gradients_are_slopes_of_the_paper_s_formula(
    arguments, backend, index, seed
):
    direction = numbers(seed, *arguments[index].shape)
    step = 1e-5

    def moved(by):
        others = list(arguments)
        others[index] = arguments[index] + by * direction
        return reference_loss(*others)

    slope = (moved(step) - moved(-step)) / (2 * step)
    _, gradients = loss_and_gradients(arguments, backend)
    found = (gradients[index] * direction).sum().item()
    assert found == pytest.approx(slope, rel=1e-5, abs=1e-8)


@FEW
@given(attentions(), st.lists(st.booleans(), min_size=4, max_size=4))
def test_backends_agree_in_the_gradient_of_whatever_needs_one(
    arguments, needs
):
    needs[3] |= not any(needs)
    expected = loss_and_gradients(arguments, 'plain', needs)
    for backend in ('sdpa', 'fused'):
        assert_close(loss_and_gradients(arguments, backend, needs), expected)


@FEW
@given(attentions(), backends)
def test_neither_loss_nor_gradients_depend_on_the_layout(arguments, backend):
    plain = [LAYOUTS['contiguous'](argument) for argument in arguments]
    assert_close(
        loss_and_gradients(arguments, backend),
        loss_and_gradients(plain, backend),
    )


@FEW
@given(attentions(), backends)
def test_a_gradient_reaches_the_tensor_behind_a_view(arguments, backend):
    query, *others = arguments
    # Rows and columns of a leaf, of which the rest is not looked at.
    leaf = F.pad(query, (1, 2, 0, 1)).requires_grad_()
    view = leaf[:, :, : query.shape[2], 1 : 1 + query.shape[3]]
    target_aware_loss(view, *others, backend=backend).backward()
    _, (expected, *_) = loss_and_gradients(arguments, backend)
    assert_close(leaf.grad, F.pad(expected, (1, 2, 0, 1)))


@FEW
@given(attentions(), backends, st.integers(0, 3), st.integers(0, 3))
def test_expanded_maps_are_those_that_they_stand_for(
    arguments, backend, index, dim
):
    shape = arguments[index].shape
    leaf = arguments[index].narrow(dim, 0, 1).clone().requires_grad_()
    arguments = list(arguments)
    arguments[index] = leaf.expand(shape)
    loss = target_aware_loss(*arguments, backend=backend)
    loss.backward()
    arguments[index] = leaf.detach().expand(shape).contiguous()
    value, gradients = loss_and_gradients(arguments, backend)
    assert_close(loss.detach(), value)
    assert_close(leaf.grad, gradients[index].sum(dim, keepdim=True))


@FEW
@given(attentions(), backends)
def test_a_student_that_rebuilds_the_teacher_loses_nothing(arguments, backend):
    query, key, value, _ = arguments
    target = target_aware_attention(query, key, value)
    loss, gradients = loss_and_gradients((query, key, value, target), backend)
    assert loss.item() == pytest.approx(0, abs=1e-20)
    for gradient in gradients:
        assert_close(gradient, torch.zeros_like(gradient))


@FEW
@given(attentions(), backends)
def test_the_loss_is_never_negative_and_positive_elsewhere(arguments, backend):
    query, key, value, target = arguments
    assert target_aware_loss(*arguments, backend=backend) >= 0
    away = target_aware_attention(query, key, value) + 1
    loss = target_aware_loss(query, key, value, away, backend)
    assert loss.item() == pytest.approx(1, rel=1e-9)


@FEW
@given(attentions(), backends, st.randoms())
def test_permuting_the_images_permutes_the_gradients(
    arguments, backend, random
):
    order = list(range(len(arguments[0])))
    random.shuffle(order)
    loss, gradients = loss_and_gradients(arguments, backend)
    shuffled = [argument[order] for argument in arguments]
    found, others = loss_and_gradients(shuffled, backend)
    assert_close(found, loss)
    assert_close(others, tuple(gradient[order] for gradient in gradients))


@FEW
@given(attentions(), backends, st.randoms())
def test_the_order_of_the_keys_does_not_matter(arguments, backend, random):
    query, key, value, target = arguments
    order = list(range(key.shape[2:].numel()))
    random.shuffle(order)
    shuffled = [
        feature.flatten(2)[:, :, order].unflatten(2, feature.shape[2:])
        for feature in (key, value)
    ]
    assert_close(
        target_aware_loss(query, *shuffled, target, backend),
        target_aware_loss(*arguments, backend=backend),
    )


@FEW
@given(attentions(), backends, seeds)
def test_what_all_keys_share_changes_no_attention(arguments, backend, seed):
    query, key, value, target = arguments
    shared = numbers(seed, len(key), key.shape[1], 1, 1)
    assert_close(
        target_aware_loss(query, key + shared, value, target, backend),
        target_aware_loss(*arguments, backend=backend),
        1e-8,
    )


@FEW
@given(attentions(), backends, st.floats(-3, 3), st.floats(-3, 3))
def test_the_loss_is_quadratic_in_the_maps_that_it_compares(
    arguments, backend, factor, shift
):
    query, key, value, target = arguments
    moved = factor * value + shift, factor * target + shift
    assert_close(
        target_aware_loss(query, key, *moved, backend),
        factor**2 * target_aware_loss(*arguments, backend=backend),
        1e-8,
    )


@FEW
@given(attentions(), backends)
def test_the_loss_of_a_batch_is_the_mean_of_those_of_its_images(
    arguments, backend
):
    images = [
        loss_and_gradients([one[i : i + 1] for one in arguments], backend)
        for i in range(len(arguments[0]))
    ]
    loss, gradients = loss_and_gradients(arguments, backend)
    assert_close(loss, sum(own for own, _ in images) / len(images))
    for index, gradient in enumerate(gradients):
        single = torch.cat([own[index] for _, own in images])
        assert_close(gradient, single / len(images))


@FEW
@given(attentions(), st.integers(1, 7), st.integers(10, 16))
def test_blocks_of_the_fused_loss_are_the_whole(arguments, rows, bits):
    expected = loss_and_gradients(arguments, 'plain')
    # So few bytes that there are blocks of images, or of rows of one.
    with (
        mock.patch.dict('mmtat.ops.backends.blocks._ROWS', cpu=rows),
        mock.patch.dict('mmtat.ops.backends.blocks._BYTES', cpu=2**bits),
    ):
        found = loss_and_gradients(arguments, 'fused')
    assert_close(found, expected)


@FEW
@given(
    attentions(scales=(0.3,)),
    backends,
    st.sampled_from([torch.float32, torch.float16, torch.bfloat16]),
)
def test_lower_precisions_stay_near_and_give_gradients_of_their_dtype(
    arguments, backend, dtype
):
    low = [argument.to(dtype) for argument in arguments]
    loss, gradients = loss_and_gradients(low, backend)
    assert loss.dtype == torch.float32
    assert {gradient.dtype for gradient in gradients} == {dtype}
    # What was rounded away before is no fault of the loss.
    exact = [argument.double() for argument in low]
    expected, others = loss_and_gradients(exact, 'plain')
    tolerance = 1e-5 if dtype == torch.float32 else 3e-2
    assert loss.item() == pytest.approx(expected.item(), rel=tolerance)
    for gradient, other in zip(gradients, others):
        error = (gradient.double() - other).norm()
        assert error <= tolerance * other.norm() + 1e-6


@FEW
@given(
    attentions(scales=(0.3,)),
    backends,
    st.integers(0, 3),
    st.sampled_from([torch.float64, torch.bfloat16]),
)
def test_maps_of_mixed_dtypes_are_computed_in_the_widest(
    arguments, backend, index, dtype
):
    mixed = [argument.float() for argument in arguments]
    mixed[index] = mixed[index].to(dtype)
    loss, gradients = loss_and_gradients(mixed, backend)
    expected, others = loss_and_gradients([m.double() for m in mixed], 'plain')
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert [one.dtype for one in gradients] == [one.dtype for one in mixed]
    for gradient, other in zip(gradients, others):
        error = (gradient.double() - other).norm()
        # A gradient is rounded to its own map's dtype, and no other.
        bound = 1e-2 if gradient.dtype == torch.bfloat16 else 1e-4
        assert error <= bound * other.norm() + 1e-7
    if index < 3:
        wide = torch.float64 if dtype == torch.float64 else torch.float32
        assert loss.dtype == wide
        assert target_aware_attention(*mixed[:3]).dtype == wide
        assert attention_row(*mixed[:2], 0).dtype == (
            wide if index < 2 else torch.float32
        )


@FEW
@given(attentions(scales=(1.0,)), backends)
def test_autocast_changes_neither_loss_nor_gradients(arguments, backend):
    arguments = [argument.float().requires_grad_() for argument in arguments]
    with torch.autocast('cpu', torch.bfloat16):
        loss = target_aware_loss(*arguments, backend=backend)
    # The backward is outside of it, as torch asks for.
    found = loss.detach(), torch.autograd.grad(loss, arguments)
    assert_close(found, loss_and_gradients(arguments, backend), 0)


# --- the attention -----------------------------------------------------------


@FEW
@given(attentions())
def test_what_is_rebuilt_lies_between_the_values(arguments):
    query, key, value, _ = arguments
    out = target_aware_attention(query, key, value)
    assert (out >= value.amin((2, 3), keepdim=True) - 1e-9).all()
    assert (out <= value.amax((2, 3), keepdim=True) + 1e-9).all()
    assert_close(rebuilt_map(query, key, value), out)


def members(size, cell):
    """Which positions, row by row, lie in which cell: (cells, H*W)."""
    places = [(y, x) for y in range(size[0]) for x in range(size[1])]
    cells = [(y // cell[0], x // cell[1]) for y, x in places]
    return torch.tensor(
        [[one == own for own in cells] for one in sorted(set(cells))]
    ).double()


@FEW
@given(attentions(), sizes, sizes)
def test_parts_of_the_attention_are_those_of_the_whole(
    arguments, query_cell, key_cell
):
    query, key, _, _ = arguments
    whole = pooled_attention(query, key)
    assert_close(whole.sum(2), torch.ones_like(whole[:, :, 0]))
    for position in (0, whole.shape[1] - 1):
        assert_close(attention_row(query, key, position), whole[:, position])
    for position in (0, whole.shape[2] - 1):
        column = attention_column(query, key, position)
        assert_close(column, whole[:, :, position])
    pooled = pooled_attention(query, key, query_cell, key_cell)
    assert_close(pooled.sum(2), torch.ones_like(pooled[:, :, 0]))
    # A mean over the positions of a query's cell, a sum over a key's.
    rows = members(query.shape[2:], query_cell)
    columns = members(key.shape[2:], key_cell)
    rows = rows / rows.sum(1, keepdim=True)
    assert_close(pooled, rows @ whole @ columns.T)
    first = attention_column(query, key, 0)
    rebuilt = rebuilt_map(query, key, arguments[2])
    # Rows of the attention that are computed at a time.
    with mock.patch('mmtat.ops.attention_maps._BLOCK_ROWS', 2):
        assert_close(
            pooled_attention(query, key, query_cell, key_cell), pooled
        )
        assert_close(attention_column(query, key, 0), first)
        assert_close(rebuilt_map(query, key, arguments[2]), rebuilt)
        low = [one.bfloat16() for one in arguments]
        assert rebuilt_map(*low[:3]).dtype == torch.float32


@FEW
@given(attentions())
def test_the_entropy_goes_from_none_to_that_of_equal_weights(arguments):
    query, key, _, _ = arguments
    if key.shape[2:].numel() < 2:
        return
    assert -1e-12 <= attention_entropy(query, key) <= 1 + 1e-12
    same = key[:, :, :1, :1].expand_as(key)
    assert_close(attention_entropy(query, same).item(), 1.0)
    two = key.flatten(2)[:, :, :2, None]
    assert 0 <= attention_entropy(query, two) <= 1 + 1e-12
    low = query.float(), key.float()
    with torch.autocast('cpu', torch.bfloat16):
        found = attention_entropy(*low).item()
    exact = attention_entropy(query, key).item()
    assert found == pytest.approx(exact, rel=1e-3, abs=1e-4)


# --- the connectors ----------------------------------------------------------


@FEW
@given(patchings(), layouts, batches, widths, seeds)
def test_grouping_and_ungrouping_give_the_map_back(
    patching, layout, batch, width, seed
):
    patches, groups, size = patching
    feature = LAYOUTS[layout](numbers(seed, batch, width, *size))
    grouped = PatchGroupConnector(patches, groups)(feature)
    h, w = size[0] // patches[0], size[1] // patches[1]
    per_group = patches[0] * patches[1] // groups
    assert grouped.shape == (batch * groups, per_group * width, h, w)
    kept = feature[:, :, : patches[0] * h, : patches[1] * w]
    assert torch.equal(ungroup_patches(grouped, patches, groups), kept)


@FEW
@given(
    patchings(),
    layouts,
    st.sampled_from([torch.int64, torch.uint8, torch.bfloat16]),
)
def test_patches_of_any_dtype_and_layout_are_the_same(patching, layout, dtype):
    patches, groups, size = patching
    feature = numbers(0, 2, 3, *size).mul(50).to(dtype)
    expected = group_patches(feature, patches, groups)
    found = group_patches(LAYOUTS[layout](feature), patches, groups)
    assert found.dtype == dtype and torch.equal(found, expected)


@pytest.mark.parametrize(
    'memory_format', [torch.contiguous_format, torch.channels_last]
)
@pytest.mark.parametrize('groups', [1, 2, 8])
def test_patches_lie_in_memory_as_their_map_does(memory_format, groups):
    feature = torch.rand(2, 3, 8, 8).to(memory_format=memory_format)
    grouped = group_patches(feature, (4, 2), groups)
    assert grouped.is_contiguous(memory_format=memory_format)


@FEW
@given(patchings(), layouts, backends, seeds)
def test_the_loss_of_patches_is_that_of_each_group_alone(
    patching, layout, backend, seed
):
    patches, groups, size = patching
    arguments = [
        LAYOUTS[layout](0.3 * numbers(seed + i, 2, 3, *size)) for i in range(4)
    ]
    parts = [group_patches(one, patches, groups) for one in arguments]
    found = target_aware_loss(*parts, backend=backend).item()
    assert found == pytest.approx(reference_loss(*parts), rel=1e-9)


@FEW
@given(patchings())
def test_the_tokens_of_a_grid_are_those_of_the_grouped_map(patching):
    patches, groups, (height, width) = patching
    grid = RegionGrid.patch_groups((height, width), patches, groups)
    assert grid.groups == groups
    numbered = torch.arange(height * width).view(1, 1, height, width)
    # (g, p, h, w) -> (g, p, h*w): what stands in each token.
    grouped = group_patches(numbered, patches, groups).flatten(2).tolist()
    expected = {
        place: (group, token)
        for group, stacked in enumerate(grouped)
        for patch in stacked
        for token, place in enumerate(patch)
    }
    for y in range(height):
        for x in range(width):
            token = grid.token(y, x)
            assert token == expected.get(y * width + x)
            assert token is None or isinstance(token[0], int)


def fewest_joined(tokens, most, is_whole):
    """The least number of neighbours that leaves at most so many tokens."""
    h, w = tokens
    for factor in range(1, max(h, w) + 1):
        is_cut = h % factor or w % factor
        left = -(-h // factor) * -(-w // factor)
        if left <= most and (is_whole or not is_cut):
            return factor
    return 1


@FEW
@given(patchings(), st.integers(1, 9))
def test_the_weight_of_a_token_is_put_where_the_token_is(patching, most):
    patches, groups, size = patching
    full = RegionGrid.patch_groups(size, patches, groups)
    grid = full.pooled(most)
    factor = fewest_joined(full.tokens, most, patches == (1, 1))
    assert grid.cell == (factor, factor)
    h, w = grid.tokens
    weights = torch.arange(1.0, h * w + 1)
    for group in range(groups):
        picture = grid.enlarge(grid.spread(weights, group))
        assert picture.shape == size
        for y, row in enumerate(picture.tolist()):
            for x, weight in enumerate(row):
                token = grid.token(y, x)
                if token is None or token[0] != group:
                    assert weight != weight  # NaN
                else:
                    assert weight == token[1] + 1


@FEW
@given(sizes, sizes, st.integers(1, 30))
def test_a_whole_map_s_grid_has_every_position(size, cell, most):
    full = RegionGrid.whole(size, cell)
    grid = full.pooled(most)
    factor = fewest_joined(full.tokens, most, True)
    assert grid.cell == (cell[0] * factor, cell[1] * factor)
    h, w = grid.tokens
    assert grid.groups == 1
    assert h * w <= most
    assert (h - 1) * grid.cell[0] < size[0] <= h * grid.cell[0]
    assert (w - 1) * grid.cell[1] < size[1] <= w * grid.cell[1]
    picture = grid.enlarge(grid.spread(torch.arange(float(h * w)), 0))
    for y in range(size[0]):
        for x in range(size[1]):
            assert grid.token(y, x) == (0, picture[y, x])


@FEW
@given(maps(), st.integers(1, 8), st.integers(0, 2))
def test_channels_side_by_side_are_each_from_zero_to_one(feature, count, gap):
    feature = feature[0]
    scaled = scaled_channels(feature, count)
    assert len(scaled) == min(len(feature), count)
    for channel, picture in zip(feature, scaled):
        low, high = channel.min(), channel.max()
        expected = (channel - low) / (high - low) if high > low else 0 * low
        assert_close(picture, expected.float().expand_as(picture), 1e-5)
    canvas = tiled(scaled, gap)
    across = next(n for n in range(1, 9) if n * n >= len(scaled))
    down = -(-len(scaled) // across)
    height, width = scaled.shape[1:]
    h, w = height + gap, width + gap
    assert canvas.shape == (down * h + gap, across * w + gap)
    for index, picture in enumerate(scaled):
        row, column = divmod(index, across)
        y, x = row * h + gap, column * w + gap
        assert torch.equal(canvas[y : y + height, x : x + width], picture)
    assert canvas.isfinite().sum() == scaled.numel()


@FEW
@given(patchings(), layouts, batches, widths, seeds)
def test_anchors_are_means_of_cells_and_keep_what_is_constant(
    patching, layout, batch, width, seed
):
    (n, m), _, (height, width_) = patching
    # Whole cells: the anchors are as many as the patches.
    size = n * (height // n), m * (width_ // m)
    feature = LAYOUTS[layout](numbers(seed, batch, width, *size))
    pooled = AnchorPointConnector((n, m))(feature)
    cells = feature.contiguous().unflatten(3, (m, -1)).unflatten(2, (n, -1))
    assert_close(pooled, cells.mean((3, 5)))
    constant = feature[:, :, :1, :1].expand_as(feature)
    expected = constant[:, :, :1, :1].expand_as(pooled)
    assert_close(pool_anchors(constant, (n, m)), expected)


@FEW
@given(maps(), st.sampled_from([1, 3]), st.sampled_from(['image', None]))
def test_an_embedding_is_that_of_each_image_in_any_layout(
    feature, kernel_size, norm
):
    if norm and feature.shape[2:].numel() < 2:
        return
    connector = EmbeddingConnector(
        feature.shape[1], 4, kernel_size, norm
    ).double()
    conv = connector.conv
    expected = F.conv2d(feature, conv.weight, padding=kernel_size // 2)
    if norm:
        # Of one channel of one image: nothing else comes into it.
        mean = expected.mean((2, 3), keepdim=True)
        var = expected.var((2, 3), keepdim=True, correction=0)
        expected = (expected - mean) / (var + connector.norm.eps).sqrt()
    found = connector(feature)
    assert found.is_contiguous()
    assert_close(found, expected, 1e-8)
    for index in range(len(feature)):
        alone = connector(feature[index : index + 1])
        assert_close(alone, found[index : index + 1], 1e-8)


@FEW
@given(maps(), layouts, st.booleans())
def test_an_embedding_s_gradient_does_not_depend_on_the_layout(
    feature, layout, normed
):
    if feature.shape[2:].numel() < 2:
        return
    connector = EmbeddingConnector(
        feature.shape[1], 3, norm='image' if normed else None
    ).double()
    weights = numbers(1, len(feature), 3, *feature.shape[2:])

    def slope(one):
        leaf = one.detach().requires_grad_()
        out = connector(with_gradient_laid_out(leaf))
        return torch.autograd.grad(
            (out * weights).sum(), [leaf, connector.conv.weight]
        )

    expected = slope(LAYOUTS['contiguous'](feature))
    assert_close(slope(LAYOUTS[layout](feature)), expected, 1e-8)


@FEW
@given(maps())
def test_mixing_and_normalising_are_those_of_torch(feature):
    channels = feature.shape[1]
    weight = numbers(3, 4, channels)
    mixed = mix_channels(feature, weight)
    assert_close(mixed, F.conv2d(feature, weight[:, :, None, None]))
    if feature.shape[2:].numel() > 1:
        scale, shift = numbers(4, 2, channels)
        expected = F.instance_norm(feature, None, None, scale, shift, eps=0.1)
        found = normalise_images(feature, scale, shift, 0.1)
        assert_close(found, expected, 1e-8)
        alone = normalise_images(feature[:1], scale, shift, 0.1)
        assert_close(alone, expected[:1], 1e-8)
    var, mean = torch.var_mean(feature, (0, 2, 3), correction=0)
    assert_close(mean_and_var(feature), (mean, var), 1e-8)
    low = feature.bfloat16()
    found = mean_and_var(low)
    var, mean = torch.var_mean(low.float(), (0, 2, 3), correction=0)
    assert_close(found, (mean, var), 1e-5)


@FEW
@given(sizes, layouts, layouts, batches, seeds)
def test_a_fusion_of_levels_does_not_depend_on_the_layout(
    size, layout, other, batch, seed
):
    torch.manual_seed(seed)
    connector = ABFConnector([2, 3], [4, 5]).double().eval()
    height, width = size
    features = [
        numbers(seed, batch, 2, 2 * height, 2 * width),
        numbers(seed + 1, batch, 3, height, width),
    ]
    expected = connector(features)
    assert [one.shape[1] for one in expected] == [4, 5]
    laid_out = [
        LAYOUTS[name](one) for name, one in zip((layout, other), features)
    ]
    assert_close(connector(laid_out), expected)
    # Nothing of another image comes into it once the norms are fixed.
    alone = connector([one[:1] for one in laid_out])
    assert_close(alone, tuple(one[:1] for one in expected))


@FEW
@given(maps(), st.sampled_from([0, 1, 5, 8]))
def test_tokens_are_the_map_that_they_were(feature, leading):
    # (B, C, H, W) -> (B, H*W, C)
    tokens = feature.flatten(2).transpose(1, 2)
    before = tokens.new_full((len(tokens), leading, tokens.shape[2]), 9)
    grid = tuple(feature.shape[2:])
    tokens = torch.cat([before, tokens], 1)
    assert torch.equal(tokens_to_map(tokens, grid=grid), feature)
    # As the stages of a Swin Transformer return them.
    assert tokens_and_grid((tokens, grid)) == (tokens, grid)
    more = torch.cat(
        [
            tokens,
            tokens.new_zeros(len(tokens), 9, 1).expand(
                -1, -1, tokens.shape[2]
            ),
        ],
        1,
    )
    assert tokens_and_grid((more, grid))[1] is None


# --- a layer of TaT, streamed ------------------------------------------------


def streamed_and_whole(formulation, norm, at_a_time, weights, maps):
    """Losses and gradients of a layer of TaT, and those of its parts."""
    embedding = dict(norm=norm)
    branches = dict(
        whole=dict(),
        patch_group=dict(patches=(2, 2), groups=2, loss_weight=2.0),
        anchor_point=dict(anchors=(2, 2), loss_weight=0.5),
    )
    branches = dict(list(branches.items())[: len(weights)])
    layer = TaTLayer(
        *(3, 4, formulation),
        *(embedding, embedding, embedding),
        *(branches, False, False),
    ).double()
    student, teacher = maps

    def run(stream):
        layer.stream = stream
        leaf = student.detach().requires_grad_()
        losses = list(layer(leaf, teacher).values())
        asked = [leaf, *layer.parameters()]
        total = sum(loss * weight for loss, weight in zip(losses, weights))
        losses = [loss.detach() for loss in losses]
        return losses, torch.autograd.grad(total, asked)

    with mock.patch(
        'mmtat.models.distillers.tat_streaming.images_at_a_time',
        lambda feature: at_a_time,
    ):
        return run(True), run(False)


@FEW
@given(
    st.sampled_from(['released', 'paper']),
    st.sampled_from(['image', 'batch', None]),
    st.integers(1, 6),
    st.sampled_from([(1,), (2,), (1, 1), (1, 2), (2, 2, 2), (1, 2, 3)]),
    layouts,
    layouts,
    st.integers(2, 5),
    seeds,
)
def test_a_streamed_layer_gives_what_the_whole_batch_gives(
    formulation, norm, at_a_time, weights, layout, other, batch, seed
):
    torch.manual_seed(seed)
    student = LAYOUTS[layout](numbers(seed + 1, batch, 3, 4, 5))
    teacher = LAYOUTS[other](numbers(seed, batch, 4, 4, 5))
    (losses, gradients), (expected, others) = streamed_and_whole(
        formulation, norm, at_a_time, weights, (student, teacher)
    )
    assert min(expected) >= 0
    assert_close(losses, expected, 1e-8)
    assert_close(gradients, others, 1e-7)


@pytest.mark.parametrize('layout', sorted(LAYOUTS))
@pytest.mark.parametrize('weights', [(2,), (1, 2), (1, 1, 1), (1, 2, 3)])
def test_a_streamed_gradient_is_whole_in_every_layout(layout, weights):
    student = LAYOUTS[layout](numbers(1, 2, 3, 4, 5))
    teacher = numbers(2, 2, 4, 4, 5)
    found, expected = streamed_and_whole(
        'released', 'image', 1, weights, (student, teacher)
    )
    assert_close(found, expected, 1e-7)


# --- losses of other methods ---------------------------------------------


@pytest.mark.parametrize('loss', RELATIONS)
@FEW
@given(feature=maps(), layout=layouts, random=st.randoms())
def test_a_rival_s_loss_is_zero_for_equals_and_blind_to_order_and_layout(
    loss, feature, layout, random
):
    assert_close(loss(feature, feature).item(), 0.0)
    # Through views of one map, but another one.
    other = feature.flip(0) * 1.5 + feature.roll(1, 1)
    value = loss(feature, other)
    assert value >= 0
    assert_close(loss(LAYOUTS[layout](feature), other), value)
    order = list(range(len(feature)))
    random.shuffle(order)
    assert_close(loss(feature[order], other[order]), value)


def unit_rows(matrix):
    norms = np.linalg.norm(matrix, axis=-1, keepdims=True)
    return matrix / np.maximum(norms, 1e-12)


def reference_relations(feature):
    """What SP, CC and ICKD compare, by their papers' formulas."""
    maps = feature.numpy()
    flat = maps.reshape(len(maps), -1)
    cosine = unit_rows(flat) @ unit_rows(flat).T
    series = 1 + 0.8 * cosine + 0.8**2 / 2 * cosine**2
    channels = maps.reshape(*maps.shape[:2], -1)
    gram = channels @ channels.transpose(0, 2, 1)
    return [unit_rows(flat @ flat.T), np.exp(-0.8) * series, gram]


@FEW
@given(maps(), layouts)
def test_relations_are_those_of_the_papers(feature, layout):
    other = feature.flip(0) * 1.5 + feature.roll(1, 1)
    own, others = reference_relations(feature), reference_relations(other)
    for loss, one, another in zip(RELATIONS, own, others):
        found = loss(LAYOUTS[layout](feature), other)
        expected = ((one - another) ** 2).mean()
        assert found.item() == pytest.approx(expected, rel=1e-8, abs=1e-12)
    found = inter_channel_correlation_loss(feature, other, normalize=True)
    squares = (unit_rows(own[2]) - unit_rows(others[2])) ** 2
    expected = squares.mean() * feature.shape[1]
    assert found.item() == pytest.approx(expected, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize('loss', [*RELATIONS, variational_information_loss])
@FEW
@given(feature=maps())
def test_a_rival_s_loss_is_not_changed_by_autocast(loss, feature):
    feature = feature.float()
    arguments = [feature, feature.flip(0) * 1.5]
    if loss is variational_information_loss:
        arguments.append(torch.rand(feature.shape[1]) + 0.5)
    expected = loss(*arguments)
    with torch.autocast('cpu', torch.bfloat16):
        found = loss(*arguments)
    assert_close(found, expected, 0)
    exact = loss(*(argument.double() for argument in arguments))
    assert found.item() == pytest.approx(exact.item(), rel=1e-4, abs=1e-6)


@FEW
@given(maps(), layouts, seeds)
def test_the_variational_loss_is_the_likelihood_of_torch(
    feature, layout, seed
):
    teacher = LAYOUTS[layout](numbers(seed, *feature.shape))
    variance = numbers(seed + 1, feature.shape[1]).exp()
    expected = F.gaussian_nll_loss(
        feature, teacher, variance[:, None, None].expand_as(feature)
    )
    found = variational_information_loss(feature, teacher, variance)
    assert_close(found, expected)


@FEW
@given(widths, seeds)
def test_a_margin_is_the_mean_of_what_a_norm_gives_below_zero(width, seed):
    weight, bias = numbers(seed, 2, width) * torch.tensor([[1.0], [2.0]])
    deviation = weight.abs().numpy()
    bounds = -np.inf, -bias.numpy() / deviation
    below = stats.truncnorm.mean(*bounds, bias.numpy(), deviation)
    is_rare = stats.norm.cdf(bounds[1]) <= 0.001
    expected = np.where(is_rare, -3 * deviation, below)
    found = negative_margin(weight, bias)
    assert_close(found, torch.from_numpy(expected), 1e-6)
    assert_close(negative_margin(-weight, bias), found)
