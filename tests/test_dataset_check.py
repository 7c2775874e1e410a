"""What is wrong with a folder of data is said by name and number."""

import shutil

import numpy as np
import pytest
from PIL import Image

from mmtat.engine.dataset_check import (
    check_datasets,
    datasets_of,
    set_data_root,
)
from mmtat.engine.preparation import DATASETS, check
from mmtat.engine.preparation.archives import md5_of
from mmtat.engine.preparation.cifar import check_cifar100
from mmtat.engine.preparation.coco_stuff import check_coco_stuff
from mmtat.engine.preparation.imagenet_check import check_imagenet
from mmtat.engine.preparation.voc import check_voc
from mmtat.models.utils import load_config

from .downloads import (
    COCO_COUNTS,
    IMAGENET,
    VOC_COUNTS,
    VOC_NAMES,
    WNIDS,
    prepared,
    write_downloads,
)
from .voc import run_tool

LISTS = 'ImageSets/Segmentation'
LABELS = '_labelTrainIds.png'


@pytest.fixture(scope='module')
def done(tmp_path_factory):
    """Each dataset, prepared from tiny archives; not to be changed."""
    out = tmp_path_factory.mktemp('data')
    downloads = write_downloads(out / 'downloads')
    for name in DATASETS:
        prepared(name, downloads, out / name)
    return out


@pytest.fixture
def voc(tmp_path, done):
    return shutil.copytree(done / 'voc', tmp_path / 'VOCdevkit' / 'VOC2012')


@pytest.fixture
def coco(tmp_path, done):
    return shutil.copytree(done / 'coco_stuff10k', tmp_path / 'coco')


@pytest.fixture
def imagenet(tmp_path, done):
    return shutil.copytree(done / 'imagenet', tmp_path / 'imagenet')


@pytest.fixture
def cifar(tmp_path, done):
    return shutil.copytree(done / 'cifar100', tmp_path / 'cifar100')


# --- tools/prepare_data.py --check -------------------------------------------


def test_the_numbers_asked_for_are_those_of_the_full_datasets(
    voc, coco, imagenet
):
    assert check_voc(voc) == [
        f"{found} names in '{voc / LISTS / split}.txt', expected {expected}"
        for split, found, expected in (
            ('train', 2, 1464),
            ('val', 1, 1449),
            ('aug', 3, 9118),
        )
    ]
    assert check_coco_stuff(coco) == [
        f"2 images in '{coco}/images/train2014', expected 9000",
        f"1 images in '{coco}/images/test2014', expected 1000",
    ]
    assert check_imagenet(imagenet) == [
        f"'{imagenet}/train' has 3 folders, expected one for each of 1000 "
        'classes',
        f"6 images in '{imagenet}/train', expected 1281167",
        f"4 images in '{imagenet}/meta/val.txt', expected 50000",
    ]


def test_missing_images_and_labels_are_counted_apart(voc):
    for name in VOC_NAMES['aug'][:2]:
        (voc / 'JPEGImages' / f'{name}.jpg').unlink()
    name = VOC_NAMES['aug'][2]
    (voc / 'SegmentationClassAug' / f'{name}.png').unlink()
    images, labels = check_voc(voc, VOC_COUNTS)
    assert images.startswith(f'2 of the 3 images that {LISTS}/aug.txt names')
    assert VOC_NAMES['aug'][0] in images and VOC_NAMES['aug'][1] in images
    assert labels.startswith('1 of the 3 label maps that')
    assert labels.endswith(f"SegmentationClassAug/{name}.png'")


@pytest.mark.parametrize('step', ['..', 'JPEGImages', '../..'])
def test_a_folder_beside_the_right_one_brings_a_hint(voc, step):
    problems = check_voc((voc / step).resolve(), VOC_COUNTS)
    assert problems[-1] == f"did you mean '{voc}'?"
    assert len(problems) == 7
    for entry in ('JPEGImages', 'SegmentationClassAug', f'{LISTS}/aug.txt'):
        assert any(f"{entry}' is missing" in p for p in problems)


def test_images_that_are_validated_on_and_trained_on_are_found(voc):
    path = voc / LISTS / 'aug.txt'
    path.write_text(f'{VOC_NAMES["val"][0]}\n{path.read_text()}')
    label = voc / 'SegmentationClass' / f'{VOC_NAMES["val"][0]}.png'
    shutil.copy(label, voc / 'SegmentationClassAug')
    assert check_voc(voc, dict(VOC_COUNTS, aug=4)) == [
        'aug.txt names 1 images that val.txt names too, as '
        f"'{VOC_NAMES['val'][0]}'"
    ]


def test_label_maps_that_are_wrong_inside_are_found(voc):
    folder = voc / 'SegmentationClassAug'
    first, second, third = (folder / f'{n}.png' for n in VOC_NAMES['aug'])
    labels = np.full((6, 8), 255, np.uint8)
    Image.fromarray(labels).save(first)
    assert check_voc(voc, VOC_COUNTS) == []
    labels[2, 3] = 21
    Image.fromarray(labels).save(first)
    Image.fromarray(labels[:5]).save(second)
    Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(third)
    assert sorted(check_voc(voc, VOC_COUNTS)) == sorted(
        [
            '2 of the 3 label maps looked into have labels above 20, as '
            f"'{first}', '{second}'",
            "1 of the 3 label maps looked into are not of their image's "
            f"size, as '{second}'",
            '1 of the 3 label maps looked into are in colour instead of one '
            f"label a pixel, as '{third}'",
        ]
    )


def test_files_that_are_no_images_are_found(voc, imagenet):
    name = VOC_NAMES['val'][0]
    (voc / 'JPEGImages' / f'{name}.jpg').write_text('')
    (problem,) = check_voc(voc, VOC_COUNTS)
    assert problem.startswith('1 of the 1 label maps looked into have an')
    (imagenet / 'val' / 'ILSVRC2012_val_00000002.JPEG').write_text('<html>')
    (problem,) = check_imagenet(imagenet, **IMAGENET)
    assert problem.startswith('1 of the 4 images looked into are no images')
    assert 'val_00000002.JPEG' in problem


def test_labels_that_were_never_converted_are_found(coco):
    for label in coco.glob('annotations/train2014/*'):
        name = label.name.replace(LABELS, '.mat')
        label.rename(coco / 'annotations' / name)
    empty, raw, missing = check_coco_stuff(coco, COCO_COUNTS)
    assert empty == f"the folder '{coco}/annotations/train2014' is empty"
    assert raw.startswith(f"2 files in '{coco}/annotations' are as they came")
    assert missing.startswith('2 of the 2 label maps of')


def test_labels_without_an_image_and_beyond_the_classes_are_found(coco):
    first, second = sorted(coco.glob('images/train2014/*'))
    first.unlink()
    labels = np.full((6, 8), 172, np.uint8)
    path = coco / 'annotations' / 'train2014' / f'{second.stem}{LABELS}'
    Image.fromarray(labels).save(path)
    number, lone, beyond = check_coco_stuff(coco, COCO_COUNTS)
    assert number.startswith('1 images in') and 'expected 2' in number
    assert lone.startswith('1 label maps have no image in')
    assert f'{first.stem}{LABELS}' in lone
    assert 'have labels above 171' in beyond and str(path) in beyond


def test_classes_of_imagenet_that_are_missing_or_empty_are_found(imagenet):
    first, second, third = (imagenet / 'train' / wnid for wnid in WNIDS)
    shutil.rmtree(first)
    next(second.iterdir()).rename(imagenet / 'train' / 'x.JPEG')
    shutil.rmtree(third)
    third.mkdir()
    folders, loose, empty, number = check_imagenet(imagenet, **IMAGENET)
    assert 'has 2 folders, expected one for each of 3 classes' in folders
    assert loose.startswith("1 images are in no class's folder")
    assert empty.startswith('1 of the 2 folders') and WNIDS[2] in empty
    assert number == f"1 images in '{imagenet}/train', expected 6"


def test_validation_images_without_labels_are_found(imagenet):
    shutil.rmtree(imagenet / 'meta')
    problems = check_imagenet(imagenet, **IMAGENET)
    assert "4 images are in no class's folder" in problems[1]
    assert f"need the list '{imagenet}/meta/val.txt'" in problems[2]
    for index, image in enumerate(sorted(imagenet.glob('val/*.JPEG'))):
        folder = imagenet / 'val' / ('n00000000', *WNIDS[:2])[index % 3]
        folder.mkdir(exist_ok=True)
        image.rename(folder / image.name)
    only_train, only_val = check_imagenet(imagenet, **IMAGENET)
    assert only_train.startswith(f"1 classes are in '{imagenet}/train' only")
    assert WNIDS[2] in only_train and 'n00000000' in only_val


def test_a_list_of_imagenet_with_wrong_lines_is_found(imagenet):
    path = imagenet / 'meta' / 'val.txt'
    path.write_text(f'{path.read_text()}missing.JPEG 3\n')
    number, lines, missing = check_imagenet(imagenet, **IMAGENET)
    assert number == f"5 images in '{path}', expected 4"
    assert lines.startswith('1 of the 5 lines') and 'from 0 to 2' in lines
    assert lines.endswith("as 'missing.JPEG 3'")
    assert missing.startswith('1 of the 5 images that')


def test_files_of_cifar_that_are_missing_or_changed_are_found(cifar):
    folder = cifar / 'cifar-100-python'
    files = {path.name: md5_of(path) for path in folder.iterdir()}
    (folder / 'train').write_bytes(b'')
    (folder / 'meta').unlink()
    assert check_cifar100(cifar, files) == [
        f"1 of the 3 files of '{folder}' are missing: 'meta'",
        f"1 of the 3 files of '{folder}' have another MD5 than the known "
        "one: 'train'",
    ]
    (folder / 'meta').write_bytes(b'')
    (hint,) = check_cifar100(folder, files)[1:]
    assert hint == f"did you mean '{cifar}'?"
    for path in folder.iterdir():
        path.rename(cifar / path.name)
    (hint,) = check_cifar100(cifar, files)[1:]
    assert hint == f"they are in '{cifar}': move them to 'cifar-100-python'"


def test_the_tool_lists_everything_and_ends_with_status_1(
    tmp_path, voc, monkeypatch, capfd
):
    (voc / 'JPEGImages' / f'{VOC_NAMES["val"][0]}.jpg').unlink()
    status = run_tool(monkeypatch, 'prepare_data', 'voc', '--check', voc)
    errors = capfd.readouterr().err
    assert status == 1 and 'Traceback' not in errors
    assert errors.startswith(f"error: '{voc}' is not complete:\n  - ")
    # Three lists that are too short, and one missing image.
    assert errors.count('\n  - ') == 4
    missing = ['--downloads', tmp_path / 'none', '--out', tmp_path / 'out']
    assert run_tool(monkeypatch, 'prepare_data', 'imagenet', *missing) == 1
    assert capfd.readouterr().err.count('get it from https://image-net') == 3


def test_the_tool_unpacks_and_checks(tmp_path, done, monkeypatch, capfd):
    from mmtat.engine import preparation

    from .downloads import believed

    downloads = done / 'downloads'
    cifar = DATASETS['cifar100']
    tiny = preparation.Dataset(
        believed(cifar.parts, downloads), lambda root: [], 'unused'
    )
    monkeypatch.setitem(DATASETS, 'cifar100', tiny)
    out = tmp_path / 'data' / 'cifar'
    assert (
        run_tool(
            monkeypatch, 'prepare_data', 'cifar100',
            *('--downloads', downloads, '--out', out),
        )
        == 0
    )  # fmt: skip
    assert f'Train with --data-root {out}' in capfd.readouterr().out
    assert (out / 'cifar-100-python' / 'train').is_file()


def test_the_tool_wants_one_thing_to_do(tmp_path, monkeypatch, capfd):
    for arguments in (
        ['voc'],
        ['voc', '--check', tmp_path, '--out', tmp_path],
        ['voc', '--check', tmp_path, '--downloads', tmp_path],
        ['ade20k', '--check', tmp_path],
    ):
        assert run_tool(monkeypatch, 'prepare_data', *arguments) == 2
    assert 'coco_stuff10k' in capfd.readouterr().err


def test_a_folder_that_is_not_there_is_named(tmp_path):
    for dataset in DATASETS.values():
        with pytest.raises(ValueError, match='there is no folder .*nowhere'):
            check(dataset, tmp_path / 'nowhere')


def test_the_folders_are_those_that_the_zoos_configs_read():
    for name, path in (
        ('voc', 'mmseg::_base_/datasets/pascal_voc12.py'),
        ('coco_stuff10k', 'mmseg::_base_/datasets/coco-stuff10k.py'),
        ('imagenet', 'mmpretrain::_base_/datasets/imagenet_bs32.py'),
        ('cifar100', 'mmpretrain::_base_/datasets/cifar100_bs16.py'),
    ):
        dataset = load_config(path, 'config').train_dataloader.dataset
        assert dataset.data_root == DATASETS[name].folder


# --- tools/train.py and tools/test.py ----------------------------------------


def refused(path, root, **settings):
    """What the training tools say of a zoo's dataset in a folder."""
    config = load_config(path, 'config')
    config.default_scope = path.split(':')[0]
    set_data_root(config, str(root))
    for dataset in datasets_of(config):
        dataset.update(settings)
    try:
        check_datasets(config)
    except ValueError as error:
        return str(error)
    return ''


VOC = 'mmseg::_base_/datasets/pascal_voc12_aug.py'
COCO = 'mmseg::_base_/datasets/coco-stuff10k.py'
IMAGENET_BASE = 'mmpretrain::_base_/datasets/imagenet_bs32.py'
CIFAR = 'mmpretrain::_base_/datasets/cifar100_bs16.py'
THREE = dict(metainfo=dict(classes=WNIDS))


def test_what_was_prepared_is_fine_to_train_on(voc, coco, imagenet):
    assert refused(VOC, voc) == refused(COCO, coco) == ''
    assert refused(IMAGENET_BASE, imagenet, **THREE) == ''


def test_training_on_voc_names_images_and_labels_of_every_list(voc):
    (voc / 'JPEGImages' / f'{VOC_NAMES["train"][0]}.jpg').unlink()
    for name in VOC_NAMES['aug'][:2]:
        (voc / 'SegmentationClassAug' / f'{name}.png').unlink()
    (voc / LISTS / 'val.txt').unlink()
    message = refused(VOC, voc)
    assert '\n' not in message and message.startswith('PascalVOCDataset: ')
    assert '1 of the 2 images that the split names' in message
    assert '2 of the 3 labels that the split names' in message
    assert f"no split file '{voc}/{LISTS}/val.txt'" in message


def test_training_on_voc_without_sbd_says_so_at_once(voc):
    shutil.rmtree(voc / 'SegmentationClassAug')
    message = refused(VOC, voc)
    assert 'no folder' in message and 'SegmentationClassAug' in message
    assert '3 of the 3 labels that the split names' in message


@pytest.mark.parametrize('step', ['..', 'SegmentationClass'])
def test_training_on_a_folder_beside_brings_one_hint(voc, step):
    message = refused(VOC, (voc / step).resolve())
    assert message.endswith(f"did you mean '{voc}'?")
    assert message.count('did you mean') == 1


def test_training_on_coco_stuff_counts_both_sides(coco):
    first, _ = sorted(coco.glob('images/train2014/*'))
    first.unlink()
    for label in coco.glob('annotations/test2014/*'):
        label.rename(label.with_suffix('.mat'))
    message = refused(COCO, coco)
    assert '1 labels in' in message and 'have no image' in message
    assert f'{first.stem}{LABELS}' in message
    assert '1 of the 1 labels that the split names' in message
    assert "annotations/test2014' has 1 '.mat' files" in message
    shutil.rmtree(coco / 'images' / 'train2014')
    assert 'images/train2014' in refused(COCO, coco)


def test_training_on_imagenet_counts_folders_and_images(imagenet):
    shutil.rmtree(imagenet / 'train' / WNIDS[0])
    next((imagenet / 'val').glob('*2.JPEG')).unlink()
    message = refused(IMAGENET_BASE, imagenet, **THREE)
    assert "train' has 2 folders, expected one for each of 3" in message
    assert '1 of the 4 images that the split names' in message
    (imagenet / 'meta' / 'val.txt').unlink()
    message = refused(IMAGENET_BASE, imagenet)
    assert 'has 0 folders, expected one for each of 1000' in message
    assert "3 images are in no class's folder" in message
    message = refused(IMAGENET_BASE, imagenet / 'train')
    assert message.endswith(f"did you mean '{imagenet}'?")


def test_training_on_cifar_names_the_files_that_are_wrong(cifar, tmp_path):
    folder = cifar / 'cifar-100-python'
    # Tiny ones are not the known ones.
    message = refused(CIFAR, cifar)
    assert f"2 of the 2 files of '{folder}' have another MD5" in message
    assert f"delete '{folder}' to have it downloaded anew" in message
    (folder / 'test').unlink()
    assert '1 of the 2 files of' in refused(CIFAR, cifar, download=False)
    for path in [*folder.iterdir(), folder]:
        if path.is_file():
            path.rename(cifar / path.name)
    (cifar / 'test').write_bytes(b'')
    folder.rmdir()
    message = refused(CIFAR, cifar)
    assert f"they are in '{cifar}': move them to" in message
    # Whatever lacks altogether is downloaded.
    assert refused(CIFAR, tmp_path / 'nowhere') == ''
    (tmp_path / 'empty').mkdir()
    assert refused(CIFAR, tmp_path / 'empty') == ''


def test_a_dataset_that_cannot_be_read_keeps_the_kind_of_its_error(imagenet):
    (imagenet / 'meta' / 'val.txt').write_text('an image without a label\n')
    message = refused(IMAGENET_BASE, imagenet, **THREE)
    assert 'the data cannot be read: ValueError' in message
