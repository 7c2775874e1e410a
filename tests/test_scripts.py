"""The shell scripts, with a Python and an srun that only write down."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ROOT / 'tools'

#: Answers the questions of the scripts, and prints what else it is asked.
STAND_IN = """#!/usr/bin/env bash
case $2 in
    *device_count*) echo {gpus} ;;
    *sched_getaffinity*) echo 3 ;;
    *) echo "OMP_NUM_THREADS=$OMP_NUM_THREADS"; printf '%s\\n' "$@" ;;
esac
"""


def write_program(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def run(tmp_path):
    """Run a script of tools/ on a machine with some GPUs."""

    def run_script(name, *arguments, gpus=0, **environment):
        python = write_program(
            tmp_path / 'stand in', STAND_IN.format(gpus=gpus)
        )
        inherited = {
            name: value
            for name, value in os.environ.items()
            if name not in ('OMP_NUM_THREADS', 'GPUS', 'PORT', 'NNODES')
        }
        return subprocess.run(
            ['bash', TOOLS / name, *arguments],
            cwd=tmp_path,
            env={**inherited, 'PYTHON': str(python), **environment},
            capture_output=True,
            text=True,
        )

    return run_script


@pytest.mark.parametrize('script', sorted(TOOLS.glob('*.sh')), ids=str)
def test_scripts_parse(script):
    subprocess.run(['bash', '-n', script], check=True)


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [
        ('dist_train.sh', []),
        ('dist_train.sh', ['config.py']),
        ('dist_train.sh', ['config.py', '0']),
        ('dist_train.sh', ['config.py', 'two']),
        ('dist_train.sh', ['config.py', '--resume']),
        ('dist_test.sh', ['config.py', 'last.pth']),
        ('dist_test.sh', ['config.py', 'last.pth', '-1']),
        ('slurm_train.sh', ['partition', 'job']),
    ],
)
def test_wrong_usage_prints_usage_and_starts_nothing(run, script, arguments):
    done = run(script, *arguments)
    assert done.returncode == 2
    assert done.stdout == ''
    assert done.stderr.startswith('Usage: bash ')
    assert script in done.stderr


@pytest.mark.parametrize(
    ('script', 'arguments'),
    [
        ('dist_train.sh', ['config.py', '3']),
        ('dist_test.sh', ['config.py', 'last.pth', '3']),
    ],
)
def test_more_gpus_than_there_are_end_in_one_message(run, script, arguments):
    done = run(script, *arguments, gpus=2)
    assert done.returncode == 1
    assert done.stdout == ''
    assert len(done.stderr.splitlines()) == 1
    assert 'GPUS is 3' in done.stderr and 'offers 2' in done.stderr


def test_training_starts_by_torchrun_with_its_arguments(run):
    done = run(
        'dist_train.sh',
        'my config.py',
        '2',
        '--work-dir',
        'my dir',
        gpus=2,
        PORT='1234',
        NNODES='2',
        NODE_RANK='1',
        MASTER_ADDR='10.0.0.1',
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[:3] == ['OMP_NUM_THREADS=', '-m', 'torch.distributed.run']
    torchrun = dict(zip(lines[3:13:2], lines[4:13:2]))
    assert torchrun == {
        '--nnodes': '2',
        '--node_rank': '1',
        '--master_addr': '10.0.0.1',
        '--master_port': '1234',
        '--nproc_per_node': '2',
    }
    assert lines[13:] == [
        str(TOOLS / 'train.py'),
        'my config.py',
        '--work-dir',
        'my dir',
        '--launcher',
        'pytorch',
    ]


def test_testing_starts_by_torchrun_with_its_arguments(run):
    done = run('dist_test.sh', 'config.py', 'last.pth', '1', '--tta', gpus=1)
    assert done.stdout.splitlines()[-6:] == [
        str(TOOLS / 'test.py'),
        'config.py',
        'last.pth',
        '--tta',
        '--launcher',
        'pytorch',
    ]


def test_without_a_gpu_the_number_is_of_processes_that_share_the_cores(run):
    done = run('dist_train.sh', 'config.py', '4')
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == 'OMP_NUM_THREADS=3'
    assert lines[lines.index('--nproc_per_node') + 1] == '4'
    done = run('dist_train.sh', 'config.py', '4', OMP_NUM_THREADS='7')
    assert done.stdout.startswith('OMP_NUM_THREADS=7\n')


@pytest.fixture
def slurm(run, tmp_path):
    """Run slurm_train.sh where an srun is."""
    write_program(
        tmp_path / 'bin/srun', '#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n'
    )
    path = f'{tmp_path / "bin"}{os.pathsep}{os.environ["PATH"]}'
    return lambda *arguments, **environment: run(
        'slurm_train.sh', *arguments, PATH=path, **environment
    )


def test_slurm_jobs_follow_the_conventions(slurm):
    done = slurm(
        'part',
        'job',
        'config.py',
        'work dir',
        '--amp',
        GPUS='4',
        SRUN_ARGS='--quotatype auto',
        PY_ARGS='--resume auto',
    )
    lines = done.stdout.splitlines()
    options = dict(zip(lines[:16:2], lines[1:16:2]))
    assert options == {
        '--partition': 'part',
        '--job-name': 'job',
        '--gres': 'gpu:4',
        '--ntasks': '4',
        '--ntasks-per-node': '4',
        '--cpus-per-task': '5',
        '--kill-on-bad-exit': '1',
        '--quotatype': 'auto',
    }
    assert lines[17:] == [
        '-u',
        str(TOOLS / 'train.py'),
        'config.py',
        '--work-dir',
        'work dir',
        '--amp',
        '--resume',
        'auto',
        '--launcher',
        'slurm',
    ]


def test_slurm_jobs_need_no_work_dir_and_span_nodes(slurm):
    done = slurm('part', 'job', 'config.py', '--amp', GPUS='16')
    lines = done.stdout.splitlines()
    assert lines[lines.index('--gres') + 1] == 'gpu:8'
    assert lines[-4:] == ['config.py', '--amp', '--launcher', 'slurm']


def test_slurm_jobs_elsewhere_are_told_so(run):
    if shutil.which('srun'):
        pytest.skip('this is a node of a Slurm cluster')
    done = run('slurm_train.sh', 'part', 'job', 'config.py')
    assert done.returncode == 1
    assert 'srun is not found' in done.stderr


# --- the two commands -------------------------------------------------------


@pytest.fixture
def checkout(tmp_path):
    """A checkout with nothing but its scripts, in a path with spaces."""
    root = tmp_path / 'my checkout'
    shutil.copytree(
        TOOLS, root / 'tools', ignore=shutil.ignore_patterns('__pycache__')
    )
    return root


def run_command(root, name, *arguments, **environment):
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ('VIRTUAL_ENV', 'PYTHON', 'OMP_NUM_THREADS')
    }
    return subprocess.run(
        ['bash', root / 'tools' / name, *arguments],
        cwd=root.parent,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
    )


#: A Python whose environment satisfies whoever asks.
CONTENT = """#!/usr/bin/env bash
case $* in
    *setup_env.py\\ check*) exit 0 ;;
    *setup_env.py\\ install*) echo 'must not install'; exit 9 ;;
    *sched_getaffinity*) echo 2 ;;
    *) pwd; echo "$OMP_NUM_THREADS"; printf '%s\\n' "$@"; exit 5 ;;
esac
"""


def test_an_environment_that_fits_is_left_alone(checkout):
    write_program(checkout / '.venv/bin/python', CONTENT)
    done = run_command(checkout, 'run_tests.sh', '--all', 'tests/a b.py')
    assert done.returncode == 5  # what pytest says is what the command says
    assert done.stdout.splitlines() == [
        str(checkout),
        '2',
        '-m',
        'pytest',
        '--all',
        'tests/a b.py',
    ]


def test_threads_that_the_user_chose_stay(checkout):
    write_program(checkout / '.venv/bin/python', CONTENT)
    done = run_command(checkout, 'run_tests.sh', OMP_NUM_THREADS='3')
    assert done.stdout.splitlines()[1] == '3'


def test_the_demo_runs_where_the_user_is(checkout):
    write_program(checkout / '.venv/bin/python', CONTENT)
    done = run_command(checkout, 'demo.sh', '--seed', '1')
    assert done.stdout.splitlines()[0] == str(checkout.parent)
    assert done.stdout.splitlines()[2:] == [
        str(checkout / 'tools/demo.py'),
        '--seed',
        '1',
    ]


def test_an_active_environment_that_fits_is_used_as_it_is(checkout, tmp_path):
    write_program(tmp_path / 'mine/bin/python', CONTENT)
    done = run_command(
        checkout, 'run_tests.sh', VIRTUAL_ENV=str(tmp_path / 'mine')
    )
    assert done.returncode == 5
    assert not (checkout / '.venv').exists()


def test_without_a_python_that_fits_the_message_says_what_to_do(
    checkout, tmp_path
):
    folder = tmp_path / 'bin'
    for name in ('python3.12', 'python3.11', 'python3', 'python'):
        write_program(folder / name, '#!/bin/sh\nexit 1\n')
    done = run_command(
        checkout,
        'run_tests.sh',
        PATH=f'{folder}{os.pathsep}{os.environ["PATH"]}',
    )
    assert done.returncode == 1
    assert 'needs Python 3.11 or 3.12 with its venv module' in done.stderr
    assert 'PYTHON=' in done.stderr
    assert not (checkout / '.venv').exists()
