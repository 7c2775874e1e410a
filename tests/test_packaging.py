"""Requirements, the wheel, and the environment of a checkout."""

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import mmtat
from mmtat import compat

ROOT = Path(__file__).resolve().parent.parent


def load_setup_env():
    spec = importlib.util.spec_from_file_location(
        'setup_env', ROOT / 'tools/setup_env.py'
    )
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


setup_env = load_setup_env()


# --- requirements -----------------------------------------------------------


def test_the_ranges_admit_the_tested_set():
    tested = setup_env.tested_versions()
    tables = setup_env.declared()
    for line in tables[''] + tables['lite'] + tables['tests']:
        requirement = Requirement(line)
        version = tested[canonicalize_name(requirement.name)]
        assert requirement.specifier.contains(version), line


def test_the_tested_ends_of_torch_are_those_of_the_requirements():
    (torch,) = (
        Requirement(line)
        for line in setup_env.declared()['']
        if Requirement(line).name == 'torch'
    )
    assert str(torch.specifier) == f'>={compat.TESTED_TORCH[0]}'
    tested = setup_env.tested_versions()['torch']
    assert tested.startswith(compat.TESTED_TORCH[1] + '.')


def commented_requirements():
    """Each requirement of setup.py with the comment that covers it."""
    lines = (ROOT / 'setup.py').read_text().splitlines()
    comment, in_comment = '', False
    start = lines.index('INSTALL_REQUIRES = [')
    end = lines.index('}', start)
    for line in map(str.strip, lines[start:end]):
        if line.startswith('#'):
            comment = f'{comment} {line[1:]}' if in_comment else line[1:]
        elif line.startswith("'") and line.endswith("',"):
            yield Requirement(ast.literal_eval(line[:-1])), comment
        in_comment = line.startswith('#')


def test_every_bound_says_its_reason():
    commented = list(commented_requirements())
    declared = sum(map(len, setup_env.declared().values()))
    assert len(commented) == declared
    for requirement, comment in commented:
        bounds = [clause.version for clause in requirement.specifier]
        for bound in bounds or ['Unbounded']:
            assert bound in comment, f'{requirement}: {comment}'


def test_a_full_mmcv_is_never_overwritten_by_the_lite_one():
    for name, lines in setup_env.declared().items():
        for line in lines:
            assert Requirement(line).name != 'mmcv-lite' or name == 'lite'


def test_the_citation_names_this_version():
    text = (ROOT / 'CITATION.cff').read_text()
    assert f'\nversion: {mmtat.__version__}\n' in text


# --- the wheel --------------------------------------------------------------


@pytest.fixture(scope='module')
def built(tmp_path_factory):
    """What a wheel holds, built from the checkout."""
    target = tmp_path_factory.mktemp('built')
    before = sorted(os.listdir(ROOT))
    done = subprocess.run(
        [sys.executable, 'setup.py', '-q', 'build_py', '-d', str(target)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(ROOT)) == before
    return target


def test_a_wheel_carries_every_module_and_the_type_marker(built):
    for path in [
        *ROOT.glob('mmtat/**/*.py'),
        *ROOT.glob('mmtat/**/*.json'),
        ROOT / 'mmtat/py.typed',
    ]:
        assert (built / path.relative_to(ROOT)).exists(), path


def test_a_wheel_carries_configs_and_tools(built):
    mim = built / 'mmtat/.mim'
    paths = [
        path
        for suffix in ('py', 'yml', 'md')
        for path in ROOT.glob(f'configs/**/*.{suffix}')
    ]
    others = ('model-index.yml', 'tools/dist_train.sh')
    for path in [*paths, *(ROOT / other for other in others)]:
        assert (mim / path.relative_to(ROOT)).exists(), path
    assert os.access(mim / 'tools/dist_train.sh', os.X_OK)


def test_a_wheel_leaves_out_what_only_a_checkout_can_use(built):
    tools = built / 'mmtat/.mim/tools'
    for name in (
        *('setup_env.sh', 'setup_env.py', 'demo.sh'),
        *('run_tests.sh', 'run_tests_with_torch.sh'),
    ):
        assert (ROOT / 'tools' / name).exists()
        assert not (tools / name).exists()
    assert not list(built.rglob('__pycache__'))


def test_a_wheel_works_outside_the_checkout(built, tmp_path):
    done = subprocess.run(
        [sys.executable, built / 'mmtat/.mim/tools/train.py', '--help'],
        cwd=tmp_path,
        env={**os.environ, 'PYTHONPATH': str(built)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '--work-dir' in done.stdout


# --- the environment --------------------------------------------------------


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty site-packages, the only one; returns how to install in it."""
    monkeypatch.setattr(sys, 'path', [str(tmp_path)])
    monkeypatch.setattr(sys, 'prefix', str(tmp_path))

    def install(name, version='1.0', requires=(), record=True):
        stem = name.replace('-', '_')
        folder = tmp_path / f'{stem}-{version}.dist-info'
        folder.mkdir()
        lines = [f'Name: {name}', f'Version: {version}']
        lines += [f'Requires-Dist: {line}' for line in requires]
        (folder / 'METADATA').write_text('\n'.join(lines) + '\n\n')
        (tmp_path / stem).mkdir()
        (tmp_path / stem / '__init__.py').write_text('')
        if record:
            (folder / 'RECORD').write_text(
                f'{stem}/__init__.py,,\n{folder.name}/METADATA,,\n'
                f'{stem}/gone.pyc,,\n'
            )
        return tmp_path / stem

    return install


def missing(*lines):
    return setup_env.missing([Requirement(line) for line in lines])


def test_what_is_there_and_fits_is_not_missing(site):
    site('one', requires=['two>=1.0', 'three; extra == "more"'])
    site('two')
    assert missing('one<2') == {}


def test_missing_misfit_and_indirect_requirements_are_found(site):
    site('one', requires=['two>=1.5', 'three; extra == "more"'])
    site('two')
    found = missing('one[more]', 'four')
    assert found.keys() == {'two', 'three', 'four'}
    assert '>=1.5' in found['two'] and '1.0 is there' in found['two']


def test_a_package_whose_installation_broke_off_is_missing(site):
    site('one', record=False)
    shutil.rmtree(site('two'))
    assert missing('one', 'two').keys() == {'one', 'two'}
    setup_env.forget_broken()
    assert setup_env.find('one') is None
    assert setup_env.find('two') is None


def test_whole_packages_are_not_forgotten(site):
    site('one')
    setup_env.forget_broken()
    assert setup_env.find('one') is not None


def test_an_empty_environment_gets_the_tested_set(site):
    lines = setup_env.bent_constraints()
    assert {'torch==2.11.0', 'torchvision==0.26.0'} <= set(lines)


def test_another_torch_and_numpy_stay(site):
    site('torch', '2.6.0+cpu')
    site('numpy', '2.1.0')
    # Nothing else is pinned: what fits this torch is for pip to find.
    lines = setup_env.bent_constraints()
    assert set(lines) == {'torch==2.6.0+cpu', 'numpy==2.1.0'}


def test_a_torch_that_is_too_old_does_not_stay(site):
    site('torch', '2.3.0')
    assert 'torch==2.11.0' in setup_env.bent_constraints()


def test_a_torch_that_is_asked_for_comes_with_the_other_tested_pins(site):
    tested = set(setup_env.bent_constraints())
    pair = {'torch==2.11.0', 'torchvision==0.26.0'}
    assert set(setup_env.constraints_of('2.11.0')) == tested
    other = {'torch==2.4.0', 'torchvision==0.19.*'}
    expected = tested - pair | other
    assert set(setup_env.constraints_of('2.4.0')) == expected


def test_another_torch_than_the_one_asked_for_is_a_problem(site):
    site('torch', '2.6.0+cpu')
    assert 'torch==2.4.0, and 2.6.0+cpu is there' in setup_env.problems(
        torch='2.4.0'
    )
    lines = setup_env.problems(torch='2.6.0')
    assert not any(line.startswith('torch==') for line in lines)


@pytest.mark.parametrize('version', ['', 'newest', '2.4.0; echo'])
def test_what_is_no_release_of_torch_is_refused(version):
    script = ROOT / 'tools/run_tests_with_torch.sh'
    done = subprocess.run(
        ['bash', script, version], capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stdout == ''
    assert f"release of torch, as 2.4.0, got '{version}'" in done.stderr


def test_a_full_mmcv_stands_for_the_lite_one(site):
    assert 'mmcv-lite' in {r.name for r in setup_env.wanted()}
    site('mmcv', '2.1.0')
    names = {r.name for r in setup_env.wanted()}
    assert 'mmcv' in names and 'mmcv-lite' not in names


@pytest.mark.parametrize(
    ('mmcv', 'extras'), [('mmcv', 'tests'), ('mmcv-lite', 'lite,tests')]
)
def test_mmcv_lite_comes_in_only_where_no_full_mmcv_is(
    site, monkeypatch, mmcv, extras
):
    site(mmcv, '2.1.0')
    calls = []
    monkeypatch.setattr(
        setup_env, 'pip_install', lambda *arguments: calls.append(arguments)
    )
    monkeypatch.setattr(
        setup_env, 'replace_opencv_without_display', lambda: None
    )
    setup_env.install()
    ((*_, flag, target),) = calls
    assert (flag, target) == ('-e', f'.[{extras}]')


def test_a_full_mmcv_that_does_not_fit_is_told_and_left_alone(
    site, monkeypatch
):
    site('mmcv', '2.2.0')
    monkeypatch.setattr(setup_env, 'pip_install', pytest.fail)
    with pytest.raises(SystemExit, match=r'mmcv 2\.2\.0 .*<=2\.1\.0'):
        setup_env.install()
    assert setup_env.find('mmcv').version == '2.2.0'
