"""Several checkpoints of a student, and its teacher, on the same images."""

import csv
import io
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.config import Config

from ..report import print_table
from .agreement import class_ious, mean_of
from .compare_figure import classification_figure, segmentation_figure
from .images import first_pictures
from .labels import Label, labels_of
from .outputs import check_new, save_bytes, save_figure
from .pixels import class_names
from .predictions import TEACHER, load_models, parse_named, predict_all
from .subject import dataset_meta

_FILES = ('compare.png', 'compare.csv')
#: Classes of a classifier in the table, of each image and model.
_TOP = 5


def compare_checkpoints(
    config: Config,
    checkpoints: Sequence[str],
    images: Sequence[str],
    out: Path,
    with_teacher: bool = False,
    teacher_ckpt: Optional[str] = None,
    labels: Optional[Path] = None,
    force: bool = False,
) -> List[Path]:
    """Draw the predictions side by side, and write the numbers.

    Args:
        config (Config): Of a distillation, or of the student alone.
        checkpoints (Sequence[str]): Each ``NAME=FILE``, of the student.
        images (Sequence[str]): Paths.
        out (Path): Folder of compare.png and compare.csv.
        with_teacher (bool): Whether the teacher is shown. Defaults to False.
        teacher_ckpt (str, optional): By default the config's.
        labels (Path, optional): Folder of label maps; by default those of
            the config's data set, where it has the images.
        force (bool): Whether files may be written over. Defaults to False.

    Returns:
        list[Path]: Files that were written.

    Raises:
        ValueError: An image, label or checkpoint is not what it must be, or
            a file is there already.
    """
    named = parse_named(checkpoints)
    if not images:
        raise ValueError('IMAGE: give at least one image')
    pictures = first_pictures(images, None)
    files = [out / name for name in _FILES]
    check_new(files, force)
    known = labels_of(config, images, pictures, labels)
    models = load_models(config, named, with_teacher, teacher_ckpt)
    predictions = predict_all(config, models, pictures, images)
    meta = config.get('metainfo'), dataset_meta(config)
    classes = class_names(*meta)
    names = [picture.name for picture in pictures]
    if next(iter(predictions[0].values())).ndim == 1:
        figure = classification_figure(pictures, known, predictions, classes)
        columns, rows = _top_rows(names, known, predictions, classes)
    else:
        reference, references = _references(known, predictions)
        count = 1 + max(
            int(m[m < 255].max(initial=0))
            for m in [
                *references,
                *(m for p in predictions for m in p.values()),
            ]
        )
        count = max(count, len(classes))
        classes = [
            *classes,
            *(f'class {i}' for i in range(len(classes), count)),
        ]
        columns, rows = _iou_rows(
            names, predictions, references, reference, classes
        )
        ious = {
            name: class_ious([p[name] for p in predictions], references, count)
            for name in models
        }
        _print(ious, classes, reference, list(named))
        figure = segmentation_figure(
            pictures,
            known,
            predictions,
            references,
            ious,
            classes,
            _palette(meta, count),
            list(named),
            reference,
        )
    save_figure(figure, files[0])
    _write(files[1], columns, rows)
    return files


def _references(
    labels: Optional[Sequence[Label]],
    predictions: Sequence[Dict[str, np.ndarray]],
) -> Tuple[str, List[np.ndarray]]:
    """What predictions are judged by: the best that there is."""
    if labels is not None:
        return 'label', list(labels)
    first = next(iter(predictions[0]))
    name = TEACHER if TEACHER in predictions[0] else first
    return f'prediction of {name}', [p[name] for p in predictions]


def _iou_rows(
    names: Sequence[str],
    predictions: Sequence[Dict[str, np.ndarray]],
    references: Sequence[np.ndarray],
    reference: str,
    classes: Sequence[str],
) -> Tuple[List[str], List[List[Any]]]:
    groups = {'all images': range(len(names))}
    groups.update({name: [index] for index, name in enumerate(names)})
    rows = []
    for image, chosen in groups.items():
        for model in predictions[0]:
            ious = class_ious(
                [predictions[i][model] for i in chosen],
                [references[i] for i in chosen],
                len(classes),
            )
            rows += [
                [image, model, reference, name, f'{iou:.4f}']
                for name, iou in zip(classes, ious)
                if iou is not None
            ]
    return ['image', 'model', 'reference', 'class', 'iou'], rows


def _top_rows(
    names: Sequence[str],
    labels: Optional[Sequence[int]],
    predictions: Sequence[Dict[str, np.ndarray]],
    classes: Sequence[str],
) -> Tuple[List[str], List[List[Any]]]:
    def named(index: int) -> str:
        known = index < len(classes)
        return str(classes[index]) if known else f'class {index}'

    rows = []
    for index, image in enumerate(names):
        label = '' if labels is None else named(labels[index])
        for model, scores in predictions[index].items():
            order = np.argsort(-scores)[:_TOP]
            rows += [
                [image, model, rank, named(one), f'{scores[one]:.4f}', label]
                for rank, one in enumerate(order.tolist(), 1)
            ]
    return ['image', 'model', 'rank', 'class', 'score', 'label'], rows


def _print(
    ious: Dict[str, List[Optional[float]]],
    classes: Sequence[str],
    reference: str,
    students: Sequence[str],
) -> None:
    has_change = len(students) > 1
    rows = []
    means = {name: mean_of(values) for name, values in ious.items()}
    for index, name in enumerate([*classes, 'mean']):
        values = {
            model: means[model] if name == 'mean' else one[index]
            for model, one in ious.items()
        }
        if all(value is None for value in values.values()):
            continue
        row = [name, *(_shown(value) for value in values.values())]
        if has_change:
            ends = values[students[0]], values[students[-1]]
            known = None not in ends
            row.append(f'{ends[1] - ends[0]:+.3f}' if known else None)
        rows.append(row)
    change = f'{students[-1]} - {students[0]}'
    columns = ['class', *ious, *([change] if has_change else [])]
    print_table(columns, rows, f'IoU with the {reference}')


def _shown(value: Optional[float]) -> Optional[str]:
    return None if value is None else f'{value:.3f}'


def _palette(meta: Sequence[Any], count: int) -> np.ndarray:
    """(count, 3), uint8: the data set's colours, and others behind them."""
    known = next(
        (m['palette'] for m in meta if m and m.get('palette')),
        [],
    )
    colours = np.random.default_rng(0).integers(40, 256, (count, 3), np.uint8)
    known = np.array(known, np.uint8).reshape(-1, 3)[:count]
    colours[: len(known)] = known
    return colours


def _write(
    path: Path, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    text = io.StringIO(newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    writer.writerows(rows)
    save_bytes(text.getvalue().encode(), path)
