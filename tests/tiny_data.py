"""Every data set of the configs in its layout, with images for two steps."""

import hashlib
import pickle

import numpy as np
from PIL import Image

from mmtat.datasets import write_digit_scenes

from .voc import make_imagenet, make_voc


def make_coco_stuff(root):
    """COCO-Stuff 10k's layout: 4 training images, 2 to validate."""
    rng = np.random.default_rng(0)
    for split, count in (('train2014', 4), ('test2014', 2)):
        images = root / 'images' / split
        labels = root / 'annotations' / split
        images.mkdir(parents=True)
        labels.mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 256, (56, 64, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(images / f'{index}.jpg')
            label = rng.integers(0, 172, (7, 8), dtype=np.uint8)
            label = Image.fromarray(label).resize((64, 56), Image.NEAREST)
            label.save(labels / f'{index}_labelTrainIds.png')
    return root


def make_cifar(root, monkeypatch):
    """CIFAR-100's files with 128 + 4 images, and their MD5s as expected."""
    from mmpretrain.datasets import CIFAR100

    rng = np.random.default_rng(0)
    folder = root / CIFAR100.base_folder
    folder.mkdir(parents=True)
    md5s = {}
    names = dict(fine_label_names=[f'class {i}' for i in range(100)])
    contents = dict(meta=names)
    for split, count in (('train', 128), ('test', 4)):
        contents[split] = dict(
            data=rng.integers(0, 256, (count, 3072), dtype=np.uint8),
            fine_labels=rng.integers(0, 100, count).tolist(),
        )
    for name, content in contents.items():
        data = pickle.dumps(content)
        (folder / name).write_bytes(data)
        md5s[name] = hashlib.md5(data).hexdigest()
    lists = {k: [[k, md5s[k]]] for k in ('train', 'test')}
    monkeypatch.setattr(CIFAR100, 'train_list', lists['train'])
    monkeypatch.setattr(CIFAR100, 'test_list', lists['test'])
    meta = dict(CIFAR100.meta, md5=md5s['meta'])
    monkeypatch.setattr(CIFAR100, 'meta', meta)
    return root


def make_digit_scenes(root):
    """Digit scenes: 16 to train, 8 of them labelled, 2 to validate."""
    return write_digit_scenes(
        root, train=16, tuning=1, val=2, labelled=8, size=40
    )


#: By the data set's type; None needs no files.
MAKERS = dict(
    PascalVOCDataset=make_voc,
    COCOStuffDataset=make_coco_stuff,
    ImageNet=make_imagenet,
    BaseSegDataset=make_digit_scenes,
)
