"""The config check as a user meets it: both tools, and every config."""

import subprocess
import sys

import pytest
from mmengine.registry import init_default_scope

from mmtat.engine.config_check import config_problems
from mmtat.engine.inspected import read_config
from mmtat.engine.wiring.zoo import zoo_configs
from mmtat.models.utils import load_config

from .pairs import PAIRS, TIMM_PAIRS, name_of, written
from .test_configs import RUNNABLE
from .test_configs import name_of as name_of_config
from .voc import ROOT, make_voc, run_tool, voc_options

SCENES = 'configs/digit_scenes/scenes_tat.py'
#: One of each kind, whose models are small; the others run with --all.
QUICK = {'digits/digits_tat.py'}


def check(*arguments):
    return subprocess.run(
        [sys.executable, 'tools/check_config.py', *map(str, arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_the_command_prints_every_problem_and_fails():
    done = check(
        SCENES,
        '--cfg-options',
        "model.distiller.layers=['decode_head.sep_bottlneck.1']",
        'model.distiller.branches.patch_group.patchs=(4,4)',
        'model.distiller.branches.anchor_point.loss_weight=0',
        'model.teacher_metrics=1',
        'train_cfg.max_iters=5',
    )
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    places = [line.partition(':')[0] for line in lines]
    assert places == [
        'model.teacher_metrics',
        'model.distiller.branches.patch_group.patchs',
        'model.distiller.branches.anchor_point.loss_weight',
        'default_hooks.logger.interval',
        'model.distiller.layers[0]',
        'model.distiller.layers[0]',
        'problems',
    ]
    assert lines[-1] == 'problems: 6'
    assert 'close matches: decode_head.sep_bottleneck' in lines[4]
    # torch 2.4 warns of what mmengine imports.
    assert 'DeprecationWarning' in done.stderr or not done.stderr


def test_the_command_is_content_with_a_config(monkeypatch, capfd):
    assert run_tool(monkeypatch, 'check_config', SCENES) == 0
    assert capfd.readouterr().out == 'problems: 0\n'


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['nothing.py'], "no config file 'nothing.py'"),
        (['configs/_base_/schedules/digits.py'], 'defines no model'),
    ],
)
def test_the_command_refuses_what_is_no_config(
    monkeypatch, capfd, arguments, message
):
    assert run_tool(monkeypatch, 'check_config', *arguments) == 1
    assert message in capfd.readouterr().err


@pytest.fixture
def errors(tmp_path, monkeypatch, capfd):
    """Train with options, expect a refusal, and return what was said."""
    root = make_voc(tmp_path / 'voc')

    def run(*options):
        status = run_tool(
            monkeypatch,
            'train',
            'configs/tat_deeplabv3_r101_r18_voc.py',
            *('--data-root', root, '--work-dir', tmp_path / 'run'),
            '--cfg-options',
            *voc_options(tmp_path / 'teacher.pth'),
            # Quicker to build than R101.
            'model.teacher=mmseg::deeplabv3/'
            'deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024.py',
            *options,
        )
        said = capfd.readouterr().err
        assert status == 1, said
        assert 'Traceback' not in said
        lines = said.splitlines()
        begin = next(i for i, x in enumerate(lines) if x.startswith('error:'))
        return lines[begin:]

    return run


def test_the_training_refuses_a_config_before_it_builds(errors, tmp_path):
    lines = errors(
        'model.distiller.branches.patch_group.patchs=(4,4)',
        "model.distiller.layers=['decode_head.bottlenek']",
    )
    assert len(lines) == 4
    assert lines[0].startswith(
        'error: model.distiller.branches.patch_group.patchs: '
    )
    assert 'the student (EncoderDecoder) has no layer' in lines[1]
    assert 'the teacher (EncoderDecoder) has no layer' in lines[2]
    assert lines[3] == '(3 problems in the config)'
    # Nothing was begun.
    assert not list(tmp_path.glob('run/*'))


def test_what_shows_in_building_comes_with_the_rest(errors):
    lines = errors(
        'model.distiller.branches.patch_group.patches=(16,16)',
        'model.distiller.branches.patch_group.groups=64',
        'model.distiller.branches.anchor_point.anchors=(5,5)',
    )
    assert len(lines) == 3
    assert 'error: model.distiller.branches.patch_group: pat' in lines[0]
    assert lines[1].startswith('model.distiller.branches.anchor_point: ')
    assert lines[2] == '(2 problems in the config)'


@pytest.mark.slow
def test_another_error_than_the_configs_stays_what_it_is(errors):
    (line,) = errors()
    assert 'teacher_ckpt: no file' in line


@pytest.mark.parametrize(
    'path',
    [
        pytest.param(
            path,
            id=name_of_config(path),
            marks=[] if name_of_config(path) in QUICK else [pytest.mark.slow],
        )
        for path in RUNNABLE
    ],
)
def test_a_config_of_the_repository_has_no_problem(path):
    found = config_problems(read_config(str(path)))
    assert [str(problem) for problem in found] == []


@pytest.mark.slow
@pytest.mark.parametrize('pair', [*PAIRS, *TIMM_PAIRS], ids=name_of)
def test_a_config_that_the_tool_wrote_has_no_problem(pair, tmp_path):
    path = tmp_path / 'mine.py'
    written(pair, path)
    found = config_problems(read_config(str(path)))
    assert [str(problem) for problem in found] == []


@pytest.mark.slow
@pytest.mark.parametrize('zoo', ['mmseg', 'mmpretrain'])
def test_models_of_the_zoos_have_no_problem_by_their_names(zoo):
    found = {}
    for name in zoo_configs(zoo):
        try:
            config = load_config(f'{zoo}::{name}', 'config')
        except (ImportError, KeyError, RuntimeError):
            # Of packages that are not there, or broken upstream.
            continue
        # Some have no training, and their bases no model.
        if 'model' not in config or 'default_scope' not in config:
            continue
        init_default_scope(zoo)
        lines = map(str, config_problems(config, builds=False))
        # A few of the zoos' heads do have other classes than their data.
        lines = [line for line in lines if 'num_classes=' not in line]
        if lines:
            found[name] = lines
    assert found == {}
