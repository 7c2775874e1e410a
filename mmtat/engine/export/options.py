"""What a user may ask of an export, and what does not go together."""

from dataclasses import dataclass
from typing import Optional, Tuple

from .formats import GRAPHS
from .image_input import ImageInput


@dataclass(frozen=True)
class ExportOptions:
    """How a student is exported.

    Attributes:
        format (str | None): 'pth', 'safetensors', 'onnx' or 'torchscript';
            None goes by the ending of the file.
        config (str | None): Config to take in the place of what is found.
        fold_norms (bool): Let convolutions do the work of the batch norms
            behind them; graphs only.
        ema (bool | None): Averaged weights, or those of the last step; None
            takes ``state_dict``.
        size (tuple[int, int] | None): Height and width of an image.
        dynamic (bool): Whether a graph takes other sizes too.
        batch (int | None): Images that a graph takes at a time; None any.
        preprocessing (str | None): 'uint8' or 'float32': a graph takes RGB
            images of 0 to 255 in this type, and normalises.
        argmax (bool): Whether a graph gives labels.
        force (bool): Replace files.
        teacher (str | None): The teacher's name, for the card.
        command (str): For the card.
    """

    format: Optional[str] = None
    config: Optional[str] = None
    fold_norms: bool = False
    ema: Optional[bool] = None
    size: Optional[Tuple[int, int]] = None
    dynamic: bool = False
    batch: Optional[int] = None
    preprocessing: Optional[str] = None
    argmax: bool = False
    force: bool = False
    teacher: Optional[str] = None
    command: str = ''


def check_options(format: str, options: ExportOptions) -> None:
    """Raise where an option cannot do anything.

    Args:
        format (str): The format of the export.
        options (ExportOptions): They.

    Raises:
        ValueError: Names the option, and what would be right.
    """
    for name, value in (('--size', options.size), ('--batch', options.batch)):
        values = value if isinstance(value, tuple) else (value,)
        if value is not None and min(values) < 1:
            raise ValueError(f'{name} takes positive numbers, got {value}')
    if options.dynamic and options.batch is not None:
        raise ValueError(
            '--dynamic leaves all sizes open, and --batch fixes one; leave '
            'one of them out'
        )
    if format in GRAPHS:
        return
    if options.fold_norms:
        raise ValueError(
            f'--fold-norms does not go with --format {format}: its config '
            'would still build the norms, and a stock loader would find '
            'weights missing; fold in onnx or torchscript'
        )
    for name, value in (
        ('--with-preprocessing', options.preprocessing),
        ('--argmax', options.argmax),
        ('--dynamic', options.dynamic),
        ('--batch', options.batch),
    ):
        if value:
            raise ValueError(
                f'{name} is for {" and ".join(GRAPHS)}: {format} holds '
                'weights, and no computation'
            )


def check_preprocessing(options: ExportOptions, image: ImageInput) -> None:
    """Raise where the normalisation cannot be put into a graph.

    Args:
        options (ExportOptions): Of the export.
        image (ImageInput): What the student takes.

    Raises:
        ValueError: The test pipeline normalises, or it is no RGB image.
    """
    if not options.preprocessing:
        return
    if image.channels != 3:
        raise ValueError(
            f'--with-preprocessing is for images of 3 channels, and the '
            f'student takes {image.channels}'
        )
    own = [t for t in image.transforms if t.startswith('Normalize')]
    if own:
        raise ValueError(
            '--with-preprocessing: the student is normalised by its test '
            f'pipeline, {own[0]}, and not by its data preprocessor; leave '
            'the option out'
        )
