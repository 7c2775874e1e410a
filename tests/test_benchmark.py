"""The benchmark's arithmetic, its references, and that each part runs."""

import json
import os
import signal
from dataclasses import dataclass

import pytest
import torch

from mmtat.engine import benchmark
from mmtat.engine.benchmark import (
    Result,
    Row,
    Settings,
    check_device,
    check_preset,
    losses,
    markdown,
    presets,
    run_checkpoints,
    run_loss,
    run_step,
    run_teacher,
    run_validation,
    steps,
    teachers,
)
from mmtat.engine.benchmark.arithmetic import (
    attention_products,
    embedding_products,
    flops_of,
)
from mmtat.engine.benchmark.candidate import Candidate
from mmtat.engine.benchmark.child import OutOfMemory
from mmtat.engine.benchmark.growth import Point, draw_growth, measure_growth
from mmtat.engine.benchmark.loss_candidates import Layer, Released
from mmtat.engine.benchmark.measure import measure
from mmtat.engine.benchmark.memory import (
    MIB,
    MemoryUse,
    _needed,
    batches_for,
    memory_use,
    peak_memory,
)
from mmtat.engine.benchmark.networks import Workload
from mmtat.engine.benchmark.presets import PRESETS, Preset
from mmtat.engine.benchmark.released import ReleasedLoss
from mmtat.engine.benchmark.steps import memory_bound
from mmtat.engine.benchmark.traffic import Traffic, count_traffic
from mmtat.engine.benchmark.workloads import NETWORKS, workloads_of
from mmtat.engine.timing import spread, time_in_turns
from mmtat.ops.backends import BACKENDS

from .voc import ROOT, run_tool

CPU = torch.device('cpu')
TOY = Preset('toy', channels=8, size=(8, 8), patches=(4, 4), groups=4)
LAYER = 'decode_head.convs.0'
CONFIG = """
def net(width):
    return dict(
        type='EncoderDecoder',
        _scope_='mmseg',
        data_preprocessor=dict(
            type='SegDataPreProcessor', size=(8, 8), pad_val=0),
        backbone=dict(
            type='ResNetV1c', depth=18, base_channels=width,
            stem_channels=width, norm_cfg=dict(type='SyncBN')),
        decode_head=dict(
            type='FCNHead', in_channels=8 * width, in_index=3,
            channels=2 * width, num_convs=1, num_classes=3,
            norm_cfg=dict(type='SyncBN')),
        test_cfg=dict(mode='whole'))

default_scope = 'mmseg'
model = dict(
    type='mmtat.FrozenTeacherDistill',
    architecture=net(4),
    teacher=net(8),
    distiller=dict(type='mmtat.TaTDistiller', layers=['decode_head.convs.0']))
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9))
del net
"""


@dataclass(frozen=True)
class Hungry(Candidate):
    """Takes 32 MiB for each image, and more than two images kill it."""

    name: str = 'hungry'
    end: str = ''

    def build(self, batch, device):
        def step():
            if batch > 2 and self.end == 'memory':
                raise torch.cuda.OutOfMemoryError('tried to allocate it')
            if batch > 2 and self.end == 'killed':
                os.kill(os.getpid(), signal.SIGKILL)
            if self.end == 'refused':
                raise ValueError('backend cannot serve width 3; possible: a')
            if self.end == 'mistake':
                raise KeyError('a bug')
            torch.ones(batch * 8 * MIB)

        return step


@dataclass(frozen=True)
class Greedy(Candidate):
    """Asks for a million GiB."""

    name: str = 'greedy'

    def build(self, batch, device):
        return lambda: torch.empty(2**48)


@pytest.fixture
def workload(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG)
    return Workload(str(path), LAYER, 64)


def settings(batch=1, repeats=1, **options):
    return Settings(CPU, batch, repeats, **options)


def by_name(result):
    return {row.name: row for row in result.rows}


# --- arithmetic of the numbers ----------------------------------------------


def test_growth_and_workspace_are_those_of_the_line_through_two_peaks():
    use = MemoryUse((2, 6), (500, 1300))
    assert use.growth == 200
    assert use.workspace == 100
    assert use.at(4) == 900


@pytest.mark.parametrize(
    'batch, device, least, expected',
    [
        (4, 'cpu', 1, (2, 6)),
        (1, 'cpu', 1, (1, 2)),
        (2, 'cpu', 2, (2, 4)),
        (16, 'cuda', 1, (8, 16)),
        (1, 'cuda', 1, (1, 2)),
        (2, 'cuda', 2, (2, 3)),
    ],
)
def test_memory_is_measured_at_two_different_batches(
    batch, device, least, expected
):
    assert batches_for(batch, torch.device(device), least) == expected


def test_the_spread_is_that_of_the_middle_half():
    assert spread([5.0, 1.0, 2.0, 3.0, 4.0]) == (2.0, 4.0)
    assert spread([3.0, 1.0]) == (1.0, 3.0)


def test_steps_take_turns_and_every_other_round_goes_backwards(monkeypatch):
    clock, calls = [0.0], []
    monkeypatch.setattr('time.perf_counter', lambda: clock[0])

    def step(name, seconds):
        calls.append(name)
        clock[0] += seconds

    times = time_in_turns(
        {'a': lambda: step('a', 1.0), 'b': lambda: step('b', 2.0)}, 3, CPU
    )
    assert calls == ['a', 'b', 'b', 'a', 'a', 'b']
    assert times == {'a': [1.0] * 3, 'b': [2.0] * 3}


def toy_result():
    rows = [
        Row('floor', [0.2, 0.1, 0.3], floor='floor'),
        Row('plain', [0.5, 0.4, 0.6], floor='floor'),
        Row(
            'ours',
            [0.25],
            MemoryUse((2, 4), (60 * MIB, 80 * MIB)),
            'floor',
            cells={'s more': 1.5},
        ),
        Row('lost', note='out of memory'),
    ]
    return Result('x', 'Toy', 4, rows, 'plain', ['A note.'], dict(size=3))


def test_ratios_are_of_medians_and_absent_where_a_row_has_no_time():
    result = toy_result()
    rows = by_name(result)
    assert result.ratio(rows['plain'], 'floor') == pytest.approx(2.5)
    assert result.ratio(rows['ours'], 'plain') == pytest.approx(0.5)
    assert result.ratio(rows['lost'], 'floor') is None
    assert result.ratio(rows['ours'], 'lost') is None


def test_the_table_can_be_pasted():
    assert markdown(toy_result()).splitlines() == [
        '|  | ms | × floor | × plain | peak MiB at 4 | '
        'MiB per further image | fixed MiB | s more | note |',
        '| --- | --- | --- | --- | --- | --- | --- | --- | --- |',
        '| floor | 200 [100, 300] | 1.00 | 0.40 |  |  |  |  |  |',
        '| plain | 500 [400, 600] | 2.50 | 1.00 |  |  |  |  |  |',
        '| ours | 250 [250, 250] | 1.25 | 0.50 | 80 | 10 | 40 | 1.5 |  |',
        '| lost |  |  |  |  |  |  |  | out of memory |',
        '',
        'A note.',
    ]


def test_a_report_says_what_was_measured_where_and_by_what():
    content = benchmark.report([toy_result()], CPU)
    assert {'command', 'machine', 'versions', 'results'} <= set(content)
    assert content['machine']['threads'] == torch.get_num_threads()
    assert content['machine']['cores'] >= 1 and content['machine']['cpu']
    assert content['versions']['torch'] == torch.__version__
    row = json.loads(json.dumps(content))['results'][0]['rows'][2]
    assert row['ratio_to_floor'] == pytest.approx(1.25)
    assert row['ratio_to_reference'] == pytest.approx(0.5)
    assert row['memory']['growth'] == 10 * MIB
    assert row['seconds'] == [0.25]


def test_the_bound_of_a_steps_memory_is_that_of_its_parts():
    def row(peak):
        return Row('', memory=MemoryUse((1, 2), (peak, peak)))

    rows = {
        steps.TEACHER: row(100),
        steps.STUDENT: row(300),
        steps.LOSS: row(7),
    }
    assert memory_bound(rows, 50, 4) == 357
    rows[steps.LOSS] = Row('', note='out of memory')
    assert memory_bound(rows, 50, 4) is None


# --- memory -----------------------------------------------------------------


def test_peak_memory_is_that_of_the_step_in_a_process_of_its_own():
    ballast = torch.ones(64 * MIB)
    use = memory_use(Hungry(), settings(2))
    assert use.batches == (1, 3)
    assert use.growth / MIB == pytest.approx(32, abs=3)
    assert use.workspace / MIB == pytest.approx(0, abs=8)
    del ballast


@pytest.mark.parametrize('end', ['memory', 'killed'])
def test_out_of_memory_is_reported_with_what_was_needed(end):
    row, other = measure([Hungry('a', end), Hungry('b')], settings(8))
    assert row.seconds == [] and row.memory is None
    assert row.note.startswith('out of memory: 4 images: ')
    # 4 images of 32 MiB, from the line through 1 and 2.
    assert 'about 0.1 GiB are needed (from 1 and 2 images)' in row.note
    assert len(other.seconds) == 1 and other.note == ''


def test_without_a_smaller_batch_the_need_comes_from_arithmetic():
    @dataclass(frozen=True)
    class Endless(Hungry):
        def estimate(self, batch):
            return 3 * 2**30 * batch

    said = _needed(Endless(), 1, settings(), {})
    assert said == 'about 3.0 GiB are needed (by arithmetic)'


def test_an_allocation_that_the_system_refuses_is_out_of_memory():
    with pytest.raises(OutOfMemory, match="can't allocate memory"):
        peak_memory(Greedy(), 1, settings())


def test_what_fits_alone_but_not_beside_others_says_so(monkeypatch):
    monkeypatch.setattr(
        'mmtat.engine.benchmark.measure.memory_use',
        lambda *args: MemoryUse((1, 3), (2**30, 3 * 2**30)),
    )
    (row,) = measure([Hungry(end='memory')], settings(4))
    assert row.note == (
        'out of memory: tried to allocate it; 4.0 GiB are needed beside the '
        'others'
    )


def test_a_refusal_is_said_in_its_row():
    (row,) = measure([Hungry(end='refused')], settings())
    assert row.note == 'cannot: backend cannot serve width 3; possible: a'
    assert row.seconds == []


def test_any_other_failure_ends_the_benchmark():
    with pytest.raises(RuntimeError, match="(?s)hungry.*KeyError: 'a bug'"):
        peak_memory(Hungry(end='mistake'), 1, settings())


# --- the loss ---------------------------------------------------------------


def test_presets_have_the_shapes_of_the_published_experiments():
    shapes = {name: preset.attentions for name, preset in PRESETS.items()}
    assert shapes == {
        'voc-r18': ((64, 64, 1024), (1, 1024, 256)),
        'voc-mbv2': ((1024, 16, 256), (1, 4096, 256)),
        'coco-r18': ((512, 16, 512), (1, 1024, 256)),
        'in1k-r18': ((1, 49, 512),),
        'exact': ((1, 16384, 256),),
    }
    assert PRESETS['voc-r18'].map_bytes == 16 * MIB
    assert PRESETS['voc-mbv2'].logits_bytes == 65 * MIB
    assert PRESETS['exact'].logits_bytes == 2**30


def test_the_arithmetic_is_that_of_the_cost_model():
    def gflop(products):
        return sum(2 * t * n * a * b * c for t, n, a, b, c in products) / 1e9

    preset = PRESETS['voc-r18']
    forward = embedding_products(preset)[:1]
    assert gflop(forward) == pytest.approx(6.44, abs=0.01)
    # Logits and output of 64 groups and of the anchors, 1.07 GFLOP each.
    logits, out, anchor_logits, anchor_out = (
        (1, *product[1:]) for product in attention_products(preset)
    )
    assert gflop([logits, out]) == pytest.approx(1.07, abs=0.01)
    assert gflop([anchor_logits, anchor_out]) == pytest.approx(1.07, abs=0.01)
    exact = [(1, *p[1:]) for p in attention_products(PRESETS['exact'])]
    assert gflop(exact) == pytest.approx(275, abs=1)
    assert flops_of(preset) / 1e9 == pytest.approx(23.6, abs=0.1)


@pytest.mark.parametrize(
    'preset',
    [
        TOY,
        Preset('a', 8, (9, 11), (4, 4), groups=2, anchors=(3, 5)),
        Preset('whole', 8, (5, 6), norms=('image',)),
        Preset('in1k', 8, (4, 4), None, 1, None, 3, False, ('batch',)),
    ],
    ids=lambda preset: preset.name,
)
def test_the_plain_released_loss_is_the_layers(preset):
    norm = preset.norms[0]
    plain = ReleasedLoss(preset, norm)
    layer = Layer('', preset, norm=norm).module()
    embeddings = ('query', 'key', 'value')[:: 1 if preset.has_key else 2]
    for name in embeddings:
        own, other = getattr(plain, name), getattr(layer, name)
        torch.nn.init.normal_(own[1].weight)
        torch.nn.init.normal_(own[1].bias)
        other.conv.weight.data.copy_(own[0].weight)
        other.norm.weight.data.copy_(own[1].weight)
        other.norm.bias.data.copy_(own[1].bias)
    student, teacher = torch.randn(2, 3, preset.channels, *preset.size)
    seen = []
    for module in (plain, layer):
        leaf = student.clone().requires_grad_()
        found = module.train()(leaf, teacher)
        sum(found.values()).backward()
        seen.append((found, leaf.grad))
    assert seen[0][0].keys() == seen[1][0].keys() == preset.branches().keys()
    for name, loss in seen[0][0].items():
        torch.testing.assert_close(
            seen[1][0][name], loss, rtol=1e-5, atol=1e-5
        )
    torch.testing.assert_close(seen[1][1], seen[0][1], rtol=1e-4, atol=1e-5)
    for name in embeddings:
        own, other = getattr(plain, name), getattr(layer, name)
        torch.testing.assert_close(
            other.conv.weight.grad, own[0].weight.grad, rtol=1e-4, atol=1e-5
        )
        torch.testing.assert_close(
            other.norm.weight.grad, own[1].weight.grad, rtol=1e-4, atol=1e-5
        )


def test_every_backend_and_norm_has_a_row():
    names = [c.name for c in losses.candidates_of(TOY)]
    assert names[:2] == ['floor: arithmetic', 'released, plain']
    for norm in ('image', 'batch'):
        for backend in ('auto', *BACKENDS):
            assert f'layer, norm per {norm}, {backend}' in names
    half = losses.candidates_of(TOY, ['float32', 'bfloat16'])
    assert 'layer, norm per image, auto, bfloat16' in [c.name for c in half]
    assert 'floor: arithmetic, bfloat16' in [c.name for c in half]
    exact = [c.name for c in losses.candidates_of(PRESETS['exact'])]
    assert exact[:2] == ['floor: attention (sdpa)', 'eager']
    assert {'auto', *BACKENDS} <= set(exact)


@pytest.mark.parametrize(
    'preset, dtypes',
    [
        (TOY, ['float32', 'bfloat16']),
        (Preset('exact', 8, (6, 6), norms=('image',)), ['float32']),
        (
            Preset('in1k', 8, (4, 4), None, 1, None, 3, False, ('batch',)),
            ['float32'],
        ),
    ],
    ids=['grouped', 'exact', 'in1k'],
)
def test_a_loss_is_timed_beside_its_floor_and_its_reference(
    preset, dtypes, monkeypatch
):
    monkeypatch.setattr(
        'mmtat.engine.benchmark.measure.memory_use',
        lambda *args: MemoryUse((1, 2), (MIB, 3 * MIB)),
    )
    result = run_loss(preset, settings(2, 2), dtypes)
    assert result.name == f'loss-{preset.name}-cpu'
    for row in result.rows:
        assert row.note == '' and len(row.seconds) == 2
        assert result.ratio(row, row.floor) > 0
        assert result.ratio(row, result.reference) > 0
        half = 'bfloat16' in row.name
        assert row.floor.endswith('bfloat16') == half
    assert result.row(result.reference).memory.growth == 2 * MIB
    assert result.row(result.rows[0].name).memory is None


def test_an_unknown_preset_or_dtype_names_those_there_are():
    with pytest.raises(ValueError, match='one of voc-r18, .*exact, got'):
        check_preset('voc')
    with pytest.raises(ValueError, match='dtype must be one of float32'):
        losses.candidates_of(TOY, ['int8'])
    with pytest.raises(ValueError, match='repeats must be at least 1'):
        settings(1, 0)
    with pytest.raises(ValueError, match='allocator must be one of exact'):
        settings(allocator='mine')


def test_a_larger_image_has_a_larger_map_and_as_many_patches():
    larger = PRESETS['voc-r18'].scaled(2)
    assert larger.size == (256, 256) and larger.patches == (16, 16)


def test_equal_maps_are_not_made_twice():
    one = presets.random_maps(TOY, 2, CPU, torch.float32)
    assert presets.random_maps(TOY, 2, CPU, torch.float32)[0] is one[0]
    assert one[0].requires_grad and not one[1].requires_grad
    assert one[0].shape == (2, 8, 8, 8)


# --- networks ---------------------------------------------------------------


@pytest.fixture
def without_memory(monkeypatch):
    monkeypatch.setattr(
        'mmtat.engine.benchmark.measure.memory_use',
        lambda *args: MemoryUse((2, 3), (MIB, 2 * MIB)),
    )


@pytest.mark.slow
def test_a_step_is_measured_beside_the_sum_of_its_parts(
    workload, without_memory
):
    result = run_step(workload, 'tiny', settings(2, 3))
    rows = by_name(result)
    for row in rows.values():
        assert row.note == '' and len(row.seconds) == 3, row
    assert rows[steps.FLOOR].seconds == [
        teacher + student
        for teacher, student in zip(
            rows[steps.TEACHER].seconds, rows[steps.STUDENT].seconds
        )
    ]
    assert result.ratio(rows[steps.FLOOR], rows[steps.TAT].floor) == 1
    assert result.reference == steps.STOCK
    # Two parts of 1 MiB for two images; the teacher's weights; weights,
    # gradients and momenta of three embeddings, from 8 or 16 channels to 16.
    embeddings = 3 * 4 * (2 * (8 * 16 + 32) + 16 * 16 + 32)
    assert result.facts['embedding_bytes'] == embeddings
    bound = 2 * MIB + result.facts['teacher_bytes'] + embeddings
    assert result.facts['memory_bound'] == pytest.approx(bound)


@pytest.mark.parametrize(('device', 'has_half'), [('cpu', 0), ('cuda', 1)])
def test_a_cpu_has_no_row_for_float16(workload, device, has_half):
    candidates = teachers.teacher_candidates(workload, torch.device(device))
    names = [candidate.name for candidate in candidates]
    assert names[:2] == [teachers.FLOOR, teachers.STOCK]
    assert names.count('mmtat, float16') == has_half


@pytest.mark.slow
def test_every_option_of_the_teacher_has_a_row(workload, without_memory):
    candidates = teachers.teacher_candidates(workload, torch.device('cpu'))
    result = run_teacher(workload, 'tiny', settings(2, 2))
    rows = by_name(result)
    assert list(rows) == [candidate.name for candidate in candidates]
    for name in (teachers.FLOOR, teachers.STOCK, 'mmtat, default'):
        assert len(rows[name].seconds) == 2
    for row in rows.values():
        assert row.seconds or row.note.startswith('cannot: ')
        assert row.floor == teachers.FLOOR


@pytest.mark.slow
def test_a_validation_and_the_checkpoints_are_measured(workload):
    result = run_validation(workload, 'tiny', settings(2, 2))
    assert all(len(row.seconds) == 2 for row in result.rows)
    checkpoints = run_checkpoints(workload, 'tiny')
    sizes = checkpoints.facts['sizes']
    # Three embeddings 8 -> 16 and 16 -> 16, with momentum, in float32.
    parameters = 2 * (8 * 16 + 32) + 16 * 16 + 32
    assert checkpoints.facts['embeddings'] == 2 * 4 * parameters
    for row in checkpoints.rows[1:]:
        assert row.cells['MiB'] == sizes[row.name] / MIB
    assert sizes['student alone'] < sizes['mmtat, TaT'] < sizes['mmrazor, L2']


def test_the_config_of_a_workload_fetches_nothing(workload):
    config = workload.read()
    assert config.model.teacher_ckpt is None
    assert config.image_size == (64, 64)
    assert config.model.teacher.data_preprocessor.size == (64, 64)
    with pytest.raises(ValueError, match='has no teacher and architecture'):
        path = ROOT / 'configs' / 'deeplabv3_r18_voc.py'
        Workload(str(path), LAYER, 32).read()


@pytest.mark.parametrize('preset', NETWORKS)
def test_every_preset_has_networks(preset):
    assert set(NETWORKS) == set(PRESETS)
    for device in (CPU, torch.device('cuda')):
        for workload in workloads_of(preset, ROOT / 'configs', device):
            config = workload.read()
            assert config.model.architecture.get('pretrained') is None
            assert config.image_size == (workload.size,) * 2


# --- on paper ---------------------------------------------------------------


def test_each_of_eight_sends_seven_quarters_of_the_gradients():
    traffic = Traffic(
        'x', student=900, embeddings=100, teacher=7, synchronized=3
    )
    assert traffic.reduced == 4000
    assert traffic.sent(8) == pytest.approx(7000)
    assert traffic.sent(256) == pytest.approx(4000 * 2 * 255 / 256)


def test_only_student_and_embeddings_are_sent(workload):
    traffic = count_traffic(workload)
    # Three embeddings: 8 -> 16 twice, 16 -> 16 once, norms with an affine.
    assert traffic.embeddings == 2 * (8 * 16 + 32) + 16 * 16 + 32
    assert traffic.teacher > 3 * traffic.student > 0
    # The stem has three norms, the blocks of ResNet-18 16 and three more in
    # their shortcuts, the head two.
    assert traffic.synchronized == 3 + 16 + 3 + 2


# --- growth -----------------------------------------------------------------


def test_growth_is_measured_along_both_axes():
    seen = []

    def candidates_at(size):
        seen.append(size)
        return [Hungry(end='')]

    points = measure_growth(candidates_at, [64, 32], [2, 1], settings())
    assert [(p.size, p.batch) for p in points] == [(32, 1), (64, 1), (64, 2)]
    assert seen[1:] == [32, 64, 64]
    assert all(len(p.row.seconds) == 1 for p in points)
    assert points[-1].record()['peak'] / MIB == pytest.approx(64, abs=8)


def test_growth_leaves_out_what_no_candidate_works_on(workload):
    def candidates_at(size):
        return steps.growth_steps(Workload(workload.config, LAYER, size))

    with pytest.raises(ValueError, match='one of 2 images or more'):
        measure_growth(candidates_at, [64], [1], settings())


def test_growth_is_drawn_also_where_a_point_is_missing(tmp_path):
    use = MemoryUse((1, 2), (MIB, 2 * MIB))
    points = [
        Point('a', 256, 1, Row('a', [0.1], use)),
        Point('a', 512, 1, Row('a', [0.4], use)),
        Point('a', 512, 2, Row('a', note='out of memory')),
        Point('b', 256, 1, Row('b', note='out of memory')),
    ]
    draw_growth(points, tmp_path / 'new' / 'growth.png')
    picture = (tmp_path / 'new' / 'growth.png').read_bytes()
    assert picture.startswith(b'\x89PNG') and len(picture) > 5000


# --- the tool ---------------------------------------------------------------


@pytest.fixture
def toy_presets(monkeypatch):
    monkeypatch.setitem(PRESETS, 'voc-r18', TOY)


@pytest.mark.slow
def test_the_tool_prints_writes_and_fills_the_page(
    toy_presets, monkeypatch, tmp_path, capsys
):
    page, numbers = tmp_path / 'page.md', tmp_path / 'new' / 'numbers.json'
    page.write_text('# A\n<!-- table loss-voc-r18-cpu -->\nold\n<!-- end -->')
    monkeypatch.setitem(
        PRESETS, 'voc-r18', Preset('voc-r18', 8, (8, 8), (4, 4), 4)
    )
    options = f'--device cpu --batch 2 --repeats 2 --json {numbers}'
    plot = f'--docs {page} --plot {tmp_path}/g.png --sizes 512 --batches 1 2'
    status = run_tool(
        monkeypatch, 'benchmark', 'loss', *options.split(), *plot.split()
    )
    assert status == 0
    printed = capsys.readouterr().out
    assert '**Loss, voc-r18, forward and backward**' in printed
    assert '| released, plain |' in printed and '| 1.00 |' in printed
    assert 'by `python tools/benchmark.py loss --device cpu' in printed
    content = json.loads(numbers.read_text())
    (result,) = content['results']
    rows = {row['name']: row for row in result['rows']}
    assert rows['released, plain']['ratio_to_reference'] == 1
    assert rows['released, plain']['memory']['batches'] == [1, 3]
    assert len(content['growth']) == 2 * 3
    assert '| released, plain |' in page.read_text()
    assert 'old' not in page.read_text()
    assert (tmp_path / 'g.png').is_file()


def test_the_backends_are_measured_for_auto(monkeypatch):
    written = []
    monkeypatch.setattr(benchmark, 'SHAPES', [(2, 4, 8)])
    monkeypatch.setattr(
        benchmark, 'write_measurements', lambda *args: written.append(args)
    )
    options = '--device cpu --write-measurements --repeats 2'
    assert not run_tool(monkeypatch, 'benchmark', 'loss', *options.split())
    ((rows, device, command),) = written
    assert {row['backend'] for row in rows} == set(BACKENDS)
    assert all(row['tokens'] == 4 and row['width'] == 8 for row in rows)
    assert device == CPU and command.endswith(f'loss {options}')


@pytest.mark.parametrize(
    'arguments, message',
    [
        ('loss --batch 0', '--batch must be at least 1, got 0'),
        ('loss --device tpu', "device must be 'cpu', 'cuda' or 'cuda:<n>'"),
        ('loss --device mps', "device must be 'cpu', 'cuda' or 'cuda:<n>'"),
        ('teacher --plot x.png', '--plot is of loss or of step'),
        ('step --write-measurements', '--write-measurements is of loss'),
        ('loss --docs no/page.md', "no page 'no/page.md'"),
        (
            'loss --docs README.md',
            "one place for the table 'loss-voc-r18-cpu'",
        ),
    ],
)
def test_a_mistake_ends_the_tool_before_anything_is_measured(
    arguments, message, monkeypatch, capsys
):
    arguments = arguments.split()
    if '--device' not in arguments:
        arguments += ['--device', 'cpu']
    status = run_tool(monkeypatch, 'benchmark', *arguments)
    said = str(status) + capsys.readouterr().err
    assert status not in (0, None) and message in said
    assert 'warm-up' not in said


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="device='cuda', but torch .* sees 0"):
        check_device('cuda')


@pytest.mark.gpu
def test_peak_memory_of_a_gpu_is_the_allocators():
    gpu = Settings(check_device('cuda'), 4, 1)
    use = memory_use(Released('', TOY), gpu)
    assert use.batches == (2, 4)
    # At least the gradient of the student's map.
    assert use.growth >= TOY.map_bytes


@pytest.mark.slow
def test_trainings_start_to_their_first_iteration():
    result = benchmark.run_startup(
        ROOT / 'configs', ROOT / 'tools' / 'train.py', 1
    )
    rows = by_name(result)
    assert len(rows) == 4
    base = rows['mmsegmentation, student alone'].median
    assert 1 < base < 300
    for row in rows.values():
        assert row.cells['s more'] == pytest.approx(row.median - base)


# --- the page ---------------------------------------------------------------


def test_the_page_has_a_place_for_every_table_of_the_default_presets():
    text = (ROOT / 'docs' / 'performance.md').read_text()
    for device in ('cpu', 'cuda'):
        for preset in PRESETS:
            assert f'<!-- table loss-{preset}-{device} -->' in text
        for preset in ('voc-r18', 'in1k-r18'):
            for layer in NETWORKS[preset].layers:
                for part in ('teacher', 'step'):
                    table = f'{part}-{preset}-{layer}-{device}'
                    assert f'<!-- table {table} -->' in text
            assert f'<!-- table validation-{preset}-{device} -->' in text
            assert f'<!-- table checkpoint-{preset} -->' in text
    exact = ('step-exact-decode_head.decoder.conv2.bn', 'validation-exact')
    for table in (*(f'{name}-cuda' for name in exact), 'startup'):
        assert f'<!-- table {table} -->' in text


@pytest.mark.slow
def test_the_traffic_of_the_page_is_what_is_counted():
    text = (ROOT / 'docs' / 'performance.md').read_text()
    assert benchmark.traffic_table(ROOT / 'configs') in text
