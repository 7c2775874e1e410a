"""A user's mistake ends before the first step, in one readable message."""

import errno
import runpy
import sys

import pytest
import torch

from mmtat.engine.user_errors import readable_errors

from .voc import (
    ROOT,
    loader_options,
    make_imagenet,
    make_voc,
    run_tool,
    voc_options,
)

CONFIG = 'configs/tat_deeplabv3_r101_r18_voc.py'


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_voc(tmp_path_factory.mktemp('data') / 'voc')


@pytest.fixture
def train(tmp_path, data, monkeypatch, capfd):
    """Train with options, expect one error, and return its message."""
    monkeypatch.chdir(ROOT)

    def run(*options, config=CONFIG, root=data, arguments=()):
        capfd.readouterr()
        status = run_tool(
            monkeypatch,
            'train',
            config,
            *('--data-root', root, '--work-dir', tmp_path / 'run', *arguments),
            '--cfg-options',
            *voc_options(tmp_path / 'teacher.pth'),
            # Quicker to build than R101.
            'model.teacher=mmseg::deeplabv3/'
            'deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024.py',
            *options,
        )
        errors = capfd.readouterr().err
        lines = [x for x in errors.splitlines() if x.startswith('error: ')]
        assert status == 1 and len(lines) == 1, errors
        assert 'Traceback' not in errors
        assert not list((tmp_path / 'run').glob('*.pth'))
        return lines[0]

    return run


def test_an_unknown_layer_names_close_matches(train):
    message = train("model.distiller.layers=['decode_head.botleneck.bn']")
    assert "has no layer 'decode_head.botleneck.bn'" in message
    assert 'decode_head.bottleneck.bn' in message


def test_more_patches_than_the_map_has_rows(train):
    message = train(
        'model.distiller.branches.patch_group.patches=(16,16)',
        'model.distiller.branches.patch_group.groups=64',
    )
    assert 'patches=(16, 16) for a map of 8x8' in message


def test_groups_that_do_not_divide_the_patches(train):
    message = train('model.distiller.branches.patch_group.groups=5')
    assert 'got groups=5, possible are 1, 2, 4, 8, 16' in message


def test_anchors_that_the_map_cannot_give(train):
    message = train('model.distiller.branches.anchor_point.anchors=(5,5)')
    assert 'a side of 8 gives 4 or 8 anchors, not 5' in message


def test_a_head_of_other_classes_than_the_data(train):
    message = train('model.architecture.decode_head.num_classes=19')
    assert 'decode_head.num_classes=19' in message
    assert 'PascalVOCDataset has 21 classes' in message


def test_a_teacher_config_that_is_not_there(train):
    message = train('model.teacher=mmseg::deeplabv3/deeplabv3_r101-d8_voc.py')
    assert 'close matches: mmseg::deeplabv3/' in message


def test_a_student_config_that_is_not_there(train):
    message = train('model.architecture=student.py')
    assert "architecture: no config file 'student.py'" in message


def test_a_config_that_is_not_there(train):
    assert "config: no config file 'nothing.py'" in train(config='nothing.py')


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (None, 'teacher_ckpt: no file'),
        (b'truncated', 'cannot be read as a checkpoint'),
        ('cut', 'cannot be read as a checkpoint'),
        ('list', 'holds no weights'),
        ('other', 'is not this teacher: 0 of the'),
    ],
)
def test_a_teacher_file_that_is_none(train, tmp_path, content, expected):
    path = tmp_path / 'teacher.pth'
    torch.save([1], path)
    if content == 'other':
        torch.save(dict(state_dict=dict(weight=torch.ones(2))), path)
    elif content == 'cut':
        path.write_bytes(path.read_bytes()[:-20])
    elif isinstance(content, bytes):
        path.write_bytes(content)
    elif content is None:
        path.unlink()
    assert expected in train()


def test_a_data_folder_that_is_missing_or_empty(train, tmp_path):
    message = train(root=tmp_path / 'nowhere')
    assert 'no folder' in message and 'nowhere' in message
    (tmp_path / 'empty').mkdir()
    assert 'is empty' in train(root=tmp_path / 'empty')


def test_a_data_folder_of_another_layout(train, tmp_path):
    (tmp_path / 'other' / 'images').mkdir(parents=True)
    message = train(root=tmp_path / 'other')
    assert 'no split file' in message and 'train.txt' in message


@pytest.mark.parametrize(
    ('folder', 'what'),
    [('JPEGImages', 'image'), ('SegmentationClass', 'label')],
)
def test_a_split_that_names_a_missing_file(train, tmp_path, folder, what):
    root = make_voc(tmp_path / 'voc')
    names = (root / 'ImageSets/Segmentation/train.txt').read_text().split()
    next((root / folder).glob(f'{names[1]}.*')).unlink()
    message = train(root=root)
    assert f'1 of the 4 {what}s' in message and names[1] in message


def test_classes_that_differ_where_logits_are_distilled(train):
    message = train(
        'model.distiller.logits.tau=1.0',
        'model.teacher=mmseg::deeplabv3/'
        'deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024.py',
    )
    assert 'student has 21 classes and the teacher 19' in message


@pytest.mark.parametrize('name', ['--resume', 'load_from'])
def test_a_checkpoint_to_go_on_from_that_is_none(train, tmp_path, name):
    arguments = ['--resume', 'gone.pth'] if name == '--resume' else []
    options = [] if arguments else ['load_from=gone.pth']
    message = train(*options, arguments=arguments)
    assert f"{name}: no file 'gone.pth'" in message


def test_a_static_graph_that_accumulates(train):
    message = train(
        'model_wrapper_cfg.type=MMDistributedDataParallel',
        'model_wrapper_cfg.static_graph=True',
        'optim_wrapper.accumulative_counts=2',
    )
    assert 'static_graph=True cannot be used with' in message
    assert 'accumulative_counts=2' in message


def test_more_processes_than_gpus(train, monkeypatch):
    monkeypatch.setattr('mmtat.engine.launch.get_device', lambda: 'cuda')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2)
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '4')
    message = train(arguments=['--launcher', 'pytorch'])
    assert 'GPUS: 4 processes were started' in message
    assert 'has 2 GPUs' in message


@pytest.mark.parametrize(
    ('content', 'expected'),
    [
        (dict(state_dict=dict(x=torch.ones(1))), 'is of another model'),
        (None, 'checkpoint: no file'),
    ],
)
def test_testing_a_file_of_another_model(
    tmp_path, data, monkeypatch, capfd, content, expected
):
    path = tmp_path / 'other.pth'
    if content:
        torch.save(content, path)
    status = run_tool(
        monkeypatch, 'test', CONFIG, path, '--data-root', data,
        '--work-dir', tmp_path / 'test',
    )  # fmt: skip
    assert status == 1
    assert expected in capfd.readouterr().err


def test_auto_scale_lr_needs_a_base_batch_size(train):
    message = train('auto_scale_lr=None', arguments=['--auto-scale-lr'])
    assert 'auto_scale_lr=dict(base_batch_size=...)' in message


def test_amp_needs_a_wrapper_that_can(train):
    message = train('optim_wrapper.type=Other', arguments=['--amp'])
    assert '--amp needs optim_wrapper.type' in message


def test_a_bug_keeps_its_traceback(monkeypatch, tmp_path, data):
    monkeypatch.setattr(
        'mmengine.runner.Runner.from_cfg', lambda config: 1 / 0
    )
    with pytest.raises(ZeroDivisionError):
        run_tool(
            monkeypatch, 'train', CONFIG, '--data-root', data,
            '--work-dir', tmp_path / 'run',
        )  # fmt: skip


def test_a_bug_of_our_own_keeps_its_traceback(tmp_path, monkeypatch):
    monkeypatch.setattr('mmtat.ops.regions.check_pair', None)
    from mmtat.ops import pool_anchors

    with pytest.raises(TypeError, match='not callable'), readable_errors():
        pool_anchors(torch.rand(1, 1, 4, 4), (2, 2))


def test_every_rank_speaks_for_itself(monkeypatch, capfd):
    from mmtat.models import TaTLoss

    monkeypatch.setenv('RANK', '3')
    with pytest.raises(SystemExit), readable_errors():
        TaTLoss(-1)
    assert capfd.readouterr().err.startswith('[rank 3] error: loss_weight')


def test_nothing_is_overwritten_by_a_run_that_cannot_start(train, tmp_path):
    (tmp_path / 'run').mkdir()
    config = tmp_path / 'run' / 'tat_deeplabv3_r101_r18_voc.py'
    for name in (config.name, 'student.py'):
        (tmp_path / 'run' / name).write_text('of a good run')
    assert 'teacher_ckpt: no file' in train()
    for name in (config.name, 'student.py'):
        assert (tmp_path / 'run' / name).read_text() == 'of a good run'


@pytest.mark.parametrize(
    ('content', 'arguments', 'expected'),
    [
        (dict(state_dict=dict(x=torch.ones(1))), [], 'is of another model'),
        (dict(x=torch.ones(1)), ['--resume'], 'is of another model'),
    ],
)
def test_a_plain_student_goes_on_from_its_own_files_only(
    tmp_path, data, monkeypatch, capfd, content, arguments, expected
):
    torch.save(content, tmp_path / 'other.pth')
    options = [o for o in voc_options('none') if 'model.' not in o]
    if arguments:
        arguments = ['--resume', tmp_path / 'other.pth']
    else:
        options.append(f'load_from={tmp_path / "other.pth"}')
    status = run_tool(
        monkeypatch, 'train', 'configs/deeplabv3_r18_voc.py', '--data-root',
        data, '--work-dir', tmp_path / 'run', *arguments, '--cfg-options',
        'model.pretrained=None', *options,
    )  # fmt: skip
    assert status == 1
    assert expected in capfd.readouterr().err


@pytest.fixture
def classify(tmp_path, monkeypatch, capfd):
    """Train a classifier, expect one error, and return it."""

    def run(*options):
        status = run_tool(
            monkeypatch, 'train', 'configs/tat_resnet34_resnet18_in1k.py',
            '--data-root', tmp_path / 'data', '--work-dir', tmp_path / 'run',
            '--cfg-options', 'model.teacher_ckpt=none.pth',
            'model.architecture.pretrained=None', *options,
            *loader_options('train', 'val'),
        )  # fmt: skip
        assert status == 1
        errors = capfd.readouterr().err
        assert 'Traceback' not in errors
        return errors

    return run


def test_images_of_a_classifier_that_are_missing(classify, tmp_path):
    (tmp_path / 'data').mkdir()
    assert 'is empty' in classify()
    (tmp_path / 'data' / 'val').mkdir()
    assert 'no folder' in classify()
    make_imagenet(tmp_path / 'data')
    assert 'teacher_ckpt: no file' in classify()
    next((tmp_path / 'data' / 'train').rglob('*.jpg')).unlink()
    assert '1 of the 8 images that the split names' in classify()


def test_a_classifier_of_other_classes_than_the_data(classify, tmp_path):
    make_imagenet(tmp_path / 'data')
    message = classify('model.architecture.head.num_classes=5')
    assert 'head.num_classes=5' in message and 'has 1000 classes' in message


def test_patches_of_a_classifier_that_its_map_has_not(classify, tmp_path):
    make_imagenet(tmp_path / 'data')
    message = classify(
        'model.distiller.branches.patch_group.patches=(8,8)',
        'model.distiller.branches.patch_group.groups=1',
    )
    assert 'patches=(8, 8) for a map of 7x7' in message
    assert not (tmp_path / 'run' / 'student.py').exists()


def test_a_dataset_that_downloads_itself_is_left_to_do_so(tmp_path):
    from mmengine.config import Config

    from mmtat.engine.dataset_check import check_datasets

    def config(**settings):
        dataset = dict(
            type='CIFAR100',
            data_root=str(tmp_path / 'none'),
            split='train',
            **settings,
        )
        return Config(
            dict(
                default_scope='mmpretrain',
                train_dataloader=dict(dataset=dataset),
            )
        )

    check_datasets(config())
    with pytest.raises(ValueError, match='CIFAR100: no folder'):
        check_datasets(config(download=False))


@pytest.mark.parametrize(
    'tool',
    ['train', 'layers', 'estimate', 'doctor', 'sweep', 'visualize schedule'],
)
def test_an_option_without_a_value_is_one_message(tool, monkeypatch, capsys):
    name, *command = tool.split()
    module = runpy.run_path(str(ROOT / 'tools' / f'{name}.py'))
    arguments = [*command, 'config.py', '--cfg-options', 'model.x']
    monkeypatch.setattr(sys, 'argv', [f'{name}.py', *arguments])
    with pytest.raises(SystemExit) as ended:
        module['main']()
    assert ended.value.code == 2
    assert '--cfg-options: give KEY=VALUE' in capsys.readouterr().err


def test_a_full_disk_is_no_bug_whoever_met_it(capsys):
    with pytest.raises(SystemExit), readable_errors():
        raise OSError(errno.ENOSPC, 'No space left on device', 'run/log')
    message = capsys.readouterr().err
    assert message.startswith('error: ') and 'No space left' in message
    with pytest.raises(OSError, match='some other'), readable_errors():
        raise OSError(errno.EIO, 'some other')
