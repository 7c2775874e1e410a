"""What the header of an image says, and the loader makes of it."""

from typing import Any, BinaryIO, Tuple

from PIL import Image

_ORIENTATION = 0x0112
_PNG_DEPTH, _TIFF_DEPTH = 24, 258


def bits(image: Image.Image, stream: BinaryIO) -> int:
    """Bits of a channel.

    Args:
        image (Image.Image): Of :func:`~.pictures.picture`.
        stream (BinaryIO): Of its file.

    Returns:
        int: 8 where the format does not tell.
    """
    if image.mode.startswith('I;16'):
        return 16
    if image.mode in ('I', 'F'):
        return 16 if image.format == 'PNG' else 32
    if image.format == 'PNG':
        # Pillow shows 16-bit colours as 8-bit ones.
        stream.seek(_PNG_DEPTH)
        return stream.read(1)[0]
    if image.format == 'TIFF':
        return max(image.tag_v2.get(_TIFF_DEPTH, (8,)))
    return 8


def orientation(image: Image.Image, loader: Any) -> int:
    """How the loader turns an image, as its EXIF tag says.

    Args:
        image (Image.Image): Of :func:`~.pictures.picture`.
        loader (BaseTransform): That will read it.

    Returns:
        int: 1, as it is, to 8; 5 and more swap width and height.
    """
    flag = getattr(loader, 'color_type', 'unchanged')
    by_pillow = loader.imdecode_backend == 'pillow'
    if flag not in ('color', 'grayscale') or not (
        image.format == 'JPEG' or by_pillow
    ):
        return 1
    return image.getexif().get(_ORIENTATION, 1)


def size_as_loaded(image: Image.Image, loader: Any) -> Tuple[int, int]:
    """Width and height of an image as the loader gives it.

    Args:
        image (Image.Image): Of :func:`~.pictures.picture`.
        loader (BaseTransform): That will read it.

    Returns:
        tuple[int, int]: In pixels.
    """
    width, height = image.size
    is_swapped = orientation(image, loader) >= 5
    return (height, width) if is_swapped else (width, height)
