from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from PIL import Image

from mmtat.engine.hooks import DistillationFigureHook

from .distilled import CONFIG, DistilledRun
from .running import toy_config
from .toys import distillation, save_teacher
from .voc import loader_options, run_tool


@pytest.fixture
def image(tmp_path):
    """An image of noise, 24 wide and 16 high."""
    pixels = np.random.randint(0, 256, (16, 24, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'noise.png')
    return str(tmp_path / 'noise.png')


def config_of(folder, hook=None, distiller=None, **overrides):
    """A run whose student has batch norms and dropout."""
    folder.mkdir()
    save_teacher(folder / 'teacher.pth')
    tat = dict(
        type='mmtat.TaTDistiller',
        layers=['backbone.conv'],
        input_size=(16, 16),
        branches=dict(
            whole=dict(),
            patch_group=dict(patches=(2, 2), groups=2),
            anchor_point=dict(anchors=(2, 2)),
        ),
    )
    model = distillation(
        distiller or tat, teacher_ckpt=str(folder / 'teacher.pth')
    )
    hooks = [] if hook is None else [hook]
    for one in hooks:
        one.setdefault('type', 'mmtat.DistillationFigureHook')
    return toy_config(folder, model, custom_hooks=hooks, **overrides)


def train(config):
    """Train, with the random numbers that follow."""
    torch.manual_seed(0)
    runner = Runner.from_cfg(Config(config))
    runner.train()
    return runner, torch.rand(3), np.random.rand(3)


def pictures_of(folder):
    found = folder.glob('*/vis_data/vis_image/*.png')
    return {path.name: np.asarray(Image.open(path)) for path in found}


def test_figures_come_every_interval_and_change(tmp_path, image):
    hook = dict(interval=2, images=[image], pixels=[(3, 5), (23, 15)])
    train(config_of(tmp_path / 'run', hook))
    drawn = pictures_of(tmp_path / 'run')
    assert sorted(drawn) == [
        'distillation_noise_2.png',
        'distillation_noise_4.png',
    ]
    first, last = drawn.values()
    assert first.shape == last.shape and min(first.shape[:2]) > 500
    assert first.std() > 20
    # The student has learnt in between.
    assert not np.array_equal(first, last)


def test_training_goes_on_as_without_it(tmp_path, image):
    plain = train(config_of(tmp_path / 'without'))
    hook = dict(interval=1, images=[image])
    drawn = train(config_of(tmp_path / 'with', hook))
    assert len(pictures_of(tmp_path / 'with')) == 4
    states = [runner.model.state_dict() for runner, *_ in (plain, drawn)]
    assert list(states[0]) == list(states[1])
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name]), name
    assert torch.equal(plain[1], drawn[1])
    assert np.array_equal(plain[2], drawn[2])
    modes = [
        [module.training for module in runner.model.modules()]
        for runner, *_ in (plain, drawn)
    ]
    assert modes[0] == modes[1]
    distiller = drawn[0].model.distiller
    for role in ('student', 'teacher'):
        for recorder in distiller.recorders_of(role).recorders.values():
            assert recorder.data_buffer == []


def test_other_processes_draw_nothing(image):
    hook = DistillationFigureHook(interval=1, images=[image])
    # Anything but its rank would be an AttributeError.
    runner = SimpleNamespace(rank=1, iter=0)
    hook.before_train(runner)
    hook.after_train_iter(runner, 0)


@pytest.mark.extras
def test_tensorboard_gets_the_figures(tmp_path, image):
    from tensorboard.backend.event_processing import event_accumulator

    hook = dict(interval=4, images=[image])
    backends = [dict(type='TensorboardVisBackend')]
    visualizer = dict(type='Visualizer', vis_backends=backends)
    train(config_of(tmp_path / 'run', hook, visualizer=visualizer))
    events = next((tmp_path / 'run').rglob('events.out*'))
    read = event_accumulator.EventAccumulator(str(events)).Reload()
    assert read.Tags()['images'] == ['distillation_noise']
    assert [one.step for one in read.Images('distillation_noise')] == [4]


@pytest.mark.slow
def test_images_come_from_the_validation_set(tmp_path, monkeypatch):
    run = DistilledRun(tmp_path)
    hook = dict(type='mmtat.DistillationFigureHook', interval=1, images=2)
    config = tmp_path / 'config.py'
    config.write_text(f'_base_ = {str(CONFIG)!r}\ncustom_hooks = [{hook}]\n')
    status = run_tool(
        monkeypatch,
        'train',
        config,
        '--work-dir',
        tmp_path / 'work',
        '--data-root',
        run.data,
        '--cfg-options',
        f'model.teacher_ckpt={run.teacher}',
        'load_from=None',
        'train_cfg.max_iters=1',
        'train_dataloader.batch_size=2',
        'train_dataloader.dataset.datasets.0.dataset.ann_file='
        'ImageSets/Segmentation/train.txt',
        'train_dataloader.dataset.datasets.1.ann_file='
        'ImageSets/Segmentation/train.txt',
        'train_dataloader.dataset.datasets.1.data_prefix.seg_map_path='
        'SegmentationClass',
        *loader_options('train', 'val', 'test'),
    )
    assert status == 0
    assert sorted(pictures_of(tmp_path / 'work')) == [
        'distillation_val_00000_1.png',
        'distillation_val_00001_1.png',
    ]


@pytest.mark.parametrize(
    'arguments, message',
    [
        (dict(interval=0), 'interval must be a positive integer'),
        (dict(images=0), 'images must be a positive integer'),
        (dict(images=[]), 'images must be paths or a number'),
        (dict(pixels=[3]), r'pairs \(x, y\) of whole numbers.*got 3'),
        (dict(pixels=[(1, 2.5)]), r'got \(1, 2.5\)'),
        (dict(reading='both'), 'reading must be one of matched, mixed'),
    ],
)
def test_bad_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(ValueError, match=message):
        DistillationFigureHook(**arguments)


CWD = dict(
    type='ConfigurableDistiller',
    student_recorders=dict(
        logits=dict(type='ModuleOutputs', source='decode_head.conv_seg')
    ),
    teacher_recorders=dict(
        logits=dict(type='ModuleOutputs', source='decode_head.conv_seg')
    ),
    distill_losses=dict(loss_cwd=dict(type='ChannelWiseDivergence')),
    loss_forward_mappings=dict(
        loss_cwd=dict(
            preds_S=dict(from_student=True, recorder='logits'),
            preds_T=dict(from_student=False, recorder='logits'),
        )
    ),
)


@pytest.mark.parametrize(
    'options, distiller, message',
    [
        (dict(layer=1), None, 'layer: there is no 1; there are 0: backbone'),
        (dict(branch='hole'), None, "no 'hole'; there are whole, patch_group"),
        (dict(pixels=[(24, 0)]), None, 'pixel 24,0 is outside noise'),
        (dict(images=['gone.png']), None, "'gone.png' cannot be read"),
        (dict(images=2), None, 'data set that names its images.*ToyImages'),
        ({}, CWD, "TaT's maps, but this one's distiller is Configurable"),
    ],
)
def test_what_cannot_be_drawn_is_refused_before_the_first_step(
    tmp_path, image, options, distiller, message
):
    hook = dict(dict(interval=1, images=[image]), **options)
    config = config_of(tmp_path / 'run', hook, distiller)
    with pytest.raises(ValueError, match=message):
        train(config)
    assert not list((tmp_path / 'run').rglob('iter_*.pth'))
