"""Look whether a run can work here, and say what would mend it.

python tools/doctor.py
python tools/doctor.py configs/tat_deeplabv3_r101_r18_voc.py --data-root DIR
"""

import argparse
import contextlib
import importlib.util
import logging
import sys
import warnings
from collections import Counter
from pathlib import Path
from types import ModuleType
from typing import Any, Iterator

TOOLS = Path(__file__).resolve().parent


def load_doctor() -> ModuleType:
    """The doctor without mmtat around it, whose import may be what fails.

    Returns:
        ModuleType: ``mmtat.engine.doctor``, under a name of its own.
    """
    # Beside tools/ in a checkout, and above .mim/tools/ in a wheel.
    packages = (TOOLS.parent / 'mmtat', TOOLS.parents[1])
    folders = [package / 'engine' / 'doctor' for package in packages]
    folder = next(f for f in folders if (f / '__init__.py').is_file())
    spec = importlib.util.spec_from_file_location(
        'mmtat_doctor',
        folder / '__init__.py',
        submodule_search_locations=[str(folder)],
    )
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Versions, workarounds, GPUs and optional packages; and '
        'data, weights, layers and disk of a config. Exit status 1 when a '
        'run would fail, or be for nothing.'
    )
    parser.add_argument(
        'config', nargs='?', help='path of a config, or mmseg::...'
    )
    parser.add_argument(
        '--data-root', help='folder that every dataset of the config reads'
    )
    parser.add_argument('--work-dir', help='folder of logs and checkpoints')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=options_action(),
        default={},
        metavar='KEY=VALUE',
        help='override settings of the config, as a.b=1 or a="[1,2]"',
    )
    try:
        args = parser.parse_args()
    except ValueError:
        parser.error('--cfg-options: give KEY=VALUE')
    if args.config is None and (args.data_root or args.work_dir):
        parser.error('--data-root and --work-dir are for a CONFIG')
    return args


def options_action() -> Any:
    """How ``--cfg-options`` are read, where mmengine can be imported."""
    try:
        from mmengine.config import DictAction
    # That it cannot is one of the findings.
    except Exception:
        return 'store'
    return DictAction


def show(section: Any) -> None:
    """Print the findings of a section.

    Args:
        section (Section): They.
    """
    print(f'{section.title}')
    for finding in section.findings:
        print(f'  {finding.state:<8} {finding.text}')
        if finding.remedy:
            print(f'  {"":<8} -> {finding.remedy}')
    print(flush=True)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Hide what packages say while they are imported and built."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield
    finally:
        logging.disable(before)


def look(args: argparse.Namespace, doctor: Any) -> Counter:
    """Print each section.

    Args:
        args (argparse.Namespace): The command line.
        doctor (module): Of :func:`load_doctor`.

    Returns:
        Counter: How many findings there are of each state.
    """
    findings = []
    for section in doctor.look_at_installation():
        show(section)
        findings += section.findings
    if args.config is not None:
        section = doctor.look_at_config(
            args.config, args.data_root, args.work_dir, args.cfg_options
        )
        show(section)
        findings += section.findings
    return Counter(finding.state for finding in findings)


def main() -> None:
    """Look, print each section, and end with what it comes to."""
    args = parse_args()
    doctor = load_doctor()
    with quiet():
        counts = look(args, doctor)
    problems, notes = counts[doctor.PROBLEM], counts[doctor.NOTE]
    print(f'problems: {problems}, notes: {notes}')
    if problems:
        sys.exit(1)


if __name__ == '__main__':
    main()
