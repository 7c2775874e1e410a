"""The teacher ends at its last recorded layer, compiled or not."""

import copy

import pytest
import torch
from mmengine.registry import MODELS

import mmtat.models.utils.compiled_parts as compiled_parts
from mmtat.models import FrozenTeacherDistill

from .teachers import IMAGE, PLAIN, recording, records, trained
from .toys import ToySegmentor

RESNET = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=64),
)
VIT = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(
        type='VisionTransformer',
        arch=dict(
            embed_dims=16,
            num_layers=3,
            num_heads=2,
            feedforward_channels=32,
        ),
        img_size=64,
        patch_size=16,
    ),
    head=dict(type='VisionTransformerClsHead', num_classes=3, in_channels=16),
)
SWIN = dict(
    type='mmpretrain.ImageClassifier',
    backbone=dict(
        type='SwinTransformer',
        arch=dict(embed_dims=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2]),
        img_size=64,
        window_size=2,
    ),
    neck=dict(type='GlobalAveragePooling'),
    head=dict(type='LinearClsHead', num_classes=3, in_channels=64),
)
SEGFORMER = dict(
    type='mmseg.EncoderDecoder',
    backbone=dict(
        type='MixVisionTransformer',
        embed_dims=8,
        num_layers=[1, 1, 1, 1],
        num_heads=[1, 1, 2, 2],
    ),
    decode_head=dict(
        type='SegformerHead',
        in_channels=[8, 8, 16, 16],
        in_index=[0, 1, 2, 3],
        channels=8,
        num_classes=3,
        dropout_ratio=0.1,
    ),
)
FCN = dict(
    type='mmseg.EncoderDecoder',
    backbone=dict(
        type='ResNetV1c', depth=18, stem_channels=8, base_channels=8
    ),
    decode_head=dict(
        type='FCNHead', in_channels=64, channels=8, num_classes=3
    ),
    auxiliary_head=dict(
        type='FCNHead',
        in_channels=32,
        in_index=2,
        channels=8,
        num_classes=3,
    ),
)


def build(config, source, options=None):
    torch.manual_seed(7)
    teacher = trained(MODELS.build(copy.deepcopy(config)))
    return FrozenTeacherDistill(
        architecture=copy.deepcopy(teacher),
        teacher=teacher,
        distiller=recording(source),
        teacher_options=options,
    )


def watch(model):
    """Names of the teacher's modules as they start, and as they end."""
    started, ended = [], []
    for name, module in model.named_modules():
        module.register_forward_pre_hook(
            lambda *args, name=name: started.append(name)
        )
        module.register_forward_hook(
            lambda *args, name=name: ended.append(name)
        )
    return started, ended


@pytest.mark.parametrize(
    ('config', 'source', 'before', 'behind'),
    [
        (RESNET, 'backbone.layer2', 'backbone.layer1', 'backbone.layer3'),
        (RESNET, 'neck', 'backbone', 'head'),
        (RESNET, 'backbone.layer2.0.bn1', 'backbone.layer1', 'backbone.la'
         'yer2.0.conv2'),
        (VIT, 'backbone.layers.1', 'backbone.layers.0', 'backbone.layers.2'),
        (VIT, 'backbone.layers.1.attn', 'backbone.layers.1.ln1',
         'backbone.layers.1.ffn'),
        (VIT, 'backbone.ln1', 'backbone.layers.2', 'head'),
        (SWIN, 'backbone.stages.1', 'backbone.stages.0', 'backbone.stages.2'),
        (SWIN, 'backbone.norm3', 'backbone.stages.3', 'neck'),
        (SEGFORMER, 'backbone.layers.1.2', 'backbone.layers.0.2',
         'backbone.layers.2.0'),
        (SEGFORMER, 'decode_head.convs.2', 'decode_head.convs.1',
         'decode_head.convs.3'),
        (SEGFORMER, 'decode_head.fusion_conv', 'decode_head.convs.3',
         'decode_head.conv_seg'),
        (FCN, 'decode_head.convs.0', 'backbone.layer4',
         'decode_head.convs.1'),
        (FCN, 'auxiliary_head.convs.0', 'backbone.layer4',
         'auxiliary_head.conv_seg'),
        (FCN, 'backbone.layer3', 'backbone.layer2', 'backbone.layer4'),
    ],
)  # fmt: skip
def test_nothing_runs_behind_the_recorded_layer(
    config, source, before, behind
):
    image = torch.rand(2, 3, 64, 64)
    expected = records(build(config, source, PLAIN), image)
    model = build(config, source)
    found = records(model, image)
    assert len(found) == len(expected) == 1
    torch.testing.assert_close(found[0], expected[0], rtol=1e-4, atol=1e-5)
    started, ended = watch(model.teacher)
    records(model, image)
    assert ended[-1] == source
    assert before in ended and behind not in started


def test_a_layer_that_runs_twice_ends_the_forward_at_its_last_run():
    class Twice(ToySegmentor):
        def extract_feat(self, inputs):
            return self.backbone(inputs) + self.backbone(inputs.flip(3))

    model = FrozenTeacherDistill(
        architecture=Twice(width=8),
        teacher=Twice(width=8),
        distiller=recording('backbone.norm'),
    )
    started, _ = watch(model.teacher)
    assert len(records(model)) == 2
    assert started.count('backbone.norm') == 2
    assert started.count('backbone.relu') == 1
    assert started[-1] == 'backbone.norm'


def test_several_layers_end_the_forward_at_the_last_of_them():
    model = FrozenTeacherDistill(
        architecture=ToySegmentor(width=8),
        teacher=ToySegmentor(width=8),
        distiller=recording('backbone.norm', 'backbone.conv'),
    )
    started, ended = watch(model.teacher)
    records(model)
    assert started[-1] == ended[-1] == 'backbone.norm'


@pytest.fixture
def compiler(monkeypatch):
    """Notes what is compiled, and what is run of it."""
    lines, calls = [], []
    monkeypatch.setattr(
        compiled_parts, 'print_log', lambda line, *args: lines.append(line)
    )

    def backend(graph, inputs):
        calls.append('compiled')

        def run(*args):
            calls.append('run')
            return graph(*args)

        return run

    return backend, lines, calls


@pytest.mark.parametrize(
    ('config', 'source', 'names'),
    [
        (RESNET, 'backbone.layer2', 'backbone.layer1, backbone.layer2;'),
        (RESNET, 'backbone.layer2.0.bn1', 'backbone.layer1;'),
        (RESNET, 'head.fc', 'backbone;'),
        (VIT, 'backbone.layers.1', 'backbone.patch_embed, backbone.layers.0'),
        (FCN, 'decode_head.convs.0', 'backbone, decode_head.convs.0;'),
    ],
)
def test_the_largest_parts_without_a_recorded_layer_inside_are_compiled(
    config, source, names, compiler
):
    torch._dynamo.reset()
    backend, lines, calls = compiler
    model = build(config, source, dict(compile=dict(backend=backend)))
    image = torch.rand(2, 3, 64, 64)
    plain = records(build(config, source, PLAIN), image)
    for step in range(2):
        calls.clear()
        found = records(model, image)
        torch.testing.assert_close(found, plain, rtol=1e-4, atol=1e-5)
        assert 'run' in calls
        assert ('compiled' in calls) is (step == 0)
    assert len(lines) == 1 and f'teacher: {names}' in lines[0], lines


def test_a_compiled_part_follows_its_weights(compiler):
    torch._dynamo.reset()
    backend, _, _ = compiler
    source = 'decode_head.conv_seg'
    model = FrozenTeacherDistill(
        architecture=ToySegmentor(width=8),
        teacher=trained(),
        distiller=recording(source),
        teacher_options=dict(compile=dict(backend=backend)),
    )
    for _ in range(2):
        expected = model.teacher(IMAGE)
        torch.testing.assert_close(records(model)[0], expected)
        for parameter in model.teacher.parameters():
            torch.nn.init.normal_(parameter)


def test_the_log_says_what_is_off_where_the_whole_loss_is_run(monkeypatch):
    lines = []
    monkeypatch.setattr(
        'mmtat.models.utils.teacher_speed.print_log',
        lambda line, *args: lines.append(line),
    )
    distiller = recording('backbone')
    for role in ('student', 'teacher'):
        distiller[f'{role}_recorders']['noise'] = dict(
            type='FunctionOutputs', source='tests.toys.noise'
        )
        distiller[f'{role}_recorders']['features'] = dict(
            type='MethodOutputs',
            source='tests.toys.ToySegmentor.extract_feat',
        )
    model = FrozenTeacherDistill(
        architecture=dict(type='NoisySegmentor', width=8),
        teacher=dict(type='NoisySegmentor', width=8),
        distiller=distiller,
        teacher_options=dict(compile=True, dtype='bfloat16'),
    )
    for _ in range(2):
        found = records(model)
        assert [value.dtype for value in found] == [torch.float32] * 3
        assert torch.equal(found[0], found[2])
    assert lines == [
        'teacher_options: compile, fold_norms: off, because recorders of '
        'functions and deliveries may need any part of its loss'
    ]
