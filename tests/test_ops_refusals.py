"""What the tensor functions refuse, by the name of the argument."""

import pytest
import torch

from mmtat.ops import (
    PatchGroups,
    RegionGrid,
    attention_entropy,
    check_levels,
    check_pair,
    check_positive,
    fuse_by_attention,
    group_patches,
    hierarchical_context_loss,
    match_features,
    negative_margin,
    pool_anchors,
    scaled_channels,
    target_aware_loss,
    tiled,
    variational_information_loss,
)

MAP = torch.rand(2, 3, 4, 4)
VECTOR = torch.rand(2, 3)


@pytest.mark.parametrize(
    ('function', 'arguments', 'kind', 'message'),
    [
        (
            target_aware_loss,
            (MAP.long(), MAP, MAP, MAP),
            ValueError,
            'query must be of a floating dtype, got torch.int64',
        ),
        (
            target_aware_loss,
            (MAP, MAP[:, :, :0], MAP[:, :, :0], MAP),
            ValueError,
            r'key is empty: \(2, 3, 0, 4\)',
        ),
        (
            attention_entropy,
            (MAP, MAP[:, :, :1, :1]),
            ValueError,
            r'key must have more than one position, got \(2, 3, 1, 1\)',
        ),
        (
            negative_margin,
            (0.5, VECTOR[0]),
            TypeError,
            "weight must be a tensor, got <class 'float'>",
        ),
        (
            negative_margin,
            (VECTOR[0], 0.5),
            TypeError,
            "bias must be a tensor, got <class 'float'>",
        ),
        (
            negative_margin,
            (VECTOR[0], VECTOR[0, :2]),
            ValueError,
            r'one shape \(C, \), got \(3,\) and \(2,\)',
        ),
        (
            negative_margin,
            (VECTOR, VECTOR),
            ValueError,
            r'one shape \(C, \), got \(2, 3\) and \(2, 3\)',
        ),
        (
            group_patches,
            ([1], (1, 1), 1),
            TypeError,
            "feature must be a tensor, got <class 'list'>",
        ),
        (
            pool_anchors,
            (VECTOR, (1, 1)),
            ValueError,
            r'feature must be a map of shape \(B, C, H, W\), got \(2, 3\)',
        ),
        (
            pool_anchors,
            (MAP[..., :3, :3], (2, 2)),
            ValueError,
            'a side of 3 gives 1 or 3 anchors, not 2',
        ),
        (
            check_pair,
            ('anchors', (2, True)),
            ValueError,
            r'anchors must be two positive integers .*, got \(2, True\)',
        ),
        (check_pair, ('anchors', 4), ValueError, 'anchors must be .* got 4'),
        (
            check_positive,
            ('tau', 0),
            ValueError,
            'tau must be a positive number, got 0',
        ),
        (
            check_positive,
            ('order', 1.5, True),
            ValueError,
            'order must be a positive integer, got 1.5',
        ),
        (check_positive, ('tau', float('inf')), ValueError, 'got inf'),
        (
            match_features,
            (MAP[0], MAP),
            ValueError,
            r'^s_feature must be .*\(N, C\) or \(N, C, H, W\)',
        ),
        (match_features, (MAP, MAP[0]), ValueError, '^t_feature must be '),
        (
            check_levels,
            (4,),
            ValueError,
            'levels must be a list of positive integers, got 4',
        ),
        (
            hierarchical_context_loss,
            (MAP, MAP, [4, 0]),
            ValueError,
            'each of levels must be .* got 0',
        ),
        (
            match_features,
            (MAP, MAP[:1]),
            ValueError,
            r's_feature must have the batch size of t_feature: expected \(1,',
        ),
        (
            fuse_by_attention,
            (MAP, MAP, MAP),
            ValueError,
            r'attention must be of shape \(2, 2, 4, 4\) .*got \(2, 3, 4, 4\)',
        ),
        (
            variational_information_loss,
            (MAP, MAP, torch.ones(2)),
            ValueError,
            r'variance must have one value .* expected \(3,\), got \(2,\)',
        ),
        (
            variational_information_loss,
            (MAP, MAP, 1.0),
            TypeError,
            "variance must be a tensor, got <class 'float'>",
        ),
        (
            PatchGroups,
            ((4, 6), 3),
            ValueError,
            r'patches=\(4, 6\) in groups=3: a group must be part of a row',
        ),
        (
            RegionGrid.patch_groups,
            ((8, 8), (2, 2), 3),
            ValueError,
            'groups must divide the 4 patches .* possible are 1, 2, 4',
        ),
    ],
)
def test_what_does_not_fit_is_named(function, arguments, kind, message):
    with pytest.raises(kind, match=message):
        function(*arguments)


@pytest.mark.parametrize('size', [(8, 12), (9, 13)])
def test_a_grid_of_anchors_is_that_of_the_pooled_map(size):
    grid = RegionGrid.anchor_points(size, (4, 4))
    assert (grid.groups, grid.per_group, grid.patches) == (1, 1, (1, 1))
    pooled = pool_anchors(torch.rand(1, 1, *size), (4, 4))
    picture = grid.enlarge(grid.spread(pooled.flatten(), 0))
    height, width = (side // 4 * 4 for side in size)
    # Each anchor stands for the positions of which it is the mean.
    back = pool_anchors(picture[None, None, :height, :width], (4, 4))
    torch.testing.assert_close(back, pooled)
    assert picture[height:].isnan().all() and picture[:, width:].isnan().all()


def test_pictures_of_channels_are_64_with_a_gap_of_1_by_default():
    scaled = scaled_channels(torch.rand(70, 2, 2))
    assert len(scaled) == 64
    # 8 rows of 8 channels, 2 pixels each, with 9 gaps.
    assert tiled(scaled).shape == (25, 25)
