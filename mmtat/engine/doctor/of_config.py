"""Data, classes, layers and disk of a config; needs mmtat."""

import functools
import os
import shutil
from pathlib import Path
from typing import Any, Iterator, List, Optional

from .findings import NOTE, OK, PROBLEM, Finding, first_line

_LOADERS = ('train_dataloader', 'val_dataloader')
#: A checkpoint holds the student, and what its optimizer keeps: two copies
#: for Adam. It is written before the one that it replaces is removed.
_COPIES = 2 * 3
_GIB = 2**30
_PREPARE = 'tools/prepare_data.py makes and checks the layout'


class Run:
    """A training of a config, and its model, which is built once.

    Args:
        config (Config): Of :func:`read`.
    """

    def __init__(self, config: Any) -> None:
        self.config = config

    @property
    def is_distillation(self) -> bool:
        """Whether it has a teacher."""
        from mmtat.engine.inspected import is_distillation

        return is_distillation(self.config)

    @functools.cached_property
    def model(self) -> Any:
        """The model with random weights; raises where it does not build."""
        from mmtat.engine.inspected import built

        return built(self.config)


def read(
    path: str, data_root: Optional[str], work_dir: Optional[str], options: dict
) -> Run:
    """Read a config as the training tool does.

    Args:
        path (str): Of the config, or its name in a zoo.
        data_root (str, optional): That every dataset reads.
        work_dir (str, optional): Of checkpoints and logs.
        options (dict): Settings to override.

    Returns:
        Run: With the ``work_dir`` that a training has.

    Raises:
        ValueError: Not found, or no config.
    """
    from mmtat.engine.dataset_check import set_data_root
    from mmtat.engine.inspected import read_config

    config = read_config(path, options)
    if data_root is not None:
        set_data_root(config, data_root)
    if work_dir is not None:
        config.work_dir = work_dir
    elif config.get('work_dir') is None:
        config.work_dir = os.path.join('work_dirs', Path(path).stem)
    return Run(config)


def look_at_datasets(run: Run) -> Iterator[Finding]:
    """Folders and files of every dataset, and how many samples there are.

    Args:
        run (Run): Of :func:`read`.

    Yields:
        Finding: For each dataset, or for each thing that it lacks.
    """
    from mmtat.engine.dataset_check import datasets_of
    from mmtat.engine.dataset_files import problems_of

    seen: List[Any] = []
    said = set()
    for loader in _LOADERS:
        for dataset in datasets_of(run.config, (loader,)):
            if dataset in seen:
                continue
            seen.append(dataset)
            name = f'{loader.partition("_")[0]} data, {dataset.get("type")}'
            if dataset.get('backend_args'):
                yield Finding(NOTE, f'{name}: not looked at (backend_args)')
                continue
            problems = problems_of(dataset)
            # Datasets that are joined may lack the same folder.
            for problem in problems:
                if problem not in said:
                    yield Finding(PROBLEM, f'{name}: {problem}', _PREPARE)
            said.update(problems)
            if not problems:
                yield Finding(OK, f'{name}: {_counted(dataset)}')
    if not seen:
        yield Finding(NOTE, 'the config has no data loaders')


def look_at_classes(run: Run) -> Iterator[Finding]:
    """Whether model and data know the same number of classes.

    Args:
        run (Run): Of :func:`read`.

    Yields:
        Finding: One.
    """
    from mmtat.engine.class_check import check_class_numbers

    check_class_numbers(run.config, _LOADERS)
    yield Finding(OK, 'no head is known to have other classes than its data')


def look_at_layers(run: Run) -> Iterator[Finding]:
    """Whether the models build, and have the layers that are distilled.

    Args:
        run (Run): Of :func:`read`.

    Yields:
        Finding: For each pair of layers, or for the model alone.
    """
    model = run.model
    if not run.is_distillation:
        yield Finding(OK, f'builds a {type(model).__name__}')
        return
    sources = {
        role: [
            recorder.source
            for recorder in getattr(
                model.distiller, f'{role}_recorders'
            ).recorders.values()
        ]
        for role in ('student', 'teacher')
    }
    for role, names in sources.items():
        named = ', '.join(name for name in dict.fromkeys(names) if name)
        yield Finding(OK, f'layers of the {role}: {named or "none"}')


def look_at_disk(run: Run) -> Iterator[Finding]:
    """Whether checkpoints can be written, and how much room there is.

    Args:
        run (Run): Of :func:`read`.

    Yields:
        Finding: One.
    """
    work_dir = run.config.work_dir
    there = Path(work_dir).absolute()
    while not there.exists():
        there = there.parent
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        yield Finding(
            PROBLEM,
            f'work_dir {work_dir!r}: {str(there)!r} cannot be written',
            'give a folder by --work-dir DIR',
        )
        return
    free = shutil.disk_usage(there).free
    text = f'work_dir {work_dir!r}: {free / _GIB:.1f} GiB free'
    needed = _checkpoint_bytes(run)
    if free < needed:
        yield Finding(
            PROBLEM,
            f'{text}, and two checkpoints may take {needed / _GIB:.2f}',
            'make room, or give another disk by --work-dir DIR',
        )
    else:
        yield Finding(OK, text)


def _counted(dataset: Any) -> str:
    """How many samples it has, as far as it says without reading them."""
    from mmengine.registry import DATASETS

    where = dataset.get('data_root') or 'no folder'
    try:
        built = DATASETS.build(dict(dataset, lazy_init=True))
        count = len(built.load_data_list())
    except Exception as error:
        # One that fetches itself has nothing to count before.
        return f'{where}, not counted ({first_line(error)})'
    return f'{where}, {count} samples'


def _checkpoint_bytes(run: Run) -> int:
    try:
        model = run.model
    except Exception:
        # Why it does not build is a finding of its own.
        return 0
    sizes = (p.numel() * p.element_size() for p in model.parameters())
    return _COPIES * sum(sizes)
