"""Digit scenes: a small segmentation data set of real handwriting.

Several digits of scikit-learn's bundled collection (1797 images of 8x8
pixels, UCI Optical Recognition of Handwritten Digits) at random places and
sizes over mild clutter, with a label for every pixel, in the folder layout of
Pascal VOC. Nothing is downloaded.
"""

import json
import tempfile
from pathlib import Path
from typing import List, Union

import numpy as np
from PIL import Image

from .scenes import draw_scene, split_digits

CLASSES = ('background', *'0123456789')
PALETTE = [
    [40, 40, 40],
    [230, 25, 75],
    [60, 180, 75],
    [255, 225, 25],
    [0, 130, 200],
    [245, 130, 48],
    [145, 30, 180],
    [70, 240, 240],
    [240, 50, 230],
    [210, 245, 60],
    [250, 190, 212],
]
#: Label of a pixel that mmsegmentation's losses and metrics leave out.
IGNORED = 255
#: What shows it, as in Pascal VOC.
VOID_COLOUR = (224, 224, 192)

#: Written last into a finished folder: the arguments that made it.
MARKER = 'digit_scenes.json'
#: To be raised by every change that gives other bytes.
FORMAT = 1

#: The digits that the scenes of a split show, in the order of random streams.
_DIGITS_OF = dict(train='train', aug='train', tuning='tuning', val='val')


def write_digit_scenes(
    root: Union[str, Path],
    seed: int = 0,
    train: int = 2000,
    tuning: int = 200,
    val: int = 300,
    labelled: int = 0,
    aug: int = 0,
    size: int = 40,
    digits: int = 3,
) -> Path:
    """Write digit scenes in the VOC layout.

    The folder holds ``JPEGImages/*.jpg``, ``SegmentationClass/*.png`` (class
    indices 0 to 10, shown by a palette) and ``ImageSets/Segmentation/*.txt``.
    No digit image serves two of train, tuning and val, and equal arguments
    give equal bytes. The folder appears complete or not at all; one that the
    same call made before is left alone.

    Args:
        root (str | Path): Folder to make, with its parents.
        seed (int): Seed of everything random, at least 0.
        train (int): Number of training scenes, at least 1.
        tuning (int): Number of scenes to tune hyper-parameters on.
        val (int): Number of validation scenes.
        labelled (int): Number of training scenes, at most ``train``, that
            ``labelled.txt`` lists. ``unlabelled.txt`` lists the others; for
            them ``SegmentationClassUnlabelled`` holds labels that are 255
            (to be ignored) throughout. 0 leaves all three out.
        aug (int): Number of extra training scenes in the layout of VOC-aug:
            labels in ``SegmentationClassAug``, names in ``aug.txt``. 0 leaves
            both out.
        size (int): Side of a scene in pixels, at least 24.
        digits (int): Number of digits in a scene, 1 to 9.

    Returns:
        Path: ``root``.

    Raises:
        ValueError: If an argument is out of its range, or if ``root`` is a
            file or a non-empty folder that this call did not make.
    """
    arguments = dict(
        seed=_whole('seed', seed, 0, 2**32 - 1),
        train=_whole('train', train, 1),
        tuning=_whole('tuning', tuning, 1),
        val=_whole('val', val, 1),
        labelled=_whole('labelled', labelled, 0, train),
        aug=_whole('aug', aug, 0),
        size=_whole('size', size, 24, 1024),
        digits=_whole('digits', digits, 1, 9),
        format=FORMAT,
    )
    root = Path(root)
    if _already_written(root, arguments):
        return root
    folder = root.absolute().parent
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix='.digit_scenes-', dir=folder
    ) as staging:
        staged = Path(staging, 'data')
        _write(staged, arguments)
        staged.replace(root.absolute())
    return root


def _write(root: Path, arguments: dict) -> None:
    """Write the whole data set into ``root``, the marker last."""
    sources = split_digits(arguments['seed'])
    for stream, (split, digits) in enumerate(_DIGITS_OF.items()):
        labels = root / 'SegmentationClass'
        if split == 'aug':
            labels = root / 'SegmentationClassAug'
        names = [f'{split}_{i:05d}' for i in range(arguments[split])]
        for number, name in enumerate(names):
            # A stream for each scene: a larger split begins as a smaller one.
            rng = np.random.default_rng((arguments['seed'], stream, number))
            image, label = draw_scene(
                sources[digits], rng, arguments['size'], arguments['digits']
            )
            _save_image(root / 'JPEGImages' / f'{name}.jpg', image)
            _save_label(labels / f'{name}.png', label)
        _save_list(root, split, names)
        if split == 'train' and arguments['labelled']:
            _hide_labels(root, names, arguments['labelled'])
    (root / MARKER).write_text(_marker(arguments))


def _hide_labels(root: Path, names: List[str], labelled: int) -> None:
    """Add the view in which only some training scenes have labels."""
    folder = root / 'SegmentationClassUnlabelled'
    with Image.open(root / 'SegmentationClass' / f'{names[0]}.png') as label:
        ignored = np.full(label.size, IGNORED, np.uint8)
    for name in names[labelled:]:
        _save_label(folder / f'{name}.png', ignored)
    _save_list(root, 'labelled', names[:labelled])
    _save_list(root, 'unlabelled', names[labelled:])


def _save_image(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    # Full chroma: half of it would smear strokes of two pixels.
    Image.fromarray(image).save(path, quality=95, subsampling=0)


def _save_label(path: Path, label: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    indexed = Image.fromarray(label)
    # All 256 colours: for fewer Pillow writes fewer bits than 255 needs.
    palette = np.full((256, 3), VOID_COLOUR, np.uint8)
    palette[: len(PALETTE)] = PALETTE
    indexed.putpalette(palette.tobytes())
    indexed.save(path)


def _save_list(root: Path, split: str, names: List[str]) -> None:
    """Write a list of names; an empty one leaves the split out."""
    if names:
        path = root / 'ImageSets' / 'Segmentation' / f'{split}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(''.join(f'{name}\n' for name in names))


def _marker(arguments: dict) -> str:
    return json.dumps(arguments, indent=2) + '\n'


def _already_written(root: Path, arguments: dict) -> bool:
    """Whether the same call made ``root``; refuse any other content."""
    marker = root / MARKER
    if marker.is_file() and marker.read_text() == _marker(arguments):
        return True
    if root.exists() and not (root.is_dir() and not any(root.iterdir())):
        raise ValueError(
            f'root must be new, empty, or hold the data of these very '
            f'arguments, but {str(root)!r} holds something else. Give '
            'another folder, or remove that one.'
        )
    return False


def _whole(name: str, value: int, low: int, high: int = 99999) -> int:
    """``value`` if it is a whole number in [low, high]; else ValueError."""
    if not _is_whole(value) or not low <= value <= high:
        raise ValueError(
            f'{name} must be a whole number from {low} to {high}, but is '
            f'{value!r}.'
        )
    return int(value)


def _is_whole(value) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
