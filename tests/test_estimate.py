"""What a step is estimated to cost, by hand and against a real one."""

import re
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode

from mmtat.engine.estimate import (
    Case,
    estimate,
    gpu_budget,
    largest_batch,
    measured_peak,
    parts,
)
from mmtat.engine.estimate.answers import Answers
from mmtat.engine.estimate.capacity import MOST_IMAGES
from mmtat.engine.estimate.estimating import RUNTIME_BYTES
from mmtat.engine.estimate.fake_model import to_fake
from mmtat.engine.estimate.gpu_paths import gpu_paths
from mmtat.engine.estimate.live_storage import LiveStorage
from mmtat.engine.estimate.operations import _formulas, operations
from mmtat.engine.estimate.step import FakeStep
from mmtat.models.distillers import tat_streaming
from mmtat.ops import EmbeddedPass, ImagePass, images_at_a_time
from mmtat.ops.backends.choice import Shape

from .test_benchmark import CONFIG
from .toys import ToySegmentor, distillation
from .voc import ROOT, run_tool

MIB = 2**20
#: Of the toy student: 3x3 convolution to 4 channels, two heads of 3 classes.
WEIGHTS = 4 * ((27 + 1) * 4 + 2 * (4 + 1) * 3)
STUDENT = dict(type='ToySegmentor', width=4, norm='none')
SMALL = ('CONFIG', '--batch', '2', '--size', '64', '64')


@pytest.fixture
def fake_step(tmp_path):
    """A fake step of a toy on images of 8 x 8, whose maps are 4 x 4."""

    def build(model, kind='cpu', batch=2, optimizer=None, amp=False, **more):
        optimizer = optimizer or dict(type='SGD', lr=0.1, momentum=0.9)
        config = dict(
            model=model, optim_wrapper=dict(optimizer=optimizer), **more
        )
        path = tmp_path / 'toy.py'
        Config(config).dump(path)
        return FakeStep(Case(str(path), batch, (8, 8), amp), kind)

    return build


# --- what is live -----------------------------------------------------------
def test_a_storage_counts_once_and_until_its_last_view_is_gone():
    live = LiveStorage()
    with FakeTensorMode(), live:
        whole = torch.empty(1000)
        part = whole[:10].t()
        assert live.total == 4000
        del whole
        assert live.total == 4000
        del part
        assert live.total == 0
        torch.empty(10)
    assert live.peak().total == 4000


def test_what_autograd_keeps_is_live_until_the_backward():
    live = LiveStorage()
    with FakeTensorMode(), live:
        leaf = torch.empty(100, requires_grad=True)
        loss = leaf.exp().sin().sum()
        # Of exp its result, which sin keeps too; the sum is a scalar.
        assert live.total == 400 + 400 + 4
        loss.backward()
        del loss
        assert live.total == 2 * 400


def test_the_peak_says_when_it_was_and_what_was_there():
    live = LiveStorage(granularity=512)
    with FakeTensorMode(), live:
        with live.during('first'):
            kept = torch.empty(1)
            torch.empty(1000)
        with live.during('second'):
            torch.empty(256)
        live.follow([kept], 'kept')
        torch.empty(1)
    peak = live.peak()
    assert (peak.total, peak.part) == (512 + 4096, 'first')
    assert peak.parts == dict(first=512 + 4096)
    assert peak.largest['second'] == 1024
    assert peak.largest['kept'] == 512


def test_questions_for_values_are_answered_as_if_all_were_taken():
    live = LiveStorage()
    with FakeTensorMode(), live, Answers():
        values = torch.empty(6, 5, 4)
        mask = values[0] > 0
        assert values[:, mask].shape == (6, 20)
        # The positions that a mask stands for are made as in a real step.
        assert live.peak().total >= 480 + 20 + 480 + 2 * 20 * 8
        assert bool((values > 1).all()) and values.sum().item() == 1
        assert mask.nonzero().shape == (20, 2)


def test_settings_that_a_buffer_holds_keep_their_values(fake_step):
    model = ToySegmentor(norm='none')
    model.register_buffer('settings', torch.tensor([3.0, 5.0]))
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    known = to_fake(model, mode)
    with mode, Answers(known):
        assert model.settings[1].item() == 5
        assert (model.settings[1] + 1).item() == 1


# --- memory of a step by hand -----------------------------------------------
def test_the_parts_of_a_students_step_are_those_by_hand(fake_step):
    peak = fake_step(STUDENT).memory(2)
    largest = peak.largest
    for part in (parts.STUDENT, parts.OPTIMIZER, parts.GRADIENTS):
        assert largest[part] == WEIGHTS
    assert largest[parts.BATCH] == 2 * 3 * 64 * 4
    # A map of the backbone, of two heads, two means, and a square.
    features, logits = 2 * 4 * 16 * 4, 2 * 3 * 16 * 4
    kept = features + 3 * logits + 2 * 4
    assert largest[parts.FORWARD] == kept
    assert parts.TEACHER not in largest and parts.AVERAGE not in largest
    # Before the update nothing else is as large as the gradients.
    assert peak.total == sum(peak.parts.values())


def test_twice_the_images_take_twice_their_maps(fake_step):
    step = fake_step(STUDENT)
    small, large = (step.memory(batch).largest for batch in (2, 4))
    assert large[parts.BATCH] == 2 * small[parts.BATCH]
    # The two means are scalars.
    assert large[parts.FORWARD] - 8 == 2 * (small[parts.FORWARD] - 8)
    assert large[parts.STUDENT] == small[parts.STUDENT]


def test_a_teacher_costs_its_weights_and_what_is_recorded(fake_step):
    peak = fake_step(distillation(student=STUDENT)).memory(2)
    largest = peak.largest
    teacher = (27 + 1) * 8 + 2 * (8 + 1) * 3
    # Its norm: weight, bias, mean, variance, and a count of batches.
    assert largest[parts.TEACHER] == 4 * (teacher + 4 * 8) + 8
    assert largest[parts.RECORDS] == 2 * 8 * 16 * 4
    assert largest[parts.STUDENT] == WEIGHTS
    # Query, key and value to 8 channels, with scale and shift of a norm.
    embeddings = 4 * (2 * 4 * 8 + 8 * 8 + 3 * 2 * 8)
    assert largest[parts.DISTILLER] == embeddings
    assert largest[parts.OPTIMIZER] == WEIGHTS + embeddings
    assert largest[parts.GRADIENTS] == WEIGHTS + embeddings


def test_the_teachers_forward_is_gone_before_the_students(fake_step):
    peak = fake_step(distillation(student=STUDENT)).memory(64)
    assert peak.largest[parts.TEACHER_FORWARD] > 0
    assert not peak.parts.get(parts.TEACHER_FORWARD)


def test_adam_keeps_twice_the_weights_and_ema_a_copy(fake_step):
    hooks = [dict(type='EMAHook')]
    peak = fake_step(
        STUDENT, optimizer=dict(type='Adam', lr=0.1), custom_hooks=hooks
    ).memory(2)
    steps = 6 * 4
    assert peak.largest[parts.OPTIMIZER] == 2 * WEIGHTS + steps
    assert peak.parts[parts.AVERAGE] == WEIGHTS


def test_accumulated_gradients_stay_during_the_forward(fake_step):
    def live(counts):
        config = Config(dict(a=fake_step(STUDENT).config))
        step = fake_step(STUDENT)
        step.config = config.a
        step.config.optim_wrapper.accumulative_counts = counts
        return step.memory(64).parts.get(parts.GRADIENTS, 0)

    assert live(4) == WEIGHTS > live(1)


@pytest.mark.parametrize('kind', ['cpu', 'cuda'])
def test_mixed_precision_halves_the_maps_and_copies_the_teacher(
    fake_step, kind
):
    plain, half = (
        fake_step(distillation(student=STUDENT), kind, amp=amp).memory(64)
        for amp in (False, True)
    )
    assert 2 * half.largest[parts.RECORDS] == plain.largest[parts.RECORDS]
    assert half.largest[parts.STUDENT] == plain.largest[parts.STUDENT]
    # Weight and bias of its convolution, with the norm folded in.
    block = 512 if kind == 'cuda' else 1
    copies = sum(-(-2 * n // block) * block for n in (8 * 27, 8))
    added = half.largest[parts.TEACHER] - plain.largest[parts.TEACHER]
    assert added == copies


# --- the ways of the code ----------------------------------------------------
@pytest.mark.parametrize(
    ('kind', 'taken', 'other'),
    [('cpu', EmbeddedPass, ImagePass), ('cuda', ImagePass, EmbeddedPass)],
)
def test_a_streamed_loss_goes_the_way_of_its_device(
    fake_step, monkeypatch, kind, taken, other
):
    calls = []
    for cls in (taken, other):
        run = cls.run
        monkeypatch.setattr(
            cls,
            'run',
            lambda self, *a, _run=run, **k: (
                calls.append(type(self)) or _run(self, *a, **k)
            ),
        )
    distiller = dict(
        type='mmtat.TaTDistiller', layers=['backbone.conv'], stream=True
    )
    peak = fake_step(distillation(distiller), kind).memory(2)
    # Once in each of two steps: its backward computes nothing again.
    assert calls == [taken, taken]
    # The gradient of the student's map waits for the backward.
    assert peak.largest[parts.LOSS] >= 2 * 4 * 16 * 4


def test_the_ways_of_a_gpu_are_those_of_tensors_that_are_not_the_cpus():
    feature = torch.empty(8, 256, 64, 64)
    elsewhere = feature.to('meta')
    assert images_at_a_time(feature) == 4
    with gpu_paths():
        assert images_at_a_time(feature) == images_at_a_time(elsewhere) == 16
        assert Shape.of(feature, feature, feature).device == 'cuda'
        assert tat_streaming._embedded(None, feature, feature) is None
    assert images_at_a_time(feature) == 4
    assert Shape.of(feature, feature, feature).device == 'cpu'


def test_a_fake_run_leaves_nothing_in_the_next(fake_step):
    step = fake_step(distillation(student=STUDENT))
    first = step.memory(2)
    step.memory(8)
    assert step.memory(2).largest == first.largest


# --- multiply-adds by hand --------------------------------------------------
def test_the_multiply_adds_of_a_student_are_those_by_hand(fake_step):
    found = operations(fake_step(STUDENT))
    conv, heads = 16 * 27 * 4, 2 * 16 * 4 * 3
    assert found.student_forward == conv + heads
    # The image takes no gradient.
    assert found.student_step == 2 * conv + 3 * heads
    assert found.teacher_whole == found.distillation == 0


@pytest.mark.parametrize('kind', ['cpu', 'cuda'])
@pytest.mark.parametrize('stream', [False, True])
def test_the_multiply_adds_of_a_distillation_are_those_by_hand(
    fake_step, kind, stream
):
    distiller = dict(
        type='mmtat.TaTDistiller', layers=['backbone.conv'], stream=stream
    )
    found = operations(fake_step(distillation(distiller), kind))
    positions, student, teacher = 16, 4, 8
    assert found.teacher_run == positions * 27 * teacher
    assert found.teacher_whole == found.teacher_run + 16 * teacher * 3
    embeddings = positions * teacher * (2 * student + teacher)
    attention = 2 * positions**2 * teacher
    # Forward, gradients of weights, those of the student's map; all six
    # products of the attention.
    by_hand = 2 * embeddings + 2 * positions * student * teacher
    assert found.distillation == by_hand + 3 * attention
    assert found.student_forward == 16 * 27 * 4 + 2 * 16 * 4 * 3


def test_grouped_convolutions_are_counted_by_their_groups():
    counter = FlopCounterMode(display=False, custom_mapping=_formulas())
    layer = torch.nn.Conv2d(8, 16, 3, padding=1, groups=4)
    inputs = torch.empty(1, 8, 5, 5, requires_grad=True)
    with counter:
        layer(inputs).sum().backward()
    # Each output takes 3 x 3 of two channels; forward, and two gradients.
    assert counter.get_total_flops() == 3 * 2 * (25 * 16 * 9 * 2)


def test_products_that_are_added_up_are_counted():
    total, left, right = (
        torch.empty(4, 2),
        torch.empty(4, 3),
        torch.empty(3, 2),
    )
    with FlopCounterMode(display=False, custom_mapping=_formulas()) as counter:
        total.addmm_(left, right)
        total[None].baddbmm_(left[None], right[None])
    assert counter.get_total_flops() == 2 * 2 * 4 * 3 * 2


# --- the largest batch ------------------------------------------------------
@pytest.mark.parametrize(
    ('peak_of', 'expected'),
    [
        (lambda n: 100 + 10 * n, 90),
        # From 7 images on another time of the step is the peak.
        (lambda n: max(100 + 10 * n, 50 * n - 200), 24),
        (lambda n: 100 + 10 * (n - n % 4), 91),
        (lambda n: 2000, 0),
        (lambda n: 50, MOST_IMAGES),
        (lambda n: 990 + n, 10),
    ],
)
def test_the_largest_batch_is_the_last_that_fits(peak_of, expected):
    looked_at = []

    def peak(batch):
        looked_at.append(batch)
        return peak_of(batch)

    assert largest_batch(peak, 1000, 2, 4) == expected
    assert len(set(looked_at)) < 10


def test_a_tenth_of_a_gpu_is_left():
    assert gpu_budget(80) == int(0.9 * 80 * 2**30)
    with pytest.raises(ValueError, match='above 0, got -1'):
        gpu_budget(-1)


def test_the_batch_of_a_gpu_fits_and_one_more_does_not(fake_step):
    step = fake_step(STUDENT, 'cuda')
    budget = MIB
    batch = largest_batch(
        lambda n: step.memory(n).total, budget, least=2, second=4
    )
    assert step.memory(batch).total <= budget < step.memory(batch + 1).total


# --- the command -----------------------------------------------------------
@pytest.fixture
def config(tmp_path):
    path = tmp_path / 'tiny.py'
    path.write_text(CONFIG)
    return path


def test_the_tool_prints_sizes_parts_and_batches(monkeypatch, capsys, config):
    status = run_tool(
        monkeypatch,
        'estimate',
        config,
        *('--batch', 2, '--size', 64, 64, '--gpu-memory', 0.001, 0.01),
    )
    output = capsys.readouterr().out
    assert status == 0, output
    assert 'one image of 64 x 64' in output
    rows = {line.split('  ')[0].strip(): line for line in output.splitlines()}
    assert 'teacher, as run, to decode_head.convs.0' in rows
    for part in (parts.STUDENT, parts.RECORDS, parts.FORWARD, parts.RUNTIME):
        assert part in rows
    assert 'A step of 2 images on a CPU' in output
    batches = dict(re.findall(r'^ *([\d.]+)  +(\d+)', output, re.MULTILINE))
    assert '0.001' not in batches and int(batches['0.01']) > 2


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nothing.py'], "no config file 'nothing.py'"),
        (['CONFIG'], 'give --batch N'),
        (['CONFIG', '--batch', '0'], 'batch must be at least 1, got 0'),
        (
            ['CONFIG', '--batch', '2', '--size', '0', '8'],
            'size must be height and width in pixels',
        ),
        (
            [*SMALL, '--gpu-memory', '0'],
            'gpu-memory must be gigabytes above 0, got 0',
        ),
        (
            [*SMALL, '--cfg-options', 'optim_wrapper=None'],
            'has no optim_wrapper',
        ),
        (
            [*SMALL, '--device', 'cuda', '--check'],
            'sees 0 CUDA devices',
        ),
    ],
)
def test_a_mistake_is_one_line(
    monkeypatch, capsys, config, arguments, message
):
    if 'cuda' in arguments and torch.cuda.is_available():
        pytest.skip('there is a GPU')
    given = [str(config) if a == 'CONFIG' else a for a in arguments]
    status = run_tool(monkeypatch, 'estimate', *given)
    errors = capsys.readouterr().err
    assert status == 1 and message in errors
    assert 'Traceback' not in errors and errors.count('error: ') == 1


def test_a_size_that_nothing_says_is_told_to_be_assumed(
    monkeypatch, capsys, tmp_path
):
    config = dict(
        model=STUDENT,
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        train_dataloader=dict(batch_size=3, dataset=dict(type='ToyImages')),
    )
    path = tmp_path / 'toy.py'
    Config(config).dump(path)
    arguments = (path, '--gpu-memory', 0.001)
    assert run_tool(monkeypatch, 'estimate', *arguments) == 0
    output = capsys.readouterr().out
    assert 'one image of 224 x 224, assumed: give --size' in output
    assert 'A step of 3 images' in output
    # Not even two images fit.
    assert output.split('Largest batch')[1].split()[6:8] == ['0.001', 'none']


def test_a_step_that_fails_says_why(fake_step, monkeypatch):
    def fail(self, *args, **kwargs):
        raise AssertionError('only one of size and size_divisor')

    step = fake_step(STUDENT)
    monkeypatch.setattr(type(step.model), 'forward', fail)
    with pytest.raises(ValueError, match='fails: AssertionError: only one'):
        step.memory(2)


def test_a_norm_that_needs_two_images_says_so(config):
    text = config.read_text().replace(
        "type='FCNHead'", "type='ASPPHead', dilations=(1, 2)"
    )
    config.write_text(text.replace('num_convs=1, ', ''))
    options = {'model.distiller.layers': ['decode_head.bottleneck']}
    step = FakeStep(Case(str(config), 2, (64, 64), options=options))
    step.memory(2)
    with pytest.raises(ValueError, match='batch: 1 is too few .* --batch 2'):
        step.memory(1)


@pytest.mark.slow
def test_the_check_of_a_tiny_model_is_within_a_tenth(config):
    command = [sys.executable, 'tools/estimate.py', str(config)]
    options = ['--batch', '4', '--size', '256', '256', '--check']
    result = subprocess.run(
        command + options, cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    ratio = float(result.stdout.split()[-1])
    assert 0.9 < ratio < 1.1


@pytest.mark.slow
@pytest.mark.parametrize(
    ('path', 'batch', 'size'),
    [
        ('configs/tat_deeplabv3_r101_r18_voc.py', 2, (256, 256)),
        ('configs/tat_resnet34_resnet18_in1k.py', 16, (224, 224)),
    ],
)
def test_the_estimate_is_within_a_tenth_of_the_peak(path, batch, size):
    case = Case.of(str(ROOT / path), batch, size)
    found = estimate(case)
    measured = measured_peak(case, torch.device('cpu'))
    assert found.peak.parts[parts.RUNTIME] == RUNTIME_BYTES
    assert 0.9 < found.peak.total / measured < 1.1
