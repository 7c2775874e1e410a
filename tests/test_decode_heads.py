"""The plain decode head of DeepLabV3+ against one written out here."""

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS, DefaultScope
from torch import nn

from mmtat.models import DeepLabV3PlusHead

ARGUMENTS = dict(
    in_channels=6,
    in_index=1,
    channels=4,
    c1_in_channels=3,
    c1_channels=2,
    dilations=(1, 2, 3),
    num_classes=5,
    norm_cfg=dict(type='BN'),
    align_corners=True,
)


def make_head(**arguments):
    with DefaultScope.overwrite_default_scope('mmseg'):
        return MODELS.build(
            dict(ARGUMENTS, type='mmtat.DeepLabV3PlusHead', **arguments)
        )


def maps():
    """A low-level map and a deep one."""
    return torch.randn(2, 3, 9, 9), torch.randn(2, 6, 5, 5)


def unit(block, feature):
    """Convolution, norm by running statistics, ReLU."""
    conv, norm = block.conv, block.bn
    feature = F.conv2d(
        feature, conv.weight, None, 1, conv.padding, conv.dilation
    )
    mean, variance = norm.running_mean, norm.running_var
    feature = F.batch_norm(feature, mean, variance, norm.weight, norm.bias)
    return F.relu(feature)


def up(feature, size):
    return F.interpolate(feature, size, mode='bilinear', align_corners=True)


def shake(head):
    """Norms that do something."""
    for module in head.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return head


def test_the_head_is_what_its_picture_in_the_paper_says():
    head = shake(make_head()).double().eval()
    low, deep = (feature.double() for feature in maps())
    pooled = deep.mean((2, 3), keepdim=True)
    branches = [up(unit(head.image_pool[1], pooled), (5, 5))]
    branches += [unit(block, deep) for block in head.aspp_modules]
    projected = unit(head.bottleneck, torch.cat(branches, 1))
    low_level = unit(head.c1_bottleneck, low)
    fused = torch.cat([up(projected, (9, 9)), low_level], 1)
    decoded = unit(head.decoder.conv2, unit(head.decoder.conv1, fused))
    expected = F.conv2d(decoded, head.conv_seg.weight, head.conv_seg.bias)
    torch.testing.assert_close(head((low, deep)), expected)


def test_kernels_are_plain_and_of_the_stated_sizes():
    head = make_head()
    assert isinstance(head, DeepLabV3PlusHead)
    convs = {
        name: conv
        for name, conv in head.named_modules()
        if isinstance(conv, nn.Conv2d)
    }
    shapes = {name: tuple(conv.weight.shape) for name, conv in convs.items()}
    assert shapes == {
        'image_pool.1.conv': (4, 6, 1, 1),
        'aspp_modules.0.conv': (4, 6, 1, 1),
        'aspp_modules.1.conv': (4, 6, 3, 3),
        'aspp_modules.2.conv': (4, 6, 3, 3),
        'bottleneck.conv': (4, 16, 1, 1),
        'c1_bottleneck.conv': (2, 3, 1, 1),
        'decoder.conv1.conv': (4, 6, 3, 3),
        'decoder.conv2.conv': (4, 4, 3, 3),
        'conv_seg': (5, 4, 1, 1),
    }
    assert {conv.groups for conv in convs.values()} == {1}


def test_the_tap_gives_the_map_before_the_last_relu():
    head = shake(make_head()).eval()
    tapped = []
    head.get_submodule('decoder.conv2.bn').register_forward_hook(
        lambda module, inputs, output: tapped.append(output.clone())
    )
    logits = head(maps())
    (feature,) = tapped
    assert feature.shape == (2, 4, 9, 9) and feature.min() < 0
    torch.testing.assert_close(head.conv_seg(feature.relu()), logits)


def test_dropout_stands_in_three_places():
    head, seen = make_head(), []
    names = {module: name for name, module in head.named_modules()}
    for module in names:
        if type(module) is nn.Dropout or hasattr(module, 'conv'):
            module.register_forward_hook(
                lambda module, inputs, output: seen.append(names[module])
            )
    head(maps())
    assert seen.index('bottleneck') + 1 == seen.index('aspp_dropout')
    assert seen[-4:] == [
        'decoder.conv1',
        'decoder.dropout',
        'decoder.conv2',
        'dropout',
    ]
    places = head.aspp_dropout, head.decoder.dropout, head.dropout
    assert [place.p for place in places] == [0.5, 0.5, 0.1]


def test_dropout_drops_elements_and_not_channels():
    head = make_head(dropout_ratio=0.5)
    nn.init.eye_(head.conv_seg.weight.data[:, :, 0, 0])
    nn.init.zeros_(head.conv_seg.bias)
    dropped = head.cls_seg(torch.ones(1, 4, 30, 30))[0, :4]
    assert set(dropped.unique().tolist()) == {0, 2}
    shares = (dropped == 0).float().mean((1, 2))
    assert ((shares > 0.4) & (shares < 0.6)).all()


def test_all_dropped_behind_aspp_hides_the_deep_map():
    head = make_head(aspp_dropout_ratio=1.0)
    (low, deep), (other_low, other_deep) = maps(), maps()
    # Running statistics, so that nothing but the maps can differ.
    shake(head).eval().aspp_dropout.train()
    logits = head((low, deep))
    assert torch.equal(head((low, other_deep)), logits)
    assert not torch.allclose(head((other_low, deep)), logits)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (dict(c1_in_channels=0), 'c1_in_channels must be a positive integer'),
        (dict(c1_channels=1.5), 'c1_channels must be a positive integer'),
        (dict(dropout_ratio=1.5), 'dropout_ratio must be a number from 0 to'),
        (dict(aspp_dropout_ratio='half'), 'aspp_dropout_ratio must be a num'),
        (dict(decoder_dropout_ratio=-1), 'decoder_dropout_ratio must be a n'),
    ],
)
def test_a_head_refuses_what_cannot_be(arguments, message):
    with pytest.raises(ValueError, match=f'{message}'):
        make_head(**arguments)
