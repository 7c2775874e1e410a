"""Tiny archives in the layout of those that users download."""

import io
import pickle
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

from mmtat.engine.preparation import DATASETS, prepare
from mmtat.engine.preparation.archives import md5_of

#: (height, width) of every image.
SIZE = (6, 8)
#: Images of each list of VOC; what SBD adds is in aug.
VOC_NAMES = dict(
    train=['2007_000032', '2007_000039'],
    val=['2007_000033'],
    aug=['2008_000002', '2008_000003', '2008_000007'],
)
COCO_NAMES = dict(
    train=['COCO_train2014_000000000077', 'COCO_train2014_000000000081'],
    test=['COCO_train2014_000000000201'],
)
VOC_COUNTS = {split: len(names) for split, names in VOC_NAMES.items()}
COCO_COUNTS = {f'{split}2014': len(n) for split, n in COCO_NAMES.items()}
WNIDS = ('n01440764', 'n01443537', 'n01484850')
#: ILSVRC's numbers of the three classes, and of the validation images.
NUMBERS = (7, 2, 5)
TRUTH = (2, 7, 7, 5)
IMAGENET = dict(counts=dict(train=6, val=4), classes=3)


def jpeg(shape=SIZE):
    """An image, as the bytes of a file."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, 'JPEG')
    return buffer.getvalue()


def png(label, shape=SIZE):
    """A label map of one value with a palette, as VOC's."""
    buffer = io.BytesIO()
    image = Image.fromarray(np.full(shape, label, np.uint8)).convert('P')
    image.save(buffer, 'PNG')
    return buffer.getvalue()


def matlab(**variables):
    """A MATLAB file of these variables."""
    buffer = io.BytesIO()
    savemat(buffer, variables)
    return buffer.getvalue()


def text(lines):
    return '\n'.join([*lines, '']).encode()


def write_tar(path, files, mode='w'):
    """A tar file of these contents, by their names."""
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path


def voc_files():
    """What is in VOC's own archive."""
    root = 'VOCdevkit/VOC2012'
    files = {
        f'{root}/ImageSets/Segmentation/{split}.txt': text(VOC_NAMES[split])
        for split in ('train', 'val')
    }
    files[f'{root}/ImageSets/Main/train.txt'] = b'of another task\n'
    files[f'{root}/Annotations/2007_000032.xml'] = b'<annotation/>'
    for split, names in VOC_NAMES.items():
        for name in names:
            files[f'{root}/JPEGImages/{name}.jpg'] = jpeg()
            if split != 'aug':
                label = png(20)
                files[f'{root}/SegmentationClass/{name}.png'] = label
    return files


def sbd_files():
    """What is in SBD's archive, with images that VOC has labels of."""
    root = 'benchmark_RELEASE/dataset'
    files = {
        f'{root}/train.txt': text(
            [VOC_NAMES['aug'][2], VOC_NAMES['val'][0], VOC_NAMES['aug'][0]]
        ),
        f'{root}/val.txt': text([VOC_NAMES['train'][1], VOC_NAMES['aug'][1]]),
        f'{root}/img/2008_000002.jpg': jpeg(),
    }
    for names in VOC_NAMES.values():
        for name in names:
            label = np.full(SIZE, int(name[-1]), np.uint8)
            truth = {'Segmentation': label, 'Boundaries': 0}
            files[f'{root}/cls/{name}.mat'] = matlab(GTcls=truth)
    return files


def coco_files():
    """What is in COCO-Stuff 10k's archive."""
    files = {}
    for split, names in COCO_NAMES.items():
        files[f'imageLists/{split}.txt'] = text(names)
        for name in names:
            label = np.zeros(SIZE)
            label[0, :4] = (1, 11, 13, 182)
            files[f'images/{name}.jpg'] = jpeg()
            files[f'annotations/{name}.mat'] = matlab(S=label, names='x')
    return files


def train_files():
    """A tar file of each class, as in ImageNet's training archive."""
    files = {}
    for wnid in WNIDS:
        images = {f'{wnid}_{index}.JPEG': jpeg() for index in (18, 36)}
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode='w') as archive:
            for name, content in images.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        files[f'{wnid}.tar'] = buffer.getvalue()
    return files


def val_files():
    return {
        f'ILSVRC2012_val_{index:08}.JPEG': jpeg()
        for index in range(1, len(TRUTH) + 1)
    }


def devkit_files():
    """ImageNet's list of classes, with one that is none, and the labels."""
    kinds = [
        ('ILSVRC2012_ID', object), ('WNID', object), ('words', object),
        ('gloss', object), ('num_children', object), ('children', object),
    ]  # fmt: skip
    rows = [
        (number, wnid, 'fish', 'a fish', 0, np.zeros(0))
        for number, wnid in zip(NUMBERS, WNIDS)
    ]
    rows.append((9, 'n00000001', 'animal', 'all', 2, np.array([2, 5])))
    synsets = np.array(rows, dtype=kinds)[:, None]
    root = 'ILSVRC2012_devkit_t12/data'
    truth = f'{root}/ILSVRC2012_validation_ground_truth.txt'
    return {
        f'{root}/meta.mat': matlab(synsets=synsets),
        truth: text(map(str, TRUTH)),
    }


def cifar_files():
    """Two images for training and one for testing, and the classes' names."""
    files = {}
    for name, count in (('train', 2), ('test', 1)):
        data = dict(
            data=np.zeros((count, 3072), np.uint8),
            fine_labels=[99] * count,
        )
        files[f'cifar-100-python/{name}'] = pickle.dumps(data)
    names = dict(fine_label_names=[str(index) for index in range(100)])
    files['cifar-100-python/meta'] = pickle.dumps(names)
    return files


def write_downloads(folder):
    """Every archive, in one folder."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_tar(folder / 'VOCtrainval_11-May-2012.tar', voc_files())
    write_tar(folder / 'benchmark.tgz', sbd_files(), 'w:gz')
    write_tar(folder / 'ILSVRC2012_img_train.tar', train_files())
    write_tar(folder / 'ILSVRC2012_img_val.tar', val_files())
    write_tar(folder / 'ILSVRC2012_devkit_t12.tar.gz', devkit_files(), 'w:gz')
    write_tar(folder / 'cifar-100-python.tar.gz', cifar_files(), 'w:gz')
    with zipfile.ZipFile(folder / 'cocostuff-10k-v1.1.zip', 'w') as archive:
        for name, content in coco_files().items():
            archive.writestr(name, content)
    return folder


def believed(parts, downloads):
    """The parts, with the MD5s of the tiny archives where there are some."""
    return [
        replace(
            part,
            archive=replace(
                part.archive,
                md5=part.archive.md5
                and md5_of(Path(downloads) / part.archive.name),
            ),
        )
        for part in parts
    ]


def prepared(name, downloads, out):
    """Prepare a dataset from its tiny archives."""
    prepare(believed(DATASETS[name].parts, downloads), downloads, out)
    assert not (out / '.partial').exists()
    return out
