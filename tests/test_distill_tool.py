"""tools/distill.py: two names in, a config that trains out."""

import ast
import json
import math
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS
from torch import nn

from mmtat.engine.inspected import built, read_config
from mmtat.engine.wiring import launch_command, make_plan, method_names
from mmtat.engine.wiring.code import Code, Commented, assignment, comment
from mmtat.engine.wiring.data import find_data
from mmtat.engine.wiring.layers import find_layers
from mmtat.engine.wiring.models import find_model
from mmtat.engine.wiring.pairs import choose_pair
from mmtat.engine.wiring.regions import propose_anchors, propose_patches
from mmtat.engine.wiring.student import as_overrides, class_changes
from mmtat.engine.wiring.trace import trace
from mmtat.engine.wiring.zoo import find_config, zoo_entry
from mmtat.models.utils import without_pretrained
from mmtat.ops import group_patches, pool_anchors

from .pairs import (
    MAKERS,
    PAIRS,
    TIMM_PAIRS,
    name_of,
    small_config,
    train_small,
    written,
)
from .tiny_data import make_digit_scenes
from .toys import ToySegmentor
from .voc import ROOT, run_tool

TEACHER = str(ROOT / 'configs/digit_scenes/scenes_teacher.py')
STUDENT = str(ROOT / 'configs/digit_scenes/scenes_student.py')
R34 = 'mmpretrain::resnet34_8xb32_in1k'
R18 = 'mmpretrain::resnet18_8xb32_in1k'
VOC_TEACHER = 'mmseg::deeplabv3_r101-d8_4xb4-40k_voc12aug-512x512'


def arguments(teacher=TEACHER, student=STUDENT, **options):
    """The command line's words."""
    words = ['--teacher', teacher, '--student', student]
    for name, value in options.items():
        flag = '--' + name.replace('_', '-')
        words += [flag] if value is True else [flag, str(value)]
    return words


def code_lines(text):
    lines = [line.strip() for line in text.splitlines()]
    return [line for line in lines if line and not line.startswith('#')]


# --- as a user types it -----------------------------------------------------


def test_the_command_writes_a_config_that_the_training_tool_runs(tmp_path):
    out = tmp_path / 'mine.py'
    done = subprocess.run(
        [sys.executable, 'tools/distill.py', *arguments(out=out)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert f'Train it: python tools/train.py {out}' in done.stdout
    assert 'decode_head.sep_bottleneck.1.pointwise_conv.bn' in done.stdout
    assert '64 x 20 x 20' in done.stdout
    assert 'random until you give --teacher-ckpt' in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ['mine.py']
    config = read_config(str(out))
    assert config.model.distiller.layers == [
        'decode_head.sep_bottleneck.1.pointwise_conv.bn'
    ]
    assert config.train_cfg.max_iters == 800
    model = built(config)
    assert model.teacher.decode_head.channels == 64
    root = make_digit_scenes(tmp_path / 'data')
    options = [
        'train_cfg.max_iters=2',
        'train_dataloader.batch_size=2',
        'train_cfg.val_interval=2',
    ]
    trained = subprocess.run(
        [sys.executable, 'tools/train.py', str(out)]
        + ['--data-root', str(root), '--work-dir', str(tmp_path / 'run')]
        + ['--cfg-options', *options],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / 'run' / 'student.py').is_file()


def test_without_a_place_the_output_is_the_config_alone(monkeypatch, capfd):
    assert run_tool(monkeypatch, 'distill', *arguments()) == 0
    output = capfd.readouterr()
    ast.parse(output.out)
    assert output.out.startswith('# TaT, scenes_teacher -> scenes_student')
    assert output.err.startswith('note: no weights of scenes_teacher')


def test_run_writes_into_the_work_dir_and_trains(tmp_path, monkeypatch):
    root = make_digit_scenes(tmp_path / 'data')
    work_dir = tmp_path / 'run'
    words = arguments(run=True, work_dir=work_dir, data_root=root)
    words += ['--cfg-options', 'train_cfg.max_iters=2']
    words += ['train_cfg.val_interval=2', 'train_dataloader.batch_size=2']
    assert run_tool(monkeypatch, 'distill', *words) == 0
    config = work_dir / 'distill' / 'tat_scenes_teacher_scenes_student.py'
    header = config.read_text().partition('_base_')[0]
    assert '--cfg-options train_cfg.max_iters=2' in header
    log = next(work_dir.glob('*/vis_data/scalars.json')).read_text()
    assert 'mIoU' in log
    assert run_tool(monkeypatch, 'distill', *words) == 1
    # There the Runner writes a file of the config's name.
    words += ['--out', str(work_dir / 'mine.py')]
    assert run_tool(monkeypatch, 'distill', *words) == 1
    assert not (work_dir / 'mine.py').exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(teacher='mmseg::deeplabv3_r101_voc'),
            "--teacher: no config 'mmseg::deeplabv3_r101_voc'; close matches: "
            'mmseg::deeplabv3_r101',
        ),
        (
            dict(teacher='mmsegg::pspnet'),
            "there is no zoo 'mmsegg'; did you mean mmseg::pspnet?",
        ),
        (
            dict(teacher='resnet34_8xb32_in1k'),
            "no config file 'resnet34_8xb32_in1k'; give a path, or the name "
            'of a model of a zoo: close matches: mmpretrain::resnet34_8xb32',
        ),
        (
            dict(teacher='configs/digit_scenes/scenes_tat.py'),
            'is the config of a distillation; give that of the model itself',
        ),
        (
            dict(teacher='configs/sweeps/anchors_voc.py'),
            "the config 'configs/sweeps/anchors_voc.py' has no model",
        ),
        (
            dict(
                student='mmpretrain::mae_vit-base-p16_8xb512-amp-coslr-300e'
                '_in1k'
            ),
            'defines a MAE; a student is a segmentor or an ImageClassifier',
        ),
        (
            dict(data='cityscape'),
            "--data: no data 'cityscape' for segmentation; give the path of "
            "a config, the name of a zoo's, or a short name: cityscapes",
        ),
        (
            dict(data='mmseg::_base_/models/pspnet_r50-d8.py'),
            'has no train_dataloader',
        ),
        (
            dict(method='cdw'),
            "--method: no method 'cdw'; did you mean cwd or crd?",
        ),
        (
            dict(teacher_ckpt='nowhere.pth'),
            "--teacher-ckpt: no file 'nowhere.pth'",
        ),
        (dict(out='config.txt'), '--out: a config ends in .py, got'),
        (dict(out='configs/voc'), '--out: a config ends in .py'),
        (
            dict(teacher='mmseg::psanet_r50-d8_4xb4-20k_voc12aug-512x512'),
            'mmcv.ops.psamask_forward needs the compiled mmcv',
        ),
        (
            dict(teacher='mmseg::mask2former_r50_8xb2-160k_ade20k-512x512'),
            "needs what is not installed: No module named 'mmdet'",
        ),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    options, message, tmp_path, monkeypatch, capfd
):
    out = tmp_path / 'inner' / 'config.py'
    words = arguments(**{'out': out, **options})
    assert run_tool(monkeypatch, 'distill', *words) == 1
    error = capfd.readouterr().err
    lines = [line for line in error.splitlines() if 'error:' in line]
    assert len(lines) == 1 and message in lines[0], error
    assert list(tmp_path.iterdir()) == []


def test_a_config_that_is_there_is_replaced_by_force_only(
    tmp_path, monkeypatch, capfd
):
    out = tmp_path / 'config.py'
    out.write_text('mine = 1\n')
    assert run_tool(monkeypatch, 'distill', *arguments(out=out)) == 1
    assert 'exists; name another file, or replace it with --force' in (
        capfd.readouterr().err
    )
    assert out.read_text() == 'mine = 1\n'
    words = arguments(out=out, force=True)
    assert run_tool(monkeypatch, 'distill', *words) == 0
    assert 'mmtat.TaTDistiller' in out.read_text()


# --- names ------------------------------------------------------------------


@pytest.mark.parametrize(
    'source',
    [
        'mmseg::fcn_r50-d8_4xb4-20k_voc12aug-512x512',
        'mmseg::fcn_r50-d8_4xb4-20k_voc12aug-512x512.py',
        'mmseg::fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512',
        'mmseg::wrong/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py',
        'mmsegmentation::fcn_r50-d8_4xb4-20k_voc12aug-512x512',
    ],
)
def test_a_name_needs_neither_folder_nor_suffix(source):
    name = 'mmseg::fcn/fcn_r50-d8_4xb4-20k_voc12aug-512x512.py'
    assert find_config(source, '--teacher') == name


def test_of_several_configs_of_a_name_the_folder_says_which():
    name = 'beit-base-p16_8xb64_in1k'
    with pytest.raises(ValueError, match='is the name of several configs'):
        find_config(f'mmpretrain::{name}', '--teacher')
    found = find_config(f'mmpretrain::beit/benchmarks/{name}', '--teacher')
    assert found == f'mmpretrain::beit/benchmarks/{name}.py'
    # Not the copy for deployment.
    found = find_config('mmpretrain::levit-128_8xb256_in1k', '--teacher')
    assert found == 'mmpretrain::levit/levit-128_8xb256_in1k.py'


def test_the_weights_are_those_of_the_zoos_own_look_up():
    from mmengine.hub import get_config

    for source in (R34, VOC_TEACHER):
        name = find_config(source, '--teacher')
        weights = get_config(name, pretrained=True).model_path
        assert zoo_entry(name)['Weights'] == weights
    assert zoo_entry('mmseg::_base_/datasets/ade20k.py') == {}


# --- layers -----------------------------------------------------------------


def found_in(model, size=(32, 32), classes=3):
    return find_layers(trace(model, size), classes)


class ToyHead(nn.Module):
    """A decode head as mmsegmentation's, with what is asked for in front."""

    def __init__(self, *layers, classes=3):
        super().__init__()
        for index, layer in enumerate(layers):
            self.add_module(f'layer{index}', layer)
        self.dropout = nn.Dropout2d(0.1)
        self.conv_seg = nn.Conv2d(4, classes, 1)

    def forward(self, features):
        for layer in self.children():
            features = layer(features)
        return features


def segmentor(*layers):
    model = ToySegmentor()
    model.decode_head = ToyHead(*layers)
    return model


@pytest.mark.parametrize('inplace', [True, False])
def test_the_norm_before_the_activation_is_taken(inplace):
    block = nn.Sequential(
        nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=inplace)
    )
    found = found_in(segmentor(block))
    first = found.head[0]
    assert (first.name, first.map) == ('decode_head.layer0.1', (4, 16, 16))
    assert first.where == 'the map in front of conv_seg, before its activation'
    assert found.logits == 'decode_head.conv_seg'
    assert found.norm.name == 'decode_head.layer0.1'


def test_a_map_that_no_layer_returns_is_left_for_the_backbones():
    model = segmentor(nn.Conv2d(4, 4, 1))
    assert found_in(model).head[0].name == 'decode_head.layer0'
    head = model.decode_head
    # Between the layers, and behind a dropout that is live in training.
    head.forward = lambda x: head.conv_seg(head.dropout(head.layer0(x) + 1))
    found = found_in(model)
    assert found.head == []
    assert found.last.name == 'backbone.norm'


def test_what_is_resized_is_a_second_choice_for_equal_sizes():
    block = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.ReLU())
    small = found_in(segmentor(block, nn.Upsample(scale_factor=2)))
    names = [(c.name, c.size) for c in small.head]
    assert names[0] == ('decode_head.layer0.1', (16, 16))
    assert ('decode_head.layer1', (32, 32)) in names
    pair = choose_pair(small, found_in(segmentor(block)))
    assert pair.student.name == 'decode_head.layer0.1'
    assert not pair.is_resized
    wide = ToySegmentor(stride=1)
    wide.decode_head = ToyHead(block)
    pair = choose_pair(small, found_in(wide))
    assert pair.student.name == 'decode_head.layer1'
    assert not pair.is_resized


def test_a_layer_that_is_called_twice_is_not_taken():
    norm = nn.BatchNorm2d(4)
    found = found_in(segmentor(norm, nn.Conv2d(4, 4, 1)))
    assert found.head[0].name == 'decode_head.layer1'
    found = found_in(segmentor(nn.Conv2d(4, 4, 1), norm, nn.Sequential(norm)))
    assert 'decode_head.layer1' not in [c.name for c in found.head]


# --- regions ----------------------------------------------------------------


@pytest.mark.parametrize(
    ('size', 'patches', 'groups', 'anchors'),
    [
        # As configs/ have them.
        ((128, 128), (16, 16), 64, (32, 32)),
        ((64, 64), (8, 8), 16, (32, 32)),
        ((129, 129), (16, 16), 64, (32, 32)),
        # No number divides 97.
        ((97, 97), (12, 12), 36, (32, 32)),
        ((64, 128), (8, 16), 32, (32, 64)),
        ((40, 40), (5, 5), 5, (40, 40)),
    ],
)
def test_patches_and_anchors_fit_the_map(size, patches, groups, anchors):
    assert propose_patches(*size) == (patches, groups)
    assert propose_anchors(*size) == anchors


@pytest.mark.parametrize('height', [33, 37, 47, 64, 97, 100, 129, 256])
@pytest.mark.parametrize('width', [35, 64, 96, 193])
def test_every_map_is_cut_as_proposed(height, width):
    feature = torch.zeros(1, 1, height, width)
    patches, groups = propose_patches(height, width)
    cut = group_patches(feature, patches, groups)
    kept = cut.numel() / feature.numel()
    assert kept > 0.9
    assert pool_anchors(feature, propose_anchors(height, width)).dim() == 4
    in_group = patches[0] * patches[1] // groups
    assert 1 <= in_group <= 16


# --- what is written --------------------------------------------------------


def test_values_are_written_as_ruff_would():
    value = dict(
        _delete_=True,
        text="it's",
        keys={'a.b': 1},
        inner=Commented(dict(a=(1,), b=Code('_base_.b')), 'Why. ' * 20),
    )
    text = assignment('name', value)
    assert max(map(len, text.splitlines())) <= 79
    namespace = dict(_base_=Config(dict(b=[1, 2])))
    exec(compile(text, 'config', 'exec'), {'dict': dict}, namespace)
    assert namespace['name']['inner'] == dict(a=(1,), b=[1, 2])
    assert namespace['name']['keys'] == {'a.b': 1}
    assert namespace['name']['text'] == "it's"


def test_a_size_is_not_torn_apart_in_a_comment():
    text = comment('word ' * 14 + '512 x 64 x 64 and more')
    assert '# 512 x 64 x 64 and more' in text.splitlines()


def test_classes_are_changed_wherever_a_head_counts_them():
    model = Config(
        dict(
            model=dict(
                decode_head=dict(
                    num_classes=19,
                    loss_decode=dict(class_weight=[1.0] * 19),
                ),
                auxiliary_head=[dict(num_classes=19), dict(num_classes=2)],
            )
        )
    ).model
    changes = class_changes(model, 19, 21)
    overrides = as_overrides(model, changes)
    assert overrides == dict(
        decode_head=dict(num_classes=21, loss_decode=dict(class_weight=None)),
        auxiliary_head=[dict(num_classes=21), dict(num_classes=2)],
    )
    assert model.decode_head.num_classes == 19


def test_the_pair_of_a_config_is_wired_as_there(tmp_path):
    pair = (R34, R18, None, 'tat')
    plan, text = written(pair, tmp_path / 'wired.py')
    hand = Config.fromfile(ROOT / 'configs/tat_resnet34_resnet18_in1k.py')
    wired = Config.fromfile(tmp_path / 'wired.py')
    assert wired.model.distiller == hand.model.distiller
    assert wired.model.teacher_ckpt == hand.model.teacher_ckpt
    assert wired.model.architecture.head.loss.loss_weight == 0.5
    assert len(code_lines(text)) <= 25
    assert 'top-1 73.62 on ImageNet-1k (reported)' in text
    assert plan.notes == []


def test_other_data_changes_crop_classes_and_keeps_the_schedule(tmp_path):
    student = 'mmseg::segformer_mit-b0_8xb2-160k_ade20k-512x512'
    out = tmp_path / 'wired.py'
    pair = (VOC_TEACHER, student, 'voc', 'tat')
    plan, text = written(pair, out)
    config = Config.fromfile(out)
    model = built(read_config(str(out)))
    assert model.student.decode_head.conv_seg.out_channels == 21
    own = find_model(student, 'student').config
    assert config.optim_wrapper == own.optim_wrapper
    assert config.param_scheduler == own.param_scheduler
    assert config.train_cfg.max_iters == own.train_cfg.max_iters
    assert config.train_dataloader.batch_size == 2
    assert config.train_dataloader.dataset.type == 'ConcatDataset'
    assert (plan.size, plan.classes) == ((512, 512), 21)
    assert "the student's map of 128x128 is resized to the" in plan.notes[0]
    hand = Config.fromfile(ROOT / 'configs/tat_deeplabv3_r101_r18_voc.py')
    branches = hand.model.distiller.branches
    assert config.model.distiller.branches == branches


def test_data_may_be_a_config_with_its_own_crop_and_schedule(tmp_path):
    student = 'mmseg::fcn_hr18s_4xb4-20k_voc12aug-512x512'
    out = tmp_path / 'inner' / 'wired.py'
    out.parent.mkdir()
    plan, text = written((TEACHER, student, STUDENT, 'tat'), out)
    config = Config.fromfile(out)
    assert config.train_cfg.max_iters == 800
    # Named relative to the file.
    assert "_base_ = '../" in text
    assert "teacher='{{ fileDirname }}/../" in text
    assert plan.size == (80, 80)
    head = config.model.architecture.decode_head
    assert head.num_classes == 11
    assert built(config).student.data_preprocessor.size == (80, 80)


def test_a_schedule_by_layers_is_switched_off_with_the_reason(tmp_path):
    student = 'mmseg::convnext-tiny_upernet_8xb2-amp-160k_ade20k-512x512'
    own = find_model(student, 'student').config.optim_wrapper
    assert own.constructor == 'LearningRateDecayOptimizerConstructor'
    out = tmp_path / 'wired.py'
    teacher = 'mmseg::segformer_mit-b0_8xb2-160k_ade20k-512x512'
    _, text = written((teacher, student, None, 'tat'), out)
    wrapper = Config.fromfile(out).optim_wrapper
    assert wrapper.constructor == 'DefaultOptimWrapperConstructor'
    assert wrapper.paramwise_cfg == {}
    assert wrapper.optimizer == own.optimizer
    assert "names that begin with 'backbone.'" in text.replace('\n# ', ' ')


def test_options_of_the_student_count_in_its_dry_run_and_the_command():
    options = {'model.architecture.decode_head.channels': 16}
    plan = make_plan(TEACHER, STUDENT, cfg_options=options)
    assert plan.proposal.pairs[0].student.map == (16, 20, 20)
    command = launch_command('a b.py', 'data', {'a.size': (80, 80)})
    assert command == (
        "python tools/train.py 'a b.py' --data-root data "
        "--cfg-options 'a.size=(80,80)'"
    )
    command = launch_command('a.py', None, {'root': 'my data'})
    assert command.endswith("--cfg-options 'root=my data'")


def test_a_size_that_nothing_says_is_asked_for():
    digits = [
        str(ROOT / f'configs/digits/digits_{role}.py')
        for role in ('teacher', 'student')
    ]
    plan = make_plan(*digits)
    assert 'nothing says how large the images are' in plan.notes[0]
    option = {'model.distiller.input_size': (32, 32)}
    plan = make_plan(*digits, cfg_options=option)
    assert (plan.size, plan.size_is_known) == ((32, 32), True)


# --- methods ----------------------------------------------------------------


@pytest.mark.parametrize('method', method_names())
def test_every_method_is_wired_and_built(method, tmp_path):
    pair = (TEACHER, STUDENT, None, method)
    if method == 'crd':
        with pytest.raises(ValueError, match='number of training images'):
            written(pair, tmp_path / 'wired.py')
        return
    _, text = written(pair, tmp_path / 'wired.py')
    distiller = Config.fromfile(tmp_path / 'wired.py').model.distiller
    assert ('logits' in distiller) == (method in ('kd', 'dkd', 'dist', 'cwd'))
    assert len(code_lines(text)) <= 25
    if method == 'at':
        # 41000 on the 16384 positions of VOC, 1000 on the 400 of scenes.
        assert distiller.loss_weight == pytest.approx(1000, rel=0.01)


def test_logits_of_other_classes_are_refused_with_what_can_be_done():
    student = 'mmseg::segformer_mit-b0_8xb2-160k_ade20k-512x512'
    message = (
        '--method kd compares logits, but the teacher tells 21 classes '
        'apart and the data has 150; methods that can: tat, at,'
    )
    with pytest.raises(ValueError, match=message) as raised:
        make_plan(VOC_TEACHER, student, method='kd')
    assert 'dkd' not in str(raised.value)
    plan = make_plan(VOC_TEACHER, student, method='cwd')
    assert 'logits' not in plan.proposal.distiller
    assert 'only features are distilled' in plan.notes[0]


def test_ofd_is_refused_where_there_is_no_batch_norm():
    with pytest.raises(ValueError, match='takes its margins from a batch'):
        make_plan('mmpretrain::deit-tiny_4xb256_in1k', R18, method='ofd')


def test_logits_that_mmtat_does_not_find_are_named():
    student = 'mmpretrain::mobilenet-v3-small_8xb128_in1k'
    plan = make_plan(R34, student)
    logits = plan.proposal.distiller['logits'].value
    assert logits['student'] == 'head.layers.1.fc'
    assert 'teacher' not in logits


# --- data -------------------------------------------------------------------


@pytest.mark.parametrize(
    ('name', 'student', 'classes', 'size'),
    [
        ('voc', VOC_TEACHER, 21, (512, 512)),
        ('cityscapes', VOC_TEACHER, 19, (512, 1024)),
        ('cityscapes_769x769', VOC_TEACHER, 19, (769, 769)),
        ('ade20k', VOC_TEACHER, 150, (512, 512)),
        ('coco_stuff10k', VOC_TEACHER, 171, (512, 512)),
        ('pascal-context', VOC_TEACHER, 60, (480, 480)),
        ('digit_scenes', VOC_TEACHER, 11, (80, 80)),
        ('imagenet', R18, 1000, (224, 224)),
        ('cifar100', R18, 100, (32, 32)),
        ('digits', R18, 10, None),
    ],
)
def test_data_has_short_names(name, student, classes, size):
    data = find_data(name, find_model(student, 'student'))
    assert (len(data.classes), data.size) == (classes, size)


# --- pairs of the zoos ------------------------------------------------------


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory):
    """Folders of data sets, made when first asked for."""
    folder, known = tmp_path_factory.mktemp('tiny'), {}

    def get(kind):
        if kind not in known:
            known[kind] = folder / kind
            known[kind].mkdir()
            MAKERS[kind](known[kind])
        return known[kind]

    return get


CASES = [
    *(pytest.param(p, id=name_of(p), marks=pytest.mark.slow) for p in PAIRS),
    *(
        pytest.param(p, id=name_of(p), marks=pytest.mark.extras)
        for p in TIMM_PAIRS
    ),
]


@pytest.mark.parametrize('pair', CASES)
def test_any_pair_is_wired_and_trains(pair, tiny_data, tmp_path):
    plan, _ = written(pair, tmp_path / 'wired.py')
    config = small_config(tmp_path / 'wired.py', tiny_data(plan.data.kind))
    runner = train_small(config, tmp_path)
    assert runner.iter >= 2
    log = next((tmp_path / 'run').glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) >= 2
    for line in lines:
        assert any(key.startswith('distill.loss') for key in line)
        assert all(math.isfinite(v) for k, v in line.items() if 'loss' in k)


def test_the_pairs_are_of_all_kinds():
    words = ' '.join(source for pair in PAIRS for source in pair[:2])
    kinds = ('pspnet', 'upernet', 'swin', 'segformer', 'fcn', 'convnext')
    for kind in (*kinds, 'vit', 'mobilenet', 'deit', 'resnet'):
        assert kind in words
    assert len(PAIRS) >= 12


@pytest.mark.extras
def test_a_backbone_of_timm_says_how_its_weights_come_into_a_file(tmp_path):
    _, text = written(TIMM_PAIRS[0], tmp_path / 'wired.py')
    command = text.partition('python -c "')[2].partition('"')[0]
    command = command.replace('\n    #     ', '\n')
    command = command.replace('pretrained=True', 'pretrained=False')
    file = tmp_path / 'teacher.pth'
    command = command.replace("'FILE'", repr(str(file)))
    subprocess.run([sys.executable, '-c', command], check=True)
    config = read_config(str(tmp_path / 'wired.py'))
    config.model.teacher_ckpt = str(file)
    model = config.model
    model.architecture = without_pretrained(model.architecture)
    model = MODELS.build(model)
    model.load_teacher()
    loaded = torch.load(file)['backbone.timm_model.norm.weight']
    assert torch.equal(model.teacher.backbone.timm_model.norm.weight, loaded)


def test_timm_that_is_missing_is_named_with_its_extra(monkeypatch):
    import importlib.util

    look = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        'find_spec',
        lambda name, *rest: None if name == 'timm' else look(name, *rest),
    )
    with pytest.raises(ValueError, match=r"pip install 'mmtat\[timm\]'"):
        find_model('timm::resnet18', 'teacher')


@pytest.mark.extras
def test_what_timm_cannot_give_is_refused():
    with pytest.raises(ValueError, match="has no model 'resnet1'; close"):
        find_model('timm::resnet1', 'teacher')
    with pytest.raises(ValueError, match='--data imagenet'):
        make_plan(R34, 'timm::resnet18')
    with pytest.raises(ValueError, match='returns tokens'):
        make_plan(R34, 'timm::vit_tiny_patch16_224', 'imagenet')
    with pytest.raises(ValueError, match='no classifier of its own'):
        make_plan('timm::resnet18', R18, method='kd')


@pytest.mark.parametrize(
    ('name', 'keys'), [('ocrvqa', 'question'), ('coco_caption', 'gt_caption')]
)
def test_data_of_another_task_is_refused(name, keys):
    student = find_model('mmpretrain::resnet18_8xb32_in1k', 'student')
    with pytest.raises(ValueError, match=f'another task .* {keys}'):
        find_data(name, student)
