"""One HTML page on which a pointer asks where pixels look."""

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any, Dict, List, Sequence

import numpy as np
import torch
from matplotlib import colormaps
from PIL import Image
from torch import Tensor

from mmtat.ops import RegionGrid

from .images import Picture
from .looker import Looked
from .looks import READINGS, TITLES, BranchLooks

#: Tokens of a group that the page keeps apart, at most.
MOST_TOKENS = 1024
#: Longest side of an image on the page, in pixels.
_LONGEST = 768
_TEMPLATE = Path(__file__).with_name('page.html')
_READING_TITLES = dict(
    matched='most like the pixel', mixed='rebuilding the pixel'
)


def page_of(pictures: List[Dict[str, Any]], subject: str, note: str) -> str:
    """The page.

    Args:
        pictures (list[dict]): Of :func:`picture_data`.
        subject (str): What was run; a line below the title.
        note (str): How the images were resized.

    Returns:
        str: HTML that needs no other file and no network.
    """
    heat = colormaps['inferno'](range(256), bytes=True)[:, :3]
    size = len(json.dumps(pictures))
    notes = [
        note,
        'Each weight has 8 bits: the square root of its share of the largest '
        'weight of its map. The largest weight itself is exact.',
        f'The maps and images on this page take {size / 1e6:.1f} MB; nothing '
        'is fetched from a network.',
    ]
    data = dict(
        pictures=pictures,
        subject=subject,
        notes=notes,
        heat=base64.b64encode(heat.tobytes()).decode(),
    )
    # Else a name could end the script that it stands in.
    text = json.dumps(data).replace('<', '\\u003c')
    return _TEMPLATE.read_text(encoding='utf-8').replace('/*DATA*/', text, 1)


def picture_data(
    seen: Looked, classes: Sequence[str] = (), most: int = MOST_TOKENS
) -> Dict[str, Any]:
    """One image with all of its maps, for the page.

    Args:
        seen (Looked): Of the image; the page begins with its first pixel.
        classes (Sequence[str]): Names of the classes. Defaults to none.
        most (int): Tokens of a group, at most. Defaults to 1024.

    Returns:
        dict: What json can hold.
    """
    picture, branches = seen.picture, seen.branches.values()
    data: Dict[str, Any] = dict(
        name=picture.name,
        width=picture.size[1],
        height=picture.size[0],
        source=_source(picture),
        start=[seen.pixels[0].x, seen.pixels[0].y],
        branches=[_branch_data(branch, most) for branch in branches],
    )
    if seen.labels is not None:
        size = seen.features.teacher.shape[2:]
        data.update(_label_data(seen.labels, size, classes))
    return data


def _branch_data(branch: BranchLooks, most: int) -> Dict[str, Any]:
    tables = {
        reading: branch.table(reading, most) for reading in branch.readings
    }
    table = next(iter(tables.values()))
    return dict(
        title=TITLES[branch.name],
        teacher=_grid_data(table.teacher),
        student=_grid_data(table.student),
        notes=_notes(branch, table.teacher, table.student),
        pooled=_pooled(branch, table.student),
        readings=[
            dict(
                title=_READING_TITLES[reading],
                told=READINGS[reading],
                **_table_data(one.weights),
            )
            for reading, one in tables.items()
        ],
    )


def _pooled(branch: BranchLooks, student: RegionGrid) -> str:
    """What stands beside a map that is coarser than the run's."""
    if student == branch.student:
        return ''
    (h, w), (full_h, full_w) = student.tokens, branch.student.tokens
    return f'; {full_h}×{full_w} pooled to {h}×{w}'


def _notes(
    branch: BranchLooks, teacher: RegionGrid, student: RegionGrid
) -> List[str]:
    title = TITLES[branch.name]
    height, width = branch.teacher.size
    notes = [f"{title}: the teacher's layer is {height}×{width}."]
    if branch.teacher.groups > 1 or branch.teacher.per_group > 1:
        n, m = branch.teacher.patches
        notes.append(
            f'{title}: {n}×{m} patches in {branch.teacher.groups} groups of '
            f'{branch.teacher.per_group}; a pixel looks within its group, and '
            "what is grey is out of its sight. A group's patches share one "
            'map.'
        )
    elif branch.teacher.cell != (1, 1):
        h, w = branch.teacher.tokens
        notes.append(
            f'{title}: {h}×{w} anchors, each the mean of '
            f'{branch.teacher.cell[0]}×{branch.teacher.cell[1]} positions.'
        )
    for role, full, kept in (
        ('teacher', branch.teacher, teacher),
        ('student', branch.student, student),
    ):
        if full != kept:
            notes.append(
                f"{title}: the {role}'s {full.tokens[0]}×{full.tokens[1]} "
                f'positions are pooled to {kept.tokens[0]}×{kept.tokens[1]} '
                "on this page: means over the teacher's, sums over the "
                "student's."
            )
    return notes


def _grid_data(grid: RegionGrid) -> Dict[str, Any]:
    return dict(
        size=grid.size,
        patches=grid.patches,
        perGroup=grid.per_group,
        tokens=grid.tokens,
        cell=grid.cell,
    )


def _table_data(weights: Tensor) -> Dict[str, str]:
    """(g, T, S) -> the rows in 8 bit, their largest weights, and where."""
    peaks, places = weights.max(dim=-1)
    # A teacher's pixel that nothing looks at has a row of zeros.
    shares = weights / peaks.clamp(min=1e-38)[..., None]
    levels = (shares.clamp(0, 1).sqrt() * 255).round().to(torch.uint8)
    return dict(
        weights=_packed(levels.numpy()),
        peaks=_packed(peaks.numpy().astype('<f4')),
        places=_packed(places.numpy().astype('<u4')),
    )


def _label_data(
    labels: Tensor, size: Sequence[int], classes: Sequence[str]
) -> Dict[str, Any]:
    """The class at the middle of each position of the teacher's map."""
    rows, columns = (
        ((torch.arange(count) + 0.5) * full / count).long()
        for count, full in zip(size, labels.shape)
    )
    chosen = labels[rows][:, columns]
    found = chosen.unique().tolist()
    if len(found) > 256:
        return {}
    numbers = torch.searchsorted(torch.tensor(found), chosen)
    names = [
        str(classes[one]) if one < len(classes) else f'class {one}'
        for one in found
    ]
    content = base64.b64encode(numbers.to(torch.uint8).numpy().tobytes())
    return dict(labels=content.decode(), classes=names)


def _source(picture: Picture) -> str:
    """The image as a data URL, at most 768 pixels long."""
    scale = min(1.0, _LONGEST / max(picture.size))
    size = tuple(max(1, round(scale * side)) for side in picture.size)
    image = Image.fromarray(picture.resized(size))
    # JPEG blurs what is shown enlarged.
    kind = 'PNG' if max(size) < 200 else 'JPEG'
    file = io.BytesIO()
    image.save(file, kind, **(dict(quality=88) if kind == 'JPEG' else {}))
    content = base64.b64encode(file.getvalue()).decode()
    return f'data:image/{kind.lower()};base64,{content}'


def _packed(array: np.ndarray) -> str:
    # Without a time, equal maps give equal pages.
    zipped = gzip.compress(np.ascontiguousarray(array).tobytes(), mtime=0)
    return base64.b64encode(zipped).decode()
