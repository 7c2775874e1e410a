"""Which map a number of tokens is, against every map that it may be."""

import pytest

from mmtat.ops import token_grid


def is_usual(stride, image):
    """Models have powers of two, and what divides both sides."""
    is_power = stride in (1, 2, 4, 8, 16, 32)
    return is_power or [side % stride for side in image] == [0, 0]


def candidates(count, image):
    """Each map with what it leaves over: usual ones, and others."""
    usual, others = set(), set()
    for stride in range(1, max(image) + 1):
        down = tuple(side // stride for side in image)
        up = tuple((side - 1) // stride + 1 for side in image)
        for h, w in (down, up):
            leading = count - h * w
            if h and w and is_usual(stride, image) and 0 <= leading <= 8:
                usual.add((leading, h, w))
            elif h and w and 0 <= leading <= 5:
                others.add((leading, h, w))
    return usual, others


@pytest.mark.parametrize(
    'image',
    [(1, 1), (2, 3), (8, 8), (7, 9), (9, 7), (12, 8), (6, 10), (15, 24)],
)
def test_every_number_of_tokens_is_the_map_that_leaves_fewest(image):
    outcomes = set()
    for count in range(1, image[0] * image[1] + 10):
        usual, others = candidates(count, image)
        best = min(usual | others, default=None)
        known = {one for one in usual if one[0] <= 5}
        if best is None:
            outcome = 'are no map'
        elif best not in usual and known:
            outcome = 'may be'
        else:
            assert token_grid(count, image) == best, count
            continue
        outcomes.add(outcome)
        with pytest.raises(ValueError, match=f'^{count} tokens .*{outcome}'):
            token_grid(count, image)
    if image[0] * image[1] > 50:
        assert 'are no map' in outcomes
