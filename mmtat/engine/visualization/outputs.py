"""Files of pictures: never over others unasked, never half written."""

import io
from pathlib import Path
from typing import Iterable, List, Sequence

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from mmtat.files import write_atomically


def check_new(paths: Iterable[Path], force: bool) -> None:
    """Refuse to write over what is there.

    Args:
        paths (Iterable[Path]): Files that will be written.
        force (bool): Whether they may be there.

    Raises:
        ValueError: One is there, or its folder is a file.
    """
    for path in paths:
        if path.is_dir():
            raise ValueError(f'--out: {str(path)!r} is a folder, not a file')
        if path.exists() and not force:
            raise ValueError(
                f'--out: {str(path)!r} exists; --force writes over it'
            )
        above = next(p for p in path.parents if p.exists())
        if not above.is_dir():
            raise ValueError(f'--out: {str(above)!r} is a file, not a folder')


def check_picture(path: Path) -> Path:
    """Refuse a picture of a format that is not drawn.

    Args:
        path (Path): Of the picture.

    Returns:
        Path: The same.

    Raises:
        ValueError: It does not end in .png.
    """
    if path.suffix.lower() != '.png':
        raise ValueError(f'--out must be a .png file, got {str(path)!r}')
    return path


def stems(images: Sequence[str]) -> List[str]:
    """A name for each image's files.

    Args:
        images (Sequence[str]): Paths.

    Returns:
        list[str]: The files' own, with a number where two are the same.
    """
    names: List[str] = []
    for image in images:
        stem = name = Path(image).stem
        number = 1
        while name in names:
            number += 1
            name = f'{stem}_{number}'
        names.append(name)
    return names


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Save a figure, whole or not at all.

    Args:
        figure (Figure): Of no window.
        path (Path): Of the PNG; its folder is made.
        dpi (int): Pixels per inch. Defaults to 110.
    """
    picture = io.BytesIO()
    figure.savefig(picture, dpi=dpi, format='png')
    save_bytes(picture.getvalue(), path)


def save_bytes(content: bytes, path: Path) -> None:
    """Write a file, whole or not at all.

    Args:
        content (bytes): Of the file.
        path (Path): Its folder is made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def as_array(figure: Figure, dpi: int = 90) -> np.ndarray:
    """A figure as pixels.

    Args:
        figure (Figure): Of no window.
        dpi (int): Pixels per inch. Defaults to 90.

    Returns:
        np.ndarray: (H, W, 3), uint8, RGB.
    """
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])
