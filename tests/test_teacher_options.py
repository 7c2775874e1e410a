"""The teacher's options: faster, and what is distilled stays the same."""

import copy
import pickle
import weakref

import pytest
import torch
import torch.nn.functional as F
from mmengine.registry import MODELS
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mmtat.models import FrozenTeacherDistill
from mmtat.models.utils.prepared_layers import PreparedLayer, Scratch

from .teachers import IMAGE, PLAIN, build, recording, records, trained
from .toys import ToySegmentor, distillation, save_teacher


@pytest.mark.parametrize(
    ('options', 'error', 'message'),
    [
        ('bfloat16', TypeError, "a dict, such as dict\\(dtype='bfloat16'"),
        (dict(fold_norm=True), ValueError, "did you mean 'fold_norms'"),
        (dict(speed=1), ValueError, 'there are dtype, channels_last, '),
        (dict(dtype='bfloat'), ValueError, "dtype .* mean 'bfloat16'"),
        (dict(dtype=torch.bfloat16), ValueError, "did you mean 'bfloat16'"),
        (dict(fold_norms=None), ValueError, 'fold_norms must be True or Fal'),
        (dict(channels_last='yes'), ValueError, 'channels_last .* or None'),
        (dict(compile='eager'), ValueError, 'or a dict of arguments'),
        (dict(stream=1), ValueError, 'stream must be True or False, got 1'),
    ],
)
def test_wrong_options_are_named_at_once(options, error, message):
    with pytest.raises(error, match=message):
        MODELS.build(distillation(teacher_options=options))


@pytest.mark.parametrize('kind', ['ModuleOutputs', 'ModuleInputs'])
@pytest.mark.parametrize(
    'sources',
    [
        ['backbone.conv'],
        ['backbone.norm'],
        ['backbone.relu'],
        ['backbone'],
        ['decode_head.conv_seg'],
        ['backbone.conv', 'backbone.norm', 'backbone.relu', 'backbone'],
    ],
)
@pytest.mark.parametrize(
    'options',
    [
        None,
        dict(channels_last=True, fold_norms=False),
        dict(channels_last=False, fold_norms=True),
        dict(compile=dict(backend='eager')),
        dict(dtype='bfloat16'),
        dict(stream=True),
    ],
)
def test_what_is_recorded_stays_the_same(options, sources, kind):
    distiller = recording(*sources, kind=kind)
    expected = records(build(distiller, PLAIN))
    model = build(distiller, options)
    tolerance = dict(rtol=1e-5, atol=1e-5)
    if options and options.get('dtype'):
        tolerance = dict(rtol=2e-2, atol=5e-2)
    for _ in range(2):
        found = records(model)
        assert len(found) == len(expected)
        for mine, plain in zip(found, expected):
            torch.testing.assert_close(mine, plain, **tolerance)
            assert mine.stride() == plain.stride()


class Branching(ToySegmentor):
    """The convolution's output goes to the norm and elsewhere."""

    def extract_feat(self, inputs):
        between = self.backbone.conv(inputs)
        out = self.backbone.relu(self.backbone.norm(between))
        return out + between


class Overwriting(ToySegmentor):
    """The convolution's output is changed where no module sees it."""

    def extract_feat(self, inputs):
        between = self.backbone.conv(inputs)
        between[:, 0] = 1
        return self.backbone.relu(self.backbone.norm(between))


class Shared(ToySegmentor):
    """One convolution with two norms."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.other = nn.BatchNorm2d(8)

    def extract_feat(self, inputs):
        maps = [self.backbone.conv(x) for x in (inputs, inputs.flip(3))]
        return self.backbone.norm(maps[0]) + self.other(maps[1])


class Repeated(ToySegmentor):
    """A pair that runs twice; and a question that changes nothing."""

    def extract_feat(self, inputs):
        between = self.backbone.conv(inputs)
        assert between.shape[1] == between.size(1) and between.dim() == 4
        out = self.backbone.norm(between)
        return out + self.backbone(inputs.flip(3))


def norms_run(monkeypatch, model):
    calls = []
    batch_norm = F.batch_norm

    def counted(*args, **kwargs):
        calls.append(args)
        return batch_norm(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr('torch.nn.functional.batch_norm', counted)
        records(model)
    return len(calls)


@pytest.mark.parametrize(
    ('kind', 'sources', 'norms'),
    [
        (ToySegmentor, ['backbone'], 0),
        (ToySegmentor, ['backbone.norm'], 0),
        (Repeated, ['decode_head.conv_seg'], 0),
        (ToySegmentor, ['backbone.conv', 'backbone'], 1),
        (Branching, ['decode_head.conv_seg'], 1),
        (Overwriting, ['decode_head.conv_seg'], 1),
        (Shared, ['decode_head.conv_seg'], 2),
    ],
)
def test_norms_are_folded_only_where_nobody_sees_what_is_between(
    kind, sources, norms, monkeypatch
):
    teacher = trained(kind(width=8))
    model = build(recording(*sources), teacher=teacher)
    assert norms_run(monkeypatch, model) == norms
    plain = build(recording(*sources), PLAIN, teacher)
    assert norms_run(monkeypatch, plain) >= max(norms, 1)
    for mine, expected in zip(records(model), records(plain)):
        torch.testing.assert_close(mine, expected, rtol=1e-5, atol=1e-5)


def test_a_hook_on_what_is_between_sees_it(monkeypatch):
    model = build(recording('backbone'))
    seen = []
    assert norms_run(monkeypatch, model) == 0
    handle = model.teacher.backbone.conv.register_forward_hook(
        lambda module, inputs, output: seen.append(output)
    )
    assert norms_run(monkeypatch, model) == 1
    expected = model.teacher.backbone.conv(IMAGE)
    torch.testing.assert_close(seen[0], expected)
    handle.remove()
    assert norms_run(monkeypatch, model) == 0
    model.teacher.backbone.norm.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs)
    )
    assert norms_run(monkeypatch, model) == 1


def test_a_norm_is_not_folded_if_its_inputs_are_recorded(monkeypatch):
    model = build(recording('backbone.norm', kind='ModuleInputs'))
    assert norms_run(monkeypatch, model) == 1


@pytest.mark.parametrize('affine', [True, False])
@pytest.mark.parametrize('bias', [True, False])
@pytest.mark.parametrize('dims', [1, 2, 3])
@pytest.mark.parametrize('channels_last', [True, False])
def test_a_folded_convolution_is_the_librarys(
    affine, bias, dims, channels_last
):
    conv = getattr(nn, f'Conv{dims}d')(4, 6, 3, groups=2, bias=bias).double()
    norm = getattr(nn, f'BatchNorm{dims}d')(6, affine=affine).double()
    inputs = torch.rand(2, 4, *[5] * dims, dtype=torch.float64)
    pair = trained(nn.Sequential(conv, norm)).eval().requires_grad_(False)
    layer = PreparedLayer(*pair, Scratch())
    layer.channels_last = channels_last
    expected = fuse_conv_bn_eval(conv, norm)(inputs)
    torch.testing.assert_close(layer(inputs), expected)
    torch.testing.assert_close(layer(inputs), pair(inputs))


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_a_small_variance_of_half_precision_is_folded(dtype):
    conv, norm = nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)
    norm.running_var.fill_(3e-5)
    pair = nn.Sequential(conv, norm).to(dtype).eval().requires_grad_(False)
    inputs = torch.rand(2, 4, 3, 3).to(dtype)
    found = PreparedLayer(*pair, Scratch())(inputs)
    expected = copy.deepcopy(pair).double()(inputs.double())
    assert found.dtype == dtype
    tolerance = dict(rtol=2e-2, atol=2e-2 * expected.abs().max().item())
    torch.testing.assert_close(found.double(), expected, **tolerance)


@pytest.mark.parametrize('dtype', [None, 'bfloat16'])
def test_a_teacher_may_be_loaded_again(dtype, tmp_path):
    model = build(recording('backbone'), dict(dtype=dtype))
    first = records(model)[0]
    other = save_teacher(tmp_path / 't.pth')
    model.teacher.load_state_dict(other)
    expected = model.teacher.backbone(IMAGE)
    found = records(model)[0]
    torch.testing.assert_close(found, expected, rtol=2e-2, atol=2e-2)
    assert (found - first).abs().max() > 0.1


@pytest.mark.parametrize('dtype', [None, 'bfloat16'])
def test_a_teacher_may_be_moved_and_copied(dtype):
    model = build(recording('backbone'), dict(dtype=dtype))
    records(model)
    model.double()
    expected = model.teacher.backbone(IMAGE.double())
    copied = copy.deepcopy(model)
    for each in (model, copied, pickle.loads(pickle.dumps(model))):
        found = records(each, IMAGE.double())[0]
        # Autocast leaves float64 alone.
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(
    'options',
    [None, dict(dtype='bfloat16'), dict(compile=dict(backend='eager'))],
)
def test_a_built_teacher_is_not_touched(options):
    teacher = trained().eval()
    before = copy.deepcopy(teacher.state_dict())
    expected = teacher(IMAGE)
    model = FrozenTeacherDistill(
        architecture=ToySegmentor(width=8),
        teacher=teacher,
        distiller=recording('decode_head.conv_seg'),
        teacher_options=options,
    )
    records(model)
    with pytest.raises(RuntimeError):
        records(model, torch.rand(2, 4, 8, 8))
    assert model.teacher is teacher
    assert torch.equal(teacher(IMAGE), expected)
    for name, tensor in teacher.state_dict().items():
        assert torch.equal(tensor, before[name]), name
        assert tensor.stride() == before[name].stride(), name
    assert not any('forward' in vars(m) for m in teacher.modules())


def test_half_precision_is_autocasts():
    model = build(recording('decode_head.conv_seg'), dict(dtype='bfloat16'))
    found = records(model)[0]
    with torch.autocast('cpu', torch.bfloat16):
        expected = model.teacher(IMAGE)
    assert expected.dtype == torch.bfloat16 and found.dtype == torch.float32
    torch.testing.assert_close(found, expected.float(), rtol=2e-2, atol=2e-2)
    assert not torch.equal(found, model.teacher(IMAGE))


def test_weights_of_half_precision_are_cast_once(monkeypatch):
    model = build(recording('decode_head.conv_seg'), dict(dtype='bfloat16'))
    seen = []
    convolution = nn.Conv2d._conv_forward
    monkeypatch.setattr(
        nn.Conv2d,
        '_conv_forward',
        lambda self, x, weight, bias: (
            seen.append(weight) or convolution(self, x, weight, bias)
        ),
    )
    for _ in range(2):
        records(model)
    assert {weight.dtype for weight in seen} == {torch.bfloat16}
    assert [id(weight) for weight in seen[:2]] == [id(w) for w in seen[2:]]


def test_folded_weights_do_not_outlive_the_forward(monkeypatch):
    model = build(recording('decode_head.conv_seg'))
    made = []
    like = Scratch.like

    def watched(self, weight, channels_last):
        made.append(weakref.ref(like(self, weight, channels_last)._base))
        return like(self, weight, channels_last)

    monkeypatch.setattr(Scratch, 'like', watched)
    records(model)
    assert made
    assert {buffer() for buffer in made} == {None}


@pytest.mark.parametrize(
    ('dtype', 'amp', 'given'),
    [
        (None, torch.bfloat16, torch.bfloat16),
        ('bfloat16', torch.bfloat16, torch.bfloat16),
        ('bfloat16', torch.float16, torch.float32),
        ('float32', torch.bfloat16, torch.float32),
    ],
)
def test_amp_changes_only_a_teacher_without_a_dtype(dtype, amp, given):
    model = build(recording('decode_head.conv_seg'), dict(dtype=dtype))
    outside = records(model)[0]
    with torch.autocast('cpu', amp):
        inside = records(model)[0]
        assert torch.get_autocast_dtype('cpu') == amp
    assert inside.dtype == given
    assert torch.equal(inside.float(), outside) is (dtype is not None)
    torch.testing.assert_close(inside.float(), outside, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize(
    ('channels_last', 'expected'), [(None, True), (True, True), (False, False)]
)
def test_a_cpus_teacher_gets_channels_last(channels_last, expected):
    model = build(recording('backbone'), dict(channels_last=channels_last))
    seen = []
    model.teacher.backbone.relu.register_forward_pre_hook(
        lambda module, inputs: seen.append(
            inputs[0].is_contiguous(memory_format=torch.channels_last)
        )
    )
    records(model)
    assert seen == [expected]


class Viewing(ToySegmentor):
    """Takes maps apart as VGG does, for which they must be contiguous."""

    def extract_feat(self, inputs):
        maps = self.backbone(inputs)
        rows = maps.view(maps.shape[0], -1)
        return rows.view(maps.shape)


def test_a_teacher_that_views_its_maps_gets_contiguous_ones(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmtat.models.utils.teacher_speed.print_log',
        lambda line, *args: lines.append(line),
    )
    teacher = trained(Viewing(width=8))
    source = recording('backbone.conv', 'decode_head.conv_seg')
    model = build(source, teacher=teacher)
    plain = records(build(source, PLAIN, teacher))
    for _ in range(2):
        for mine, expected in zip(records(model), plain):
            torch.testing.assert_close(mine, expected)
    assert lines == [
        'teacher_options: channels_last is off: the teacher views maps as '
        'vectors'
    ]


def test_a_loss_that_views_maps_works():
    layers = ['backbone.norm']
    losses = dict(loss_cwd=dict(type='ChannelWiseDivergence'))
    distiller = dict(type='FeatureDistiller', layers=layers, losses=losses)
    distiller['_scope_'] = 'mmtat'
    model = build(distiller, dict(channels_last=True))
    assert model(IMAGE, mode='loss')['distill.loss_cwd'] >= 0
