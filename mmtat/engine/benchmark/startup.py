"""The benchmark of the start: from the command to the first iteration."""

import importlib.util
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch

from mmtat.datasets import write_digit_scenes

from ..report import quiet
from .child import call_in_child
from .networks import build_teacher
from .result import Result, Row
from .workloads import NETWORKS, workloads_of

STOCK = 'mmsegmentation, student alone'
ALONE = 'mmtat, student alone'
RANDOM = 'mmtat, TaT, teacher without a file'
FILE = 'mmtat, TaT, teacher from a file'
#: With which a training ends when its first iteration would begin.
_REACHED = 17
_HOOK = f"""\
import os

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class EndAtFirstIteration(Hook):
    priority = 'LOWEST'

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        os._exit({_REACHED})
"""
_CONFIG = """\
_base_ = {base!r}
custom_imports = dict(imports=['end_at_first_iteration'])
custom_hooks = [dict(type='EndAtFirstIteration')]
"""
#: mmsegmentation does not import beside mmcv-lite without some help.
_RUN = """\
import runpy, sys
{prelude}
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name='__main__')
"""


def run_startup(
    configs: Path,
    train_tool: Path,
    repeats: int,
    say: Callable[[str], Any] = lambda line: None,
) -> Result:
    """Start trainings on a tiny VOC folder, in turns, and end them at once.

    Args:
        configs (Path): Folder of the configs.
        train_tool (Path): mmtat's ``tools/train.py``.
        repeats (int): Rounds that count, at least 1; one before them fills
            the disk's caches.
        say (Callable[[str], Any]): Gets a line for each thing that begins.

    Returns:
        Result: The table.

    Raises:
        ValueError: mmsegmentation's tools are not installed, or a number is
            out of its range.
        RuntimeError: A training failed; the message ends in what it said.
    """
    if repeats < 1:
        raise ValueError(f'repeats must be at least 1, got {repeats}')
    stock_tool = _stock_tool()
    with tempfile.TemporaryDirectory() as folder:
        say('startup: writing data and a teacher')
        commands = _commands(Path(folder), configs, train_tool, stock_tool)
        times: Dict[str, List[float]] = {name: [] for name in commands}
        for number in range(repeats + 1):
            say(f'startup: round {number} of {repeats}')
            for name, command in commands.items():
                seconds = _seconds(command, Path(folder))
                if number:
                    times[name].append(seconds)
    rows = [Row(name, own, floor=STOCK) for name, own in times.items()]
    base = statistics.median(times[STOCK])
    for row in rows:
        row.cells['s more'] = row.median - base
    return Result(
        name='startup',
        title='Start of a training, to its first iteration',
        batch=4,
        rows=rows,
        notes=[
            f'`{NETWORKS["voc-r18"].config}` beside the student alone, on a '
            'VOC folder of a few images of 64 x 64, with the workers of its '
            'data loader, and without the validation of the teacher that '
            'begins a distillation (`model.teacher_metric=0`).' + _help_note()
        ],
    )


def _commands(
    folder: Path, configs: Path, train_tool: Path, stock_tool: Path
) -> Dict[str, List[str]]:
    data = write_digit_scenes(
        folder / 'voc', train=16, tuning=1, val=2, aug=16, size=64
    )
    (folder / 'end_at_first_iteration.py').write_text(_HOOK)
    distilled = configs / NETWORKS['voc-r18'].config
    alone = configs / 'deeplabv3_r18_voc.py'
    for name, base in (('distilled', distilled), ('alone', alone)):
        text = _CONFIG.format(base=str(base.absolute()))
        (folder / f'{name}.py').write_text(text)
    teacher = folder / 'teacher.pth'
    call_in_child(_write_teacher, configs, teacher)
    roots = [
        f'{loader}_dataloader.dataset.{place}data_root={data}'
        for loader, places in (
            ('train', ('datasets.0.', 'datasets.1.')),
            ('val', ('',)),
            ('test', ('',)),
        )
        for place in places
    ]
    own = [str(train_tool), str(folder / 'distilled.py'), '--data-root']
    own += [str(data), '--cfg-options', 'model.architecture.pretrained=None']
    # A validation of the teacher is not part of what is compared.
    own += ['model.teacher_metric=0']
    single = [str(folder / 'alone.py'), '--cfg-options']
    single += ['model.pretrained=None', *roots]
    return {
        STOCK: [_run(_prelude()), str(stock_tool), *single],
        ALONE: [_run(), str(train_tool), *single],
        RANDOM: [_run(), *own, 'model.teacher_ckpt=None'],
        FILE: [_run(), *own, f'model.teacher_ckpt={teacher}'],
    }


def _write_teacher(configs: Path, path: Path) -> None:
    device = torch.device('cpu')
    (workload,) = workloads_of('voc-r18', configs, device, ['unused'])
    with quiet():
        model = build_teacher(workload.read(), device)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)


def _seconds(command: List[str], folder: Path) -> float:
    """Wall-clock time of a training that ends before its first iteration."""
    environment = dict(os.environ)
    path = [str(folder), environment.get('PYTHONPATH', '')]
    environment['PYTHONPATH'] = os.pathsep.join(filter(None, path))
    log = folder / 'log.txt'
    start = time.perf_counter()
    with open(log, 'w') as file:
        process = subprocess.Popen(
            [sys.executable, '-c', *command],
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            # The workers of its data loader do not notice how it ends.
            start_new_session=True,
        )
        try:
            status = process.wait()
            seconds = time.perf_counter() - start
        finally:
            _end(process)
    if status != _REACHED:
        tail = '\n'.join(log.read_text().splitlines()[-15:])
        raise RuntimeError(
            f'{" ".join(command[1:])} ended with {status}:\n{tail}'
        )
    return seconds


def _end(process: subprocess.Popen) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _stock_tool() -> Path:
    spec = importlib.util.find_spec('mmseg')
    root = Path(spec.origin).parent if spec and spec.origin else Path()
    for tool in (root / '.mim', root.parent):
        if (tool / 'tools' / 'train.py').is_file():
            return tool / 'tools' / 'train.py'
    raise ValueError(
        'startup needs tools/train.py of mmsegmentation, which its wheel '
        f'has in mmseg/.mim/tools; there is none at {root}'
    )


def _run(prelude: str = '') -> str:
    return _RUN.format(prelude=prelude)


def _prelude() -> str:
    # In this process mmtat has put its placeholder there already.
    operators = type(sys.modules.get('mmcv._ext')).__module__
    is_lite = operators == 'mmtat.compat.compiled_ops'
    has_lookups = importlib.util.find_spec('pkg_resources') is not None
    return 'import mmtat' if is_lite or not has_lookups else ''


def _help_note() -> str:
    if not _prelude():
        return ''
    return (
        " mmsegmentation's runs after `import mmtat`, without which it does "
        'not run beside these versions.'
    )
