"""Maps of any shape, dtype and layout in memory, for tests of properties."""

import torch
from hypothesis import settings
from hypothesis import strategies as st

#: The same examples on every machine, and no time limit for a busy one.
FEW = settings(derandomize=True, deadline=None, max_examples=25, database=None)


def _contiguous(feature):
    return feature.clone(memory_format=torch.contiguous_format)


def _channels_last(feature):
    return feature.clone(memory_format=torch.channels_last)


def _transposed(feature):
    return _contiguous(feature.transpose(2, 3)).transpose(2, 3)


def _batch_last(feature):
    return _contiguous(feature.permute(1, 2, 3, 0)).permute(3, 0, 1, 2)


def _cut_out(feature):
    """Every second column of a larger map; what lies around is no number."""
    batch, channels, height, width = feature.shape
    larger = feature.new_full(
        (batch, channels + 2, height + 1, 2 * width + 1), _around(feature)
    )
    view = larger[:, 1:-1, 1:, 1::2]
    view.copy_(feature)
    return view


def _of_tokens(feature):
    """A transformer's: behind two tokens that are no part of the map."""
    batch, channels, height, width = feature.shape
    tokens = feature.new_full(
        (batch, 2 + height * width, channels), _around(feature)
    )
    tokens[:, 2:] = feature.flatten(2).transpose(1, 2)
    return tokens[:, 2:].transpose(1, 2).unflatten(2, (height, width))


def _around(feature):
    return float('nan') if feature.is_floating_point() else 77


#: Name to function: a map with the same values, laid out in another way.
LAYOUTS = dict(
    contiguous=_contiguous,
    channels_last=_channels_last,
    transposed=_transposed,
    batch_last=_batch_last,
    cut_out=_cut_out,
    of_tokens=_of_tokens,
)

layouts = st.sampled_from(sorted(LAYOUTS))
seeds = st.integers(0, 2**16)
sides = st.integers(1, 5)
sizes = st.tuples(sides, sides)
batches = st.integers(1, 4)
widths = st.integers(1, 6)


def numbers(seed, *shape, dtype=torch.float64):
    """Normally distributed, and the same for the same seed."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=dtype)


@st.composite
def maps(draw, sizes=sizes, widths=widths):
    """A map of float64, in any layout."""
    shape = draw(batches), draw(widths), *draw(sizes)
    return LAYOUTS[draw(layouts)](numbers(draw(seeds), *shape))


@st.composite
def attentions(draw, scales=(0.1, 1.0, 8.0)):
    """Query, key, value and target that fit, each in a layout of its own."""
    batch, width, value_width = draw(batches), draw(widths), draw(widths)
    query_size, key_size = draw(sizes), draw(sizes)
    shapes = [
        (batch, width, *query_size),
        (batch, width, *key_size),
        (batch, value_width, *key_size),
        (batch, value_width, *query_size),
    ]
    seed, scale = draw(seeds), draw(st.sampled_from(scales))
    return [
        LAYOUTS[draw(layouts)](scale * numbers(seed + index, *shape))
        for index, shape in enumerate(shapes)
    ]


@st.composite
def patchings(draw):
    """Patches, a number of groups that divides them, and a map's size."""
    n, m = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    groups = draw(st.sampled_from([g for g in range(1, 17) if n * m % g == 0]))
    height = n * draw(st.integers(1, 3)) + draw(st.integers(0, n - 1))
    width = m * draw(st.integers(1, 3)) + draw(st.integers(0, m - 1))
    return (n, m), groups, (height, width)
