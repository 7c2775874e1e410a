"""Whether the stack imports, and what of it is mended."""

import importlib
import sys
from typing import Iterator, List, Tuple

from .declared import tested_versions, version_of
from .findings import NOTE, OK, PROBLEM, Finding, first_line
from .installation import STACK

#: mmtat first, whose workarounds let the others import.
_MODULES: Tuple[str, ...] = (
    'torch',
    'torchvision',
    'mmengine',
    'mmcv',
    'mmtat',
    'mmpretrain.models',
    'mmseg.models',
    'mmrazor.models',
    'mmtat.models',
)


def look_at_imports() -> Iterator[Finding]:
    """Import the stack, a package after the other.

    Yields:
        Finding: For what does not, the first of a chain; or that all do.
    """
    broken: List[str] = []
    missing = [m for package, m in STACK.items() if not version_of(package)]
    if not any(map(version_of, ('mmcv', 'mmcv-lite'))):
        missing.append('mmcv')
    if not version_of('mmtat'):
        missing.append('mmtat')
    for name in _MODULES:
        try:
            importlib.import_module(name)
        # SystemExit too: some packages end the process in their import.
        except (Exception, SystemExit) as error:
            line = first_line(error)
            # What is not installed was said with the versions.
            is_missing = getattr(error, 'name', None) in missing
            if line not in broken and not is_missing:
                broken.append(line)
                yield Finding(
                    PROBLEM, f'import {name} fails: {line}', _again(name)
                )
    if not broken and not missing:
        yield Finding(OK, f'all of it imports: {", ".join(_MODULES)}')


def look_at_workarounds() -> Iterator[Finding]:
    """What mmtat mends in the stack here, and why.

    Yields:
        Finding: For each workaround, and for versions that nobody tried.
    """
    import torch

    from mmtat import compat
    from mmtat.compat.weights_only import old_torch_hole

    active = compat.active()
    for workaround in compat.WORKAROUNDS:
        if workaround.name in active:
            yield Finding(
                OK,
                f'{workaround.name}: active, because {workaround.reason}; '
                f'until {workaround.until}',
            )
        else:
            yield Finding(OK, f'{workaround.name}: not needed here')
    line = compat.outside_tested_range(torch.__version__, sys.version_info)
    if line:
        tested = tested_versions()
        pair = ' '.join(
            f"'{name}=={tested[name]}'"
            for name in ('torch', 'torchvision')
            if name in tested
        )
        last = f"'torch<={compat.TESTED_TORCH[1]}.*' torchvision"
        yield Finding(NOTE, line, f'pip install {pair or last}')
    hole = old_torch_hole()
    if hole:
        yield Finding(NOTE, hole, "pip install 'torch>=2.6' torchvision")


def _again(module: str) -> str:
    top = module.partition('.')[0]
    names = {own: name for name, own in STACK.items()}
    if top == 'mmtat':
        return 'mend what stands above first'
    if top == 'mmcv':
        return "pip install --force-reinstall 'mmtat[lite]'"
    if top in ('torch', 'torchvision'):
        return (
            'pip install --force-reinstall torch torchvision, both from the '
            'same index'
        )
    name = names[top]
    version = tested_versions().get(name)
    wanted = f"'{name}=={version}'" if version else name
    return f'pip install --force-reinstall --no-deps {wanted}'
