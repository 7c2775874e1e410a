"""Channels-last ways to embed and cut a map give what the plain ones do."""

import pytest
import torch
import torch.nn.functional as F

from mmtat.ops import (
    group_patches,
    mean_and_var,
    mix_channels,
    normalise_by,
    normalise_images,
    pool_anchors,
)

FORMATS = [torch.contiguous_format, torch.channels_last]


def feature(size=(7, 9), memory_format=torch.contiguous_format):
    made = torch.randn(3, 5, *size, dtype=torch.float64)
    return made.to(memory_format=memory_format).requires_grad_()


@pytest.mark.parametrize('memory_format', FORMATS)
def test_mixed_channels_are_a_convolution_and_lie_together(memory_format):
    own = feature(memory_format=memory_format)
    weight = torch.randn(4, 5, dtype=torch.float64, requires_grad=True)
    expected = F.conv2d(own, weight[:, :, None, None])
    found = mix_channels(own, weight)
    torch.testing.assert_close(found, expected)
    assert found.is_contiguous(memory_format=torch.channels_last)
    slope = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, (own, weight), slope),
        torch.autograd.grad(expected, (own, weight), slope),
    )


@pytest.mark.parametrize('images', [1, 3])
@pytest.mark.parametrize('memory_format', FORMATS)
def test_images_are_normalised_one_by_one(images, memory_format):
    own = feature(memory_format=memory_format)[:images]
    weight, bias = torch.randn(2, 5, dtype=torch.float64)
    torch.testing.assert_close(
        normalise_images(own, weight, bias, 1e-5),
        F.instance_norm(own, weight=weight, bias=bias, eps=1e-5),
    )


def test_given_statistics_get_the_gradient_of_the_batchs_own():
    own = feature()
    weight, bias = torch.randn(2, 5, dtype=torch.float64)
    expected = F.batch_norm(own, None, None, weight, bias, True, eps=1e-5)
    var, mean = torch.var_mean(own, (0, 2, 3), correction=0)
    torch.testing.assert_close(mean_and_var(own), (mean, var))
    found = normalise_by(own, (mean, var), weight, bias, 1e-5)
    torch.testing.assert_close(found, expected)
    slope = torch.randn_like(expected)
    torch.testing.assert_close(
        torch.autograd.grad(found, own, slope),
        torch.autograd.grad(expected, own, slope),
    )


@pytest.mark.parametrize('groups', [1, 2, 3, 4, 6, 12])
@pytest.mark.parametrize('size', [(4, 6), (5, 8)])
def test_patches_are_the_same_of_a_map_with_its_channels_last(groups, size):
    own = feature(size)
    expected = group_patches(own, (4, 3), groups)
    turned = own.detach().to(memory_format=torch.channels_last)
    found = group_patches(turned, (4, 3), groups)
    torch.testing.assert_close(found, expected, rtol=0, atol=0)
    assert found.is_contiguous(memory_format=torch.channels_last)


def test_anchors_of_a_map_with_its_channels_last_stay_so():
    own = feature((6, 9), torch.channels_last)
    found = pool_anchors(own, (3, 3))
    torch.testing.assert_close(found, pool_anchors(own.contiguous(), (3, 3)))
    assert found.is_contiguous(memory_format=torch.channels_last)
