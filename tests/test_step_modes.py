"""A step gives the same in every mode that it can be run in."""

import copy

import pytest
import torch
from mmengine.optim import AmpOptimWrapper
from mmengine.runner import turn_on_activation_checkpointing
from torch.utils.checkpoint import checkpoint

from . import running
from .steps import (
    IMAGES,
    assert_same,
    build,
    by_hand,
    config,
    in_half_precision,
    plain,
    through_wrapper,
    train,
)

STREAMED = pytest.mark.parametrize('stream', [False, True])
NORMS = pytest.mark.parametrize('norm', ['image', 'batch'])
#: Eight roundings of bfloat16, and four of float16: errors of a step's
#: gradients, by the largest of them, were measured to half of that.
TOLERANCE = {torch.bfloat16: 2**-5, torch.float16: 2**-8}
DOUBLE = IMAGES.double()


@pytest.fixture(autouse=True)
def two_images_at_a_time(monkeypatch):
    monkeypatch.setattr(
        'mmtat.models.distillers.tat_streaming.images_at_a_time', lambda x: 2
    )


@pytest.fixture(autouse=True)
def nothing_compiled_before():
    torch._dynamo.reset()


def checkpointed(model, name):
    """Checkpoint a part of the student, of the kind that builds a graph."""
    module = model.student.get_submodule(name)
    forward = module.forward
    module.forward = lambda x: checkpoint(forward, x, use_reentrant=False)


@STREAMED
@NORMS
def test_the_runners_step_is_the_plain_one(norm, stream):
    model = build(stream, norm)
    found = train(model, through_wrapper(model, DOUBLE))
    assert_same(found, plain(False, norm))


@STREAMED
@NORMS
@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_mixed_precision(dtype, norm, stream):
    model = build(stream, norm, dtype=torch.float32)
    found = train(model, in_half_precision(model, dtype))
    assert_same(found, plain(False, norm), TOLERANCE[dtype])


@STREAMED
@NORMS
def test_mixed_precision_of_the_runner(norm, stream):
    model = build(stream, norm, dtype=torch.float32)
    found = train(model, through_wrapper(model, kind=AmpOptimWrapper))
    assert_same(found, plain(False, norm), TOLERANCE[torch.bfloat16])


@STREAMED
def test_float16_finds_a_scale_for_a_large_loss(stream):
    model = build(stream, dtype=torch.float32)
    for loss in model.distiller.tat[0].losses.values():
        loss.loss_weight *= 2000.0
    step = in_half_precision(model, torch.float16, scale=2.0**16)
    taken = []
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-6)
    optimizer.register_step_pre_hook(lambda *args: taken.append(args))
    for _ in range(20):
        step(optimizer)
    # The scales are halved in the same steps.
    assert 5 < len(taken) < 20
    assert all(p.isfinite().all() for p in model.parameters())


@STREAMED
@NORMS
def test_accumulated_gradients(norm, stream):
    model = build(stream, norm)
    step = through_wrapper(model, DOUBLE, parts=2, accumulative_counts=2)
    found = train(model, step)
    assert_same(found, plain(False, norm, parts=2))
    if norm == 'image':
        # Nothing is of the batch: parts of it are the same as all.
        assert_same(found, plain(False, norm))


@STREAMED
@NORMS
@pytest.mark.parametrize('part', ['student', 'all'])
def test_channels_last(part, norm, stream):
    model = build(stream, norm)
    (model.student if part == 'student' else model).to(
        memory_format=torch.channels_last
    )
    images = DOUBLE.contiguous(memory_format=torch.channels_last)
    found = train(model, through_wrapper(model, images))
    assert_same(found, plain(False, norm))


@STREAMED
@pytest.mark.parametrize('backend', ['eager', 'aot_eager'])
def test_a_compiled_student(backend, stream):
    model = build(stream)
    model.student.compile(backend=backend)
    # What is compiled first is a forward that records nothing.
    model(DOUBLE)
    model.eval()(DOUBLE, mode='predict')
    model.train()
    found = train(model, through_wrapper(model, DOUBLE))
    assert_same(found, plain(False))


@pytest.mark.parametrize(
    ('stream', 'norm'),
    [
        (True, 'image'),
        (True, 'batch'),
        pytest.param(False, 'image', marks=pytest.mark.slow),
        pytest.param(False, 'batch', marks=pytest.mark.slow),
    ],
)
def test_a_compiled_loss(stream, norm):
    model = build(stream, norm)
    model.distiller.tat[0].compile(backend='aot_eager')
    found = train(model, through_wrapper(model, DOUBLE))
    assert_same(found, plain(False, norm))


@pytest.mark.slow
@STREAMED
@NORMS
def test_a_compiled_step(norm, stream):
    model = build(stream, norm)
    model.train_step = torch.compile(model.train_step, backend='aot_eager')
    found = train(model, through_wrapper(model, DOUBLE))
    assert_same(found, plain(False, norm))


@STREAMED
@pytest.mark.parametrize('part', ['body', 'body.0', 'head'])
@pytest.mark.parametrize('layer', ['body', 'body.0', 'body.1', 'body.2'])
def test_activation_checkpointing(layer, part, stream):
    model = build(stream, layer=layer)
    checkpointed(model, part)
    records = count_records(model)
    found = train(model, through_wrapper(model, DOUBLE))
    assert_same(found, plain(False, layer=layer))
    # Nor does the computation in the backward record anything.
    assert records == [1, 1, 1]
    recorders = model.distiller.student_recorders.recorders.values()
    assert not any(recorder.data_buffer for recorder in recorders)


def count_records(model):
    """How many records the loss finds, for each step."""
    counts = []
    compute = model.distiller.compute_distill_losses

    def counting():
        (recorder,) = model.distiller.student_recorders.recorders.values()
        counts.append(len(recorder.data_buffer))
        return compute()

    model.distiller.compute_distill_losses = counting
    return counts


@STREAMED
@pytest.mark.parametrize(
    ('layer', 'part'),
    [
        *[(layer, 'head') for layer in ('body', 'body.0', 'body.2')],
        ('body', 'body'),
        ('body.0', 'body.0'),
        # What a part ends with is recorded as what it returns.
        ('body.2', 'body'),
    ],
)
@pytest.mark.filterwarnings('ignore:.*use_reentrant')
def test_mmengines_activation_checkpointing(layer, part, stream):
    model = build(stream, layer=layer)
    turn_on_activation_checkpointing(model, f'architecture.{part}')
    found = train(model, through_wrapper(model, DOUBLE))
    assert_same(found, plain(False, layer=layer))


@pytest.mark.parametrize('layer', ['body.0', 'body.1'])
@pytest.mark.filterwarnings('ignore:.*use_reentrant')
def test_a_layer_that_a_checkpoint_hides_is_refused(layer):
    model = copy.deepcopy(build(False, layer=layer))
    turn_on_activation_checkpointing(model, 'architecture.body')
    for _ in range(2):
        with pytest.raises(ValueError, match=f"'{layer}'.*without a graph"):
            model(DOUBLE, mode='loss')
    # Where there is nothing to train, nothing is lost.
    model.student.body.requires_grad_(False)
    assert model(DOUBLE, mode='loss')['distill.loss_tat_patch_group'] > 0
    with torch.no_grad():
        assert build(False)(DOUBLE, mode='loss')['student.loss_seg'] > 0


@STREAMED
def test_mixed_precision_with_all_that_saves_memory(stream):
    model = build(stream, dtype=torch.float32)
    model.to(memory_format=torch.channels_last)
    checkpointed(model, 'body')
    images = IMAGES.contiguous(memory_format=torch.channels_last)
    step = through_wrapper(
        model, images, 2, AmpOptimWrapper, accumulative_counts=2
    )
    assert_same(train(model, step), plain(False), TOLERANCE[torch.bfloat16])


@STREAMED
def test_a_compiled_student_that_is_checkpointed_and_accumulates(stream):
    model = build(stream)
    model.to(memory_format=torch.channels_last)
    checkpointed(model, 'head')
    model.student.compile(backend='aot_eager')
    step = through_wrapper(model, DOUBLE, parts=2, accumulative_counts=2)
    assert_same(train(model, step), plain(False))


def run_on(tmp_path, stream, name, **overrides):
    """Train by the Runner for three steps; its model."""
    model = config(stream)
    model['distiller']['input_size'] = (8, 8)
    settings = running.toy_config(tmp_path / name, model, 3, **overrides)
    return running.train(settings)


def assert_same_student(runner, other):
    states = [each.model.state_dict() for each in (runner, other)]
    assert states[0].keys() == states[1].keys()
    for name, tensor in states[0].items():
        torch.testing.assert_close(tensor, states[1][name])


@STREAMED
def test_an_average_leaves_the_student_and_shares_the_teacher(
    tmp_path, stream
):
    runner = run_on(tmp_path, stream, 'plain')
    average = dict(type='EMAHook', momentum=0.5)
    averaged = run_on(tmp_path, stream, 'ema', custom_hooks=[average])
    assert_same_student(averaged, runner)
    (hook,) = [h for h in averaged.hooks if type(h).__name__ == 'EMAHook']
    copied = hook.ema_model.module
    assert copied.teacher is averaged.model.teacher
    for part in ('student', 'distiller'):
        own = dict(getattr(averaged.model, part).named_parameters())
        for name, mean in getattr(copied, part).named_parameters():
            assert mean is not own[name]
            assert not torch.equal(mean, own[name])


@pytest.mark.slow
@STREAMED
def test_a_run_compiled_by_the_runner(tmp_path, stream):
    runner = run_on(tmp_path, stream, 'plain')
    compiled = run_on(
        tmp_path, stream, 'compiled', compile=dict(backend='aot_eager')
    )
    assert_same_student(compiled, runner)


@pytest.mark.filterwarnings('ignore:.*use_reentrant')
def test_a_run_checkpointed_by_the_runner(tmp_path):
    runner = run_on(tmp_path, True, 'plain')
    part = ['architecture.head', 'architecture.body.0']
    other = run_on(tmp_path, True, 'other', activation_checkpointing=part)
    assert_same_student(other, runner)


@pytest.mark.parametrize('mode', ['predict', 'tensor'])
def test_validation_costs_what_the_student_alone_costs(mode):
    model = build(True)
    model.eval()
    called = []
    for part in (model.teacher, model.distiller):
        for module in part.modules():
            module.register_forward_pre_hook(lambda *args: called.append(args))
    found, own = operations_of(lambda: model(DOUBLE, mode=mode))
    expected, alone = operations_of(lambda: model.student(DOUBLE, mode=mode))
    assert torch.equal(found, expected)
    assert own == alone and 'aten.convolution' in own
    assert not called
    recorders = model.distiller.student_recorders.recorders.values()
    assert not any(recorder.data_buffer for recorder in recorders)


def operations_of(function):
    """What it returns, and the operations that it takes."""
    names = []

    class Names(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            names.append(str(func).rsplit('.', 1)[0])
            return func(*args, **(kwargs or {}))

    with Names():
        return function(), names


def test_a_checkpoint_is_the_students_and_the_embeddings(tmp_path):
    average = dict(custom_hooks=[dict(type='EMAHook')])
    runner = run_on(tmp_path, True, 'both', **average)
    model = dict(type='StepSegmentor')
    alone = running.train(
        running.toy_config(tmp_path / 'alone', model, 2, **average)
    )
    sizes = [
        elements(torch.load(tmp_path / name / 'iter_2.pth'))
        for name in ('both', 'alone')
    ]
    embeddings = elements(runner.model.distiller.state_dict())
    # Weights, their average and their momentum.
    assert alone.model.stem.weight.numel() * 3 < sizes[1]
    assert sizes[0] <= 1.1 * sizes[1] + 3 * embeddings


def elements(value):
    """Numbers in the tensors of a checkpoint."""
    if isinstance(value, torch.Tensor):
        return value.numel()
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return sum(elements(one) for one in value)
    return 0


def test_a_step_that_differs_is_noticed():
    model = build(False)
    found = train(model, by_hand(model, DOUBLE * 1.001))
    with pytest.raises(AssertionError):
        assert_same(found, plain(False), TOLERANCE[torch.float16] / 8)
