"""What is said of a sample that is not as it should be."""

from enum import Enum
from typing import NamedTuple


class Kind(str, Enum):
    """What can be found; its value is what a person reads."""

    MISSING = 'missing'
    EMPTY = 'empty (0 bytes)'
    CORRUPT = 'corrupt or cut off'
    UNREADABLE = 'cannot be loaded'
    DEEP = '16-bit'
    CMYK = 'CMYK'
    TRANSPARENT = 'transparent pixels'
    SIZE = 'image and mask differ in size'
    COLOUR_MASK = 'mask in colours'
    LABELS = 'labels outside the classes'
    IGNORED = 'all pixels ignored'
    GREY = 'greyscale image'
    PALETTE = 'palette image'
    ALPHA = 'unused alpha channel'
    TURNED = 'turned by its EXIF tag'
    DUPLICATE = 'same content as another'


class Finding(NamedTuple):
    """One thing about one file.

    Args:
        kind (Kind): Of it.
        path (str): Of the file, or the name of the sample.
        reason (str): What is wrong, in numbers where there are any.
        is_fault (bool): Whether the sample should not be trained on; a note
            otherwise. Defaults to True.
    """

    kind: Kind
    path: str
    reason: str
    is_fault: bool = True

    def __str__(self) -> str:
        return f'{self.path}: {self.kind.value}: {self.reason}'


class FaultyDataError(ValueError):
    """Ends a run on data that is not what it should be, in one message.

    A ``DataLoader`` raises what its workers raised anew, of the same class,
    with a traceback in the place of the message. The message is taken out
    of it again, and the traceback becomes a note.

    Attributes:
        is_for_user (bool): Whether its message says all, whoever raised it.

    Args:
        message (str): For the user, or a worker's traceback that ends in it.
    """

    is_for_user = True

    def __init__(self, message: str) -> None:
        _, marker, own = message.rpartition('FaultyDataError: ')
        super().__init__(own.strip())
        if marker:
            self.add_note(message)
