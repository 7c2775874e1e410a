"""The table of layers that can be recorded, and its command."""

import runpy
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.model import BaseModel
from mmengine.registry import MODELS
from torch import nn

from mmtat.engine.input_size import training_crop, training_size
from mmtat.engine.inspected import read_config
from mmtat.engine.layer_report import matching, report_layers
from mmtat.models.utils import build_model, recordable_layers

from .toys import ToySegmentor, distillation

ROOT = Path(__file__).resolve().parent.parent


@MODELS.register_module()
class ToyLayers(BaseModel):
    """Layers of each kind that a table has to tell apart."""

    def __init__(self, fails=False, **kwargs):
        super().__init__(**kwargs)
        self.conv = nn.Conv2d(3, 8, 4, 4)
        self.relu = nn.ReLU()
        self.tokens = nn.Linear(8, 6)
        self.pair = Pair()
        self.decode_head = nn.Sequential(nn.Conv2d(8, 2, 1))
        self.auxiliary_head = nn.Sequential(nn.Conv2d(8, 5, 1))
        self.never = nn.Conv2d(8, 8, 1)
        self.fails = fails

    def extract_feat(self, inputs):
        features = self.relu(self.relu(self.conv(inputs)))
        # (B, C, h, w) -> (B, h*w, C)
        tokens = features.flatten(2).transpose(1, 2)
        self.tokens(torch.cat([tokens[:, :1], tokens], 1))
        self.tokens(tokens.flatten(0, 1)[:, None])
        self.pair(features)
        if self.fails:
            # What a fake tensor has not.
            features.sum().item()
        return features

    def forward(self, inputs, data_samples=None, mode='tensor'):
        return self.decode_head.forward(self.extract_feat(inputs))


class Pair(nn.Module):
    def forward(self, features):
        return dict(map=features, rows=features.flatten(2)), None


def test_layers_come_in_the_order_of_their_returns():
    found = recordable_layers(ToyLayers(), (16, 32))
    assert [layer.name for layer in found] == [
        'conv',
        'relu',
        'tokens',
        'pair',
        # Itself run by its method, and not called.
        'decode_head.0',
        'auxiliary_head.0',
    ]


def test_what_a_layer_returns_is_told_for_one_image():
    found = {x.name: x for x in recordable_layers(ToyLayers(), (16, 32))}
    conv = found['conv']
    assert conv.kind == 'Conv2d' and conv.shapes == ((1, 8, 4, 8),)
    assert conv.map == (8, 4, 8) and not conv.tokens and conv.stride == 4
    assert conv.bytes == 8 * 4 * 8 * 4 and conv.calls == 1
    assert found['relu'].calls == 2
    # The first of two calls, with a token before those of the image.
    tokens = found['tokens']
    assert tokens.shapes == ((1, 33, 6),) and tokens.tokens
    assert tokens.map == (6, 4, 8) and tokens.stride == 4
    pair = found['pair']
    assert pair.shapes == ((1, 8, 4, 8), (1, 8, 32))
    assert pair.map is None and pair.stride is None
    assert pair.bytes == 2 * conv.bytes


def test_the_table_leaves_no_trace():
    model = ToySegmentor().train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    state = torch.get_rng_state()
    assert recordable_layers(model, (8, 8))
    assert torch.equal(torch.get_rng_state(), state)
    assert model.training and model.backbone.norm.training
    assert all(v.equal(before[k]) for k, v in model.state_dict().items())
    assert not any(m._forward_hooks for m in model.modules())


def test_a_model_that_runs_on_no_fake_tensors_is_run():
    names = [x.name for x in recordable_layers(ToyLayers(), (16, 16))]
    model = ToyLayers(fails=True)
    assert [x.name for x in recordable_layers(model, (16, 16))] == names


def test_a_model_that_does_not_run_at_all_says_why():
    with pytest.raises(ValueError, match='does not run on an image of 2x2'):
        recordable_layers(ToyLayers(), (2, 2))


def test_maps_with_channels_at_the_end_are_no_maps():
    class Last(BaseModel):
        def __init__(self):
            super().__init__()
            self.conv, self.linear = nn.Conv2d(3, 4, 1), nn.Linear(4, 4)

        def forward(self, inputs, data_samples=None, mode='tensor'):
            return self.linear(self.conv(inputs).permute(0, 2, 3, 1))

    conv, linear = recordable_layers(Last(), (16, 16))
    assert conv.map == (4, 16, 16)
    assert linear.shapes == ((1, 16, 16, 4),) and linear.map is None


NAMES = ['backbone.layer1', 'backbone.layer1.0', 'backbone.layer2', 'neck']


@pytest.mark.parametrize(
    ('pattern', 'expected'),
    [
        (None, NAMES),
        ('backbone.layer?', ['backbone.layer1', 'backbone.layer2']),
        ('backbone.*', NAMES[:3]),
        ('layer1', NAMES[:2]),
        ('(1|2)$', ['backbone.layer1', 'backbone.layer2']),
    ],
)
def test_a_pattern_is_a_glob_or_a_regular_expression(pattern, expected):
    assert matching(NAMES, pattern) == expected


@pytest.mark.parametrize(
    ('pattern', 'message'),
    [
        ('backbone.leyer1', 'close matches: backbone.layer1'),
        ('layr2', 'close matches: backbone.layer2, layer2'),
        ('qqqqqq', 'layers begin with: backbone, neck'),
        ('layer1(', 'no regular expression .*; close matches: .*layer1,'),
    ],
)
def test_a_pattern_that_matches_nothing_names_what_is_near(pattern, message):
    with pytest.raises(ValueError, match=message):
        matching(NAMES, pattern)


def table_of(capsys, config, *args, **kwargs):
    """Lines of what is printed, by the first word."""
    report_layers(Config(config), *args, **kwargs)
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if 'mmengine' not in line]


def row_of(lines, layer):
    return [line for line in lines if line.split()[0] == layer]


def toy_config(**distiller):
    distiller = dict(
        dict(type='mmtat.TaTDistiller', layers=['backbone.conv']), **distiller
    )
    return dict(
        model=distillation(distiller),
        train_dataloader=dict(
            batch_size=64,
            dataset=dict(
                pipeline=[
                    dict(type='RandomCrop', crop_size=(32, 64)),
                    dict(type='PackSegInputs'),
                ]
            ),
        ),
    )


def test_each_model_has_a_table_that_marks_what_is_recorded(capsys):
    lines = table_of(
        capsys,
        toy_config(
            branches=dict(whole=dict(), anchor_point=dict(anchors=(2, 2))),
            logits=dict(
                student='decode_head.conv_seg', teacher='decode_head.conv_seg'
            ),
        ),
    )
    assert lines[0] == (
        'student ToySegmentor, input 32x64, memory of a batch of 64'
    )
    # 64 images of 4 or 8 channels of 16x32, of 4 bytes.
    for line, channels, size in zip(
        row_of(lines, 'backbone.conv'), (4, 8), ('0.5', '1.0')
    ):
        assert line.split() == [
            *('backbone.conv', 'Conv2d', f'{channels},', '16,', '32', '2'),
            *(size, 'layer_0:', 'loss_tat,', 'loss_tat_anchor_point'),
        ]
    for line in row_of(lines, 'decode_head.conv_seg'):
        assert line.endswith('  logits: loss_kl')
    for line in row_of(lines, 'backbone.norm'):
        # The last is its memory.
        assert float(line.split()[-1]) > 0


def test_losses_of_mmrazor_mark_their_recorders(capsys):
    kl = dict(type='KLDivergence')
    config = toy_config(
        distill_losses=dict(loss_kl=kl),
        student_recorders=dict(
            seg=dict(type='ModuleOutputs', source='decode_head.conv_seg'),
            weight=dict(type='Parameter', source='backbone.conv.weight'),
        ),
        teacher_recorders=dict(
            seg=dict(type='ModuleOutputs', source='decode_head.conv_seg')
        ),
        loss_forward_mappings=dict(
            loss_kl=dict(
                preds_S=dict(from_student=True, recorder='seg'),
                preds_T=dict(from_student=False, recorder='seg'),
            )
        ),
    )
    lines = table_of(capsys, config, role='student')
    (row,) = row_of(lines, 'decode_head.conv_seg')
    assert row.endswith('  seg: loss_kl')
    assert lines[-1] == 'recorded as well: backbone.conv.weight as weight'
    assert not any(line.startswith('teacher') for line in lines)


def test_several_pairs_have_the_losses_of_their_own(capsys):
    config = toy_config(layers=['backbone.conv', 'backbone.relu'])
    lines = table_of(capsys, config, pattern='backbone.*', role='teacher')
    assert row_of(lines, 'backbone.conv')[0].endswith('layer_0: loss_tat_0')
    assert row_of(lines, 'backbone.relu')[0].endswith('layer_1: loss_tat_1')


def test_a_distiller_that_names_a_wrong_layer_still_has_a_table(capsys):
    lines = table_of(capsys, toy_config(layers=['backbone.konv']))
    assert len(row_of(lines, 'backbone.conv')) == 2
    assert lines[-1].startswith('This config does not distil as it is: the')
    assert 'close matches: backbone.conv' in lines[-1]


def test_a_model_alone_is_the_student(capsys):
    config = dict(model=dict(type='ToyLayers'))
    lines = table_of(capsys, config, size=(16, 16))
    assert lines[0].startswith('student ToyLayers, input 16x16, memory of a')
    (row,) = row_of(lines, 'tokens')
    assert '6, 4, 4 as tokens' in row and 'Linear (2 calls)' in row
    (row,) = row_of(lines, 'pair')
    assert 'no map: 8, 4, 4 | 8, 16' in row
    assert lines[-1] == (
        'decode_head, auxiliary_head: run by a method, so that no recorder '
        'sees it; name a layer inside'
    )
    with pytest.raises(ValueError, match='--role teacher: the config is no'):
        report_layers(Config(config), role='teacher')


def test_a_table_that_a_pattern_leaves_empty_says_so(capsys):
    config = toy_config()
    config['model']['teacher'] = dict(type='ToyLayers')
    config['model']['distiller']['layers'] = [
        dict(student='backbone.conv', teacher='conv')
    ]
    lines = table_of(capsys, config, pattern='backbone.*')
    assert "teacher ToyLayers: no layer matches 'backbone.*'" in lines


def test_the_size_is_what_is_trained_on():
    student, teacher = ToySegmentor(), ToySegmentor()
    config = Config(toy_config())
    assert training_crop(config) == (32, 64)
    assert training_size(config, [student, teacher]) == ((32, 64), True)
    teacher.backbone.img_size = 48
    assert training_size(config, [student, teacher]) == ((32, 64), True)
    student.backbone.img_size = 40
    assert training_size(config, [student, teacher]) == ((40, 40), True)
    config.model.distiller.input_size = (24, 16)
    assert training_size(config, [student, teacher]) == ((24, 16), True)
    del student.backbone.img_size, config.model.distiller.input_size
    config.train_dataloader.dataset.pipeline = []
    assert training_crop(config) is None
    assert training_size(config, [student, teacher]) == ((48, 48), True)
    del teacher.backbone.img_size
    assert training_size(config, [student, teacher]) == ((224, 224), False)


def test_a_config_without_a_scope_is_looked_up_in_the_zoos(capsys):
    path = 'configs/_base_/models/deeplabv3plus_r18_digit_scenes.py'
    report_layers(read_config(str(ROOT / path)), pattern='backbone.layer3')
    (row,) = row_of(capsys.readouterr().out.splitlines(), 'backbone.layer3')
    assert row.split()[1] == 'ResLayer'


@pytest.mark.parametrize('size', [(0, 8), (8,), (8, -1)])
def test_a_size_that_cannot_be_is_refused(size):
    with pytest.raises(ValueError, match='--size must be two positive'):
        report_layers(Config(toy_config()), size=size)


def run_tool(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / 'tools' / 'layers.py', *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_the_command_prints_the_tables_of_a_config():
    done = run_tool(
        'configs/digits/digits_tat.py',
        *('--pattern', 'backbone.layer3', '--size', '32', '32'),
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    rows = [line.split() for line in row_of(lines, 'backbone.layer3')]
    assert [row[2:5] for row in rows] == [
        ['16,', '8,', '8'],
        ['64,', '8,', '8'],
    ]
    assert all(row[-2:] == ['layer_0:', 'loss_tat'] for row in rows)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['configs/studnt.py'], 'error: config: no config file'),
        (
            ['configs/digits/digits_student.py', '--pattern', 'layr3'],
            "error: --pattern 'layr3' matches no layer; close matches: ",
        ),
        (
            ['configs/_base_/models/deeplabv3plus_r18-d16.py'],
            'error: config: no model comes of it: ',
        ),
        (
            ['configs/digits/digits_student.py', '--role', 'teacher'],
            'error: --role teacher: the config is no distillation',
        ),
    ],
)
def test_the_command_ends_with_one_line_for_a_mistake(
    arguments, message, monkeypatch, capsys
):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr('sys.argv', ['layers.py', *arguments])
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(ROOT / 'tools' / 'layers.py'), run_name='__main__')
    error = capsys.readouterr().err
    assert left.value.code == 1
    assert error.startswith(message) and len(error.splitlines()) == 1


@pytest.mark.parametrize(
    ('name', 'layer', 'shape', 'stride'),
    [
        ('mmseg::pspnet/pspnet_r18-d8_4xb2-80k_cityscapes-512x1024.py',
         'backbone.layer4', (512, 64, 128), 8),
        ('mmseg::segformer/segformer_mit-b0_8xb2-160k_ade20k-512x512.py',
         'backbone.layers.3.2', (256, 16, 16), 32),
        ('mmpretrain::swin_transformer/swin-tiny_16xb64_in1k.py',
         'backbone.stages.2', (384, 14, 14), 16),
        ('mmpretrain::deit/deit-tiny_4xb256_in1k.py',
         'backbone.layers.11', (192, 14, 14), 16),
    ],
)  # fmt: skip
@pytest.mark.slow
def test_models_of_the_zoos_have_their_maps(
    name, layer, shape, stride, capsys
):
    config = read_config(name)
    model = build_model(config.model, 'model')
    size, _ = training_size(config, [model])
    found = {x.name: x for x in recordable_layers(model, size)}[layer]
    assert found.map == shape and found.stride == stride
    report_layers(config, pattern=layer)
    assert row_of(capsys.readouterr().out.splitlines(), layer)
