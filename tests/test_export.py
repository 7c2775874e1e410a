"""Students leave their training: files, checks, cards, and refusals."""

import json
import os
import re
import subprocess
import sys

import mmengine
import pytest
import torch
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm

from mmtat.engine.export import ExportOptions, export_student
from mmtat.version import __version__

from .running import toy_config, train
from .students import MEAN, SIZE, STD, classifier, save, segmentor, trained
from .test_checkpoints import EMA, PowerCut
from .toys import ToySegmentor, distillation
from .voc import ROOT, run_tool

GRAPH = dict(fold_norms=True, argmax=True, preprocessing='uint8')


def export(checkpoint, out, **options):
    return export_student(str(checkpoint), str(out), ExportOptions(**options))


def table(card):
    """The rows of a card."""
    rows = re.findall(r'^\| (.*?) \| (.*) \|$', card.read_text(), re.M)
    return dict(rows)


def files(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A segmentor's, with nothing beside it."""
    path = tmp_path_factory.mktemp('segmentor') / 'iter_20.pth'
    save(path, segmentor())
    return path


def cut_run(work_dir, **config):
    """A distillation that ended in its third iteration."""
    config = toy_config(work_dir, **config)
    hooks = [*config.get('custom_hooks', []), dict(type=PowerCut.__name__)]
    with pytest.raises(KeyboardInterrupt):
        train(dict(config, custom_hooks=hooks))
    (work_dir / 'teacher.pth').unlink()
    return work_dir / 'iter_2.pth'


def test_an_interrupted_run_gives_its_student_alone(tmp_path, monkeypatch):
    path = cut_run(tmp_path / 'run')

    def refuse(*args, **kwargs):
        raise AssertionError('built')

    for name in (
        'mmtat.models.algorithms.FrozenTeacherDistill.__init__',
        'mmtat.models.distillers.TaTDistiller.__init__',
        'mmtat.models.utils.frozen_teacher.FrozenTeacher.__init__',
    ):
        monkeypatch.setattr(name, refuse)
    made = export(path, tmp_path / 'small.pth')
    assert made.comparison.difference == 0
    assert files(tmp_path) == ['run', 'small.pth', 'small.pth.md', 'small.py']
    content = torch.load(tmp_path / 'small.pth', weights_only=True)
    assert set(content) == {'meta', 'state_dict'}
    assert content['meta']['dataset_meta']['classes'] == ('a', 'b', 'c')
    student = ToySegmentor(width=4, norm='none')
    student.load_state_dict(content['state_dict'], strict=True)
    weights = torch.load(path, weights_only=True)['state_dict']
    for name, tensor in student.state_dict().items():
        assert torch.equal(tensor, weights[name]), name
    config = Config.fromfile(tmp_path / 'small.py')
    assert config.model == dict(type='ToySegmentor', width=4, norm='none')
    for word in ('mmtat', 'mmrazor', 'teacher'):
        assert word not in content['meta']['cfg'], word
    assert config.work_dir == 'work_dirs/small' and config.load_from is None


def test_the_config_in_the_file_serves_where_none_is_beside_it(tmp_path):
    path = cut_run(tmp_path / 'run')
    beside = export(path, tmp_path / 'a.pth')
    assert beside.config_from == repr(str(path.parent / 'student.py'))
    (path.parent / 'student.py').unlink()
    inside = export(path, tmp_path / 'b.pth')
    assert inside.config_from == f'in {str(path)!r}'
    texts = [(tmp_path / name).read_text() for name in ('a.py', 'b.py')]
    assert texts[0].replace('dirs/a', 'dirs/b') == texts[1]


def test_a_card_says_who_taught_and_what_was_measured(tmp_path):
    path = cut_run(tmp_path / 'run')
    logs = path.parent / '20260101' / 'vis_data'
    logs.mkdir(parents=True)
    lines = [
        {'teacher/score': 0.75, 'step': 0},
        dict(lr=0.1, loss=1.0, iter=2, step=2),
        dict(score=0.25, time=0.1, data_time=0.1, step=2),
        dict(score=0.5, time=0.1, data_time=0.1, step=4),
        dict(score=0.375, time=0.1, data_time=0.1, step=6),
    ]
    text = '\n'.join(map(json.dumps, lines)) + '\n{"score": 0.9, "st'
    for file in path.parent.glob('*/vis_data/scalars.json'):
        file.unlink()
    (logs / 'scalars.json').write_text(text)
    export(path, tmp_path / 'a.pth', command='the | command')
    card = (tmp_path / 'a.pth.md').read_text()
    rows = table(tmp_path / 'a.pth.md')
    assert rows['teacher'] == 'ToySegmentor, teacher.pth'
    assert rows['student'] == 'ToySegmentor'
    assert rows['iteration'] == '2'
    assert rows['mmengine of the run'] == mmengine.__version__
    # This run logs its validations by epochs, of which it has none.
    assert rows['this checkpoint'] == 'not measured'
    assert rows['best of its run'] == 'score 0.5 at step 4'
    assert rows['last of its run'] == 'score 0.375 at step 6'
    assert '```bash\nthe | command\n```' in card and '0 a, 1 b, 2 c' in card
    export(path, tmp_path / 'b.pth', teacher='R101 | zoo')
    assert table(tmp_path / 'b.pth.md')['teacher'] == r'R101 \| zoo'


def test_a_card_gives_the_metric_of_its_own_iteration(tmp_path):
    config = segmentor()
    config.update(
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=40),
        default_hooks=dict(logger=dict(log_metric_by_epoch=False)),
    )
    save(tmp_path / 'iter_20.pth', config)
    logs = tmp_path / 'date' / 'vis_data'
    logs.mkdir(parents=True)
    lines = [dict(mIoU=30 + step, step=step) for step in (10, 20, 30)]
    (logs / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    export(tmp_path / 'iter_20.pth', tmp_path / 'a.pth')
    rows = table(tmp_path / 'a.pth.md')
    assert rows['this checkpoint'] == 'mIoU 50'
    assert rows['best of its run'] == 'mIoU 60 at step 30'
    assert rows['teacher'] == 'none'


def test_a_best_checkpoint_remembers_its_own_metric(tmp_path):
    train(toy_config(tmp_path / 'run'))
    path = next((tmp_path / 'run').glob('best_score_iter_*.pth'))
    hub = torch.load(path)['message_hub']
    away = tmp_path / 'away'
    away.mkdir()
    path = path.rename(away / path.name)
    export(path, tmp_path / 'a.pth')
    score = hub['log_scalars']['val/score']['log_history'][-1]
    own = table(tmp_path / 'a.pth.md')['this checkpoint']
    assert own == f'score {float(score):g}'


def test_hashes_and_versions_in_a_card_are_those_of_the_files(tmp_path):
    import hashlib
    import importlib.metadata

    save(tmp_path / 'iter_20.pth', segmentor())
    export(tmp_path / 'iter_20.pth', tmp_path / 'a.pth')
    rows = table(tmp_path / 'a.pth.md')
    digest = hashlib.sha256((tmp_path / 'a.pth').read_bytes()).hexdigest()
    assert rows['SHA-256'] == f'`{digest}`'
    digest = hashlib.sha256((tmp_path / 'a.py').read_bytes()).hexdigest()
    assert rows['SHA-256 of its config'] == f'`{digest}`'
    for name in ('torch', 'mmengine', 'mmsegmentation'):
        assert rows[name] == importlib.metadata.version(name)
    assert rows['mmtat'] == __version__
    assert rows['mean'] == '123.675, 116.28, 103.53'
    assert rows['size'] == '32 × 48 (the model knows it)'
    assert rows['channels'] == 'RGB'


@pytest.mark.parametrize('prefix', ['architecture.', 'module.', 'both'])
def test_names_with_prefixes_are_the_students(prefix, tmp_path):
    prefix = 'module.architecture.' if prefix == 'both' else prefix
    model = save(tmp_path / 'a.pth', segmentor(), prefix=prefix)
    export(tmp_path / 'a.pth', tmp_path / 'b.pth')
    weights = torch.load(tmp_path / 'b.pth')['state_dict']
    assert list(weights) == list(model.state_dict())
    for name, tensor in model.state_dict().items():
        assert torch.equal(weights[name], tensor), name


def test_a_checkpoint_of_stock_mmrazor_gives_its_student(tmp_path):
    model = dict(distillation(student=dict(norm='none')))
    model.update(type='mmrazor.SingleTeacherDistill', teacher_ckpt=None)
    stock = train(toy_config(tmp_path / 'run', model=model))
    export(tmp_path / 'run' / 'iter_4.pth', tmp_path / 'a.pth')
    weights = torch.load(tmp_path / 'a.pth')['state_dict']
    for name, tensor in stock.model.architecture.state_dict().items():
        assert torch.equal(weights[name], tensor), name
    assert len(weights) == 6


def test_averaged_weights_or_those_of_the_last_step(tmp_path):
    path = cut_run(tmp_path / 'run', custom_hooks=EMA)
    content = torch.load(path)
    for name, ema in (('a', None), ('b', True), ('c', False)):
        export(path, tmp_path / f'{name}.pth', ema=ema)
        weights = torch.load(tmp_path / f'{name}.pth')['state_dict']
        wanted = content['state_dict']
        if ema is False:
            wanted = content['ema_state_dict']
            wanted = {n: wanted[f'module.{n}'] for n in weights}
        for key, tensor in weights.items():
            assert torch.equal(tensor, wanted[key]), key
        words = 'of the last step, not the average'
        words = words if ema is False else 'averaged'
        assert table(tmp_path / f'{name}.pth.md')['weights'] == words
    different = torch.load(tmp_path / 'a.pth')['state_dict']
    assert not torch.equal(
        different['backbone.conv.weight'], weights['backbone.conv.weight']
    )


@pytest.mark.parametrize('ema', [True, False])
def test_there_may_be_no_averaged_weights_to_choose(ema, checkpoint, tmp_path):
    with pytest.raises(ValueError, match='no averaged weights'):
        export(checkpoint, tmp_path / 'a.pth', ema=ema)


def test_syncbn_becomes_bn_and_nothing_is_fetched(checkpoint, tmp_path):
    made = export(checkpoint, tmp_path / 'a.pth')
    assert made.comparison.difference == 0
    text = (tmp_path / 'a.py').read_text()
    assert 'SyncBN' not in text and 'no such file' not in text
    assert 'SyncBN became BN' in (tmp_path / 'a.pth.md').read_text()


def read_graph(path):
    return torch.jit.load(str(path)).eval()


def stock(model, images):
    """Logits of mmsegmentation itself for RGB images of 0 to 255."""
    model = revert_sync_batchnorm(model)
    # As mmsegmentation's pipelines load them, in BGR.
    data = dict(inputs=list(images.flip(1)), data_samples=None)
    inputs = model.data_preprocessor(data)['inputs']
    with torch.no_grad():
        samples = model.predict(inputs)
    return torch.stack([sample.seg_logits.data for sample in samples])


def test_a_trace_predicts_what_mmsegmentation_predicts(tmp_path):
    model = save(tmp_path / 'a.pth', segmentor())
    images = torch.randint(0, 256, (3, 3, *SIZE), dtype=torch.uint8)
    logits = stock(model, images)
    made = export(tmp_path / 'a.pth', tmp_path / 'a.pt', fold_norms=True)
    assert made.format == 'torchscript' and made.comparison.difference < 1e-3
    mean, std = (torch.tensor(v).view(3, 1, 1) for v in (MEAN, STD))
    found = read_graph(tmp_path / 'a.pt')((images - mean) / std)
    assert torch.allclose(found, logits, atol=1e-4)
    heads = ('auxiliary_head', 'backbone', 'decode_head')
    norms = {
        name: len([n for n in model.state_dict() if name in n and 'var' in n])
        for name in heads
    }
    folded = norms['backbone'] + norms['decode_head']
    assert norms == dict(zip(heads, (2, 22, 3)))
    assert f'{folded} norms are folded' in (tmp_path / 'a.pt.md').read_text()
    export(tmp_path / 'a.pth', tmp_path / 'b.pt', **GRAPH)
    graph = read_graph(tmp_path / 'b.pt')
    assert torch.equal(graph(images), logits.argmax(1))
    assert len(logits.argmax(1).unique()) == 3
    assert torch.equal(graph(images.float()), logits.argmax(1))
    names = [name for name, _ in graph.named_parameters()]
    assert names and not any('auxiliary' in n or 'bn' in n for n in names)


def test_a_trace_carries_its_config(checkpoint, tmp_path):
    export(checkpoint, tmp_path / 'a.pt')
    texts = dict(config='', meta='')
    torch.jit.load(str(tmp_path / 'a.pt'), _extra_files=texts)
    assert 'ResNetV1c' in texts['config'].decode()
    classes = json.loads(texts['meta'])['dataset_meta']['classes']
    assert classes == ['class 0', 'class 1', 'class 2']


def test_a_dynamic_trace_follows_the_image(tmp_path):
    model = save(tmp_path / 'a.pth', segmentor())
    export(tmp_path / 'a.pth', tmp_path / 'a.pt', dynamic=True)
    images = torch.rand(1, 3, 40, 72)
    found = read_graph(tmp_path / 'a.pt')(images)
    model = revert_sync_batchnorm(model)
    with torch.no_grad():
        [sample] = model.predict(images)
    assert torch.allclose(found[0], sample.seg_logits.data, atol=1e-5)


def test_one_class_is_a_threshold(tmp_path):
    config = segmentor()
    for head in ('decode_head', 'auxiliary_head'):
        config['model'][head].update(num_classes=2, out_channels=1)
        config['model'][head]['loss_decode']['use_sigmoid'] = True
    images = torch.randint(0, 256, (1, 3, *SIZE), dtype=torch.uint8)
    # Here mmsegmentation gives its sigmoid already.
    scores = stock(trained(config), images)
    threshold = scores.median().item()
    config['model']['decode_head']['threshold'] = threshold
    save(tmp_path / 'a.pth', config)
    export(tmp_path / 'a.pth', tmp_path / 'a.pt', **GRAPH)
    labels = read_graph(tmp_path / 'a.pt')(images)
    wanted = (scores > threshold).squeeze(1)
    assert (labels == wanted).float().mean() > 0.99
    assert 0.4 < labels.float().mean() < 0.6


@pytest.mark.parametrize(
    'backbone, in_channels',
    [
        (dict(type='mmtat.WideResNet', depth=10, widen_factor=1), 64),
        (dict(type='mmtat.CIFARResNet', depth=8), 64),
        (dict(type='mmtat.MobileNetV1', width=0.125), 128),
    ],
    ids=['wide', 'resnet', 'mobilenet'],
)
def test_scores_of_a_classifier_are_mmpretrains(
    backbone, in_channels, tmp_path
):
    config = classifier(backbone, in_channels=in_channels)
    model = save(tmp_path / 'a.pth', config)
    export(tmp_path / 'a.pth', tmp_path / 'b.pth')
    export(tmp_path / 'a.pth', tmp_path / 'a.pt', fold_norms=True)
    inputs = torch.rand(3, 3, 32, 32)
    with torch.no_grad():
        samples = model.predict(inputs)
    scores = torch.stack([sample.pred_score for sample in samples])
    found = read_graph(tmp_path / 'a.pt')(inputs)
    assert torch.allclose(found, scores, atol=1e-6)
    assert torch.allclose(found.sum(1), torch.ones(3))
    rows = table(tmp_path / 'a.pt.md')
    assert rows['gives'] == 'scores, float32 (N, classes), after softmax'
    card = (tmp_path / 'b.pth.md').read_text()
    assert 'Its config names parts of mmtat' in card


def test_many_labels_are_scored_by_a_sigmoid(tmp_path):
    head = dict(type='MultiLabelLinearClsHead')
    model = save(tmp_path / 'a.pth', classifier(head=head))
    export(tmp_path / 'a.pth', tmp_path / 'a.pt')
    inputs = torch.rand(2, 3, 32, 32)
    with torch.no_grad():
        samples = model.predict(inputs)
    wanted = torch.stack([sample.pred_score for sample in samples])
    found = read_graph(tmp_path / 'a.pt')(inputs)
    assert torch.allclose(found, wanted, atol=1e-6)
    rows = table(tmp_path / 'a.pt.md')
    assert rows['gives'].endswith('after sigmoid')


@pytest.mark.parametrize(
    'to_rgb, loads, order',
    [(True, True, 'RGB'), (False, True, 'BGR'), (False, False, 'RGB')],
)
def test_a_graph_takes_rgb_whatever_the_student_was_trained_on(
    to_rgb, loads, order, tmp_path
):
    config = classifier(to_rgb=to_rgb)
    pipeline = config['test_dataloader']['dataset']['pipeline']
    # CIFAR's images are arrays in RGB.
    config['test_dataloader']['dataset']['pipeline'] = (
        pipeline if loads else pipeline[1:]
    )
    model = save(tmp_path / 'a.pth', config)
    export(tmp_path / 'a.pth', tmp_path / 'a.pt', preprocessing='float32')
    assert table(tmp_path / 'a.pt.md')['channels'] == order
    image = torch.randint(0, 256, (1, 3, 32, 32)).float()
    inputs = image if order == 'RGB' else image.flip(1)
    inputs = (inputs - model.data_preprocessor.mean) / torch.tensor(STD).view(
        3, 1, 1
    )
    with torch.no_grad():
        [sample] = model.predict(inputs)
    found = read_graph(tmp_path / 'a.pt')(image)
    assert torch.allclose(found[0], sample.pred_score, atol=1e-5)


def test_a_graph_for_one_batch(checkpoint, tmp_path):
    export(checkpoint, tmp_path / 'a.pt', batch=2, size=(24, 24))
    rows = table(tmp_path / 'a.pt.md')
    assert rows['takes'] == 'float32 (2, 3, 24, 24), normalised as below'
    assert rows['size'] == '24 × 24 (given by --size)'


def refused(match, checkpoint, out, **options):
    """Refuse, and leave the folder as it was."""
    before = files(out.parent) if out.parent.is_dir() else None
    with pytest.raises(ValueError, match=match):
        export(checkpoint, out, **options)
    after = files(out.parent) if out.parent.is_dir() else None
    assert before == after


def test_what_exists_is_replaced_by_force_alone(checkpoint, tmp_path):
    out = tmp_path / 'a.pth'
    for name in ('a.pth', 'a.pth.md', 'a.py'):
        (tmp_path / name).write_text('mine')
        refused(f"'{tmp_path / name}' exists", checkpoint, out)
        assert (tmp_path / name).read_text() == 'mine'
        (tmp_path / name).unlink()
    export(checkpoint, out)
    first = out.read_bytes()
    out.write_bytes(b'old')
    export(checkpoint, out, force=True)
    assert torch.load(out).keys() == {'meta', 'state_dict'}
    assert len(out.read_bytes()) == len(first)


def test_the_checkpoint_itself_is_never_replaced(tmp_path):
    path = tmp_path / 'a.pth'
    save(path, segmentor())
    before = path.read_bytes()
    refused('is the checkpoint itself', path, path, force=True)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    'name, options, message',
    [
        ('a.bin', {}, "the ending '.bin' names no format; end with .pth"),
        ('a', {}, "the ending '' names no format"),
        ('no/a.pth', {}, 'no folder .*make it first'),
        ('a.pth', dict(fold_norms=True), 'stock loader would find'),
        ('a.pth', dict(argmax=True), '--argmax is for onnx and torchscript'),
        ('a.pth', dict(preprocessing='uint8'), '--with-preprocessing is for'),
        ('a.pth', dict(dynamic=True), '--dynamic is for'),
        ('a.pt', dict(size=(0, 8)), '--size takes positive numbers'),
        ('a.pt', dict(batch=-1), '--batch takes positive numbers'),
        ('a.pt', dict(batch=1, dynamic=True), 'leave one of them out'),
        ('a.pth', dict(config='no.py'), "no config file 'no.py'"),
    ],
)
def test_mistakes_are_refused(name, options, message, checkpoint, tmp_path):
    refused(message, checkpoint, tmp_path / name, **options)


@pytest.mark.parametrize('format', ['onnx', 'safetensors'])
def test_a_missing_package_is_named_with_its_extra(
    format, checkpoint, tmp_path, monkeypatch
):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    message = (
        f'--format {format} needs the package {format}, which is not '
        "installed: pip install 'mmtat\\[export\\]'"
    )
    refused(message, checkpoint, tmp_path / f'a.{format}')


def test_images_that_are_too_small_are_refused(tmp_path):
    config = classifier(dict(type='mmtat.CIFARVGG', depth=8), in_channels=512)
    save(tmp_path / 'a.pth', config)
    message = r'cannot run on images of 4 × 4 \(given by --size\): .*too small'
    refused(message, tmp_path / 'a.pth', tmp_path / 'a.pt', size=(4, 4))


def test_a_broken_file_is_refused(checkpoint, tmp_path):
    broken = tmp_path / 'broken.pth'
    refused("no file '.*broken.pth'", broken, tmp_path / 'a.pth')
    for content in (checkpoint.read_bytes()[:-5000], b'', b'text'):
        broken.write_bytes(content)
        refused('cannot be read', broken, tmp_path / 'a.pth')
    torch.save([1, 2], broken)
    refused('holds no weights', broken, tmp_path / 'a.pth')
    torch.save(dict(a=torch.ones(2)), broken)
    refused('holds no config.*--config', broken, tmp_path / 'a.pth')


def test_a_checkpoint_of_another_model_is_refused(checkpoint, tmp_path):
    other = tmp_path / 'other.py'
    Config(segmentor(head='ASPPHead', dilations=(1, 2))).dump(other)
    message = (
        'the checkpoint is of another model than EncoderDecoder: .* of its '
        '.* weights matched.*decode_head.*The config is --config .*other.py'
    )
    refused(message, checkpoint, tmp_path / 'a.pth', config=str(other))


def test_a_config_in_a_file_runs_no_file(tmp_path):
    student = tmp_path / 'student_config.py'
    Config(segmentor()).dump(student)
    (tmp_path / 'run').mkdir()
    path = tmp_path / 'run' / 'a.pth'
    inner = dict(type='mmtat.FrozenTeacherDistill', architecture=str(student))
    for architecture in (
        str(student),
        dict(cfg_path=str(student)),
        # A name of a zoo that leaves its folder.
        f'mmseg::{student}',
        f'mmseg::fcn/{"../" * 30}{student.relative_to("/")}',
    ):
        model = dict(inner, architecture=architecture)
        text = Config(dict(model=model)).pretty_text
        save(path, segmentor(), cfg=text)
        message = 'takes the student from .*give it by --config'
        refused(message, path, tmp_path / 'b.pth')
    text = Config(dict(model=dict(inner, architecture=inner))).pretty_text
    save(path, segmentor(), cfg=text)
    message = "names 'mmtat.FrozenTeacherDistill'"
    refused(message, path, tmp_path / 'b.pth')
    export(path, tmp_path / 'b.pth', config=str(student))
    assert (tmp_path / 'b.pth').exists()


def test_a_config_in_a_file_imports_nothing_foreign(tmp_path):
    config = segmentor()
    config['model']['backbone']['type'] = 'os.system'
    text = Config(config).pretty_text
    save(tmp_path / 'a.pth', segmentor(), cfg=text)
    message = "names 'os', which is not registered"
    refused(message, tmp_path / 'a.pth', tmp_path / 'b.pth')


def test_weights_of_an_odd_head_are_exported_and_no_graph(tmp_path):
    heads = dict(
        type='MultiTaskHead',
        task_heads=dict(
            a=dict(type='LinearClsHead', num_classes=3),
            b=dict(type='LinearClsHead', num_classes=2),
        ),
    )
    config = classifier()
    config['model']['head'] = dict(heads, in_channels=64)
    save(tmp_path / 'a.pth', config)
    made = export(tmp_path / 'a.pth', tmp_path / 'b.pth')
    assert made.comparison.difference == 0
    message = 'the head of the student, a MultiTaskHead, gives a dict in the'
    refused(message, tmp_path / 'a.pth', tmp_path / 'b.pt')


def test_a_diverged_run_is_refused(tmp_path):
    save(tmp_path / 'a.pth', segmentor())
    content = torch.load(tmp_path / 'a.pth')
    content['state_dict']['backbone.stem.0.weight'][0] = float('nan')
    torch.save(content, tmp_path / 'a.pth')
    message = 'no finite numbers in 1 weights, as backbone.stem.0.weight'
    refused(message, tmp_path / 'a.pth', tmp_path / 'b.pth')


def test_an_export_that_computes_something_else_is_not_put_in_place(
    checkpoint, tmp_path, monkeypatch
):
    from mmtat.engine.export import writing

    def write(content, path, example, axes):
        with torch.no_grad():
            content.network.network.model.decode_head.conv_seg.bias[0] += 1
        writes(content, path, example, axes)

    writes, reads = writing._GRAPHS['torchscript']
    monkeypatch.setitem(writing._GRAPHS, 'torchscript', (write, reads))
    message = 'on 2 images of 32 × 48, the export differs .* by 1'
    refused(message, checkpoint, tmp_path / 'a.pt')


def test_a_network_with_a_batch_of_its_own_is_told_to_fix_it(tmp_path):
    class OfTwo(ToySegmentor):
        def extract_feat(self, inputs):
            batch = int(inputs.shape[0])
            return super().extract_feat(inputs.view(batch, 3, *SIZE))

    from mmengine.registry import MODELS

    MODELS.register_module('OfTwo', module=OfTwo, force=True)
    model = dict(type='OfTwo')
    text = Config(dict(model=model)).pretty_text
    weights = OfTwo().state_dict()
    path = tmp_path / 'a.pth'
    torch.save(dict(state_dict=weights, meta=dict(cfg=text)), path)
    size = dict(size=SIZE)
    message = 'on 1 images of 32 × 48.*--batch N fixes it'
    refused(message, path, tmp_path / 'a.pt', **size)
    export(path, tmp_path / 'a.pt', batch=1, **size)


def test_the_command_as_a_user_types_it(checkpoint, tmp_path):
    arguments = [checkpoint, 'a.pt', '--fold-norms', '--teacher', 'R 101']
    done = subprocess.run(
        [sys.executable, ROOT / 'tools/export_student.py', *arguments],
        cwd=tmp_path,
        env=dict(os.environ, PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert re.search('max abs difference .*, equal argmax', done.stdout)
    assert files(tmp_path) == ['a.pt', 'a.pt.md']
    card = (tmp_path / 'a.pt.md').read_text()
    assert (
        f'python tools/export_student.py {checkpoint} a.pt --fold-norms '
        "--teacher 'R 101'" in card
    )


def test_the_command_ends_a_mistake_with_one_line(
    checkpoint, tmp_path, monkeypatch, capsys
):
    (tmp_path / 'a.pt').write_text('mine')
    out = tmp_path / 'a.pt'
    assert run_tool(monkeypatch, 'export_student', checkpoint, out) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: OUT: '{out}' exists; give")
    assert len(captured.err.splitlines()) == 1 and not captured.out
    arguments = (checkpoint, tmp_path / 'b.pth', '--no-ema')
    assert run_tool(monkeypatch, 'export_student', *arguments) == 1
    assert '--no-ema: ' in capsys.readouterr().err
