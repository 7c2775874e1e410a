"""Image files as they are, whatever a lenient decoder makes of them."""

import contextlib
import io
from typing import Any, BinaryIO, Iterator, Optional

import mmcv
from mmengine import fileio
from PIL import Image, ImageFile, UnidentifiedImageError

from .finding import FaultyDataError, Finding, Kind

#: What the last bytes of a whole file are.
_ENDS = dict(JPEG=b'\xff\xd9', PNG=b'IEND\xaeB`\x82')
#: What every decoder reads; of others only the loader itself can tell.
_COMMON = ('JPEG', 'PNG', 'BMP', 'PPM')
_START_OF_SCAN = 0xDA


class Unfit(Exception):
    """A file that cannot be looked into.

    Args:
        finding (Finding): Why.
    """

    def __init__(self, finding: Finding) -> None:
        super().__init__(str(finding))
        self.finding = finding


def is_local(path: str, loader: Any) -> bool:
    """Whether a file can be opened in part, and cheaply.

    Args:
        path (str): Of the file.
        loader (BaseTransform): That reads it.

    Returns:
        bool: False for zip, lmdb and whatever else a file backend reads.
    """
    backends = (loader.backend_args, loader.file_client_args)
    return not any(backends) and '://' not in path


@contextlib.contextmanager
def opened(path: str, loader: Any, whole: bool) -> Iterator[BinaryIO]:
    """Open a file by the backend that the run will read it by.

    Args:
        path (str): Of the file.
        loader (BaseTransform): That will read it.
        whole (bool): Whether it is read to its end.

    Yields:
        BinaryIO: At its begin; a file that is not empty.

    Raises:
        Unfit: It is missing, cannot be read, or is empty.
        FaultyDataError: The backend's package is not installed.
    """
    stream = _stream(path, loader, whole)
    with stream:
        if stream.seek(0, io.SEEK_END) == 0:
            raise Unfit(Finding(Kind.EMPTY, path, 'nothing is in it'))
        stream.seek(0)
        yield stream


def _stream(path: str, loader: Any, whole: bool) -> BinaryIO:
    try:
        if is_local(path, loader) and not whole:
            return open(path, 'rb')
        content = _content(path, loader)
    except (FileNotFoundError, NotADirectoryError, KeyError) as error:
        raise Unfit(Finding(Kind.MISSING, path, 'no such file')) from error
    except ImportError as error:
        raise FaultyDataError(
            f'{path}: its file backend cannot be used: {error}'
        ) from error
    except Exception as error:
        raise Unfit(Finding(Kind.UNREADABLE, path, told(error))) from error
    if content is None:
        raise Unfit(Finding(Kind.MISSING, path, 'its database has none'))
    return io.BytesIO(content)


def _content(path: str, loader: Any) -> Optional[bytes]:
    if loader.file_client_args:
        client = fileio.FileClient.infer_client(loader.file_client_args, path)
        return client.get(path)
    return fileio.get(path, backend_args=loader.backend_args)


def picture(
    stream: BinaryIO, path: str, loader: Any, whole: bool
) -> Optional[Image.Image]:
    """Read an image, where OpenCV may be content with a part of it.

    OpenCV 4 decodes a JPEG that is cut off, and what lacks is grey; OpenCV 5
    refuses it. Both, and Pillow, decode one whose end is zeros, as a download
    leaves it that reserved its place. Bytes that were changed amid a JPEG
    raise no error in any of them, and are not found. Where ``whole`` is False
    only files whose last bytes are not those of a whole one are decoded.

    Args:
        stream (BinaryIO): Of the file.
        path (str): For the message.
        loader (BaseTransform): That will read it.
        whole (bool): Whether to decode it in any case.

    Returns:
        Image.Image | None: None of a format that only the loader knows.

    Raises:
        Unfit: It cannot be decoded whole.
    """
    try:
        with decoding(path):
            image = Image.open(stream)
            if whole or not _ends_well(stream, image.format):
                image = _decoded(stream, image)
    except UnidentifiedImageError as error:
        if whole and not _loads(stream, loader):
            reason = f'no image; it begins with {_first_bytes(stream)}'
            raise Unfit(Finding(Kind.CORRUPT, path, reason)) from error
        return None
    if whole and image.format not in _COMMON and not _loads(stream, loader):
        reason = f'{loader.imdecode_backend} cannot read this {image.format}'
        raise Unfit(Finding(Kind.CORRUPT, path, reason))
    return image


def _decoded(stream: BinaryIO, image: Image.Image) -> Image.Image:
    if image.format == 'PNG':
        # Decoding leaves its checksums out.
        image.verify()
    stream.seek(0)
    image = Image.open(stream)
    image.load()
    if image.format == 'JPEG' and not _has_end(stream):
        raise OSError('it has no end marker: its end was never written')
    return image


def _has_end(stream: BinaryIO) -> bool:
    """Whether a JPEG ends somewhere after its pixels begin."""
    stream.seek(0)
    content = stream.read()
    place = 2
    # A thumbnail, in a segment before the pixels, has an end of its own.
    while content[place : place + 1] == b'\xff':
        if content[place + 1] == _START_OF_SCAN:
            break
        place += 2 + int.from_bytes(content[place + 2 : place + 4], 'big')
    return content.rfind(_ENDS['JPEG'], place) >= 0


def _ends_well(stream: BinaryIO, kind: Optional[str]) -> bool:
    end = _ENDS.get(kind)
    if end is None:
        return True
    place = stream.tell()
    stream.seek(-min(len(end), stream.seek(0, io.SEEK_END)), io.SEEK_END)
    is_whole = stream.read() == end
    stream.seek(place)
    return is_whole


def _loads(stream: BinaryIO, loader: Any) -> bool:
    stream.seek(0)
    flag = getattr(loader, 'color_type', 'unchanged')
    try:
        array = mmcv.imfrombytes(
            stream.read(), flag=flag, backend=loader.imdecode_backend
        )
    except Exception:
        return False
    return array is not None


def _first_bytes(stream: BinaryIO) -> str:
    stream.seek(0)
    return repr(stream.read(12))


@contextlib.contextmanager
def decoding(path: str) -> Iterator[None]:
    """Let Pillow forgive nothing, and take images of any size.

    Args:
        path (str): Of the file, for the message.

    Raises:
        Unfit: Whatever Pillow raises, but that the format is unknown.
    """
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    # Satellite images are no bombs.
    Image.MAX_IMAGE_PIXELS = None
    try:
        yield
    except UnidentifiedImageError:
        raise
    # Each format's reader raises errors of its own.
    except Exception as error:
        raise Unfit(Finding(Kind.CORRUPT, path, told(error))) from error
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = before


def told(error: BaseException) -> str:
    """An error in one line.

    Args:
        error (BaseException): That was caught.

    Returns:
        str: Its class, unless Pillow's, and what it says.
    """
    text = ' '.join(str(error).split())
    if type(error) in (OSError, SyntaxError) and text:
        return text
    return f'{type(error).__name__}: {text}'
