"""Gradients taken in the forward are those of the ordinary backward."""

import copy

import pytest
import torch
from torch import nn

from mmtat.models.distillers.tat_layer import TaTLayer
from mmtat.models.distillers.tat_streaming import pass_of
from mmtat.ops import (
    EmbeddedPass,
    ImagePass,
    images_at_a_time,
    streamed_losses,
)

BRANCHES = dict(
    whole=dict(loss_weight=0.5),
    patch_group=dict(patches=(2, 3), groups=3, loss_weight=2.0),
    anchor_point=dict(anchors=(3, 3)),
)


WHOLE = dict(whole=dict())


def build(
    formulation='released', norm='image', kernel_size=1, student=4, **kwargs
):
    """A layer of 4 student and 5 teacher channels, streamed and not."""
    embedding = dict(kernel_size=kernel_size, norm=norm)
    settings = dict(
        formulation=formulation,
        query=embedding,
        key=embedding,
        value=embedding,
        branches=BRANCHES,
        resize=True,
    )
    direct = TaTLayer(
        student, 5, **dict(settings, **kwargs), stream=False
    ).double()
    for parameter in direct.parameters():
        nn.init.normal_(parameter)
    streamed = copy.deepcopy(direct)
    streamed.stream = True
    return direct, streamed


def maps(images=5, size=(6, 6), dtype=torch.float64):
    student = torch.randn(images, 4, *size, dtype=dtype)
    teacher = torch.randn(images, 5, 6, 6, dtype=dtype)
    return student.requires_grad_(), teacher


@pytest.fixture(autouse=True)
def two_at_a_time(monkeypatch):
    """Five images are three parts, the last of them smaller."""
    monkeypatch.setattr(
        'mmtat.models.distillers.tat_streaming.images_at_a_time', lambda x: 2
    )


def gradients(layer, losses, student):
    """Of the student's map, and of every parameter by its name."""
    named = dict(student=student, **dict(layer.named_parameters()))
    found = torch.autograd.grad(
        losses, list(named.values()), retain_graph=True
    )
    return dict(zip(named, found))


def assert_equal(first, second, atol=1e-9):
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(
            second[name], first[name], atol=atol, rtol=1e-9, msg=name
        )


@pytest.mark.parametrize('formulation', ['released', 'paper'])
@pytest.mark.parametrize('norm', ['image', 'batch', None])
@pytest.mark.parametrize('kernel_size', [1, 3])
@pytest.mark.parametrize('size', [(6, 6), (3, 4)])
def test_losses_and_gradients_are_those_of_the_whole_batch(
    formulation, norm, kernel_size, size
):
    direct, streamed = build(formulation, norm, kernel_size)
    student, teacher = maps(size=size)
    expected, found = direct(student, teacher), streamed(student, teacher)
    assert list(found) == list(expected)
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss)
    assert_equal(
        gradients(direct, sum(expected.values()), student),
        gradients(streamed, sum(found.values()), student),
    )
    buffers = dict(streamed.named_buffers())
    for name, buffer in direct.named_buffers():
        torch.testing.assert_close(buffers[name], buffer)


@pytest.mark.parametrize('formulation', ['released', 'paper'])
@pytest.mark.parametrize('groups', [1, 2, 3, 6])
@pytest.mark.parametrize('size', [(6, 6), (7, 9)])
@pytest.mark.parametrize(
    'memory_format', [torch.contiguous_format, torch.channels_last]
)
def test_patches_of_any_grouping_and_left_over_rows(
    formulation, groups, size, memory_format
):
    patch_group = dict(patches=(2, 3), groups=groups, loss_weight=2.0)
    branches = dict(BRANCHES, patch_group=patch_group)
    direct, streamed = build(formulation, branches=branches)
    student = torch.randn(3, 4, *size, dtype=torch.float64)
    student = student.to(memory_format=memory_format).requires_grad_()
    teacher = torch.randn(3, 5, *size, dtype=torch.float64)
    teacher = teacher.to(memory_format=memory_format)
    expected, found = direct(student, teacher), streamed(student, teacher)
    for name, loss in expected.items():
        torch.testing.assert_close(found[name], loss)
    assert_equal(
        gradients(direct, sum(expected.values()), student),
        gradients(streamed, sum(found.values()), student),
    )


@pytest.mark.parametrize(
    ('settings', 'kind'),
    [
        (dict(), EmbeddedPass),
        (dict(formulation='paper'), EmbeddedPass),
        (dict(norm='batch'), ImagePass),
        (dict(kernel_size=3), ImagePass),
        (dict(query=None), ImagePass),
        (dict(backend='plain'), ImagePass),
        (dict(backend='fused'), EmbeddedPass),
    ],
)
def test_what_is_done_by_hand(settings, kind):
    _, streamed = build(
        **dict(dict(formulation='released', branches=WHOLE), **settings),
        **({'student': 5} if 'query' in settings else {}),
    )
    channels = 5 if 'query' in settings else 4
    student = torch.randn(2, channels, 6, 6, dtype=torch.float64)
    teacher = torch.randn(2, 5, 6, 6, dtype=torch.float64)
    assert type(pass_of(streamed, student, teacher)) is kind
    with torch.autocast('cpu'):
        assert type(pass_of(streamed, student, teacher)) is ImagePass


@pytest.mark.parametrize('norm', ['image', 'batch'])
def test_a_norm_in_eval_mode_uses_what_it_remembers(norm):
    direct, streamed = build(norm=norm)
    student, teacher = maps()
    for layer in (direct, streamed):
        layer(student, teacher)
        layer.eval()
    expected, found = direct(student, teacher), streamed(student, teacher)
    assert_equal(
        gradients(direct, sum(expected.values()), student),
        gradients(streamed, sum(found.values()), student),
    )


@pytest.mark.parametrize('norm', ['image', 'batch'])
def test_losses_may_be_weighted_after_the_forward(norm):
    direct, streamed = build(norm=norm)
    student, teacher = maps()
    expected, found = direct(student, teacher), streamed(student, teacher)
    for weights in [(1, 0.5, 3), (2, 2, 2), (0, 1, 0), (1, 1, 1)]:
        totals = [
            sum(w * loss for w, loss in zip(weights, losses.values()))
            for losses in (expected, found)
        ]
        assert_equal(
            gradients(direct, totals[0], student),
            gradients(streamed, totals[1], student),
        )


def test_one_loss_alone_has_its_own_gradient():
    direct, streamed = build()
    student, teacher = maps()
    for name in BRANCHES:
        assert_equal(
            gradients(direct, direct(student, teacher)[name], student),
            gradients(streamed, streamed(student, teacher)[name], student),
        )


def test_the_running_statistics_move_once_in_a_step():
    direct, streamed = build(norm='batch')
    student, teacher = maps()
    for layer in (direct, streamed):
        losses = layer(student, teacher)
        losses['whole'].backward(retain_graph=True)
        (2 * losses['patch_group']).backward()
    for name, buffer in direct.named_buffers():
        torch.testing.assert_close(streamed.get_buffer(name), buffer)
    assert streamed.query.norm.num_batches_tracked == 1


@pytest.mark.parametrize('norm', ['image', 'batch'])
def test_a_frozen_student_and_frozen_embeddings_get_no_gradient(norm):
    direct, streamed = build(norm=norm)
    for layer in (direct, streamed):
        layer.key.requires_grad_(False)
    student, teacher = maps()
    student = student.detach()
    grads = []
    for layer in (direct, streamed):
        sum(layer(student, teacher).values()).backward()
        assert layer.key.conv.weight.grad is None and student.grad is None
        grads.append(layer.value.conv.weight.grad)
    torch.testing.assert_close(grads[1], grads[0])


def test_nothing_is_streamed_that_needs_no_gradient():
    _, streamed = build()
    student, teacher = maps()
    with torch.no_grad():
        assert not streamed(student, teacher)['whole'].requires_grad
    streamed.requires_grad_(False)
    assert not streamed(student.detach(), teacher)['whole'].requires_grad


def test_a_second_derivative_is_refused():
    _, streamed = build()
    student, teacher = maps()
    total = sum(streamed(student, teacher).values())
    with pytest.raises(RuntimeError, match='stream=False'):
        torch.autograd.grad(total, student, create_graph=True)


def test_gradients_of_float16_do_not_vanish():
    generator = torch.Generator().manual_seed(0)
    student = torch.randn(4, 4, 64, 64, generator=generator).half()
    student.requires_grad_()
    teacher = torch.randn(4, 4, 64, 64, generator=generator).half()
    losses = ImagePass(
        lambda own, other, _: [(own.float() - other.float()).square().mean()],
        [],
        images=1,
    )
    # As a GradScaler has it.
    (streamed_losses(losses, student, teacher)[0] * 2.0**16).backward()
    expected = 2 * (student.float() - teacher.float()) / student.numel()
    torch.testing.assert_close(
        student.grad.float() / 2.0**16, expected, atol=1e-9, rtol=2e-3
    )


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_autocast_reaches_a_backward_that_computes_again(dtype):
    _, streamed = build()
    streamed.float()
    student, teacher = maps(dtype=torch.float32)
    found = []
    for weights in [(1, 1, 1), (1, 1, 1 + 1e-6)]:
        with torch.autocast('cpu', dtype=dtype):
            losses = streamed(student, teacher).values()
            total = sum(w * loss for w, loss in zip(weights, losses))
        found.append(torch.autograd.grad(total, student)[0])
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=1e-3)


def test_the_map_of_one_part_lives_at_a_time():
    """Nothing of the size of the batch is made but the map's gradient."""
    made = []

    class Made(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            made.append(func(*args, **(kwargs or {})))
            return made[-1]

    _, streamed = build()
    student, teacher = maps(images=20)
    with Made():
        total = sum(streamed(student, teacher).values())
        torch.autograd.grad(total, student)
    given = {one.untyped_storage().data_ptr() for one in (student, teacher)}
    sizes = {
        one.untyped_storage().data_ptr(): one.untyped_storage().nbytes() // 8
        for one in made
        if isinstance(one, torch.Tensor)
    }
    sizes = sorted(size for ptr, size in sizes.items() if ptr not in given)
    # The largest of a part is the attention map of its two images.
    assert sizes[-2:] == [2 * 36 * 36, student.numel()]


def test_a_norm_that_looks_at_other_processes_is_not_streamed():
    direct, streamed = build(norm='batch')
    streamed.query.norm = nn.SyncBatchNorm(5)
    student, teacher = maps()
    with pytest.raises(ValueError, match='stream=True.*SyncBatchNorm'):
        streamed(student, teacher)


def test_large_maps_are_streamed_unless_told(monkeypatch):
    layer, _ = build()
    layer.stream = None
    student, teacher = maps()
    called = []
    monkeypatch.setattr(
        'mmtat.models.distillers.tat_layer.streamed_losses',
        lambda *args: called.append(args) or [],
    )
    layer(student, teacher)
    assert not called
    monkeypatch.setattr('mmtat.ops.streaming._LARGE', 4 * 36 * 8)
    layer(student, teacher)
    assert called


def test_a_cpu_takes_16_mib_of_maps_at_a_time():
    assert images_at_a_time(torch.empty(8, 256, 128, 128)) == 1
    assert images_at_a_time(torch.empty(8, 256, 64, 64)) == 4
    assert images_at_a_time(torch.empty(8, 1024, 128, 128)) == 1


def test_checkpointing_and_compilation_do_not_change_it():
    direct, streamed = build()
    student, teacher = maps()
    expected = gradients(
        direct, sum(direct(student, teacher).values()), student
    )
    compiled = torch.compile(streamed, backend='eager')
    found = sum(compiled(student, teacher).values())
    assert_equal(expected, gradients(streamed, found, student))
    total = torch.utils.checkpoint.checkpoint(
        lambda x: sum(streamed(x, teacher).values()),
        student,
        use_reentrant=False,
    )
    assert_equal(expected, gradients(streamed, total, student))


@pytest.mark.parametrize('stream', [True, False])
@pytest.mark.parametrize('norm', [nn.BatchNorm2d, nn.InstanceNorm2d])
@pytest.mark.parametrize(
    'memory_format', [torch.contiguous_format, torch.channels_last]
)
def test_one_image_may_come_from_a_norm(stream, norm, memory_format):
    """Their gradients are wrong where that of one image is laid out oddly."""
    layer, _ = build()
    layer.stream = stream
    own = norm(4, affine=True).double()
    teacher = torch.randn(1, 5, 6, 6, dtype=torch.float64)
    student = torch.randn(1, 4, 6, 6, dtype=torch.float64)
    student = student.to(memory_format=memory_format).requires_grad_()

    def loss(student):
        return sum(layer(own(student), teacher).values())

    found = torch.autograd.grad(loss(student), student)[0]
    step = torch.randn_like(student)
    step *= 1e-6 / step.norm()
    with torch.no_grad():
        slope = loss(student + step) - loss(student - step)
    torch.testing.assert_close(
        (found * step).sum() * 2, slope, rtol=1e-3, atol=1e-12
    )
