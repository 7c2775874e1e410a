"""The model card of an export."""

import re
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Sequence

from .comparison import TOLERANCE
from .facts import (
    dataset_meta,
    dataset_names,
    describe_model,
    teacher_of,
    text_sha256,
)
from .image_input import ImageInput
from .metrics import measured
from .source import Source


@dataclass
class Made:
    """What a card states beside what the checkpoint says.

    Attributes:
        name (str): Name of the file.
        format (str): Its format, in words.
        config (str): Text of the config in it, or beside it.
        image (ImageInput): What the student takes.
        takes (str): The input, in words.
        gives (str): The output, in words.
        usage (str): Code that loads it.
        parameters (int): How many the student has.
        sha256 (str): Of the file.
        versions (dict[str, str]): Of the packages that made it.
        command (str): That made it.
        teacher (str | None): Named by the user.
        check (str): The result of comparing it with the student.
        remarks (list[str]): What else a reader must know.
    """

    name: str
    format: str
    config: str
    image: ImageInput
    takes: str
    gives: str
    usage: str
    parameters: int
    sha256: str
    versions: Dict[str, str]
    command: str
    teacher: Optional[str] = None
    check: str = ''
    remarks: List[str] = field(default_factory=list)


def model_card(source: Source, made: Made) -> str:
    """Write the card.

    Args:
        source (Source): The checkpoint.
        made (Made): The export.

    Returns:
        str: Markdown.
    """
    remarks = ''.join(f'- {remark}\n' for remark in made.remarks)
    return (
        f'# {made.name}\n\n'
        f'{_table("model", _model(source, made))}\n'
        f'{_table("quality", _quality(source))}\n'
        f'{_table("input and output", _input(made))}\n'
        + (f'{remarks}\n' if remarks else '')
        + f'{_table("file", _file(source, made))}\n'
        f'## Use\n\n```python\n{made.usage}\n```\n\n'
        f'## Classes\n\n{_classes(source)}\n\n'
        '## Licence\n\n'
        'Not stated. Whoever publishes this file fills it in: the data and '
        'the teacher that it was trained with have licences of their own.\n'
        + (_made_by(made.command) if made.command else '')
    )


def _made_by(command: str) -> str:
    return f'\n## Made by\n\n```bash\n{command}\n```\n'


def _model(source: Source, made: Made) -> List[Sequence[Any]]:
    run = source.run or source.config
    rows = [
        ('student', describe_model(source.config.model)),
        ('parameters', f'{made.parameters:,}'),
        ('teacher', made.teacher or teacher_of(source) or _no_teacher(source)),
        ('trained on', ', '.join(dataset_names(run)) or 'not known'),
    ]
    if 'iter' in source.meta:
        rows.append(('iteration', source.meta['iter']))
    if source.averaged is not None:
        of_last = 'of the last step, not the average'
        rows.append(('weights', 'averaged' if source.averaged else of_last))
    return rows


def _no_teacher(source: Source) -> str:
    return 'not known' if source.run is None else 'none'


def _quality(source: Source) -> List[Sequence[Any]]:
    found = measured(source)
    last = _numbers(found.last)
    if last and found.last_step is not None:
        last = f'{last} at step {found.last_step}'
    return [
        ('this checkpoint', _numbers(found.own) or 'not measured'),
        ('best of its run', found.best or 'not measured'),
        ('last of its run', last or 'not measured'),
    ]


def _input(made: Made) -> List[Sequence[Any]]:
    image = made.image
    rows = [
        ('takes', made.takes),
        ('gives', made.gives),
        ('size', f'{image.size[0]} × {image.size[1]} ({image.size_from})'),
        ('channels', image.order if image.channels == 3 else image.channels),
    ]
    if image.mean is None:
        rows.append(('normalisation', 'none'))
    else:
        rows += [
            ('mean', ', '.join(f'{v:.6g}' for v in image.mean)),
            ('standard deviation', ', '.join(f'{v:.6g}' for v in image.std)),
        ]
    if image.divisor > 1:
        padded = f'height and width, with 0, to multiples of {image.divisor}'
        rows.append(('padded', padded))
    if image.transforms:
        rows.append(('before, in tests', '; '.join(image.transforms)))
    return rows


def _file(source: Source, made: Made) -> List[Sequence[Any]]:
    rows = [
        ('format', made.format),
        ('SHA-256', f'`{made.sha256}`'),
        ('SHA-256 of its config', f'`{text_sha256(made.config)}`'),
    ]
    if source.run_text:
        digest = text_sha256(source.run_text)
        rows.append(("SHA-256 of its run's config", f'`{digest}`'))
    rows.append(
        ('compared', f'{made.check} (allowed: {TOLERANCE:g} of the largest)')
    )
    rows += [(name, version) for name, version in made.versions.items()]
    trained = source.meta.get('mmengine_version')
    if trained:
        rows.append(('mmengine of the run', mmengine_release(str(trained))))
    return rows


def mmengine_release(version: str) -> str:
    """The release in the version that mmengine writes into checkpoints.

    It appends the hash of the commit that is checked out where it runs,
    without anything between the two.

    Args:
        version (str): As ``0.10.766b22b6...``.

    Returns:
        str: As ``0.10.7``.
    """
    return re.sub(r'(unknown|[0-9a-f]{64}|[0-9a-f]{40})$', '', version)


def _classes(source: Source) -> str:
    classes = dataset_meta(source).get('classes')
    if not classes:
        return 'Not known.'
    return ', '.join(
        f'{index} {_plain(name)}' for index, name in enumerate(classes)
    )


def _numbers(metrics: Dict[str, float]) -> str:
    return ', '.join(f'{name} {value:g}' for name, value in metrics.items())


def _table(title: str, rows: Sequence[Sequence[Any]]) -> str:
    lines = [f'| {title} | |', '|---|---|']
    lines += [f'| {name} | {_plain(value)} |' for name, value in rows]
    return '\n'.join(lines) + '\n'


def _plain(value: Any) -> str:
    """One line that ends no cell."""
    return ' '.join(str(value).split()).replace('|', '\\|')
