"""The parts of an export: configs as data, norms, pools, sizes, checks."""

import ast
import copy
import sys

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from torch import nn

from mmtat.engine.export.card import mmengine_release
from mmtat.engine.export.comparison import TOLERANCE, compare
from mmtat.engine.export.facts import dataset_meta, describe_model, teacher_of
from mmtat.engine.export.folding import fold_norms
from mmtat.engine.export.image_input import (
    Normalise,
    image_input,
    sample_images,
)
from mmtat.engine.export.placing import placed
from mmtat.engine.export.plain_config import (
    check_parts,
    is_zoo_name,
    read_plain_config,
)
from mmtat.engine.export.pooling import ExportablePooling, adaptive_average
from mmtat.engine.export.source import Source
from mmtat.models.utils import load_config

from .students import classifier, segmentor, trained
from .voc import ROOT, TEACHERS


@pytest.mark.parametrize(
    'name',
    [
        *TEACHERS.values(),
        'mmpretrain::convnext/convnext-tiny_32xb128_in1k.py',
        str(ROOT / 'configs/tat_resnet34_resnet18_in1k.py'),
        str(ROOT / 'configs/voc/tat_deeplabv3plus_r101_r18.py'),
    ],
)
def test_a_config_as_data_is_the_config(name):
    config = load_config(name, 'config')
    found = read_plain_config(config.pretty_text, 'here')
    assert found.to_dict() == config.to_dict()


def test_every_value_that_mmengine_writes_is_read():
    values = dict(
        numbers=(1, -2.5, 1e-3, float('inf'), -float('inf')),
        others=[None, True, 'a\nb', "it's", (), [], {}],
        keys={'3x3': dict(a=1), 'plain': {1: 2}},
        nested=dict(deep=dict({'0.5': [dict({'x y': (1,)})]})),
    )
    text = Config(values).pretty_text
    assert read_plain_config(text, 'here').to_dict() == values


@pytest.mark.parametrize(
    'text',
    [
        'import os',
        'model = __import__("os").getcwd()',
        'model = dict(type=open("x"))',
        'model = dict(**{"a": 1}.copy())',
        'model = dict(a=[1 for _ in "ab"])',
        'model = 2 ** 64',
        'model: dict = {}',
        'a = b = 1',
        'a, b = 1, 2',
        'model = -"a"',
        'model = dict([("a", 1)])',
        'model = {**{}}',
        'model = {{base.model}}',
        'model = {[1]: 2}',
        'filename = "x"',
        pytest.param('model = ' + '-' * 20000 + '1', id='deep'),
    ],
)
def test_nothing_in_a_config_is_run(text):
    with pytest.raises(ValueError, match='here.*(--config|cannot be read)'):
        read_plain_config(text, 'here')


def test_a_text_that_is_no_config_is_refused():
    for text in ('model = (', 'a\0b'):
        with pytest.raises(ValueError, match='the config here cannot be read'):
            read_plain_config(text, 'here')


@pytest.mark.parametrize(
    'part',
    [
        'os.system',
        'subprocess.Popen',
        'mmengine.utils.call_command',
        'mmengine.call_command',
        'torch.hub.load',
        'mmengine.Config.fromfile',
        'antigravity',
        'someone.Net',
    ],
)
def test_a_found_config_names_no_foreign_code(part):
    config = segmentor()
    config['model']['backbone']['norm_cfg']['type'] = part
    with pytest.raises(ValueError, match='which is not registered.*--config'):
        check_parts(Config(config), 'here')
    config = dict(segmentor(), custom_imports=dict(imports=['someone']))
    with pytest.raises(ValueError, match="names 'someone'"):
        check_parts(Config(config), 'here')


@pytest.mark.parametrize(
    'model',
    [
        # Fetches code from a hub, and runs it.
        dict(type='mmpretrain.HuggingFaceClassifier', model_name='a/b'),
        # Call what 'target' names, and read a student's config file.
        dict(type='mmseg.EncoderDecoder', backbone=dict(type='VPD')),
        dict(type='mmtat.FrozenTeacherDistill', architecture='a.py'),
        dict(
            type='mmpretrain.ImageClassifier',
            backbone=dict(type='TIMMBackbone', norm_layer='antigravity.X'),
        ),
    ],
    ids=lambda model: model['type'],
)
def test_a_found_config_names_no_part_that_runs_what_it_is_given(model):
    with pytest.raises(ValueError, match='--config'):
        check_parts(Config(dict(model=model)), 'here')


@pytest.mark.parametrize(
    'name, is_inside',
    [
        ('mmseg::fcn/fcn_r50-d8_4xb2-40k_cityscapes-512x1024.py', True),
        ('mmpretrain::resnet/resnet18_8xb32_in1k.py', True),
        ('fcn.py', False),
        ('mmseg::/tmp/fcn.py', False),
        ('mmseg::fcn/../../../fcn.py', False),
        ('mmseg::fcn\\..\\fcn.py', False),
        ('someone::fcn/fcn.py', False),
    ],
)
def test_a_name_of_a_zoo_stays_in_its_folder(name, is_inside):
    assert is_zoo_name(name) is is_inside


def test_the_data_set_of_a_found_config_is_not_imported(tmp_path, monkeypatch):
    (tmp_path / 'imported_by_name.py').write_text('class Data: pass\n')
    monkeypatch.syspath_prepend(tmp_path)
    for kind in ('imported_by_name.Data', 'imported_by_name', 'NoSuchData'):
        config = segmentor()
        config['test_dataloader']['dataset']['type'] = kind
        assert dataset_meta(Source('a.pth', {}, Config(config), 'here')) == {}
    assert 'imported_by_name' not in sys.modules
    for kind in ('mmseg.ADE20KDataset', 'mmseg.datasets.ADE20KDataset'):
        config['test_dataloader']['dataset']['type'] = kind
        config['model']['decode_head']['num_classes'] = 150
        found = dataset_meta(Source('a.pth', {}, Config(config), 'here'))
        assert len(found['classes']) == 150


@pytest.mark.parametrize('name', ['voc', 'classifier', 'toy', 'lazy'])
def test_known_parts_pass(name):
    model = dict(type='mmtat.CIFARResNet', depth=8)
    configs = dict(
        voc=segmentor(),
        classifier=classifier(dict(model)),
        toy=dict(model=dict(type='ConvModule', in_channels=3)),
        lazy=dict(
            default_scope='mmseg',
            model=dict(type='mmseg.models.segmentors.EncoderDecoder'),
            custom_imports=dict(imports='mmpretrain.models'),
        ),
    )
    check_parts(Config(configs[name]), 'here')


class PreActivation(nn.Module):
    """Norms stand before convolutions, a shared one, and one that adds."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3)
        # Takes what also goes round it.
        self.norm1 = nn.BatchNorm2d(4)
        self.conv1 = nn.Conv2d(4, 4, 3, padding=1)
        self.norm2 = nn.BatchNorm2d(4)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.norm3 = nn.BatchNorm2d(4, affine=False)
        # Beside each other, and never one after the other.
        self.conv3 = nn.Conv2d(4, 4, 1)
        self.norm4 = nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.stem(x)
        x = x + self.conv2(self.norm2(self.conv1(self.norm1(x).relu())).relu())
        x = self.norm3(self.conv3(x).relu())
        return self.norm4(x) + self.conv3(x)


def test_only_norms_behind_their_convolution_are_folded():
    network = PreActivation()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    network.eval()
    folded = copy.deepcopy(network)
    inputs = torch.randn(2, 3, 9, 9)
    assert fold_norms(folded, inputs) == 1
    kinds = {n: type(m) for n, m in folded.named_children() if 'norm' in n}
    assert kinds.pop('norm2') is nn.Identity
    assert set(kinds.values()) == {nn.BatchNorm2d}
    with torch.no_grad():
        assert torch.allclose(folded(inputs), network(inputs), atol=1e-5)


@pytest.mark.parametrize('size', [(7, 9), (12, 6), (1, 2), (3, 64)])
@pytest.mark.parametrize('bins', [1, 2, 3, 6, (2, 5), (None, 3), (4, None)])
def test_pooling_is_torchs(size, bins):
    feature = torch.randn(2, 3, *size)
    expected = F.adaptive_avg_pool2d(feature, bins)
    found = adaptive_average(feature, bins)
    assert found.shape == expected.shape
    assert torch.allclose(found, expected, atol=1e-6)


def test_pooling_in_a_trace_follows_the_size():
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.AdaptiveAvgPool2d(3))
    with ExportablePooling():
        traced = torch.jit.trace(network, torch.rand(2, 3, 7, 8))
    assert 'adaptive_avg_pool2d' not in str(traced.inlined_graph)
    inputs = torch.rand(1, 3, 11, 5)
    assert torch.allclose(traced(inputs), network(inputs), atol=1e-6)


def label(scores):
    return scores.argmax(1)


def test_a_comparison_measures_and_refuses():
    scores = torch.tensor([[1.0, 3.0], [2.0, -4.0]])
    result = compare(scores, label, scores + 1e-4, False)
    assert result.difference == pytest.approx(1e-4, rel=1e-2)
    assert str(result) == 'max abs difference 0.0001, equal argmax'
    assert result.allowed == pytest.approx(4 * TOLERANCE)
    with pytest.raises(ValueError, match='differs from the student by 0.01'):
        compare(scores, label, scores + 0.01, False)
    with pytest.raises(ValueError, match='differs'):
        compare(scores, label, scores * float('nan'), False)
    with pytest.raises(ValueError, match=r'gives \(2,\), the student \(2, 2'):
        compare(scores, label, scores[:, 0], False)
    with pytest.raises(ValueError, match='diverged'):
        compare(scores / 0, label, scores, False)


def test_labels_may_differ_where_scores_are_tied():
    scores = torch.tensor([[1.0, 1.0 + 1e-5], [2.0, -4.0]])
    result = compare(scores, label, torch.tensor([0, 0]), True)
    assert str(result) == 'argmax equal in 1 of 2, tied in the others'
    with pytest.raises(ValueError, match='another class .* in 1 of 2 cases'):
        compare(scores, label, torch.tensor([1, 1]), True)
    with pytest.raises(ValueError, match='another class'):
        compare(scores, label, torch.tensor([7, 0]), True)


def sized(test=(), train=(), model=None):
    loaders = dict(test_dataloader=test, train_dataloader=train)
    config = {
        name: dict(dataset=dict(type='X', pipeline=list(pipeline)))
        for name, pipeline in loaders.items()
    }
    model = model or trained(classifier())
    image = image_input(Config(config), model)
    return image.size, image.size_from


def test_the_size_is_that_of_the_training():
    crop = dict(type='CenterCrop', crop_size=224)
    squash = dict(type='mmseg.Resize', scale=(64, 32), keep_ratio=False)
    keep = dict(type='Resize', scale=(64, 32), keep_ratio=True)
    train = dict(type='RandomCrop', crop_size=(40, 60), padding=4)
    assert sized([crop]) == ((224, 224), 'CenterCrop of test_dataloader')
    assert sized([squash])[0] == (32, 64)
    assert sized([keep], [train]) == (
        (40, 60),
        'RandomCrop of train_dataloader',
    )
    assert sized([keep]) == ((224, 224), 'assumed; --size sets another')
    known = trained(segmentor())
    assert sized([squash], model=known) == ((32, 48), 'the model knows it')


def test_padding_and_transforms_are_noted():
    config = segmentor()
    preprocessor = config['model']['data_preprocessor']
    preprocessor['test_cfg'] = dict(size_divisor=32)
    image = image_input(Config(config), trained(config))
    assert image.divisor == 32
    assert image.transforms == ('Resize(scale=(96, 64), keep_ratio=True)',)
    config = classifier(pad_size_divisor=8)
    assert image_input(Config(config), trained(config)).divisor == 8


def test_sample_images_are_the_same_each_time_and_differ_among_them():
    image = image_input(Config(segmentor()), trained(segmentor()))
    first, second = (sample_images(image, 2, (20, 30)) for _ in range(2))
    assert torch.equal(first, second) and first.dtype == torch.uint8
    assert not torch.equal(first[0], first[1])
    assert first.float().std() > 30
    inputs = Normalise(image)(first)
    assert inputs.abs().max() < 3 and inputs.dtype == torch.float32


def test_files_appear_together_or_not_at_all(tmp_path):
    (tmp_path / 'a').write_text('old')
    with pytest.raises(KeyboardInterrupt):
        with placed(tmp_path, ('b', 'a')) as folder:
            (folder / 'a').write_text('new')
            raise KeyboardInterrupt
    assert [p.name for p in tmp_path.iterdir()] == ['a']
    assert (tmp_path / 'a').read_text() == 'old'
    with placed(tmp_path, ('b', 'a')) as folder:
        for name in ('a', 'b'):
            (folder / name).write_text('new')
    assert sorted(p.name for p in tmp_path.iterdir()) == ['a', 'b']
    assert (tmp_path / 'a').read_text() == 'new'


def source(model, **meta):
    config = Config(dict(model=model))
    return Source('x.pth', {}, Config(segmentor()), '', config, '', meta)


def test_a_teacher_is_named_without_the_folders_of_a_machine():
    name = 'mmseg::a/b.py'
    plain = dict(teacher=name, teacher_ckpt='/home/me/t.pth')
    assert teacher_of(source(plain)) == f'{name}, t.pth'
    prefixed = dict(checkpoint='https://a/t.pth', prefix='x.')
    by_url = dict(teacher=dict(cfg_path=name), teacher_ckpt=prefixed)
    assert teacher_of(source(by_url)) == f'{name}, https://a/t.pth'
    assert teacher_of(source(dict(type='EncoderDecoder'))) is None
    written_out = dict(teacher=segmentor()['model'])
    assert teacher_of(source(written_out)) == (
        'EncoderDecoder: ResNetV1c (depth 18), FCNHead'
    )


def test_a_cascade_is_described_by_its_heads():
    model = dict(type='X', decode_head=[dict(type='A'), dict(type='b.B')])
    assert describe_model(model) == 'X: A, B'


def test_classes_come_of_the_file_or_of_its_data_set():
    known = source({}, dataset_meta=dict(classes=('a', 'b')))
    assert dataset_meta(known) == dict(classes=('a', 'b'))
    old = source({}, CLASSES=('a',), PALETTE=[[0, 0, 0]])
    assert dataset_meta(old) == dict(classes=('a',), palette=[[0, 0, 0]])
    of_data = source({})
    assert dataset_meta(of_data) == {}
    dataset = of_data.config.test_dataloader.dataset
    dataset.metainfo = dict(classes=['x', 'y', 'z'])
    assert dataset_meta(of_data)['classes'] == ['x', 'y', 'z']
    dataset.metainfo = dict(classes=['x', 'y'])
    assert dataset_meta(of_data) == {}


def test_no_part_of_the_export_evaluates_text():
    folder = ROOT / 'mmtat/engine/export'
    for path in folder.glob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ('eval', 'exec'), path


@pytest.mark.parametrize(
    'behind', ['', 'unknown', '66b22b6' + 33 * '0', 'a' * 40, '7' * 64]
)
def test_a_release_is_told_from_the_hash_behind_it(behind):
    assert mmengine_release('0.10.7' + behind) == '0.10.7'
