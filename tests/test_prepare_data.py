"""Datasets are unpacked and checked, and what lacks is said exactly."""

import io
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import init_default_scope
from PIL import Image

from mmtat.engine import preparation
from mmtat.engine.preparation import DATASETS, prepare
from mmtat.engine.preparation.archives import md5_of, unpack
from mmtat.engine.preparation.cifar import check_cifar100
from mmtat.engine.preparation.coco_stuff import check_coco_stuff, train_ids
from mmtat.engine.preparation.imagenet_check import check_imagenet
from mmtat.engine.preparation.voc import check_voc

from .downloads import (
    COCO_COUNTS,
    COCO_NAMES,
    IMAGENET,
    VOC_COUNTS,
    VOC_NAMES,
    WNIDS,
    believed,
    coco_files,
    matlab,
    prepared,
    sbd_files,
    train_files,
    write_downloads,
    write_tar,
)


@pytest.fixture(scope='module')
def downloads(tmp_path_factory):
    return write_downloads(tmp_path_factory.mktemp('downloads'))


@pytest.fixture(scope='module')
def done(tmp_path_factory, downloads):
    """Each dataset as the tiny archives give it; not to be changed."""
    out = tmp_path_factory.mktemp('data')
    for name in DATASETS:
        prepared(name, downloads, out / name)
    return out


@pytest.fixture
def voc(tmp_path, done):
    return shutil.copytree(done / 'voc', tmp_path / 'VOCdevkit' / 'VOC2012')


@pytest.fixture
def imagenet(tmp_path, done):
    return shutil.copytree(done / 'imagenet', tmp_path / 'imagenet')


def build(scope, path, loader='train'):
    """The dataset of a zoo's base config."""
    from mmtat.models.utils import load_config

    config = load_config(f'{scope}::_base_/datasets/{path}', 'config')
    init_default_scope(scope)
    return config[f'{loader}_dataloader'].dataset


def read(dataset, root):
    with MMENGINE_DATASETS.switch_scope_and_registry(None) as registry:
        return registry.build(dict(dataset, data_root=str(root)))


# --- unpacking ---------------------------------------------------------------


def test_mmsegmentation_reads_the_prepared_voc(done):
    root = done / 'voc'
    dataset = build('mmseg', 'pascal_voc12_aug.py')
    train, aug = (read(each, root) for each in dataset.datasets)
    assert [len(train), len(aug)] == [2, 3]
    val = read(build('mmseg', 'pascal_voc12_aug.py', 'val'), root)
    names = [aug.get_data_info(i)['img_path'][-15:-4] for i in range(3)]
    assert names == VOC_NAMES['aug']
    for dataset, labels in ((aug, (2, 3, 7)), (val, (20,))):
        for index, label in enumerate(labels):
            path = dataset.get_data_info(index)['seg_map_path']
            assert (np.asarray(Image.open(path)) == label).all()
    assert check_voc(root, VOC_COUNTS) == []
    assert sorted(path.name for path in root.iterdir()) == [
        'ImageSets',
        'JPEGImages',
        'SegmentationClass',
        'SegmentationClassAug',
    ]


def test_mmsegmentation_reads_the_prepared_coco_stuff(done):
    root = done / 'coco_stuff10k'
    train = build('mmseg', 'coco-stuff10k.py')
    train.pipeline = train.pipeline[:2]
    item = read(train, root)[1]
    assert item['img_path'].endswith(f'{COCO_NAMES["train"][1]}.jpg')
    # From 0, and the unlabelled ignored.
    labels = item['gt_seg_map']
    assert labels[0].tolist() == [0, 10, 11, 170, 255, 255, 255, 255]
    assert (labels[1:] == 255).all()
    assert len(read(build('mmseg', 'coco-stuff10k.py', 'val'), root)) == 1
    assert check_coco_stuff(root, COCO_COUNTS) == []


def test_the_classes_of_coco_stuff_are_those_of_mmsegmentations_converter():
    import mmseg
    from mmseg.datasets import COCOStuffDataset

    converter = Path(mmseg.__file__).parent.joinpath(
        '.mim/tools/dataset_converters/coco_stuff10k.py'
    )
    source = converter.read_text()
    table = source[source.index('{') : source.index('}') + 1]
    ids = train_ids()
    assert {n: ids[n] for n in eval(table)} == eval(table)
    assert len(COCOStuffDataset.METAINFO['classes']) == ids.max() == 171


def test_mmpretrain_reads_the_prepared_imagenet(done):
    root = done / 'imagenet'
    classes = dict(metainfo=dict(classes=WNIDS), pipeline=[])
    train = read(
        dict(build('mmpretrain', 'imagenet_bs32.py'), **classes), root
    )
    assert [train.get_gt_labels()[i] for i in range(6)] == [0, 0, 1, 1, 2, 2]
    dataset = dict(build('mmpretrain', 'imagenet_bs32.py', 'val'), **classes)
    val = read(dataset, root)
    # ILSVRC's 2, 7, 7 and 5 are the second, first and third folder.
    assert list(val.get_gt_labels()) == [1, 0, 0, 2]
    paths = [val.get_data_info(index)['img_path'] for index in range(4)]
    assert [path[-13:] for path in paths] == [
        f'{index:08}.JPEG' for index in (1, 2, 3, 4)
    ]
    assert all(map(Image.open, paths))
    assert check_imagenet(root, **IMAGENET) == []


def test_mmpretrain_reads_the_prepared_cifar(done, monkeypatch):
    from mmpretrain.datasets import CIFAR100

    root = done / 'cifar100'
    files = {p.name: md5_of(p) for p in root.glob('cifar-100-python/*')}
    for name in ('train', 'test'):
        monkeypatch.setattr(CIFAR100, f'{name}_list', [[name, files[name]]])
    for split, count in (('train', 2), ('test', 1)):
        dataset = CIFAR100(str(root), split, download=False)
        assert len(dataset) == count
        assert list(dataset.get_gt_labels()) == [99] * count
    assert check_cifar100(root, files) == []


def test_sorted_validation_images_need_no_devkit(
    tmp_path, downloads, imagenet
):
    (imagenet / 'meta' / 'val.txt').unlink()
    for wnid in WNIDS:
        (imagenet / 'val' / wnid).mkdir()
    for index, image in enumerate(sorted(imagenet.glob('val/*.JPEG'))):
        image.rename(imagenet / 'val' / WNIDS[index % 3] / image.name)
    prepare(DATASETS['imagenet'].parts, tmp_path / 'nothing', imagenet)
    assert check_imagenet(imagenet, **IMAGENET) == []


def test_finished_parts_are_not_made_again(tmp_path, downloads, voc):
    image = next(voc.glob('JPEGImages/*'))
    image.write_bytes(b'mine')
    # Not even the archives are asked for.
    prepare(DATASETS['voc'].parts, tmp_path / 'nothing', voc)
    shutil.rmtree(voc / 'SegmentationClassAug')
    (tmp_path / 'some').mkdir()
    shutil.copy(downloads / 'benchmark.tgz', tmp_path / 'some')
    part = believed(DATASETS['voc'].parts[1:], downloads)
    prepare(part, tmp_path / 'some', voc)
    assert image.read_bytes() == b'mine'
    assert len([*voc.glob('SegmentationClassAug/*')]) == 3


def test_classes_that_were_unpacked_before_a_break_are_kept(tmp_path):
    downloads, out = tmp_path / 'downloads', tmp_path / 'out'
    downloads.mkdir()
    part = DATASETS['imagenet'].parts[0]
    path = write_tar(downloads / part.archive.name, train_files())
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match='cannot be unpacked'):
        prepare([part], downloads, out)
    assert [path.name for path in out.iterdir()] == ['.partial']
    (first,) = out.rglob(WNIDS[0])
    (first / 'mark').write_text('')
    path.write_bytes(whole)
    prepare([part], downloads, out)
    assert sorted(p.name for p in (out / 'train').iterdir()) == [*WNIDS]
    assert (out / 'train' / WNIDS[0] / 'mark').exists()
    assert [path.name for path in out.iterdir()] == ['train']


def test_what_a_killed_process_left_is_made_anew(tmp_path, downloads):
    part = believed(DATASETS['cifar100'].parts, downloads)[0]
    left = tmp_path / '.partial' / part.archive.name / 'ready'
    left.joinpath('cifar-100-python').mkdir(parents=True)
    prepare([part], downloads, tmp_path)
    assert len([*tmp_path.glob('cifar-100-python/*')]) == 3
    assert not (tmp_path / '.partial').exists()


def test_a_link_to_another_disk_is_followed(tmp_path, downloads):
    (tmp_path / 'disk').mkdir()
    (tmp_path / 'data').symlink_to(tmp_path / 'disk')
    prepared('cifar100', downloads, tmp_path / 'data')
    assert (tmp_path / 'disk' / 'cifar-100-python' / 'train').is_file()
    assert (tmp_path / 'data').is_symlink()


# --- archives that are not to be trusted -----------------------------------


@pytest.mark.parametrize('name', DATASETS)
def test_every_missing_archive_is_named_with_its_place(tmp_path, name):
    with pytest.raises(ValueError) as error:
        prepare(DATASETS[name].parts, tmp_path / 'empty', tmp_path / 'out')
    lines = str(error.value).splitlines()[1:]
    assert len(lines) == len(DATASETS[name].parts)
    for line, part in zip(lines, DATASETS[name].parts):
        assert f'{part.archive.name} is not in' in line
        assert f'get it from {part.archive.source}' in line
        assert 'http' in part.archive.source
    assert not (tmp_path / 'out').exists()


def test_the_archives_are_those_that_the_libraries_know():
    from mmpretrain.datasets import CIFAR100
    from torchvision.datasets import SBDataset, imagenet, voc

    archives = {
        part.archive.name: part.archive
        for dataset in DATASETS.values()
        for part in dataset.parts
    }
    known = voc.DATASET_YEAR_DICT['2012']
    for name, url, md5 in (
        (known['filename'], known['url'], known['md5']),
        (SBDataset.filename, SBDataset.url, SBDataset.md5),
        (CIFAR100.filename, CIFAR100.url, CIFAR100.tgz_md5),
    ):
        assert archives[name].source == url and archives[name].md5 == md5
    for name, md5 in imagenet.ARCHIVE_META.values():
        # 138 GB would take as long to check as to unpack.
        is_train = name == 'ILSVRC2012_img_train.tar'
        assert archives[name].md5 == (None if is_train else md5)
    files = dict(CIFAR100.train_list + CIFAR100.test_list)
    files[CIFAR100.meta['filename']] = CIFAR100.meta['md5']
    assert preparation.cifar.FILES == files


def test_an_archive_with_another_md5_is_refused_unread(tmp_path, downloads):
    with pytest.raises(ValueError) as error:
        prepare(DATASETS['voc'].parts, downloads, tmp_path / 'out')
    first, second = str(error.value).splitlines()[1:]
    found = md5_of(downloads / 'benchmark.tgz')
    assert 'VOCtrainval' in first and f'MD5 is {found}, not' in second
    assert not (tmp_path / 'out').exists()


def member(name, **attributes):
    info = tarfile.TarInfo(name)
    for key, value in attributes.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    'info, reason',
    [
        (member('../evil'), 'lies outside'),
        (member('cifar-100-python/../../evil'), 'lies outside'),
        (member('/tmp/evil'), 'lies outside'),
        (member('a', type=tarfile.SYMTYPE, linkname='/etc'), 'is a link'),
        (member('a', type=tarfile.LNKTYPE, linkname='b'), 'is a link'),
        (member('a', type=tarfile.CHRTYPE), 'is a link or a device'),
    ],
    ids=['above', 'through', 'absolute', 'symlink', 'hard link', 'device'],
)
def test_a_member_that_would_escape_is_refused(tmp_path, info, reason):
    path = tmp_path / 'downloads' / 'cifar-100-python.tar.gz'
    path.parent.mkdir()
    with tarfile.open(path, 'w:gz') as archive:
        archive.addfile(member('cifar-100-python/train'), io.BytesIO())
        archive.addfile(info, io.BytesIO())
    (part,) = believed(DATASETS['cifar100'].parts, path.parent)
    with pytest.raises(ValueError, match=reason) as error:
        prepare([part], path.parent, tmp_path / 'out')
    assert repr(info.name) in str(error.value)
    assert [p.name for p in tmp_path.iterdir()] == ['downloads']


@pytest.mark.parametrize('mode', [0, 0o120777 << 16])
def test_a_zip_member_that_would_escape_is_refused(tmp_path, mode):
    path = tmp_path / 'x.zip'
    info = zipfile.ZipInfo('a' if mode else '../evil')
    info.external_attr = mode
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('good', '')
        archive.writestr(info, '/etc/passwd')
    with pytest.raises(ValueError, match='not trusted'):
        unpack(path, tmp_path / 'out')
    assert not [*(tmp_path / 'out').iterdir()]


def test_a_name_that_leads_out_of_the_folder_is_refused(tmp_path, voc):
    files = sbd_files()
    files['benchmark_RELEASE/dataset/train.txt'] = b'../../../evil\n'
    write_tar(tmp_path / 'benchmark.tgz', files, 'w:gz')
    (voc / 'ImageSets/Segmentation/aug.txt').unlink()
    part = believed(DATASETS['voc'].parts[1:], tmp_path)
    with pytest.raises(ValueError, match='1 of the 1 lines .* are no names'):
        prepare(part, tmp_path, voc)


def without_its_last_member(path):
    """Where tarfile itself takes the file for complete."""
    with tarfile.open(path) as archive:
        return path.read_bytes()[: archive.getmembers()[-1].offset]


@pytest.mark.parametrize(
    'damage',
    [
        lambda path: b'',
        lambda path: path.read_bytes()[: path.stat().st_size // 2],
        lambda path: path.read_bytes()[:-12],
        lambda path: b'<html>not found</html>' * 100,
    ],
    ids=['empty', 'half', 'without its end', 'a page of errors'],
)
@pytest.mark.parametrize(
    'name', ['cifar-100-python.tar.gz', 'cocostuff-10k-v1.1.zip']
)
def test_a_damaged_archive_leaves_nothing(tmp_path, downloads, name, damage):
    refuse_damaged(tmp_path, name, damage(downloads / name))
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    'name', ['VOCtrainval_11-May-2012.tar', 'ILSVRC2012_img_train.tar']
)
def test_a_tar_file_cut_between_two_members_is_refused(
    tmp_path, downloads, name
):
    refuse_damaged(tmp_path, name, without_its_last_member(downloads / name))
    # Of ImageNet the classes that were unpacked, for the next try.
    assert not [*tmp_path.glob('out/[!.]*')]


def refuse_damaged(folder, name, content):
    (folder / name).write_bytes(content)
    parts = [part for dataset in DATASETS.values() for part in dataset.parts]
    (part,) = (part for part in parts if part.archive.name == name)
    part = replace(part, archive=replace(part.archive, md5=None))
    with pytest.raises(ValueError, match='cannot be unpacked') as error:
        prepare([part], folder, folder / 'out')
    assert f'{name} ({len(content)} bytes)' in str(error.value)


def test_an_archive_of_something_else_is_refused(tmp_path):
    for dataset in DATASETS.values():
        for part in dataset.parts[:1]:
            write_tar(tmp_path / part.archive.name, {'n00000000/x': b'x'})
            part = replace(part, archive=replace(part.archive, md5=None))
            with pytest.raises(ValueError, match='holds no|is no class'):
                prepare([part], tmp_path, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_a_broken_matlab_file_is_named(tmp_path, voc):
    files = sbd_files()
    name = f'{VOC_NAMES["aug"][1]}.mat'
    files[f'benchmark_RELEASE/dataset/cls/{name}'] = b'x' * 300
    write_tar(tmp_path / 'benchmark.tgz', files, 'w:gz')
    shutil.rmtree(voc / 'SegmentationClassAug')
    part = believed(DATASETS['voc'].parts[1:], tmp_path)
    with pytest.raises(ValueError, match=f"'{name}' cannot be read"):
        prepare(part, tmp_path, voc)
    assert not (voc / 'SegmentationClassAug').exists()


def test_a_label_that_coco_stuff_has_not_is_refused(tmp_path):
    (part,) = DATASETS['coco_stuff10k'].parts
    files = coco_files()
    name = f'annotations/{COCO_NAMES["test"][0]}.mat'
    files[name] = matlab(S=np.full((6, 8), 183))
    with zipfile.ZipFile(tmp_path / part.archive.name, 'w') as archive:
        for each, content in files.items():
            archive.writestr(each, content)
    with pytest.raises(ValueError, match='201.mat. cannot be read: Index'):
        prepare([part], tmp_path, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()


def test_images_that_the_lists_of_coco_stuff_name_must_be_there(tmp_path):
    (part,) = DATASETS['coco_stuff10k'].parts
    with zipfile.ZipFile(tmp_path / part.archive.name, 'w') as archive:
        for name, content in coco_files().items():
            if not name.endswith('77.jpg'):
                archive.writestr(name, content)
    expected = '1 of the 2 images that imageLists/train.txt names is missing'
    with pytest.raises(ValueError, match=expected):
        prepare([part], tmp_path, tmp_path / 'out')


def test_a_folder_that_cannot_be_written_is_named(tmp_path, downloads):
    (tmp_path / 'file').write_text('')
    with pytest.raises(ValueError, match='cannot be written'):
        prepared('cifar100', downloads, tmp_path / 'file' / 'data')
