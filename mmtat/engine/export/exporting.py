"""From a checkpoint to a file that is deployed, checked on the way."""

from dataclasses import dataclass
from pathlib import Path
from typing import Tuple

from .card import Made, model_card
from .comparison import Comparison
from .exported_config import exported_config
from .facts import export_meta, sha256, versions
from .formats import GRAPHS, PACKAGES, Content, choose_format, names_of
from .graph_network import graph_network
from .image_input import ImageInput, image_input, sample_images
from .networks import network_of
from .options import ExportOptions, check_options, check_preprocessing
from .placing import check_targets, placed
from .source import Source, load_student, read_source
from .wording import FORMATS, gives, remarks, takes, usage
from .writing import stock_inputs, write_checked


@dataclass(frozen=True)
class Export:
    """What was made.

    Attributes:
        paths (tuple[Path]): The files, the student last.
        format (str): Its format.
        comparison (Comparison): With the student as it was trained.
        config_from (str): Where the student's config was found.
        image (ImageInput): What the student takes.
    """

    paths: Tuple[Path, ...]
    format: str
    comparison: Comparison
    config_from: str
    image: ImageInput


def export_student(
    checkpoint: str, out: str, options: ExportOptions
) -> Export:
    """Export the student of a checkpoint.

    Nothing of a distillation is built: neither a teacher nor a distiller.
    What was written is read again, compared with the student on the same
    images, and put in place when it computes the same.

    Args:
        checkpoint (str): Path or URL, of mmtat, mmrazor, mmsegmentation or
            mmpretrain.
        out (str): The file to make. A card is put beside it, and for 'pth'
            a config.
        options (ExportOptions): How.

    Returns:
        Export: What was made.

    Raises:
        ValueError: An option does not fit, a file cannot be read, the
            output exists, or the export computes something else.
    """
    path = Path(out)
    format = choose_format(path, options.format)
    check_options(format, options)
    names = names_of(path, format)
    check_targets(path, names, checkpoint, options.force)
    source = read_source(checkpoint, options.config, options.ema)
    content = _content(source, path, format, options)
    original, folded = content.network, 0
    if format in GRAPHS:
        content.network, folded = graph_network(
            original, content.image, content.sample, options
        )
    with placed(path.parent, names) as folder:
        comparison = write_checked(
            content, original, folder / path.name, format, options
        )
        made = _made(content, source, folder / path.name, format, options)
        made.check = str(comparison)
        made.remarks = remarks(format, options, source, folded)
        card = model_card(source, made)
        Path(folder, f'{path.name}.md').write_text(card, encoding='utf-8')
    return Export(
        paths=tuple(path.parent / name for name in names),
        format=format,
        comparison=comparison,
        config_from=source.config_from,
        image=content.image,
    )


def _content(
    source: Source, out: Path, format: str, options: ExportOptions
) -> Content:
    model = load_student(source)
    image = image_input(source.config, model, options.size)
    check_preprocessing(options, image)
    sample = stock_inputs(model, image, sample_images(image, 1, image.size))
    try:
        network = network_of(model, sample, format not in GRAPHS)
    except (RuntimeError, AssertionError) as error:
        high, wide = image.size
        raise ValueError(
            f'the student cannot run on images of {high} × {wide} '
            f'({image.size_from}): {str(error).strip().splitlines()[0]}; '
            'give another --size'
        ) from error
    return Content(
        model=model,
        network=network,
        config=exported_config(source.config, out.name).pretty_text,
        image=image,
        sample=sample,
        meta=export_meta(source),
    )


def _made(
    content: Content,
    source: Source,
    path: Path,
    format: str,
    options: ExportOptions,
) -> Made:
    scope = source.config.get('default_scope') or 'mmengine'
    return Made(
        name=path.name,
        format=FORMATS[format],
        config=content.config,
        image=content.image,
        takes=takes(format, options, content.image),
        gives=gives(format, options, content),
        usage=usage(format, path, scope),
        parameters=sum(p.numel() for p in content.model.parameters()),
        sha256=sha256(path),
        versions=versions(scope, PACKAGES[format]),
        command=options.command,
        teacher=options.teacher,
    )
