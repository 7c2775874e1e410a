"""Commands of the documentation, run as a reader types them."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from .doc_pages import COMMANDS, ROOT

#: They read a config and print, or write one.
QUICK = ('layers.py', 'distill.py', 'estimate.py', 'doctor.py')
DEMO = 'work_dirs/demo'
#: What a longer training of the demo logs.
LOGGED = (
    'decode.loss_ce',
    'student.decode.loss_ce',
    'distill.loss_tat_patch_group',
    'distill_gradient_ratio',
)
#: What stands in capital letters.
FILLED_IN = re.compile(r'(^|[/=:])[A-Z][A-Z_]*($|[./])')
#: End a training that a command begins at once.
SHORT = ('train_cfg.max_iters=2', 'train_cfg.val_interval=2')


def is_whole(command):
    """Whether a reader has nothing to fill in."""
    return not any(map(FILLED_IN.search, command.words))


def quick(command):
    program, *words = command.words
    tool = words[0].removeprefix('tools/') if words else ''
    is_dry = tool == 'sweep.py' and '--dry-run' in words
    is_check = tool == 'config_reference.py' and '--check' in words
    return program == 'python' and (tool in QUICK or is_dry or is_check)


def on_the_demo(command):
    is_tool = command.words[0] == 'python' and 'sweep' not in command.words[1]
    return is_tool and any(DEMO in word for word in command.words)


def named(commands):
    found = {shlex.join(command.words): command for command in commands}
    return dict(argvalues=found.values(), ids=[c.name for c in found.values()])


def run(command, folder, *more):
    python, *words = command.words
    done = subprocess.run(
        [sys.executable, *words, *more],
        cwd=folder,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A checkout in which nothing that is written stays."""
    folder = tmp_path_factory.mktemp('checkout')
    for name in ('configs', 'tools', 'docs'):
        (folder / name).symlink_to(ROOT / name)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    'command', **named(c for c in COMMANDS if quick(c) and is_whole(c))
)
def test_a_quick_command_does_what_it_is_for(command, checkout):
    assert run(command, checkout).strip()


@pytest.fixture(scope='module')
def demo(checkout):
    """What the demo leaves, of trainings that end after two steps."""
    subprocess.run(
        [sys.executable, 'tools/demo.py', '--steps', '2'],
        cwd=checkout,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    for run in (checkout / DEMO).glob('digit_scenes_*/iter_2.pth'):
        for name in ('iter_500.pth', 'iter_1000.pth'):
            shutil.copy(run, run.with_name(name))
    # Two steps are fewer than a LoggerHook waits for.
    record = dict.fromkeys(LOGGED, 1.0)
    for log in (checkout / DEMO).glob('*/*/vis_data/scalars.json'):
        with log.open('a') as file:
            file.write(json.dumps(dict(record, iter=2, step=2)) + '\n')
    return checkout


@pytest.mark.slow
@pytest.mark.parametrize(
    'command', **named(c for c in COMMANDS if on_the_demo(c) and is_whole(c))
)
def test_a_command_works_on_what_the_demo_leaves(command, demo):
    is_training = command.words[1] == 'tools/train.py'
    if is_training and '--cfg-options' not in command.words:
        run(command, demo, '--cfg-options', *SHORT)
    else:
        run(command, demo, *(SHORT if is_training else ()))
