"""The versions that mmtat was tested on."""

from typing import Optional

from mmengine.utils import digit_version

#: First and last torch that the test suite ran on, and the Pythons.
TESTED_TORCH = ('2.4', '2.11')
TESTED_PYTHON = ((3, 11), (3, 12))


def outside_tested_range(
    torch_version: str, python_version: tuple
) -> Optional[str]:
    """One line about versions that nobody tried; None inside the range.

    Args:
        torch_version (str): As ``torch.__version__``, '2.11.0+cu130'.
        python_version (tuple[int]): As ``sys.version_info``.
    """
    short = '.'.join(torch_version.split('+')[0].split('.')[:2])
    python = tuple(python_version[:2])
    first, last = (digit_version(v) for v in TESTED_TORCH)
    if first <= digit_version(short) <= last and python in TESTED_PYTHON:
        return None
    return (
        f'mmtat was tested on torch {TESTED_TORCH[0]} to {TESTED_TORCH[1]} '
        'and Python 3.11 and 3.12; this is torch '
        f'{torch_version} on Python {python[0]}.{python[1]}. Going on.'
    )
