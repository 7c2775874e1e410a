"""Sweeps: every run once, in its own process, and none of them hidden."""

import csv
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS, init_default_scope

from mmtat.engine.sweep import (
    Result,
    Sweep,
    finished_runs,
    read_sweep,
    resolve_sweep,
    run_sweep,
    write_results,
)
from mmtat.engine.sweep.grid import short_names
from mmtat.engine.sweep.options import resolve
from mmtat.engine.sweep.picture import figure_of
from mmtat.engine.sweep.places import places_of
from mmtat.engine.sweep.records import LOG_FILE, RESULT_FILE
from mmtat.engine.sweep.tables import markdown
from mmtat.models.distillers.layer_pairs import RECORDER, map_shape
from mmtat.models.distillers.tat_distiller import TaTDistiller
from mmtat.models.distillers.tat_layer import TaTLayer

from .hostile_files import content, write_zip
from .running import toy_config, train
from .voc import ROOT, run_tool

LR = 'optim_wrapper.optimizer.lr'


@HOOKS.register_module()
class Trouble(Hook):
    """What can happen to a run, once: a file says that it has happened."""

    def __init__(self, kind='', after=3, once=''):
        self.kind, self.after, self.once = kind, after, Path(once)

    def after_train_iter(self, runner, batch_idx, data_batch, outputs):
        if runner.iter + 1 != self.after or self.once.exists():
            return
        if self.kind == 'note':
            threads = torch.get_num_threads()
            visible = os.environ.get('CUDA_VISIBLE_DEVICES')
            device = next(runner.model.parameters()).device.type
            self.once.write_text(f'{visible} {threads} {device}')
        elif self.kind == 'killed':
            self.once.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        elif self.kind == 'hangs':
            self.once.touch()
            time.sleep(1000)


@pytest.fixture
def config(tmp_path):
    """Path of a config of 4 iterations, a checkpoint after the second."""
    model = dict(type='ToySegmentor', norm='none')
    content = toy_config(tmp_path / 'unused', model=model)
    del content['work_dir'], content['experiment_name']
    content['custom_imports'] = dict(imports=['tests.test_sweep'])
    content['custom_hooks'] = [dict(type='Trouble')]
    path = tmp_path / 'toy.py'
    Config(content).dump(path)
    return str(path)


def toy_sweep(config, grid=None, seeds=(0, 1), metric='score', **kwargs):
    grid = {LR: [0.1, 0.2]} if grid is None else grid
    return Sweep('toy', config, grid, list(seeds), metric, **kwargs)


def rows_of(out):
    with open(out / 'results.csv') as file:
        return list(csv.DictReader(file))


def test_every_point_runs_with_every_seed_and_as_it_does_alone(
    config, tmp_path
):
    out, said = tmp_path / 'out', []
    results = run_sweep(toy_sweep(config), out, jobs=2, say=said.append)
    write_results(results, out, 'score')
    assert [(r.run.labels[LR], r.run.seed) for r in results] == [
        *((0.1, 0), (0.1, 1), (0.2, 0), (0.2, 1)),
    ]
    assert [r.status for r in results] == ['finished'] * 4
    scores = [r.metrics['score'] for r in results]
    assert len(set(scores)) == 4
    alone = Config.fromfile(config)
    alone.merge_from_dict({LR: 0.2, 'work_dir': str(tmp_path / 'alone')})
    alone.randomness = dict(seed=1)
    runner = train(alone.to_dict())
    expected = runner.message_hub.get_scalar('val/score').current()
    assert scores[3] == pytest.approx(expected, abs=1e-4)  # log's digits

    assert len(said) == 4 and 'left' in said[0] and 'left' not in said[3]
    rows = rows_of(out)
    assert [float(row['score']) for row in rows] == scores
    assert [row['folder'] for row in rows] == [r.run.name for r in results]
    assert all(float(row['seconds_per_iteration']) > 0 for row in rows)
    mean, std = statistics.mean(scores[2:]), statistics.stdev(scores[2:])
    table = (out / 'results.md').read_text()
    assert f'| 0.2 | {mean:.4f} | ± {std:.4f} | 2 | 0 |' in table
    assert (out / 'results.png').read_bytes().startswith(b'\x89PNG')
    assert not list(out.rglob('*.tmp'))


def test_finished_runs_are_not_run_again_and_a_grid_may_grow(config, tmp_path):
    out = tmp_path / 'out'
    first = run_sweep(toy_sweep(config, {LR: [0.1]}, [0]), out)
    record = out / first[0].run.name / RESULT_FILE
    before = record.stat().st_mtime_ns
    said = []
    both = run_sweep(toy_sweep(config, seeds=[0]), out, say=said.append)
    assert record.stat().st_mtime_ns == before
    assert said[0] == '1 of 2 runs are finished'
    assert len(said) == 2 and said[1].startswith('[2/2] lr 0.2, seed 0: score')
    assert both[0] == first[0]
    saved = json.loads(record.read_text())
    assert saved['options'] == {LR: 0.1, 'randomness.seed': 0}
    assert saved['torch'] == torch.__version__ and not saved['resumed']


def test_a_failed_run_is_shown_and_tried_again_while_others_go_on(
    config, tmp_path
):
    out, said = tmp_path / 'out', []
    sweep = toy_sweep(config, {LR: [-1, 0.1]}, [0])
    failed, finished = run_sweep(sweep, out, say=said.append)
    assert (failed.status, finished.status) == ('failed', 'finished')
    assert 'Invalid learning rate: -1' in failed.error.splitlines()[-1]
    assert 'failed, status 1' in said[0]
    assert [row['status'] for row in rows_of(out)] == ['failed', 'finished']
    table = markdown([failed, finished], 'score')
    assert '| -1 | - | - | 0 | 1 |' in table
    assert '1 of 2 runs failed' in table and 'Invalid learning rate' in table
    said.clear()
    again, _ = run_sweep(sweep, out, say=said.append)
    assert len(said) == 2 and 'failed' in said[1]
    # Of this attempt, not of the one before.
    assert again.error.count('Traceback') == failed.error.count('Traceback')


def test_a_killed_run_goes_on_from_its_checkpoint(config, tmp_path):
    out = tmp_path / 'out'
    sweep = toy_sweep(
        config,
        {'end': {'killed': {'custom_hooks.0.kind': 'killed'}, 'own': {}}},
        seeds=[0],
        options={'custom_hooks.0.once': str(tmp_path / 'happened')},
    )
    killed, own = run_sweep(sweep, out, say=lambda line: None)
    assert killed.error.startswith('killed by signal 9')
    assert own.status == 'finished'
    killed, _ = run_sweep(sweep, out, say=lambda line: None)
    record = json.loads((out / killed.run.name / RESULT_FILE).read_text())
    assert record['resumed']
    assert killed.metrics == own.metrics


def test_a_run_that_lacks_only_its_validation_gets_it(config, tmp_path):
    out = tmp_path / 'out'
    sweep = toy_sweep(
        config,
        {'end': {'killed': {'custom_hooks.0.kind': 'killed'}, 'own': {}}},
        seeds=[0],
        options={
            'custom_hooks.0.once': str(tmp_path / 'happened'),
            'custom_hooks.0.after': 4,
            # After the checkpoint, whose priority is VERY_LOW.
            'custom_hooks.0.priority': 'LOWEST',
        },
    )
    run_sweep(sweep, out, say=lambda line: None)
    killed, own = run_sweep(sweep, out, say=lambda line: None)
    assert killed.metrics == own.metrics


@pytest.mark.parametrize('state', ['finished', 'began'])
def test_a_run_of_another_config_is_refused(config, tmp_path, state):
    out = tmp_path / 'out'
    hook = dict(once=str(tmp_path / 'happened'))
    if state == 'began':
        hook['kind'] = 'killed'
    options = {f'custom_hooks.0.{key}': hook[key] for key in hook}
    sweep = toy_sweep(config, {LR: [0.1]}, [0], options=options)
    (result,) = run_sweep(sweep, out, say=lambda line: None)
    sweep.options['train_cfg.max_iters'] = 6
    before = sorted(out.rglob('*'))
    with pytest.raises(ValueError, match=f'{result.run.name!r} {state} with'):
        run_sweep(sweep, out)
    assert sorted(out.rglob('*')) == before


def test_a_config_that_is_changed_meanwhile_trains_nothing(config, tmp_path):
    out = tmp_path / 'out'
    sweep = toy_sweep(config, {LR: [0.1, 0.2]}, [0])

    def change(line):
        Path(config).write_text(Path(config).read_text() + 'changed = 1\n')

    first, second = run_sweep(sweep, out, say=change)
    assert (first.status, second.status) == ('finished', 'failed')
    assert 'was changed since the sweep began' in second.error


def test_a_config_is_the_same_wherever_its_folder_lies(config, tmp_path):
    text = Path(config).read_text() + "origin = '{{ fileDirname }}/x.py'\n"
    digests = []
    for name in ('one', 'two'):
        path = tmp_path / name / 'toy.py'
        path.parent.mkdir()
        path.write_text(text)
        digests.append(resolve_sweep(toy_sweep(str(path))))
    assert digests[0] == digests[1]
    assert len(set(digests[0].values())) == 4


@pytest.mark.parametrize('trusts', [False, True])
def test_only_a_trusting_sweep_runs_what_a_checkpoint_holds(
    config, tmp_path, trusts
):
    marker, path = tmp_path / 'ran', tmp_path / 'mine.pth'
    weights = MODELS.build(Config.fromfile(config).model).state_dict()
    write_zip(path, content(marker, weights))
    sweep = toy_sweep(config, {'load_from': [str(path)]}, seeds=[0])
    out = tmp_path / 'out'
    (result,) = run_sweep(sweep, out, trust_checkpoint=trusts)
    assert marker.exists() is trusts
    assert result.status == ('finished' if trusts else 'failed')
    log = (out / result.run.name / LOG_FILE).read_text()
    assert ('UNSAFELY' in log) is trusts
    assert trusts or 'cannot be read as a checkpoint' in result.error


def test_a_folder_has_one_sweep_at_a_time(config, tmp_path):
    out = tmp_path / 'out'

    def run_another(line):
        with pytest.raises(ValueError, match='another sweep is running'):
            run_sweep(toy_sweep(config, {LR: [0.3]}), out)

    run_sweep(toy_sweep(config, {LR: [0.1]}, [0]), out, say=run_another)


def test_an_unknown_metric_ends_the_sweep_with_those_there_are(
    config, tmp_path
):
    said = []
    sweep = toy_sweep(config, seeds=[0], metric='mIoU')
    with pytest.raises(ValueError, match="no 'mIoU'; there are 'score'"):
        run_sweep(sweep, tmp_path / 'out', say=said.append)
    assert said == []
    sweep.metric = 'score'
    results = run_sweep(sweep, tmp_path / 'out', say=said.append)
    assert said[0] == '1 of 2 runs are finished'
    assert [result.status for result in results] == ['finished'] * 2


@pytest.mark.skipif(
    torch.cuda.is_available(), reason='its GPUs are made up; there are some'
)
def test_each_process_sees_its_gpu_and_its_share_of_the_cores(
    config, tmp_path, monkeypatch
):
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    monkeypatch.setattr('os.sched_getaffinity', lambda pid: set(range(7)))
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '5,3')
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    options = {
        'custom_hooks.0.kind': 'note',
        'custom_hooks.0.once': str(tmp_path / 'note{seed}'),
    }
    sweep = toy_sweep(config, {LR: [0.1]}, options=options)
    run_sweep(sweep, tmp_path / 'out', gpus=[0, 1])
    assert (tmp_path / 'note0').read_text() == '5 3 cpu'
    assert (tmp_path / 'note1').read_text() == '3 3 cpu'


@pytest.mark.gpu
def test_a_process_trains_on_its_gpu(config, tmp_path):
    options = {
        'custom_hooks.0.kind': 'note',
        'custom_hooks.0.once': str(tmp_path / 'note'),
    }
    sweep = toy_sweep(config, {LR: [0.1]}, [0], options=options)
    (result,) = run_sweep(sweep, tmp_path / 'out', gpus=[0])
    assert result.status == 'finished', result.error
    (place,) = places_of(1, [0])
    expected = f'{place.devices} {place.threads} cuda'
    assert (tmp_path / 'note').read_text() == expected


def test_places_share_cores_and_gpus(monkeypatch):
    monkeypatch.setattr('os.sched_getaffinity', lambda pid: {0, 1, 2, 3})
    monkeypatch.setattr('torch.cuda.device_count', lambda: 2)
    monkeypatch.delenv('OMP_NUM_THREADS', raising=False)
    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    assert [place.threads for place in places_of(2, None)] == [2, 2]
    assert [place.threads for place in places_of(9, None)] == [1] * 9
    assert [p.devices for p in places_of(2, [1, 0])] == ['1', '0', '1', '0']
    monkeypatch.setenv('OMP_NUM_THREADS', '3')
    assert [place.threads for place in places_of(2, None)] == [3, 3]
    for gpus in ([2], [-1], [0, 0], []):
        with pytest.raises(ValueError, match='gpus'):
            places_of(1, gpus)
    with pytest.raises(ValueError, match='jobs must be a positive integer'):
        places_of(0, None)


# --- the command ------------------------------------------------------------


def start_command(config, out, happened):
    return subprocess.Popen(
        [
            *(sys.executable, ROOT / 'tools' / 'sweep.py', config),
            *('--grid', 'custom_hooks.0.kind=[none,hangs]'),
            *('--metric', 'score', '--out', out),
            *('--cfg-options', f'custom_hooks.0.once={happened}'),
        ],
        cwd=ROOT,
        env={**os.environ, 'PYTHONPATH': str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def processes_of(path):
    """Processes that have a file open."""
    found = []
    for entry in Path('/proc').glob('[0-9]*/fd/1'):
        try:
            if entry.resolve() == path.resolve():
                found.append(int(entry.parts[2]))
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    'kind',
    [
        pytest.param(signal.SIGINT, marks=pytest.mark.slow),
        signal.SIGKILL,
    ],
)
def test_a_stopped_sweep_leaves_no_process_and_goes_on(config, tmp_path, kind):
    out, happened = tmp_path / 'out', tmp_path / 'happened'
    with start_command(config, out, happened) as process:
        while not happened.exists() and process.poll() is None:
            time.sleep(0.05)
        (hanging,) = out.glob('kind-hangs*')
        assert len(processes_of(hanging / LOG_FILE)) == 1
        if kind == signal.SIGINT:
            # As a terminal does: to the server and to the run as well.
            os.killpg(process.pid, kind)
        else:
            process.kill()
        printed = process.stdout.read()
    assert process.returncode == (130 if kind == signal.SIGINT else -9)
    assert ('Stopped' in printed) == (kind == signal.SIGINT)
    deadline = time.time() + 10
    while processes_of(hanging / LOG_FILE) and time.time() < deadline:
        time.sleep(0.05)
    assert not processes_of(hanging / LOG_FILE)

    said = []
    sweep = toy_sweep(
        config,
        {'custom_hooks.0.kind': ['none', 'hangs']},
        seeds=[0],
        options={'custom_hooks.0.once': str(happened)},
    )
    first, second = run_sweep(sweep, out, say=said.append)
    assert said[0] == '1 of 2 runs are finished' and len(said) == 2
    assert json.loads((hanging / RESULT_FILE).read_text())['resumed']
    assert first.metrics == second.metrics


def test_the_command_lists_runs_and_reports_failures(
    config, tmp_path, monkeypatch, capsys
):
    out = tmp_path / 'out'
    command = [config, '--grid', f'{LR}=[-1,0.1]', '--metric', 'score']
    command += ['--out', out, '--seeds', '4']
    assert run_tool(monkeypatch, 'sweep', *command, '--dry-run') == 0
    assert not out.exists()
    assert 'to run    lr 0.1, seed 4' in capsys.readouterr().out
    assert run_tool(monkeypatch, 'sweep', *command) == 1
    assert '1 of 2 runs failed' in capsys.readouterr().out
    assert run_tool(monkeypatch, 'sweep', *command, '--dry-run') == 0
    printed = capsys.readouterr().out
    assert 'finished  lr 0.1, seed 4' in printed
    assert '1 of 2 runs are finished' in printed
    command[2] = f'{LR}=[0.1]'
    assert run_tool(monkeypatch, 'sweep', *command) == 0


def test_a_sweep_file_names_its_config_from_where_it_lies(
    config, tmp_path, monkeypatch, capsys
):
    path = tmp_path / 'sweeps' / 'rates.py'
    path.parent.mkdir()
    path.write_text(
        "config = '../toy.py'\n"
        'seeds = [3]\n'
        "metric = 'score'\n"
        f'_rates = dict(low={{"{LR}": 0.1}}, high={{"{LR}": 0.2}})\n'
        "grid = {'rate': {**_rates, 'other': {'config': '../toy.py'}}}\n"
        "options = {'custom_hooks.0.once': 'seed{seed}'}\n"
    )
    sweep = read_sweep(str(path), {'train_cfg.max_iters': 2}, '/data{seed}')
    runs = sweep.runs()
    assert [run.config for run in runs] == [config] * 3
    assert [run.name for run in runs] == [
        *('rate-low_seed-3', 'rate-high_seed-3', 'rate-other_seed-3'),
    ]
    assert runs[1].data_root == '/data3'
    assert runs[1].options == {
        'custom_hooks.0.once': 'seed3',
        'train_cfg.max_iters': 2,
        LR: 0.2,
        'randomness.seed': 3,
    }
    assert resolve(runs[1]).optim_wrapper.optimizer.lr == 0.2
    status = run_tool(monkeypatch, 'sweep', path, '--dry-run', '--seeds', 7)
    assert status == 0
    assert 'to run    rate high, seed 7' in capsys.readouterr().out


# --- bad input --------------------------------------------------------------


@pytest.mark.parametrize(
    ('grid', 'message'),
    [
        ({}, 'at least one axis'),
        ({LR: []}, f'{LR!r} has no values'),
        ({LR: 0.1}, f'{LR!r} must be a list of values'),
        ({LR: [0.1, 0.1]}, 'labels of .* must differ'),
        ({'a': {'x y': {}, 'x-y': {}}}, 'labels of .* must differ'),
        ({'a': {'x': 1}}, 'grid: a: x must be a dict'),
        ({'randomness.seed': [1]}, "'randomness.seed' is set by seeds"),
        ({'work_dir': ['a']}, "'work_dir' is set by --out"),
        ({LR: [1], 'a': {'b': {LR: 2}}}, f"'{LR}' and 'a' both set '{LR}'"),
    ],
)
def test_a_wrong_grid_is_named(grid, message):
    with pytest.raises((ValueError, TypeError), match=message):
        Sweep('toy', 'toy.py', grid, [0], 'score').runs()


@pytest.mark.parametrize('seeds', [[], [0.5], ['1'], [True], [-1], [1, 1], 3])
def test_wrong_seeds_are_named(seeds):
    with pytest.raises(ValueError, match='seeds must'):
        Sweep('toy', 'toy.py', {LR: [1]}, seeds, 'score')


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('optim_wraper.optimizer.lr', "did you mean 'optim_wrapper'"),
        ('optim_wrapper.optimiser.lr', "mean 'optim_wrapper.optimizer'"),
        ('model.norms', "did you mean 'model.norm'"),
        ('train_cfg.max_iter', "did you mean 'train_cfg.max_iters'"),
        ('train_confg', "did you mean 'train_cfg'"),
        ('optim_wrapper.optimizer.lrr', "mean 'optim_wrapper.optimizer.lr'"),
        ('optim_wrapper.clip', "'optim_wrapper' has no 'clip'"),
        ('train_dataloader.batchsize', "mean 'train_dataloader.batch_size'"),
        ('custom_hooks.1.kind', "'custom_hooks' has no '1'"),
        ('model.norm.type', "'model.norm' is 'none', which has no options"),
    ],
)
def test_an_option_that_is_not_in_the_config_is_named(
    config, tmp_path, option, message
):
    out = tmp_path / 'out'
    with pytest.raises(ValueError, match=message):
        run_sweep(toy_sweep(config, {option: [1, 2]}), out)
    assert not out.exists()


def test_options_that_a_component_takes_are_taken(config):
    grid = {'model.width': [3, 4], 'load_from': [None]}
    assert len(resolve_sweep(toy_sweep(config, grid))) == 4


def test_a_config_that_is_missing_or_validates_nothing_is_named(config):
    with pytest.raises(ValueError, match="no config file 'nowhere.py'"):
        run_sweep(toy_sweep('nowhere.py'), 'unused')
    sweep = toy_sweep(config, options={'val_dataloader': None})
    with pytest.raises(ValueError, match='has no validation'):
        resolve_sweep(sweep)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('gird = {}', "unknown key 'gird'; did you mean 'grid'"),
        ('grid = {}', 'a sweep needs config, seeds, metric'),
        ("metric = 'a'\ngrid = {'a': [1]}", 'needs config, seeds'),
    ],
)
def test_a_wrong_sweep_file_is_named(tmp_path, text, message):
    path = tmp_path / 'sweep.py'
    path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_sweep(str(path))


def test_options_that_the_grid_would_hide_are_refused(tmp_path):
    path = tmp_path / 'sweep.py'
    path.write_text(
        f"config = 'a.py'\ngrid = {{'{LR}': [1]}}\nseeds = [0]\nmetric = 'a'\n"
    )
    with pytest.raises(ValueError, match='--cfg-options: .* the axis'):
        read_sweep(str(path), {LR: 2})


# --- names, table and picture -----------------------------------------------


def test_axes_are_named_by_what_tells_them_apart():
    axes = ['a.b.weight', 'a.c.weight', 'd.e', 'weight']
    assert list(short_names(axes).values()) == [
        *('b.weight', 'c.weight', 'e', 'weight'),
    ]


def test_names_of_runs_are_unique_and_fit_a_folder():
    values = {'x' * 300: {}, 'x' * 299 + 'y': {}}
    runs = Sweep('toy', 'toy.py', {'a': values}, [0, 1], 'score').runs()
    names = [run.name for run in runs]
    assert len(set(names)) == 4
    assert all(len(name) < 200 for name in names)
    assert names[1].endswith('_seed-1')


def results_of(grid, seeds, score):
    sweep = Sweep('toy', 'toy.py', grid, seeds, 'score')
    return [
        Result(run, 'finished', {'score': score(run)}, 1.0, 0.1)
        for run in sweep.runs()
    ]


def test_a_table_of_one_seed_has_no_deviation():
    results = results_of({'a.b': [1, 2]}, [0], lambda run: run.labels['a.b'])
    table = markdown(results, 'score')
    assert table.splitlines()[0] == '| b | score | std | n | failed |'
    assert '| 2 | 2.00 | - | 1 | 0 |' in table


def test_a_picture_has_a_line_for_each_value_of_the_second_axis():
    results = results_of(
        {'m.groups': [1, 4, 64], 'm.kind': ['x', 'y']},
        [0, 2],
        lambda run: (
            run.labels['m.groups'] * (1 + 'xy'.index(run.labels['m.kind']))
            + run.seed
        ),
    )
    results[0].status, results[0].metrics = 'failed', {}
    figure = figure_of(results, 'score')
    (axis,) = figure.axes
    lines = [bars.lines[0].get_xydata().tolist() for bars in axis.containers]
    assert lines == [[[1, 3], [4, 5], [64, 65]], [[1, 3], [4, 9], [64, 129]]]
    (bars,) = axis.containers[1].lines[2]
    low, high = bars.get_segments()[0][:, 1]
    assert high - low == pytest.approx(2 * 2**0.5)
    assert axis.get_xscale() == 'log'
    assert [tick.get_text() for tick in axis.get_xticklabels()] == [
        *('1', '4', '64'),
    ]
    assert axis.get_xlabel() == 'groups' and axis.get_ylabel() == 'score'
    assert 'without 1 that failed' in axis.get_title()


def test_a_picture_of_names_has_a_column_for_each():
    results = results_of({'a': {'x': {}, 'y': {}}}, [0], lambda run: 1.0)
    (axis,) = figure_of(results, 'score').axes
    assert axis.get_xscale() == 'linear'
    assert [t.get_text() for t in axis.get_xticklabels()] == ['x', 'y']
    assert axis.get_title() == 'one seed'


# --- the sweeps of configs/sweeps -------------------------------------------

SWEEPS = sorted((ROOT / 'configs' / 'sweeps').glob('*.py'))


def read(path, monkeypatch):
    monkeypatch.chdir(ROOT)
    return read_sweep(str(path.relative_to(ROOT)))


@pytest.mark.parametrize('path', SWEEPS, ids=lambda path: path.stem)
def test_a_sweep_is_short_and_begins_with_its_command(path):
    lines = path.read_text().splitlines()
    code = [line for line in lines if line and not line.startswith('#')]
    assert len(code) <= 25
    header = '\n'.join(line for line in lines[:8] if line.startswith('#'))
    assert f'tools/sweep.py configs/sweeps/{path.name}' in header


@pytest.mark.parametrize('path', SWEEPS, ids=lambda path: path.stem)
def test_every_run_of_a_sweep_has_a_config_of_its_own(
    path, monkeypatch, tmp_path
):
    sweep = read(path, monkeypatch)
    digests = resolve_sweep(sweep)
    assert len(set(digests.values())) == len(sweep.runs()) > 1
    assert finished_runs(sweep, tmp_path, digests) == {}
    for run in sweep.runs():
        model = resolve(run).model
        assert Path(model.teacher).exists() or '::' in model.teacher
        cut = model.distiller.branches.get('patch_group')
        if cut:
            assert cut.patches[0] * cut.patches[1] % cut.groups == 0


#: Shapes of the distilled maps, by what they depend on.
SHAPES = {}


def shapes_of(run, config):
    """Shapes of the maps that a run distils, from its whole model."""
    key = (
        f'{run.config} {config.model.teacher} {config.model.distiller.layers}'
    )
    if key not in SHAPES:
        model = dict(config.model)
        if 'data_preprocessor' in config:
            model.setdefault('data_preprocessor', config.data_preprocessor)
        distiller = MODELS.build(model).distiller
        SHAPES[key] = [
            {
                role: map_shape(
                    distiller.runs[role], RECORDER.format(index), role, layer
                )
                for role, layer in pair.items()
            }
            for index, pair in enumerate(distiller.pairs)
        ]
    return SHAPES[key]


def layers_of(sweep):
    """The layers of TaT of each point of a grid, checked on their maps."""
    for run in sweep.runs():
        if run.seed == sweep.seeds[0]:
            config = resolve(run)
            init_default_scope(config.default_scope)
            distiller = TaTDistiller(
                **{
                    k: v
                    for k, v in config.model.distiller.items()
                    if k != 'type'
                }
            )
            layers = []
            for shapes in shapes_of(run, config):
                student, teacher = shapes['student'][1], shapes['teacher'][1]
                layer = TaTLayer(student, teacher, **distiller.layer_config)
                layer.check_sizes(**shapes)
                layers.append(layer)
            yield layers


@pytest.mark.parametrize(
    'path',
    [
        pytest.param(path, marks=pytest.mark.slow)
        if path.stem in ('layers_voc', 'teacher_cifar100')
        else path
        for path in SWEEPS
    ],
    ids=lambda path: path.stem,
)
def test_every_point_of_a_sweep_fits_its_maps(path, monkeypatch):
    sweep = read(path, monkeypatch)
    counts = [len(layers) for layers in layers_of(sweep)]
    several = {
        'layers_digit_scenes': [1, 2, 3],
        'layers_voc': [1, 2, 2],
    }
    points = len(sweep.runs()) // len(sweep.seeds)
    assert counts == several.get(path.stem, [1] * points)


def test_embeddings_that_are_off_have_no_parameters(monkeypatch):
    path = ROOT / 'configs/sweeps/embeddings_digit_scenes.py'
    sizes = [
        sum(parameter.numel() for parameter in layer.parameters())
        for (layer,) in layers_of(read(path, monkeypatch))
    ]
    # 1x1 convolutions of 32 or 64 to 64 channels, of 11 to 11; and norms.
    both, key = 2 * (32 * 64 + 2 * 64), 64 * 64 + 2 * 64
    logits = 3 * 11 * 11
    assert sizes == [both + key, both, logits + 3 * 2 * 11, logits, 0]
