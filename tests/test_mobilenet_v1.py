"""MobileNetV1: Table 1 of its paper, by hand."""

import pytest
import torch
from mmengine.registry import MODELS, init_default_scope

from mmtat.models import MobileNetV1
from mmtat.models.utils import load_config

from .voc import ROOT

CONFIGS = ROOT / 'configs' / 'imagenet'
#: Channels before and after each depthwise-separable block, as Table 1 of
#: arXiv 1704.04861 lists them.
BLOCKS = [
    (32, 64),
    (64, 128),
    (128, 128),
    (128, 256),
    (256, 256),
    (256, 512),
    *[(512, 512)] * 5,
    (512, 1024),
    (1024, 1024),
]


def counted(width):
    """Parameters of the classifier for 1000 classes, summed by hand."""
    # The stem's convolution and norm, and the classifier.
    total = 27 * 32 * width + 2 * 32 * width + 1000 * (1024 * width + 1)
    for a, b in BLOCKS:
        a, b = a * width, b * width
        total += 9 * a + 2 * a + a * b + 2 * b
    return total


def classifier(width=1.0):
    config = load_config(str(CONFIGS / 'mobilenet_v1.py'), 'config')
    init_default_scope('mmpretrain')
    config.model.backbone.width = width
    config.model.head.in_channels = int(1024 * width)
    return MODELS.build(config.model)


@pytest.mark.parametrize(
    'width, number',
    [(1.0, 4_231_976), (0.5, 1_331_592), (0.25, 470_072)],
)
def test_a_classifier_has_the_parameters_of_the_table(width, number):
    model = classifier(width)
    found = sum(parameter.numel() for parameter in model.parameters())
    assert found == number == counted(width)


def test_the_multiply_adds_are_those_that_the_paper_states():
    # 569 million for 224 x 224, Table 4 of the paper.
    size, total = 112, 27 * 32 * 112**2 + 1024 * 1000
    sizes = [112, 56, 56, 28, 28, *[14] * 6, 7, 7]
    backbone = MobileNetV1()
    blocks = [b for i in range(1, 6) for b in getattr(backbone, f'layer{i}')]
    assert len(blocks) == len(sizes)
    for block, (a, b), after in zip(blocks, BLOCKS, sizes):
        depthwise, pointwise = block[0][0], block[1][0]
        assert depthwise.stride == (size // after,) * 2
        assert depthwise.weight.shape == (a, 1, 3, 3)
        assert pointwise.weight.shape == (b, a, 1, 1)
        size = after
        total += (9 * a + a * b) * size**2
    assert round(total / 1e6) == 569


def test_every_stage_gives_its_map_in_the_order_asked_for():
    backbone = MobileNetV1(0.5, in_channels=1, out_indices=(4, 0, 1, 2, 3))
    maps = backbone.eval()(torch.randn(2, 1, 65, 64))
    assert [tuple(x.shape) for x in maps] == [
        (2, 512, 3, 2),
        (2, 32, 33, 32),
        (2, 64, 17, 16),
        (2, 128, 9, 8),
        (2, 256, 5, 4),
    ]
    assert all((x >= 0).all() and x.any() for x in maps)


def test_a_depthwise_convolution_keeps_channels_apart():
    block = MobileNetV1().layer1[0].eval()
    image = torch.zeros(1, 32, 5, 5)
    image[:, 3] = 1
    mixed = block[0][0](image)
    assert mixed[:, 3].any()
    mixed[:, 3] = 0
    assert not mixed.any()


@pytest.mark.parametrize('width', [0, -1, 0.01, float('inf'), None, '1'])
def test_a_width_that_cannot_be_is_refused_by_name(width):
    with pytest.raises(ValueError, match='width must be a number'):
        MobileNetV1(width)


def test_a_stage_that_is_not_there_is_refused_by_name():
    with pytest.raises(ValueError, match='stages from 0 to 4'):
        MobileNetV1(out_indices=(5,))
