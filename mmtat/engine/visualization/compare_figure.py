"""Predictions of several models, side by side."""

from typing import Dict, List, Optional, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Patch

from .agreement import IGNORED, VERDICTS, verdicts
from .images import Picture
from .overlay import bare

#: Classes with bars of their own, at most.
_BARS = 20
_IGNORED_COLOUR = (255, 255, 255)


def segmentation_figure(
    pictures: Sequence[Picture],
    labels: Optional[Sequence[np.ndarray]],
    predictions: Sequence[Dict[str, np.ndarray]],
    references: Sequence[np.ndarray],
    ious: Dict[str, List[Optional[float]]],
    classes: Sequence[str],
    palette: np.ndarray,
    students: Sequence[str],
    reference: str,
) -> Figure:
    """Label maps of each image in a row, and IoU of each class below.

    Args:
        pictures (Sequence[Picture]): The images.
        labels (Sequence[np.ndarray], optional): (H, W) classes of each.
        predictions (Sequence[dict[str, np.ndarray]]): By the model's name.
        references (Sequence[np.ndarray]): What predictions are judged by.
        ious (dict[str, list[float | None]]): Of each class, by model.
        classes (Sequence[str]): Their names.
        palette (np.ndarray): (K, 3), uint8, their colours.
        students (Sequence[str]): Names of the student's checkpoints.
        reference (str): What the references are, in a word.

    Returns:
        Figure: Of no window.
    """
    models = list(predictions[0])
    has_change = len(students) > 1
    titles = ['image', *(['label'] if labels else []), *models]
    across = len(titles) + has_change
    rows = [p.size[0] / p.size[1] for p in pictures]
    heights = [2.1 * sum(min(max(row, 0.4), 1.8) for row in rows) + 1.1, 2.9]
    figure = Figure(figsize=(2.1 * across + 0.6, sum(heights)))
    figure.set_layout_engine('constrained', h_pad=0.06, w_pad=0.04)
    above, below = figure.subfigures(2, 1, height_ratios=heights)
    axes = above.subplots(len(pictures), across, squeeze=False)
    for index, (row, picture) in enumerate(zip(axes, pictures)):
        given = predictions[index]
        maps = [*([labels[index]] if labels else []), *given.values()]
        row[0].imshow(picture.pixels)
        row[0].set_ylabel(picture.name, fontsize=9)
        for axis, one in zip(row[1:], maps):
            axis.imshow(coloured(one, palette), interpolation='nearest')
        if has_change:
            first, last = given[students[0]], given[students[-1]]
            found = verdicts(first, last, references[index])
            colours = np.array([_rgb(c) for c in VERDICTS.values()])
            row[-1].imshow(colours[found], interpolation='nearest')
        for axis in row:
            bare(axis)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=10)
    shown = [*(labels or []), *(m for p in predictions for m in p.values())]
    _legend(above, shown, classes, palette)
    if has_change:
        axes[0, -1].set_title('change', fontsize=10)
    _bars(below, ious, classes, reference, students)
    return figure


def coloured(label: np.ndarray, palette: np.ndarray) -> np.ndarray:
    """A label map in colours.

    Args:
        label (np.ndarray): (H, W) classes; 255 becomes white.
        palette (np.ndarray): (K, 3), uint8.

    Returns:
        np.ndarray: (H, W, 3), uint8.
    """
    known = np.minimum(label, len(palette) - 1)
    picture = palette[known]
    return np.where((label == IGNORED)[..., None], _IGNORED_COLOUR, picture)


def classification_figure(
    pictures: Sequence[Picture],
    labels: Optional[Sequence[int]],
    predictions: Sequence[Dict[str, np.ndarray]],
    classes: Sequence[str],
    most: int = 5,
) -> Figure:
    """The likeliest classes of each image as bars, model by model.

    Args:
        pictures (Sequence[Picture]): The images.
        labels (Sequence[int], optional): Class of each.
        predictions (Sequence[dict[str, np.ndarray]]): (K, ) scores by the
            model's name.
        classes (Sequence[str]): Their names.
        most (int): Bars of a model. Defaults to 5.

    Returns:
        Figure: Of no window.
    """
    models = list(predictions[0])
    figure = Figure(
        figsize=(2.0 + 2.9 * len(models), 1.75 * len(pictures) + 0.7)
    )
    figure.set_layout_engine('constrained', h_pad=0.08, w_pad=0.06)
    axes = figure.subplots(
        len(pictures),
        len(models) + 1,
        squeeze=False,
        width_ratios=[1.6, *([2.4] * len(models))],
    )
    for index, (row, picture) in enumerate(zip(axes, pictures)):
        label = labels[index] if labels else None
        row[0].imshow(picture.pixels)
        true = '' if label is None else f'\n{_name(classes, label)}'
        row[0].set_title(f'{picture.name}{true}', fontsize=9)
        bare(row[0])
        for axis, name in zip(row[1:], models):
            _top(axis, predictions[index][name], label, classes, most)
            if index == 0:
                axis.set_title(name, fontsize=10)
    return figure


def _top(
    axis: Axes,
    scores: np.ndarray,
    label: Optional[int],
    classes: Sequence[str],
    most: int,
) -> None:
    order = np.argsort(-scores)[:most]
    colours = ['#009e73' if one == label else '#8a8f99' for one in order]
    places = range(len(order))
    axis.barh(places, scores[order], color=colours)
    axis.set_yticks(places, [_name(classes, one) for one in order], fontsize=8)
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.tick_params(axis='x', labelsize=8)
    for place, one in zip(places, order):
        axis.text(
            min(float(scores[one]) + 0.02, 0.8),
            place,
            f'{scores[one]:.2f}',
            va='center',
            fontsize=8,
        )
    for side in ('top', 'right'):
        axis.spines[side].set_visible(False)


def _bars(
    figure: SubFigure,
    ious: Dict[str, List[Optional[float]]],
    classes: Sequence[str],
    reference: str,
    students: Sequence[str],
) -> None:
    """IoU of the classes that are somewhere, where it differs most first."""
    present = [
        index
        for index in range(len(classes))
        if any(values[index] is not None for values in ious.values())
    ]
    first, last = ious[students[0]], ious[students[-1]]
    present.sort(key=lambda i: -abs((last[i] or 0) - (first[i] or 0)))
    shown = sorted(present[:_BARS])
    axis = figure.subplots()
    width = 0.8 / len(ious)
    for number, (name, values) in enumerate(ious.items()):
        places = np.arange(len(shown)) + (number - (len(ious) - 1) / 2) * width
        heights = [values[index] or 0 for index in shown]
        colour = _colour(name, number, students)
        axis.bar(places, heights, 0.92 * width, label=name, color=colour)
    names = [classes[index] for index in shown]
    turned = dict(rotation=30, ha='right') if sum(map(len, names)) > 60 else {}
    axis.set_xticks(range(len(shown)), names, fontsize=9, **turned)
    axis.set_ylabel('IoU')
    axis.set_ylim(0, 1)
    axis.grid(axis='y', alpha=0.3)
    axis.set_axisbelow(True)
    hidden = len(present) - len(shown)
    more = f'; {hidden} classes that change less are left out' * bool(hidden)
    axis.set_title(f'IoU with the {reference}, all images{more}', fontsize=9)
    handles, _ = axis.get_legend_handles_labels()
    if len(students) > 1:
        ends = dict(first=students[0], last=students[-1])
        handles += [
            Patch(
                facecolor=colour, edgecolor='grey', label=text.format(**ends)
            )
            for text, colour in list(VERDICTS.items())[:4]
        ]
    figure.legend(handles=handles, loc='outside right upper', fontsize=9)
    for side in ('top', 'right'):
        axis.spines[side].set_visible(False)


def _colour(name: str, number: int, students: Sequence[str]) -> str:
    """Of the first and the last student as in the map of their change."""
    ends = {students[0]: '#e69f00'}
    if len(students) > 1:
        ends[students[-1]] = '#2f7fc1'
    if name not in students:
        return '#6b6f78'
    others = ('#009e73', '#cc79a7', '#d55e00', '#56b4e9')
    return ends.get(name, others[number % len(others)])


def _legend(
    figure: SubFigure,
    maps: Sequence[np.ndarray],
    classes: Sequence[str],
    palette: np.ndarray,
) -> None:
    found = np.unique(np.concatenate([np.unique(one) for one in maps]))
    handles = [
        Patch(facecolor=palette[i] / 255, edgecolor='grey', label=classes[i])
        for i in found
        if i < len(classes)
    ]
    figure.legend(
        handles=handles,
        loc='outside lower center',
        ncols=min(len(handles), 9),
        fontsize=8,
        frameon=False,
        handlelength=1,
    )


def _name(classes: Sequence[str], index: int) -> str:
    known = index < len(classes)
    return str(classes[index])[:24] if known else f'class {index}'


def _rgb(colour: str) -> List[float]:
    return [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
