"""Backends of the loss: equal to a naive reference, and how they differ."""

import itertools
import json

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from mmtat.engine.benchmark.backends import (
    measure_backends,
    write_measurements,
)
from mmtat.models import TaTLoss
from mmtat.ops import (
    BACKENDS,
    check_backend,
    choose_backend,
    target_aware_loss,
)
from mmtat.ops.backends import MAX_MAP_BYTES, MEASUREMENTS

NAMES = ['plain', 'sdpa', 'fused', 'auto']
#: Relative to the largest element, in each dtype. The half ones are those of
#: rounding inputs, results and, in sdpa, the weights of a row.
TOLERANCES = {
    torch.float64: 1e-9,
    torch.float32: 1e-5,
    torch.bfloat16: 2e-2,
    torch.float16: 2e-3,
}


def naive_loss(query, key, value, target):
    """Eq. 3-5, query by query."""
    errors = []
    for n, y, x in itertools.product(
        range(len(query)), *map(range, query.shape[2:])
    ):
        scores = [
            (query[n, :, y, x] * key[n, :, v, u]).sum()
            for v, u in itertools.product(*map(range, key.shape[2:]))
        ]
        weights = torch.stack(scores).softmax(0)
        out = sum(
            weight * value[n, :, i // key.shape[3], i % key.shape[3]]
            for i, weight in enumerate(weights)
        )
        errors.append((out - target[n, :, y, x]) ** 2)
    return torch.stack(errors).mean()


def random_maps(
    batch=2, width=3, value_width=5, query_size=(5, 7), key_size=(3, 4)
):
    """Query, key, value and target in float64, with gradient."""
    shapes = [
        (batch, width, *query_size),
        (batch, width, *key_size),
        (batch, value_width, *key_size),
        (batch, value_width, *query_size),
    ]
    return [
        torch.randn(shape, dtype=torch.float64, requires_grad=True)
        for shape in shapes
    ]


def value_and_gradients(loss, maps):
    result = loss(*maps)
    return [result, *torch.autograd.grad(result, maps)]


def assert_near(actual, expected, tolerance):
    """Within a share of the largest element."""
    assert len(actual) == len(expected)
    for one, other in zip(actual, expected):
        assert one.shape == other.shape
        torch.testing.assert_close(
            one.double(),
            other.double(),
            rtol=0,
            atol=tolerance * other.abs().max().item(),
        )


def copies(maps, dtype=torch.float64, layout=torch.contiguous_format):
    return [
        m.detach().to(dtype, copy=True, memory_format=layout).requires_grad_()
        for m in maps
    ]


def run(name):
    return lambda *maps: target_aware_loss(*maps, backend=name)


# --- the same numbers -------------------------------------------------------


@pytest.mark.parametrize('dtype', TOLERANCES, ids=str)
@pytest.mark.parametrize('name', NAMES)
def test_every_backend_equals_the_naive_reference(name, dtype):
    maps = copies(random_maps(), dtype)
    expected = value_and_gradients(naive_loss, copies(maps))
    actual = value_and_gradients(run(name), maps)
    assert actual[0].dtype == torch.promote_types(dtype, torch.float32)
    assert [a.dtype for a in actual[1:]] == [dtype] * 4
    assert_near(actual, expected, TOLERANCES[dtype])


@pytest.mark.parametrize(
    'shape',
    [
        (1, 1, 1, (1, 1), (1, 1)),
        (3, 4, 4, (1, 6), (6, 1)),
        (2, 9, 2, (2, 2), (1, 1)),
        (1, 2, 9, (1, 1), (4, 4)),
    ],
)
@pytest.mark.parametrize('name', NAMES)
def test_every_backend_takes_any_widths_and_sizes(name, shape):
    maps = random_maps(*shape)
    expected = torch.autograd.grad(
        naive_loss(*maps), maps, materialize_grads=True
    )
    actual = torch.autograd.grad(run(name)(*maps), maps)
    for one, other in zip(actual, expected):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize('name', NAMES)
def test_every_backend_takes_channels_last(name, dtype):
    maps = copies(random_maps(), dtype, torch.channels_last)
    expected = value_and_gradients(naive_loss, copies(maps))
    actual = value_and_gradients(run(name), maps)
    assert_near(actual, expected, TOLERANCES[dtype])


@pytest.mark.parametrize('name', NAMES)
def test_every_backend_takes_crops_transposes_and_repeats(name):
    query, key, value, target = random_maps(2, 3, 5, (5, 7), (4, 4))
    maps = [
        query.detach()[:, :, 1:4, ::2],
        key.detach().transpose(2, 3),
        value.detach()[:, :, ::2].repeat(1, 1, 2, 1).flip(1),
        target.detach()[:, :, :1, :1].expand(2, 5, 3, 4),
    ]
    maps = [m.requires_grad_() for m in maps]
    expected = value_and_gradients(naive_loss, copies(maps))
    assert_near(value_and_gradients(run(name), maps), expected, 1e-9)


@pytest.mark.parametrize(
    'layout', [torch.contiguous_format, torch.channels_last], ids=str
)
@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize('heads', [1, 2, 5])
def test_blocks_that_do_not_divide_the_map_change_nothing(
    monkeypatch, heads, dtype, layout
):
    maps = copies(random_maps(5, 3, 4, (5, 7), (3, 4)), dtype, layout)
    expected = value_and_gradients(run('plain'), copies(maps))
    whole = 2 * (35 * 3 + 12 * 3 + 12 * 4 + 35 * 4 + 35 * (12 + 4))
    size = 8 if dtype == torch.float64 else 4
    # Less than one head's bytes, and blocks of 8 of its 35 rows; or 2 of 5.
    budget = whole * size * heads - (heads == 1)
    monkeypatch.setattr('mmtat.ops.backends.blocks._ROWS', dict(cpu=8))
    monkeypatch.setattr('mmtat.ops.backends.blocks._BYTES', dict(cpu=budget))
    actual = value_and_gradients(run('fused'), maps)
    assert_near(actual, expected, TOLERANCES[dtype])


@pytest.mark.parametrize(
    'needed',
    [
        needed
        for needed in itertools.product([False, True], repeat=4)
        if any(needed)
    ],
    ids=str,
)
def test_the_fused_loss_gives_the_gradients_that_are_asked_for(needed):
    maps = copies(random_maps())
    expected = torch.autograd.grad(run('plain')(*maps), maps)
    some = [m.detach().requires_grad_(need) for m, need in zip(maps, needed)]
    run('fused')(*some).backward()
    for feature, reference in zip(some, expected):
        if feature.requires_grad:
            torch.testing.assert_close(feature.grad, reference)
        else:
            assert feature.grad is None


@pytest.mark.parametrize('name', NAMES)
def test_without_gradient_the_value_is_the_same(name):
    maps = random_maps()
    expected = naive_loss(*maps).item()
    with torch.no_grad():
        assert run(name)(*maps).item() == pytest.approx(expected, rel=1e-12)
    with torch.inference_mode():
        assert run(name)(*maps).item() == pytest.approx(expected, rel=1e-12)
    loss = run(name)(*(m.detach() for m in maps))
    assert not loss.requires_grad
    assert loss.item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize('name', NAMES)
def test_large_logits_do_not_overflow(name):
    query, key, value, target = copies(random_maps(), torch.float32)
    maps = [query.detach() * 1e4, key.detach() * 1e4, value, target]
    # The weights are those of the largest logit: no gradient but of values.
    actual = run(name)(*maps)
    expected = naive_loss(*(m.detach().double() for m in maps))
    assert actual.item() == pytest.approx(expected.item(), rel=1e-4)
    assert all(
        g.isfinite().all()
        for g in torch.autograd.grad(actual, [value, target])
    )


@pytest.mark.parametrize('name', NAMES)
def test_logits_are_not_rounded_in_half_precision(name):
    # Logits near 128 differ by 0.5: bfloat16 would call them equal.
    query = torch.ones(1, 128, 1, 1)
    key = torch.ones(1, 128, 1, 2)
    key[0, 0, 0, 1] = 1.5
    value = torch.tensor([[[[0.0, 1.0]]]])
    expected = torch.sigmoid(torch.tensor(0.5)).item() ** 2
    maps = [query, key, value, torch.zeros(1, 1, 1, 1)]
    with torch.autocast('cpu', torch.bfloat16):
        loss = run(name)(*maps)
    assert loss.item() == pytest.approx(expected, rel=1e-6)
    loss = run(name)(*(m.bfloat16() for m in maps))
    assert loss.item() == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize('name', NAMES)
def test_under_autocast_float32_maps_are_computed_in_float32(name):
    maps = copies(random_maps(), torch.float32)
    expected = value_and_gradients(naive_loss, copies(maps))
    with torch.autocast('cpu', torch.bfloat16):
        loss = run(name)(*maps)
    assert loss.dtype == torch.float32
    actual = [loss, *torch.autograd.grad(loss, maps)]
    assert_near(actual, expected, 1e-5)


@pytest.mark.parametrize('name', NAMES)
def test_under_autocast_half_precision_maps_give_what_they_give_without(name):
    maps = copies(random_maps(), torch.bfloat16)
    expected = value_and_gradients(run(name), maps)
    with torch.autocast('cpu', torch.bfloat16):
        loss = run(name)(*maps)
    actual = [loss, *torch.autograd.grad(loss, maps)]
    assert all(map(torch.equal, actual, expected))


@pytest.mark.parametrize('name', NAMES)
def test_maps_of_different_dtypes_give_gradients_of_their_own(name):
    dtypes = [torch.float16, torch.float32, torch.bfloat16, torch.float64]
    maps = [
        m.detach().to(d).requires_grad_()
        for m, d in zip(random_maps(), dtypes)
    ]
    expected = value_and_gradients(naive_loss, copies(maps))
    actual = value_and_gradients(run(name), maps)
    assert [a.dtype for a in actual] == [torch.float32, *dtypes]
    assert_near(actual, expected, 1e-2)


@pytest.mark.parametrize('name', NAMES)
def test_float16_keeps_its_gradients_through_a_loss_scale(name):
    # 2 / 2**20 times small weights is nothing to float16: the mean over so
    # many elements lives by the loss scale.
    leaves = copies(random_maps(1, 8, 1024, (32, 32), (4, 4)), torch.float16)
    expected = value_and_gradients(run('plain'), copies(leaves))
    for _ in range(2):
        (run(name)(*leaves) * 65536 / 2).backward()
    for leaf, reference in zip(leaves, expected[1:]):
        assert leaf.grad.dtype == torch.float16
        assert_near([leaf.grad], [reference * 65536], TOLERANCES[leaf.dtype])


@pytest.mark.parametrize('name', NAMES)
def test_float16_values_have_their_gradient_without_a_loss_scale(name):
    # That of each error, 2 / 2**22, is not: only their sums are.
    query, key, value, target = random_maps(1, 4, 4096, (32, 32), (4, 4))
    maps = copies([query, key, value / 100, target / 100 + 1], torch.float16)
    expected = value_and_gradients(run('plain'), copies(maps))
    actual = value_and_gradients(run(name), maps)
    assert_near(actual[3:4], expected[3:4], TOLERANCES[torch.float16])


@pytest.mark.parametrize('name', NAMES)
def test_a_sum_beyond_the_range_of_float16_does_no_harm(name):
    maps = torch.zeros(3, 1, 1, 64, 64, dtype=torch.float16)
    query, key, value = maps[0], maps[1, ..., :1, :1], maps[2, ..., :1, :1]
    value = value.clone().requires_grad_()
    # Over 64 x 64 positions the errors add up to 81920.
    run(name)(query, key, value, query - 20).backward()
    assert value.grad.item() == 40


# --- what sets the fused one apart ------------------------------------------


class LargestOutput(TorchDispatchMode):
    """Notes the most elements that any operator made."""

    def __init__(self):
        super().__init__()
        self.elements = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in (
            result if isinstance(result, (tuple, list)) else [result]
        ):
            if isinstance(tensor, torch.Tensor):
                self.elements = max(self.elements, tensor.numel())
        return result


@pytest.mark.parametrize(
    ('name', 'is_small'), [('plain', False), ('fused', True), ('sdpa', True)]
)
def test_only_plain_makes_a_map_of_tokens_by_tokens(name, is_small):
    tokens = 48 * 48
    maps = copies(random_maps(1, 8, 8, (48, 48), (48, 48)), torch.float32)
    saved = []
    hooks = torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.numel()) or t, lambda t: t
    )
    with hooks, LargestOutput() as largest:
        run(name)(*maps).backward()
    assert (largest.elements <= tokens**2 // 4) == is_small
    assert (max(saved) <= 8 * tokens) == is_small


def test_the_fused_loss_keeps_no_more_than_the_gradients():
    maps = copies(random_maps())
    saved = []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.shape) or t, lambda t: t
    ):
        run('fused')(maps[0].detach(), *maps[1:])
    assert saved == [m.shape for m in maps[1:]]


@pytest.mark.skipif(
    not hasattr(torch._C._autograd, '_get_current_graph_task_keep_graph'),
    reason='this torch does not tell whether a backward is the last',
)
def test_the_last_backward_of_the_fused_loss_gives_away_what_it_kept():
    maps, saved = random_maps(), []
    with torch.autograd.graph.saved_tensors_hooks(
        lambda t: saved.append(t.data_ptr()) or t, lambda t: t
    ):
        loss = run('fused')(*maps)
    gradients = torch.autograd.grad(loss, maps)
    assert [gradient.data_ptr() for gradient in gradients] == saved


class KernelDtypes(TorchDispatchMode):
    """Notes in which dtypes the attention kernels of torch are called."""

    def __init__(self):
        super().__init__()
        self.dtypes = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if 'scaled_dot_product' in str(func):
            self.dtypes.add(args[0].dtype)
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ('dtype', 'expected'),
    [
        (torch.bfloat16, torch.bfloat16),
        (torch.float16, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_the_kernels_of_sdpa_compute_in_a_dtype_of_enough_range(
    dtype, expected
):
    maps = copies(random_maps(), dtype)
    with KernelDtypes() as kernels:
        run('sdpa')(*maps).backward()
    assert kernels.dtypes == {expected}


def test_a_second_derivative_of_the_fused_loss_is_refused():
    maps = random_maps()
    loss = run('fused')(*maps)
    with pytest.raises(RuntimeError, match="use backend='plain'"):
        torch.autograd.grad(loss, maps, create_graph=True)
    (gradient,) = torch.autograd.grad(
        run('plain')(*maps), maps[:1], create_graph=True
    )
    assert gradient.requires_grad


@pytest.mark.parametrize('dtype', [torch.float64, torch.float16], ids=str)
def test_a_retained_graph_gives_the_gradients_again(dtype):
    maps = copies(random_maps(), dtype)
    loss = run('fused')(*maps)
    first = torch.autograd.grad(loss, maps, retain_graph=True)
    kept = [gradient.clone() for gradient in first]
    second = torch.autograd.grad(3 * loss, maps, retain_graph=True)
    last = torch.autograd.grad(loss, maps)
    for once, before, more, again in zip(first, kept, second, last):
        assert torch.equal(once, before)
        assert torch.equal(again, before)
        torch.testing.assert_close(more, 3 * before)
    with pytest.raises(RuntimeError, match='a second time'):
        torch.autograd.grad(loss, maps)


def test_without_the_private_question_the_gradients_are_still_right(
    monkeypatch,
):
    monkeypatch.delattr(
        torch._C._autograd,
        '_get_current_graph_task_keep_graph',
        raising=False,
    )
    test_a_retained_graph_gives_the_gradients_again(torch.float64)


def test_gradcheck():
    maps = random_maps(2, 3, 2, (2, 2), (3, 2))
    assert torch.autograd.gradcheck(run('fused'), maps)


@pytest.mark.parametrize('use_reentrant', [False, True])
@pytest.mark.parametrize('name', NAMES)
def test_activation_checkpointing_changes_nothing(name, use_reentrant):
    maps = random_maps()
    expected = value_and_gradients(run('plain'), maps)
    loss = checkpoint(run(name), *maps, use_reentrant=use_reentrant)
    loss.backward()
    assert_near([loss, *(m.grad for m in maps)], expected, 1e-9)


@pytest.mark.parametrize('name', NAMES)
def test_a_compiled_model_gives_the_same(name):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.embedding = nn.Conv2d(3, 3, 1).double()
            self.loss = TaTLoss(2.0, backend=name)

        def forward(self, query, key, value, target):
            return self.loss(self.embedding(query), key, value, target).sin()

    model, maps = Model(), random_maps()
    expected = value_and_gradients(model, maps)
    torch._dynamo.reset()
    # Only the plain one promises a single graph.
    compiled = torch.compile(model, backend='eager', fullgraph=name == 'plain')
    assert_near(value_and_gradients(compiled, maps), expected, 1e-9)


@pytest.mark.parametrize('name', NAMES)
def test_a_dry_run_with_fake_tensors_works(name):
    with FakeTensorMode(), torch.no_grad():
        loss = run(name)(*torch.zeros(4, 2, 3, 50, 50))
    assert loss.shape == ()


def test_torch_func_is_served_by_the_plain_loss_and_auto_alone():
    maps = [m.detach() for m in random_maps()]
    for name in ('sdpa', 'fused'):
        with pytest.raises(
            ValueError, match="torch.func; possible are 'plain'$"
        ):
            torch.func.grad(run(name))(*maps)
    maps[0].requires_grad_()
    expected = torch.autograd.grad(run('plain')(*maps), maps[0])
    actual = torch.func.grad(run('auto'))(*maps)
    assert_near([actual], expected, 1e-9)


# --- refusals and the choice ------------------------------------------------


@pytest.mark.parametrize('name', ['triton', 'Plain', None, 3])
def test_an_unknown_backend_raises_and_names_those_there_are(name):
    message = "backend must be one of 'auto', 'plain', 'sdpa', 'fused', got"
    with pytest.raises(ValueError, match=message):
        check_backend(name)
    with pytest.raises(ValueError, match=message):
        TaTLoss(backend=name)
    with pytest.raises(ValueError, match=message):
        target_aware_loss(*random_maps(), backend=name)


def test_a_backend_that_refuses_says_why_and_names_the_others():
    maps = torch.empty(4, 1, 2, 3, 3, device='meta')
    message = (
        r"backend='sdpa' cannot serve .*\(1, 2, 3, 3\).* on 'meta' .*"
        r"possible are 'plain', 'fused'$"
    )
    with pytest.raises(ValueError, match=message):
        target_aware_loss(*maps, backend='sdpa')


@pytest.fixture
def measured(monkeypatch, tmp_path):
    """Puts rows (dtype, heads, tokens, width, backend, seconds) in place."""

    def put(*rows, device='cpu'):
        names = ('dtype', 'heads', 'tokens', 'width', 'backend', 'seconds')
        path = tmp_path / f'{len(list(tmp_path.iterdir()))}.json'
        rows = [dict(zip(names, row), device=device) for row in rows]
        path.write_text(json.dumps([dict(rows=rows)] if rows else []))
        monkeypatch.setattr('mmtat.ops.backends.choice.MEASUREMENTS', path)

    return put


def chosen(heads, tokens, width, dtype=torch.float32, device='cpu'):
    query = torch.empty(heads, width, tokens, 1, dtype=dtype, device=device)
    return choose_backend(query, query, query)


def test_auto_takes_the_fastest_at_the_nearest_measured_shape(measured):
    measured(
        ('float32', 64, 64, 1024, 'plain', 1.0),
        ('float32', 64, 64, 1024, 'sdpa', 0.9),
        ('float32', 64, 64, 1024, 'fused', 1.1),
        ('float32', 1, 4096, 256, 'sdpa', 5.0),
        ('float32', 1, 4096, 256, 'fused', 4.0),
        ('bfloat16', 1, 4096, 256, 'plain', 1.0),
    )
    assert chosen(32, 49, 2048) == 'sdpa'
    assert chosen(2, 900, 256) == 'fused'
    assert chosen(2, 900, 256, torch.bfloat16) == 'plain'
    assert chosen(32, 49, 2048, torch.float64) == 'sdpa'


def test_auto_follows_the_rules_where_nothing_was_measured(measured):
    measured(('float32', 1, 49, 512, 'sdpa', 1.0), device='cuda')
    assert chosen(64, 64, 1024) == 'plain'
    assert chosen(1, 512, 256) == 'plain'
    assert chosen(1, 513, 256) == 'fused'
    assert chosen(1, 1024, 256, torch.bfloat16) == 'sdpa'
    assert chosen(1, 2048, 512, torch.bfloat16) == 'fused'
    assert chosen(1, 1024, 256, torch.float16) == 'fused'


def test_auto_takes_no_backend_that_refuses(measured):
    rows = [
        ('float32', 1, 49, 512, 'plain', 2.0),
        ('float32', 1, 49, 512, 'sdpa', 1.0),
        ('float32', 1, 49, 512, 'fused', 3.0),
    ]
    measured(*rows)
    assert chosen(1, 49, 512) == 'sdpa'
    measured(*rows, device='meta')
    assert chosen(1, 49, 512, device='meta') == 'plain'


def test_auto_keeps_no_map_that_is_too_large(measured):
    measured(('float32', 1, 49, 512, 'plain', 1.0))
    tokens = int((MAX_MAP_BYTES / 4) ** 0.5)
    assert chosen(1, tokens, 2) == 'plain'
    assert chosen(1, tokens + 1, 2) == 'fused'


def test_the_measurements_kept_are_of_a_cpu_and_name_their_origin():
    (run,) = [
        run
        for run in json.loads(MEASUREMENTS.read_text())
        if run['device'] == 'cpu'
    ]
    assert run['command'].startswith('python tools/benchmark.py loss')
    assert run['torch'] and run['machine']['cpu']
    dtypes = {(row['dtype'], row['backend']) for row in run['rows']}
    assert dtypes >= set(itertools.product(['float32', 'bfloat16'], BACKENDS))
    assert all(row['seconds'] > 0 for row in run['rows'])


def test_measuring_writes_what_auto_reads(monkeypatch, tmp_path):
    path = tmp_path / 'measurements.json'
    path.write_text('[{"device": "cuda", "rows": []}]')
    cpu = torch.device('cpu')
    rows = measure_backends([(2, 9, 4)], cpu, ['float32'], repeats=2)
    assert [row['backend'] for row in rows] == list(BACKENDS)
    for _ in range(2):
        write_measurements(rows, cpu, 'python it', path)
    runs = json.loads(path.read_text())
    assert [run['device'] for run in runs] == ['cuda', 'cpu']
    assert runs[1]['command'] == 'python it'
    fastest = min(rows, key=lambda row: row['seconds'])['backend']
    monkeypatch.setattr('mmtat.ops.backends.choice.MEASUREMENTS', path)
    assert chosen(2, 9, 4) == fastest
    with pytest.raises(ValueError, match='must be of the device'):
        write_measurements(rows, torch.device('cuda'), '', path)
    with pytest.raises(ValueError, match='repeats must be at least 1'):
        measure_backends([(2, 9, 4)], cpu, ['float32'], repeats=0)
    with pytest.raises(ValueError, match="dtypes must be .* got 'half32'"):
        measure_backends([(2, 9, 4)], cpu, ['half32'])


@pytest.mark.gpu
@pytest.mark.parametrize(
    'dtype', [torch.float32, torch.bfloat16, torch.float16], ids=str
)
@pytest.mark.parametrize('name', NAMES)
@pytest.mark.parametrize(
    'shape',
    [
        (2, 3, 5, (5, 7), (3, 4)),
        (1, 512, 512, (16, 16), (16, 16)),
        (1, 64, 64, (48, 48), (48, 48)),
    ],
)
def test_on_a_gpu_every_backend_is_near_the_plain_one_in_float64(
    shape, name, dtype
):
    maps = [m.detach() * shape[1] ** -0.25 for m in random_maps(*shape)]
    maps = [m.cuda().to(dtype).requires_grad_() for m in maps]
    expected = value_and_gradients(run('plain'), copies(maps))
    actual = value_and_gradients(run(name), maps)
    assert_near(actual, expected, TOLERANCES[dtype])
