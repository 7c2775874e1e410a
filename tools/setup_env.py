"""Check or complete the environment of a checkout.

Run by the Python of that environment, with nothing but pip in it::

    python tools/setup_env.py check      # exit status 1 if something lacks
    python tools/setup_env.py install    # brings in what lacks
    python tools/setup_env.py install --torch 2.4.0    # and this torch

What is installed and fits ``setup.py`` stays as it is, a torch or a full mmcv
above all; only what lacks comes in, in the versions that were tested together.
"""

import argparse
import ast
import csv
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from pathlib import Path

try:
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name
except ImportError:  # an empty environment has only pip's own copy
    from pip._vendor.packaging.requirements import Requirement
    from pip._vendor.packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
CONSTRAINTS = ROOT / 'requirements/constraints.txt'


def declared(setup_py=ROOT / 'setup.py'):
    """Read the requirement tables of ``setup.py`` without running it.

    Args:
        setup_py (Path): The file.

    Returns:
        dict[str, list[str]]: Requirements by the name of their extra; those
        that always hold under ''.
    """
    tables = {
        node.targets[0].id: ast.literal_eval(node.value)
        for node in ast.parse(setup_py.read_text('utf-8')).body
        if isinstance(node, ast.Assign)
        and node.targets[0].id in ('INSTALL_REQUIRES', 'EXTRAS_REQUIRE')
    }
    return {'': tables['INSTALL_REQUIRES'], **tables['EXTRAS_REQUIRE']}


def is_whole(distribution):
    """Whether an installation got to its end and nothing was removed since.

    pip writes RECORD last, and takes a package without one for installed.
    Deeper files are not looked at: there are 60,000 of them.

    Args:
        distribution (importlib.metadata.Distribution): What to look at.
    """
    folder = distribution._path
    if folder.suffix != '.dist-info':  # Debian's packages have no RECORD
        return True
    record = distribution.read_text('RECORD')
    if record is None:
        return False
    files = (row[0] for row in csv.reader(record.splitlines()) if row)
    return all(
        distribution.locate_file(file).exists()
        for file in files
        if file.count('/') <= 1 and not file.endswith('.pyc')
    )


def find(name):
    """The installed distribution of this name, or None.

    Args:
        name (str): Name of a distribution, in any spelling.
    """
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def wanted(extras=()):
    """What the checkout's environment must satisfy, as Requirements.

    Args:
        extras (Sequence[str]): Names of ``setup.py``, beside the tests.
    """
    tables = declared()
    lines = tables[''] + tables['tests']
    for extra in extras:
        lines += tables[extra]
    for line in tables['lite']:
        # A full mmcv is as good, in the same range.
        full = line.replace('mmcv-lite', 'mmcv')
        lines.append(full if find('mmcv') else line)
    return [Requirement(line) for line in lines]


def missing(requirements):
    """Find what of the requirements, and of theirs, is not satisfied.

    Args:
        requirements (list[Requirement]): What must be there.

    Returns:
        dict[str, str]: By name of the distribution, what is wrong with it.
    """
    found, seen, todo = {}, set(), list(requirements)
    while todo:
        requirement = todo.pop()
        name = canonicalize_name(requirement.name)
        distribution = find(name)
        if distribution is None:
            found[name] = f'{requirement} is not installed'
        elif not is_whole(distribution):
            found[name] = f'{requirement} is installed only in part'
        elif not requirement.specifier.contains(
            distribution.version, prereleases=True
        ):
            found[name] = f'{requirement}, and {distribution.version} is there'
        elif (name, *sorted(requirement.extras)) not in seen:
            seen.add((name, *sorted(requirement.extras)))
            todo += children(distribution, requirement.extras)
    return found


def children(distribution, extras):
    """The requirements of a distribution that hold here.

    Args:
        distribution (importlib.metadata.Distribution): The parent.
        extras (set[str]): The extras that are asked of it.
    """
    for child in map(Requirement, distribution.requires or ()):
        if child.marker is None or any(
            child.marker.evaluate({'extra': extra}) for extra in ('', *extras)
        ):
            yield child


def problems(extras=(), torch=None):
    """Everything that keeps the checkout from running, as readable lines.

    Args:
        extras (Sequence[str]): Names of ``setup.py`` that are needed too.
        torch (str, optional): The one release of torch that will do.
    """
    requirements = wanted(extras)
    if torch is not None:
        requirements.append(Requirement(f'torch=={torch}'))
    lines = list(missing(requirements).values())
    spec = importlib.util.find_spec('mmtat')
    if spec is None or Path(spec.origin).parent != ROOT / 'mmtat':
        lines.append(f'mmtat is not installed from {ROOT}')
    if not lines:
        try:
            import cv2  # noqa: F401
        except ImportError as error:
            lines.append(f'opencv-python does not import: {error}')
    return lines


def tested_versions():
    """The set that was tested together, by name of the distribution."""
    lines = CONSTRAINTS.read_text('utf-8').splitlines()
    pins = [li.split('==') for li in lines if li and not li.startswith('#')]
    return {canonicalize_name(name): version for name, version in pins}


def bent_constraints():
    """The tested set, bent round what is installed and fits.

    Returns:
        list[str]: Lines of a constraints file.
    """
    ranges = {canonicalize_name(r.name): r.specifier for r in wanted()}
    tested = tested_versions()
    pins = {}
    for name, version in tested.items():
        present = find(name)
        if present is None:
            pins[name] = version
        elif name in ranges:  # of the others, pip keeps those that agree
            fits = ranges[name].contains(present.version, prereleases=True)
            pins[name] = present.version if fits else version
    if pins['torch'].split('+')[0] != tested['torch']:
        # What was tested with one torch need not fit another.
        pins = {name: pins[name] for name in pins if find(name)}
    return [f'{name}=={version}' for name, version in pins.items()]


def constraints_of(torch):
    """The tested set with another torch, and whatever vision is built for it.

    Args:
        torch (str): A release, as '2.4.0'.

    Returns:
        list[str]: Lines of a constraints file.
    """
    pins = tested_versions()
    if pins['torch'] != torch:
        # torch 2.n is what torchvision 0.(n+15) is built for; pip would find
        # that out as well, after fetching all that are newer.
        pins['torchvision'] = f'0.{int(torch.split(".")[1]) + 15}.*'
        pins['torch'] = torch
    return [f'{name}=={version}' for name, version in pins.items()]


def forget_broken():
    """Remove the traces of half-done installations, so that pip redoes them.

    The files of the packages stay: pip writes over them.
    """
    for distribution in list(metadata.distributions()):
        folder = distribution._path
        if Path(sys.prefix) in folder.parents and not is_whole(distribution):
            print(f'{folder.name} is installed only in part: again.')
            shutil.rmtree(folder)


def pip_install(*arguments):
    """Run pip in the checkout; ends the program if pip fails.

    Args:
        *arguments (str): What to install, and options.
    """
    command = [sys.executable, '-m', 'pip', 'install', *arguments]
    if subprocess.run(command, cwd=ROOT).returncode:
        raise SystemExit(
            f'pip could not complete {sys.prefix}; its reason stands above. '
            'Run the command again to go on from here.'
        )


def install(extras=(), torch=None):
    """Bring in what lacks, and no more.

    Args:
        extras (Sequence[str]): Names of ``setup.py``, beside the tests.
        torch (str, optional): The release of torch that it shall be.
    """
    forget_broken()
    full_mmcv = find('mmcv')
    if full_mmcv and 'mmcv' in missing(wanted()):
        raise SystemExit(
            f'mmcv {full_mmcv.version} is installed in {sys.prefix}, and '
            f'{missing(wanted())["mmcv"]}. Install one that fits, or '
            'uninstall it, and mmcv-lite comes in its place.'
        )
    names = ['tests', *extras] if full_mmcv else ['lite', 'tests', *extras]
    lines = bent_constraints() if torch is None else constraints_of(torch)
    with tempfile.TemporaryDirectory() as folder:
        constraints = Path(folder, 'constraints.txt')
        constraints.write_text('\n'.join(lines) + '\n')
        pip_install('-c', str(constraints), '-e', f'.[{",".join(names)}]')
    replace_opencv_without_display()


def replace_opencv_without_display():
    """Where the libraries of a desktop lack, take the headless OpenCV.

    mmengine asks for opencv-python by name, which needs libGL; the headless
    one brings the same files without that need.
    """
    command = [sys.executable, '-c', 'import cv2']
    if subprocess.run(command, stderr=subprocess.DEVNULL).returncode:
        print('OpenCV does not import: trying the one without a display.')
        version = metadata.version('opencv-python')
        pip_install(
            '--no-deps',
            '--force-reinstall',
            f'opencv-python-headless=={version}',
        )


def main():
    """Parse the command line and run it."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('action', choices=('check', 'install'))
    parser.add_argument('--quiet', action='store_true')
    parser.add_argument('--extras', default='', metavar='A,B')
    parser.add_argument('--torch', metavar='VERSION')
    arguments = parser.parse_args()
    extras = [name for name in arguments.extras.split(',') if name]
    unknown = set(extras) - set(declared())
    if unknown:
        parser.error(f'--extras: setup.py has no {", ".join(sorted(unknown))}')
    if arguments.action == 'install':
        install(extras, arguments.torch)
        # What pip brought in is new to this process.
        command = [sys.executable, __file__, 'check']
        command += ['--extras', arguments.extras]
        if arguments.torch:
            command += ['--torch', arguments.torch]
        raise SystemExit(subprocess.run(command).returncode)
    lines = problems(extras, arguments.torch)
    if not arguments.quiet:
        print('\n'.join(lines) or f'{sys.prefix} satisfies setup.py.')
    raise SystemExit(1 if lines else 0)


if __name__ == '__main__':
    main()
