"""Every file of a dataset that is not what a training takes it for."""

import json
import subprocess
import sys

import numpy as np
import pytest
from mmengine.fileio import BaseStorageBackend, register_backend
from PIL import Image

from mmtat.engine.data_check.checking import checked_samples
from mmtat.engine.data_check.checks import Kind
from mmtat.engine.data_check.result import Result
from mmtat.engine.data_check.showing import check_with_progress
from mmtat.engine.data_check.sources import sources_of

from .broken import (
    add_thumbnail,
    blank,
    config_of,
    convert,
    cut,
    image_of,
    label,
    make_scenes,
    mask_of,
    scenes,
    turn,
    write_png,
)
from .running import ToyImages  # noqa: F401
from .voc import ROOT, make_voc, run_tool


@pytest.fixture
def root(tmp_path):
    return make_scenes(tmp_path / 'data')


def result_of(config, loaders=('train',), **options):
    result = Result(sources_of(config, loaders))
    for samples in checked_samples(result.sources, 0, **options):
        result.add(samples)
    return result


def found(config, **options):
    """Kinds by file; notes as well."""
    return {
        (f.finding.path, f.finding.kind, f.finding.is_fault): f.finding.reason
        for f in result_of(config, **options).found
    }


def only(config, path, kind, is_fault=True):
    """The reason of the only finding there is."""
    findings = found(config)
    assert list(findings) == [(str(path), kind, is_fault)]
    return findings[str(path), kind, is_fault]


def test_whole_images_and_right_labels_are_fine(root):
    result = result_of(config_of(train=scenes(root)))
    assert result.found == []
    assert result.samples == dict(train=6) and result.faulty == dict(train=0)


# --- files -------------------------------------------------------------------


@pytest.mark.parametrize('share', [0.6, 0.99])
def test_a_jpeg_that_is_cut(root, share):
    cut(image_of(root, 1), share)
    reason = only(
        config_of(train=scenes(root)), image_of(root, 1), Kind.CORRUPT
    )
    assert 'truncated' in reason


@pytest.mark.parametrize('has_thumbnail', [False, True])
def test_a_jpeg_whose_end_was_never_written(root, has_thumbnail):
    """OpenCV and Pillow decode it, grey from there on."""
    path = image_of(root, 1)
    if has_thumbnail:
        add_thumbnail(path)
    config = config_of(train=scenes(root))
    assert found(config) == {}
    blank(path, 0.9)
    dataset = sources_of(config, ['train'])[0].dataset
    assert dataset[1]['inputs'].shape == (3, 16, 24)
    reason = only(config, path, Kind.CORRUPT)
    assert reason == 'it has no end marker: its end was never written'


def test_bytes_behind_the_end_of_a_jpeg_are_no_fault(root):
    content = image_of(root, 1).read_bytes()
    image_of(root, 1).write_bytes(content + b'\0' * 100)
    assert found(config_of(train=scenes(root))) == {}


@pytest.mark.parametrize('share', [0.5, 0.97])
def test_a_mask_that_is_cut(root, share):
    cut(mask_of(root, 1), share)
    only(config_of(train=scenes(root)), mask_of(root, 1), Kind.CORRUPT)


def test_a_png_with_a_wrong_checksum(root):
    write_png(image_of(root, 1), Image.open(image_of(root, 1)))
    content = bytearray(image_of(root, 1).read_bytes())
    content[content.index(b'IDAT') - 5] ^= 1
    image_of(root, 1).write_bytes(content)
    only(config_of(train=scenes(root)), image_of(root, 1), Kind.CORRUPT)


def test_files_that_are_empty_missing_or_no_images(root):
    image_of(root, 0).write_bytes(b'')
    mask_of(root, 1).unlink()
    image_of(root, 2).write_text('<html>404')
    assert found(config_of(train=scenes(root))) == {
        (str(image_of(root, 0)), Kind.EMPTY, True): 'nothing is in it',
        (str(mask_of(root, 1)), Kind.MISSING, True): 'no such file',
        (str(image_of(root, 2)), Kind.CORRUPT, True): (
            "no image; it begins with b'<html>404'"
        ),
    }


def test_a_folder_in_the_place_of_a_file(root):
    mask_of(root, 1).unlink()
    mask_of(root, 1).mkdir()
    reason = only(
        config_of(train=scenes(root)), mask_of(root, 1), Kind.UNREADABLE
    )
    assert 'IsADirectoryError' in reason


# --- kinds of images ---------------------------------------------------------


@pytest.mark.parametrize('shape', [(16, 24), (16, 24, 3)])
def test_sixteen_bits_of_which_eight_are_lost(root, shape):
    write_png(image_of(root, 1), np.full(shape, 300, np.uint16))
    reason = only(config_of(train=scenes(root)), image_of(root, 1), Kind.DEEP)
    assert reason == '16 bits a channel, of which loading keeps 8'


def test_sixteen_bits_are_right_where_images_are_read_unchanged(root):
    write_png(image_of(root, 1), np.full((16, 24, 3), 300, np.uint16))
    dataset = scenes(root)
    dataset['pipeline'][0]['color_type'] = 'unchanged'
    assert found(config_of(train=dataset)) == {}


def test_cmyk_is_a_fault(root):
    convert(image_of(root, 1), 'CMYK')
    only(config_of(train=scenes(root)), image_of(root, 1), Kind.CMYK)


@pytest.mark.parametrize(
    'mode, kind',
    [
        ('L', Kind.GREY),
        ('1', Kind.GREY),
        ('P', Kind.PALETTE),
        ('RGBA', Kind.ALPHA),
    ],
)
def test_what_loading_converts_faithfully_is_noted(root, mode, kind):
    convert(image_of(root, 1), mode)
    config = config_of(train=scenes(root))
    only(config, image_of(root, 1), kind, is_fault=False)
    assert result_of(config).faulty == dict(train=0)


def test_transparent_pixels_are_a_fault(root):
    image = Image.open(image_of(root, 1)).convert('RGBA')
    image.putpixel((3, 4), (1, 2, 3, 0))
    write_png(image_of(root, 1), image)
    reason = only(
        config_of(train=scenes(root)), image_of(root, 1), Kind.TRANSPARENT
    )
    assert reason == '1 of 384 pixels; loading shows what they hide'


# --- masks -------------------------------------------------------------------


def test_a_mask_of_another_size(root):
    write_png(mask_of(root, 1), np.zeros((16, 25), np.uint8))
    reason = only(config_of(train=scenes(root)), mask_of(root, 1), Kind.SIZE)
    assert reason == 'the image is 24x16, the mask 25x16'


@pytest.mark.parametrize('color_type', ['color', 'unchanged'])
def test_an_image_that_loading_turns_is_compared_as_it_is_loaded(
    root, color_type
):
    turn(image_of(root, 1), 6)
    dataset = scenes(root)
    dataset['pipeline'][0]['color_type'] = color_type
    findings = found(config_of(train=dataset))
    if color_type == 'unchanged':
        assert findings == {}
        return
    size = findings.pop((str(mask_of(root, 1)), Kind.SIZE, True))
    assert size == 'the image is 16x24, the mask 24x16'
    assert list(findings) == [(str(image_of(root, 1)), Kind.TURNED, False)]
    loaded = sources_of(config_of(train=dataset), ['train'])[0].dataset[1]
    assert loaded['inputs'].shape == (3, 24, 16)


def test_a_mask_in_colours(root):
    write_png(mask_of(root, 1), np.zeros((16, 24, 3), np.uint8))
    reason = only(
        config_of(train=scenes(root)), mask_of(root, 1), Kind.COLOUR_MASK
    )
    assert reason == 'RGB, where one label a pixel is expected'


def test_a_mask_with_a_palette_holds_labels_unless_opencv_reads_it(root):
    mask = Image.open(mask_of(root, 1))
    mask.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
    write_png(mask_of(root, 1), mask)
    dataset = scenes(root)
    assert found(config_of(train=dataset)) == {}
    dataset['pipeline'][1]['imdecode_backend'] = 'cv2'
    only(config_of(train=dataset), mask_of(root, 1), Kind.COLOUR_MASK)


def test_a_mask_of_sixteen_bits_is_wrong_where_a_byte_is_too_small(root):
    labels = np.zeros((16, 24), np.uint16)
    write_png(mask_of(root, 1), labels)
    assert found(config_of(train=scenes(root))) == {}
    labels[2, 3] = 258
    write_png(mask_of(root, 1), labels)
    reason = only(config_of(train=scenes(root)), mask_of(root, 1), Kind.DEEP)
    assert reason == 'label 258, of which loading keeps a byte, 2'


def test_labels_that_are_no_class(root):
    label(mask_of(root, 1), 3)
    label(mask_of(root, 1), 7, place=(slice(1, 2), slice(0, 5)))
    label(mask_of(root, 2), 255)
    reason = only(config_of(train=scenes(root)), mask_of(root, 1), Kind.LABELS)
    assert reason == (
        'label 3, 7 at 6 of 384 pixels; there may be 0 to 2, and 255 to ignore'
    )


def test_labels_are_looked_at_as_the_dataset_changes_them(root):
    # 1 to 3 become 0 to 2, and 0 is ignored.
    label(mask_of(root, 1), 3)
    label(mask_of(root, 2), 4)
    dataset = scenes(root, reduce_zero_label=True)
    reason = only(config_of(train=dataset), mask_of(root, 2), Kind.LABELS)
    assert reason.startswith('label 3 at 1 of')


def test_labels_of_other_classes_are_mapped(tmp_path):
    # The first 3 of VOC's 21 classes: all others become 255.
    root = make_scenes(tmp_path / 'data')
    label(mask_of(root, 1), 20)
    label(mask_of(root, 2), 21)
    names = dict(classes=('background', 'aeroplane', 'bicycle'))
    (root / 'all.txt').write_text('\n'.join(map(str, range(6))))
    dataset = scenes(
        root,
        type='mmseg.PascalVOCDataset',
        metainfo=names,
        ann_file='all.txt',
    )
    reason = only(config_of(train=dataset), mask_of(root, 2), Kind.LABELS)
    assert reason.startswith('label 21 at 1 of')


def test_another_label_to_ignore(root):
    label(mask_of(root, 1), 9)
    assert found(config_of(train=scenes(root, ignore_index=9))) == {}
    label(mask_of(root, 1), 255)
    dataset = scenes(root, ignore_index=9)
    reason = only(config_of(train=dataset), mask_of(root, 1), Kind.LABELS)
    assert reason.endswith('there may be 0 to 2, and 9 to ignore')


def test_a_mask_without_labels_among_others_is_a_fault(root):
    label(mask_of(root, 1), 255, place=...)
    only(config_of(train=scenes(root)), mask_of(root, 1), Kind.IGNORED)


def test_a_dataset_that_is_meant_to_have_no_labels_is_noted(root):
    for index in range(6):
        label(mask_of(root, index), 255, place=...)
    result = result_of(config_of(train=scenes(root)))
    assert result.faulty == dict(train=0)
    assert [f.finding.kind for f in result.found] == [Kind.IGNORED] * 6


# --- datasets ----------------------------------------------------------------


def classified(root, labels, **overrides):
    listed = zip(range(6), labels)
    lines = [f'images/{index}.jpg {number}\n' for index, number in listed]
    (root / 'list.txt').write_text(''.join(lines))
    dataset = dict(
        type='mmpretrain.CustomDataset',
        data_root=str(root),
        ann_file='list.txt',
        metainfo=dict(classes=['a', 'b']),
        serialize_data=False,
        pipeline=[
            dict(type='LoadImageFromFile'),
            dict(type='mmpretrain.PackInputs'),
        ],
    )
    return dict(dataset, **overrides)


def test_labels_of_images_and_their_files(root):
    cut(image_of(root, 0))
    dataset = classified(root, (0, 1, 2, 0, -1, -100))
    findings = found(config_of(train=dataset))
    reason = findings.pop((str(image_of(root, 0)), Kind.CORRUPT, True))
    assert 'truncated' in reason
    assert findings == {
        (str(image_of(root, 2)), Kind.LABELS, True): (
            'label 2; there may be 0 to 1'
        ),
        (str(image_of(root, 4)), Kind.LABELS, True): (
            'label -1; there may be 0 to 1'
        ),
    }


def test_images_that_are_in_memory():
    dataset = dict(type='mmtat.Digits', split='val', pipeline=[])
    result = result_of(config_of(val=dataset), ['val'])
    assert result.samples == dict(val=449) and result.found == []


def test_datasets_inside_wrappers_and_shared_ones_are_read_once(root):
    cut(image_of(root, 1))
    part = scenes(root, indices=3)
    wrapped = dict(
        type='ConcatDataset',
        datasets=[
            dict(type='RepeatDataset', dataset=part, times=50),
            scenes(root, indices=[3, 4]),
        ],
    )
    val = scenes(root, test_mode=True)
    config = config_of(train=wrapped, val=val, test=val)
    result = result_of(config, ('train', 'val', 'test'))
    assert result.samples == {'train': 5, 'val, test': 6}
    assert result.faulty == {'train': 1, 'val, test': 1}
    assert result.exceeding(0.18) == ['train']
    assert result.exceeding(0.2) == []


@register_backend('mmtat_test_packed', force=True)
class PackedBackend(BaseStorageBackend):
    """Files of one archive, in memory; None for what is not there."""

    files = {}

    def get(self, filepath):
        return self.files.get(filepath)

    def get_text(self, filepath):
        return self.get(filepath).decode()


def test_files_that_a_backend_reads(root, monkeypatch):
    dataset = scenes(root)
    dataset['pipeline'][0]['backend_args'] = dict(backend='mmtat_test_packed')
    cut(image_of(root, 1))
    files = {str(p): p.read_bytes() for p in (root / 'images').iterdir()}
    del files[str(image_of(root, 2))]
    monkeypatch.setattr(PackedBackend, 'files', files)
    findings = found(config_of(train=dataset))
    assert set(findings) == {
        (str(image_of(root, 1)), Kind.CORRUPT, True),
        (str(image_of(root, 2)), Kind.MISSING, True),
    }


@register_backend('mmtat_test_absent', force=True)
class AbsentBackend(PackedBackend):
    """A backend whose package is not there."""

    def get(self, filepath):
        raise ImportError('Please run "pip install lmdb"')


def test_a_backend_that_is_not_installed_ends_the_check(root):
    dataset = scenes(root)
    dataset['pipeline'][0]['backend_args'] = dict(backend='mmtat_test_absent')
    with pytest.raises(ValueError, match='cannot be used: .*install lmdb'):
        found(config_of(train=dataset))


def test_the_same_image_twice_or_in_training_and_validation(root):
    image_of(root, 5).write_bytes(image_of(root, 4).read_bytes())
    train = scenes(root, indices=[0, 4, 5])
    val = scenes(root, indices=[0, 1], test_mode=True)
    config = config_of(train=train, val=val)
    assert result_of(config, ('train', 'val')).found == []
    result = result_of(config, ('train', 'val'), with_digests=True)
    assert [
        (f.finding.path, f.finding.reason, f.finding.is_fault)
        for f in result.found
    ] == [
        (str(image_of(root, 5)), f'as {image_of(root, 4)} of train', False),
        (str(image_of(root, 0)), f'as {image_of(root, 0)} of train', False),
    ]


@pytest.mark.slow
def test_processes_find_the_same(tmp_path):
    root = make_scenes(tmp_path / 'data', 40)
    for index in (3, 17, 38):
        cut(image_of(root, index))
    config = config_of(train=scenes(root, serialize_data=True))
    sources = sources_of(config, ['train'])
    alone, together = (
        check_with_progress(sources, workers).found for workers in (0, 2)
    )
    assert [f.finding.path for f in alone] == [
        str(image_of(root, index)) for index in (17, 3, 38)
    ]
    assert together == alone


def test_a_terminal_shows_a_bar(root, monkeypatch, capsys):
    cut(image_of(root, 1))
    sources = sources_of(config_of(train=scenes(root)), ['train'])
    monkeypatch.setattr('sys.stderr.isatty', lambda: True, raising=False)
    assert check_with_progress(sources, 0).faulty == dict(train=1)
    shown = capsys.readouterr().err
    assert '6/6' in shown and '1 faulty' in shown
    assert 'of 6 samples' not in shown


def test_a_dataset_that_names_no_files_is_refused():
    config = config_of(train=dict(type='ToyImages'))
    with pytest.raises(ValueError, match='train: ToyImages is no BaseDataset'):
        sources_of(config, ['train'])


def test_a_list_that_is_not_there_is_named(root):
    dataset = scenes(root, ann_file='nothing.txt')
    with pytest.raises(ValueError, match="no split file '.*nothing.txt'"):
        sources_of(config_of(train=dataset), ['train'])


# --- the command -------------------------------------------------------------


@pytest.fixture
def command(root, tmp_path, monkeypatch, capsys):
    path = tmp_path / 'config.py'

    def run(*arguments, **datasets):
        config_of(**(datasets or dict(train=scenes(root)))).dump(path)
        status = run_tool(
            monkeypatch, 'check_data', path, '--workers', 0, *arguments
        )
        return status, capsys.readouterr()

    return run


def test_the_command_says_that_all_is_well(command):
    status, output = command()
    assert status == 0
    assert output.out == 'train: 0 of 6 samples are faulty\n'
    assert output.err == '6 of 6 samples, 0 faulty\n'


def test_the_command_counts_names_and_writes_them_down(command, root):
    for index in range(3):
        cut(image_of(root, index))
    convert(image_of(root, 3), 'L')
    path = root / 'faults.json'
    status, output = command('--show', 2, '--json', path)
    assert status == 1
    lines = output.out.splitlines()
    assert lines[1].split() == 'train corrupt or cut off fault 3'.split()
    assert lines[2].split() == 'train greyscale image note 1'.split()
    assert lines[4] == 'train, corrupt or cut off:'
    assert lines[5].startswith(f'  {image_of(root, 0)}: image file is trunc')
    assert lines[7] == '  and 1 more: --show, --json'
    assert lines[-1] == (
        'train: 3 of 6 samples are faulty (50.000%), more than the 0.001 '
        'that --most allows'
    )
    written = json.loads(path.read_text())
    assert written['faulty_samples'] == dict(train=3)
    assert [f['sample'] for f in written['findings']] == [0, 1, 2, 3]
    assert written['findings'][3]['is_fault'] is False


def test_the_command_allows_a_share(command, root):
    cut(image_of(root, 0))
    assert command('--most', 0.16)[0] == 1
    status, output = command('--most', 0.17)
    assert status == 0 and 'no more than the 0.17' in output.out


@pytest.mark.parametrize(
    'arguments, message',
    [
        (('--most', 2), 'most must be a share, from 0 to 1, got 2.0'),
        (('--loaders', 'val'), 'it has no dataset for val'),
        (('--data-root', '/nowhere'), "no folder '/nowhere'"),
        (('--json', __file__), 'exists; give --force'),
    ],
)
def test_wrong_options_are_named(command, arguments, message):
    status, output = command(*arguments)
    assert status == 1
    assert message in output.err and 'Traceback' not in output.err


def test_a_number_below_zero_is_refused(command):
    status, output = command('--show', -1)
    assert status == 2 and '--show: give a number from 0 on' in output.err


@pytest.mark.slow
def test_the_command_as_it_is_typed(tmp_path):
    root = make_voc(tmp_path / 'voc')
    broken = sorted((root / 'JPEGImages').iterdir())[0]
    cut(broken)
    done = subprocess.run(
        [
            sys.executable,
            'tools/check_data.py',
            'configs/tat_deeplabv3_r101_r18_voc.py',
            '--data-root',
            root,
            '--workers',
            '2',
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1, done.stderr
    assert str(broken) in done.stdout
    # The digits have 11 classes, of VOC's 21.
    assert 'labels outside' not in done.stdout
    assert done.stdout.splitlines()[-1].startswith('val, test: ')
