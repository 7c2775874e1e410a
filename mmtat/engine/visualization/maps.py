"""Fig. 4 and the page, for images and a checkpoint."""

from pathlib import Path
from typing import List, Optional, Sequence

from mmengine.config import Config

from ..report import mebibytes, note
from .images import first_pictures
from .looker import Looker
from .outputs import check_new, save_bytes, save_figure
from .page import page_of, picture_data
from .pixels import check_inside, parse_pixels
from .subject import check_reading
from .trained import load_trained

PAGE = 'maps.html'


def draw_maps(
    config: Config,
    checkpoint: str,
    images: Sequence[str],
    out: Path,
    pixels: Sequence[str] = (),
    teacher_ckpt: Optional[str] = None,
    layer: int = 0,
    branch: Optional[str] = None,
    reading: str = 'matched',
    html: bool = False,
    force: bool = False,
) -> List[Path]:
    """Draw Fig. 4 of each image, and a page of all.

    Args:
        config (Config): Of a distillation by TaT.
        checkpoint (str): Of the run.
        images (Sequence[str]): Paths.
        out (Path): Folder of the files.
        pixels (Sequence[str]): Each ``x,y`` in the image; by default some
            are picked in each image.
        teacher_ckpt (str, optional): By default the config's.
        layer (int): Index of the pair of layers. Defaults to 0.
        branch (str, optional): Name of one branch; by default all.
        reading (str): One of ``READINGS``, in the PNG. Defaults to
            'matched'.
        html (bool): Whether the page is written. Defaults to False.
        force (bool): Whether files may be written over. Defaults to False.

    Returns:
        list[Path]: Files that were written.

    Raises:
        ValueError: An image, pixel, layer, branch or checkpoint is not
            what it must be, or a file is there already.
    """
    check_reading(reading)
    given = parse_pixels(pixels)
    pictures = first_pictures(images, None)
    for picture in pictures:
        check_inside(given, picture)
    files = [out / f'{picture.name}.png' for picture in pictures]
    page = out / PAGE
    check_new([*files, page] if html else files, force)
    algorithm = load_trained(config, checkpoint, teacher_ckpt)
    looker = Looker(algorithm, config, layer, branch, given)
    of, data = Path(checkpoint).name, []
    for picture, file in zip(pictures, files):
        seen = looker.look_at(picture)
        save_figure(looker.figure(seen, of, reading), file)
        if html:
            data.append(picture_data(seen, looker.classes))
    if html:
        text = page_of(data, f'{looker.subject} · {of}', looker.resizing)
        save_bytes(text.encode(), page)
        files.append(page)
        note(f'{page} holds {mebibytes(len(text.encode()))} MiB')
    return files
