"""A tiny folder of images and masks, and ways to break them."""

import io
from pathlib import Path

import cv2
import numpy as np
from mmengine.config import Config
from PIL import Image

CLASSES = ('sky', 'road', 'car')
SIZE = (24, 16)


def make_scenes(root, count=6):
    """Images of noise, JPEG, and masks of the labels 0 to 2, PNG."""
    rng = np.random.default_rng(0)
    for folder in ('images', 'masks'):
        Path(root, folder).mkdir(parents=True)
    width, height = SIZE
    for index in range(count):
        pixels = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(image_of(root, index), quality=95)
        labels = rng.integers(0, 3, (height, width), dtype=np.uint8)
        Image.fromarray(labels).save(mask_of(root, index))
    return Path(root)


def image_of(root, index):
    return Path(root, 'images', f'{index}.jpg')


def mask_of(root, index):
    return Path(root, 'masks', f'{index}.png')


def scenes(root, **overrides):
    """Config of such a dataset."""
    pipeline = [
        dict(type='LoadImageFromFile'),
        dict(type='LoadAnnotations'),
        dict(type='PackSegInputs'),
    ]
    dataset = dict(
        type='mmseg.BaseSegDataset',
        data_root=str(root),
        data_prefix=dict(img_path='images', seg_map_path='masks'),
        metainfo=dict(classes=CLASSES),
        pipeline=pipeline,
        # Serializing collects the garbage of the whole process.
        serialize_data=False,
    )
    return dict(dataset, **overrides)


def config_of(**datasets):
    """Config of a run with these datasets, by the name of the loader."""
    return Config(
        dict(
            default_scope='mmseg',
            **{
                f'{name}_dataloader': dict(dataset=dataset)
                for name, dataset in datasets.items()
            },
        )
    )


def cut(path, share=0.6):
    """Leave out the end of a file, as a full disk does."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])


def blank(path, share=0.6):
    """Let the end of a file be zeros, as a download that was stopped."""
    content = path.read_bytes()
    kept = content[: int(len(content) * share)]
    path.write_bytes(kept.ljust(len(content), b'\0'))


def write_png(path, image, **options):
    """Write a PNG, whatever its name says."""
    if isinstance(image, np.ndarray) and image.dtype == np.uint16:
        # Pillow writes no 16-bit colours.
        path.write_bytes(cv2.imencode('.png', image)[1].tobytes())
        return
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, 'PNG', **options)
    path.write_bytes(stream.getvalue())


def convert(path, mode, **options):
    """Save an image in another mode, in a format that has it."""
    image = Image.open(path).convert(mode)
    kind = 'JPEG' if mode in ('L', 'CMYK', 'RGB') else 'PNG'
    image.save(path, kind, **options)


def turn(path, orientation):
    """Let an image say that it is to be turned."""
    image = Image.open(path)
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, 'JPEG', exif=exif, quality=95)


def add_thumbnail(path):
    """Put a whole JPEG into the head of another."""
    thumbnail = path.read_bytes()
    size = (len(thumbnail) + 2).to_bytes(2, 'big')
    path.write_bytes(
        thumbnail[:2] + b'\xff\xe1' + size + thumbnail + thumbnail[2:]
    )


def label(path, value, place=(0, 0)):
    """Give one pixel of a mask another label."""
    labels = np.array(Image.open(path))
    labels[place] = value
    Image.fromarray(labels).save(path)
