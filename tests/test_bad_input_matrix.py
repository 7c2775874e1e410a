"""Every command, called wrongly: its one message, its status, no traces.

A row is a command line, an exit status, and what the message must say: the
argument, what came, what would be right. Names in braces are files of
:func:`stage`. What a training refuses is in ``test_bad_input.py``.
"""

import os
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from PIL import Image

from .processes import forget_runs
from .running import toy_config
from .toys import ToySegmentor, distillation, save_teacher
from .voc import ROOT

FCN = 'mmseg::fcn_r50-d8_4xb4-20k_voc12aug-512x512'
LR = 'optim_wrapper.optimizer.lr'
PAIR = f'distill --teacher {FCN} --student {FCN}'
SWEEP = f'sweep {{toy}} --metric score --out {{new}} --grid {LR}'
NO_CONFIG = r"config: no config file '.*gone'; give a path"
UNREADABLE = r"config: '.*broken.py' cannot be read as a config: SyntaxError"
NO_MODEL = r"config: '.*nomodel.py' defines no model"
NO_FILE = r"no file '.*gone'; give the path or the URL of a checkpoint"
NO_WEIGHTS = r"'.*list.pth' holds no weights; expected a dict of tensors"

#: Status 2: argparse's, as soon as the command line is read. 1: ours.
MATRIX = [
    # --- train
    ('train', 2, 'the following arguments are required: config'),
    ('train {broken}', 1, UNREADABLE + '.* line 1'),
    (
        'train {fails}',
        1,
        r"'.*fails.py' cannot be read .*ZeroDivisionError.* line 2 of",
    ),
    ('train {notes}', 1, r"'.*notes.txt' cannot be read .*py/yml/yaml/json"),
    ('train {folder}', 1, r"config: no config file '.*folder'; give a path"),
    ('train {nobase}', 1, r"'.*nobase.py' cannot be read .*gone.py"),
    ('train {nomodel}', 1, NO_MODEL),
    ('train {unknown}', 1, "'ToySegmentr'.* 'ToySegmentor'"),
    ('train {toy} --launcher torch', 2, "--launcher: .*'torch'.*'pytorch'"),
    ('train {toy} --local-rank a', 2, "--local-rank: invalid int .*'a'"),
    (
        'train {toy} --work-dir {notes}',
        1,
        r"--work-dir: '.*notes.txt' is a file; give a folder",
    ),
    (
        'train {toy} --work-dir {notes}/run',
        1,
        r"--work-dir: '.*notes.txt' is a file; give a folder",
    ),
    ('train {toy} --data-root {gone}', 1, r"no folder '.*gone' \(data_root\)"),
    (
        "train {toy} --cfg-options 'model.distiller.layers=[1,2'",
        2,
        '--cfg-options: a value is a word, a number or a list',
    ),
    (
        'train {toy} --cfg-options model.distiller.type=mmtat.TaTDistill',
        1,
        "distiller.*'mmtat.TaTDistill'.*TaTDistiller",
    ),
    (
        'train {toy} --cfg-options model.distiller.layer=backbone.conv',
        1,
        "no argument 'layer'.*'layers'",
    ),
    (
        'train {toy} --cfg-options '
        'model.distiller.branches.whol.loss_weight=1',
        1,
        "distiller.branches.*'whol'.*'whole'.*anchor_point",
    ),
    (
        'train {toy} --cfg-options '
        'model.distiller.branches.whole.loss_weight=-1',
        1,
        'loss_weight must be a number of at least 0, got -1',
    ),
    (
        'train {toy} --cfg-options model.distiller.formulation=papers',
        1,
        "formulation must be one of .*'paper'.*, got 'papers'",
    ),
    (
        'train {toy} --cfg-options model.distiller.query.nrm=image',
        1,
        "query has no argument 'nrm'.*'norm'",
    ),
    (
        'train {toy} --cfg-options model.distiller.backend=flash',
        1,
        "backend must be one of 'auto', .*, got 'flash'",
    ),
    (
        'train {toy} --cfg-options model.distiller.stream=3',
        1,
        'stream must be a bool or None, got 3',
    ),
    (
        'train {toy} --cfg-options train_cfg.max_iters=-1',
        1,
        'train_cfg.max_iters: must be a positive whole number, got -1',
    ),
    (
        'train {toy} --cfg-options train_dataloader.dataset.type=ToyImagees',
        1,
        "there is no dataset 'ToyImagees'; did you mean 'ToyImages'",
    ),
    (
        'train {toy} --cfg-options train_dataloader.dataset.lenght=3',
        1,
        "ToyImages has no argument 'lenght'; did you mean 'length'",
    ),
    # --- test
    ('test {plain}', 2, 'arguments are required: checkpoint'),
    ('test {nomodel} {student}', 1, NO_MODEL),
    ('test {broken} {student}', 1, UNREADABLE),
    (
        'test {plain} {student} --tta',
        1,
        '--tta needs tta_model and tta_pipeline in the config',
    ),
    (
        'test {plain} {student} --show-dir {new}',
        1,
        '--show-dir needs default_hooks.visualization in the config',
    ),
    (
        'test {plain} {student} --out {new}.pkl',
        1,
        '--out needs test_evaluator in the config',
    ),
    (
        'test {tested} {student} --out {new}.txt',
        1,
        r"--out must be a .pth or a .pkl file here, got '.*new.txt'",
    ),
    (
        'test {tested} {student} --out {notes}/x.pth',
        1,
        r"--out: the folder '.*notes.txt' cannot be made",
    ),
    # --- distill
    ('distill --student {plain}', 2, 'arguments are required: --teacher'),
    (
        'distill --teacher mmsg::fcn --student {plain} --out {new}.py',
        1,
        "--teacher: there is no zoo 'mmsg'; did you mean mmseg::fcn",
    ),
    (
        'distill --teacher mmseg::deeplabv9 --student {plain} --out {new}.py',
        1,
        "--teacher: no config 'mmseg::deeplabv9'; .* deeplabv3,",
    ),
    (
        'distill --teacher GONE --student {plain} --out {new}.py',
        1,
        "--teacher: .*'GONE'.* the folders of the zoo are ann,",
    ),
    (
        'distill --teacher {plain} --student {plain} --out {new}.py',
        1,
        '--teacher: .* defines a ToySegmentor, which has no backbone',
    ),
    (
        'distill --teacher {toy} --student {plain} --out {new}.py',
        1,
        '--teacher: .* is the config of a distillation; give that of',
    ),
    (
        'distill --teacher {nomodel} --student {plain} --out {new}.py',
        1,
        r"--teacher: the config '.*nomodel.py' has no model",
    ),
    (
        'distill --teacher {broken} --student {plain} --out {new}.py',
        1,
        '--teacher: .*broken.py.* cannot be read as a config',
    ),
    (f'{PAIR} --out {{plain}}', 1, r"--out: '.*plain.py' exists; .*--force"),
    (
        f'{PAIR} --method tatt --out {{new}}.py',
        1,
        "--method: no method 'tatt'; did you mean tat or at",
    ),
    (
        f'{PAIR} --data voc --teacher-ckpt {{gone}} --out {{new}}.py',
        1,
        '--teacher-ckpt: ' + NO_FILE,
    ),
    # --- layers
    ('layers', 2, 'arguments are required: config'),
    ('layers {broken}', 1, UNREADABLE),
    ('layers {nomodel}', 1, NO_MODEL),
    ('layers {unknown}', 1, "unknown type 'ToySegmentr'.* ToySegmentor"),
    (
        'layers {toy} --size 0 8',
        1,
        r'--size must be two positive integers .*, got \(0, 8\)',
    ),
    ('layers {toy} --size 8', 2, '--size: expected 2 arguments'),
    ('layers {toy} --role pupil', 2, "--role: .*'pupil'.*'student'"),
    (
        "layers {toy} --pattern '['",
        1,
        r"--pattern '\[' is a glob of no layer, .* begin with: backbone",
    ),
    # --- estimate
    ('estimate {gone}', 1, NO_CONFIG),
    ('estimate {broken}', 1, UNREADABLE),
    ('estimate {toy} --batch 0', 1, 'batch must be at least 1, got 0'),
    (
        'estimate {toy} --size 8 -8',
        1,
        r'size must be height and width in pixels, got \[8, -8\]',
    ),
    ('estimate {toy} --device tpu', 2, "--device: .*'tpu'.*'cpu', 'cuda'"),
    (
        'estimate {toy} --size 8 8 --gpu-memory nan',
        1,
        'gpu-memory must be gigabytes above 0, got nan',
    ),
    ('estimate {toy} --gpu-memory a', 2, "--gpu-memory: invalid .*'a'"),
    (
        'estimate {toy} --size 8 8 --cfg-options '
        "'model.distiller.layers=[backbone.cnv]'",
        1,
        "the student .* has no layer 'backbone.cnv'; .* backbone.conv",
    ),
    # --- doctor: what is wrong is among its findings
    ('doctor --data-root {folder}', 2, '--data-root and .* are for a CONFIG'),
    ('doctor {gone}', 1, r"problem .*no config file '.*gone'"),
    # --- export_student
    ('export_student {gone} {new}.pth', 1, 'checkpoint: ' + NO_FILE),
    ('export_student {list} {new}.pth', 1, 'checkpoint: ' + NO_WEIGHTS),
    (
        'export_student {student} {new}.pth',
        1,
        'holds no config, .* give the config .* by --config',
    ),
    (
        'export_student {student} {new}.xyz --config {toy}',
        1,
        "OUT: the ending '.xyz' names no format; end with .pth",
    ),
    (
        'export_student {student} {new}.pth --config {toy} --format tflite',
        2,
        "--format: .*'tflite'.*'onnx'",
    ),
    ('export_student {student} {new}.pth --config {nomodel}', 1, NO_MODEL),
    ('export_student {student} {new}.pth --config {broken}', 1, UNREADABLE),
    (
        'export_student {other} {new}.pth --config {toy}',
        1,
        'of another model than ToySegmentor: 0 of its 10 weights matched',
    ),
    (
        'export_student {student} {new}.pth --config {toy} --ema',
        1,
        '--ema: .* holds no averaged weights .*; leave the option out',
    ),
    (
        'export_student {student} {new}.pt --config {toy} --batch 0',
        1,
        '--batch takes positive numbers, got 0',
    ),
    (
        'export_student {student} {new}.pt --config {toy} --batch 2 --dynamic',
        1,
        '--dynamic leaves all sizes open, and --batch fixes one',
    ),
    (
        'export_student {student} {folder} --config {toy} --format pth',
        1,
        "OUT: '.*folder' is a folder; give a file",
    ),
    (
        'export_student {student} {student} --config {toy}',
        1,
        'OUT: .* is the checkpoint itself; give another name',
    ),
    # --- prepare_data
    ('prepare_data vox --check {folder}', 2, "dataset: .*'vox'.*'voc'"),
    ('prepare_data voc', 2, 'one of the arguments --downloads --check'),
    (
        'prepare_data voc --check {folder} --out {new}',
        2,
        '--out goes with --downloads; --check only reads',
    ),
    ('prepare_data voc --check {gone}', 1, r"there is no folder '.*gone'"),
    ('prepare_data voc --check {folder}', 1, 'folder.* is not complete'),
    (
        'prepare_data imagenet --downloads {folder} --out {new}',
        1,
        "'.*new' cannot be prepared",
    ),
    # --- sweep
    ('sweep {gone}', 1, "config: no file '.*gone'; give a sweep or a config"),
    ('sweep {broken}', 1, UNREADABLE),
    ('sweep {misspelt}', 1, "unknown key 'gird'; did you mean 'grid'"),
    ('sweep {sweep} --grid a=[1]', 1, '--grid is for a config'),
    ('sweep {toy}', 1, 'a config needs --grid and --metric'),
    (f'{SWEEP}=0.1', 1, f"grid: '{LR}' must be a list of values .* got 0.1"),
    (f'{SWEEP}=[0.1] --seeds -1', 1, 'seeds must be integers from 0 on'),
    (f'{SWEEP}=[0.1] --seeds one', 2, "--seeds: invalid int value: 'one'"),
    (f'{SWEEP}=[0.1] --gpus 0,x', 2, "--gpus: give numbers as 0,1, got '0,x'"),
    (f'{SWEEP}=[0.1] --jobs 0', 1, 'jobs must be a positive integer, got 0'),
    (
        f'{SWEEP}=[0.1] --out {{notes}}',
        1,
        r"out: '.*notes.txt' is a file; give a folder",
    ),
    (
        'sweep {toy} --metric score --out {new} --grid work_dir=[a,b]',
        1,
        "grid: 'work_dir' is set by --out",
    ),
    # --- benchmark
    (
        'benchmark teacher --layer backbone.layer9 --size 64',
        1,
        r"--layer: .* has no layer 'backbone.layer9'; .*backbone.layer4",
    ),
    (
        'benchmark step --layer backbone.layer9 --size 64',
        1,
        r"--layer: .* has no layer 'backbone.layer9'; .*backbone.layer4",
    ),
    ('benchmark lost', 2, "what: .*'lost'.*'loss'"),
    ('benchmark loss --batch 0', 1, '--batch must be at least 1, got 0'),
    ('benchmark loss --device tpu', 1, "device must be 'cpu'.*, got 'tpu'"),
    ('benchmark loss --preset voc', 2, "--preset: .*'voc'.*'voc-r18'"),
    ('benchmark loss --dtype int8', 2, "--dtype: .*'int8'.*'bfloat16'"),
    ('benchmark teacher --plot {new}.png', 1, '--plot is of loss or of step'),
    ('benchmark step --write-measurements', 1, 'measurements is of loss'),
    ('benchmark loss --docs {gone}', 1, "docs: no page '.*gone'"),
    (
        'benchmark loss --docs {notes}',
        1,
        "page must have one place for the table 'loss-voc-r18-cpu', has 0",
    ),
    # --- evidence
    ('evidence digit', 1, 'unknown scenario digit; there are digits'),
    ('evidence --gpus a', 2, "--gpus: give numbers as 0,1, got 'a'"),
    ('evidence --jobs 0', 2, "--jobs: must be .* at least 1, got '0'"),
    ('evidence --seeds none', 2, "--seeds: must be .*, got 'none'"),
    ('evidence digits --out {notes}', 1, "--out: '.*notes.txt' is a file"),
    (
        'evidence --steps 1 --docs {folder}',
        1,
        '--steps makes numbers that are no result; leave out --docs',
    ),
    # --- demo
    ('demo --steps 0', 2, "--steps: must be .* at least 1, got '0'"),
    ('demo --seed -1', 2, '--seed must be at least 0, got -1'),
    ('demo --seed a', 2, "--seed: invalid int value: 'a'"),
    ('demo --out {notes}', 2, "--out: '.*notes.txt' is a file; give a folder"),
    # --- config_reference
    (
        'config_reference --out {gone}/page.md',
        1,
        "--out must be a page in a folder, got '.*gone/page.md'",
    ),
    ('config_reference --out {folder}', 1, "--out must be a page .*folder'"),
    # --- visualize
    ('visualize', 2, 'arguments are required: command'),
    ('visualize map', 2, "command: .*'map'.*'maps'"),
    ('visualize maps {toy} {student}', 2, 'arguments are required: IMAGE'),
    ('visualize maps {gone} {student} {picture}', 1, NO_CONFIG),
    (
        'visualize maps {plain} {student} {picture} --out {new}',
        1,
        'config: its model is no distillation',
    ),
    (
        'visualize maps {toy} {student} {picture} --out {new}',
        1,
        "checkpoint: .* has no entry 'distiller'.* give a checkpoint of the",
    ),
    (
        'visualize maps {toy} {student} {picture} --layer one',
        2,
        "--layer: invalid int value: 'one'",
    ),
    (
        'visualize compare {plain} {picture} --checkpoints a={student}',
        2,
        'arguments are required: --out',
    ),
    (
        'visualize compare {plain} {picture} --out {new} --checkpoints '
        'a={student} a={student}',
        1,
        "--checkpoints: the name 'a' is taken; choose another",
    ),
    ('visualize curves', 2, 'arguments are required: LOG'),
    (
        'visualize curves {folder} --out {new}.png',
        1,
        "LOG: '.*folder' has no vis_data/scalars.json",
    ),
    (
        'visualize schedule {plain} --out {new}.png',
        1,
        'config: it has no teacher and distiller',
    ),
    ('visualize schedule {gone} --out {new}.png', 1, NO_CONFIG),
    # --- check_config
    ('check_config', 2, 'arguments are required: config'),
    ('check_config {gone}', 1, NO_CONFIG),
    ('check_config {broken}', 1, UNREADABLE),
    # --- check_data
    ('check_data', 2, 'arguments are required: config'),
    ('check_data {gone}', 1, NO_CONFIG),
    ('check_data {broken}', 1, UNREADABLE),
    # --- replay
    ('replay', 2, 'arguments are required'),
    ('replay {gone}', 1, 'gone'),
]


@pytest.fixture(scope='module')
def stage(tmp_path_factory):
    """The files that the rows name, by their stems."""
    root = tmp_path_factory.mktemp('stage')
    save_teacher(root / 'teacher.pth')
    model = distillation(teacher_ckpt=str(root / 'teacher.pth'))
    toy = toy_config(root / 'runs', model)
    del toy['work_dir']
    plain = dict(toy, model=dict(type='ToySegmentor'))
    evaluator = dict(
        test_dataloader=toy['val_dataloader'],
        test_evaluator=[dict(type='MeanLogit')],
        test_cfg=dict(),
    )
    Config(toy).dump(root / 'toy.py')
    Config(plain).dump(root / 'plain.py')
    Config({**plain, **evaluator}).dump(root / 'tested.py')
    texts = {
        'broken.py': 'model = dict(type=',
        'fails.py': 'a = 0\nmodel = 1 / a\n',
        'nobase.py': "_base_ = './gone.py'\n",
        'nomodel.py': 'a = 1\n',
        'unknown.py': "model = dict(type='ToySegmentr')\n",
        'misspelt.py': "config = 'toy.py'\ngird = {}\n",
        'sweep.py': f"config = 'toy.py'\ngrid = {{'{LR}': [1]}}\n"
        "seeds = [0]\nmetric = 'score'\n",
        'notes.txt': 'of mine',
    }
    for name, text in texts.items():
        (root / name).write_text(text)
    (root / 'folder').mkdir()
    state_dict = ToySegmentor().state_dict()
    torch.save(dict(state_dict=state_dict), root / 'student.pth')
    torch.save([1], root / 'list.pth')
    torch.save(dict(state_dict=dict(x=torch.ones(1))), root / 'other.pth')
    Image.new('RGB', (8, 8)).save(root / 'picture.png')
    return root


def names(stage):
    """What the braces of a row stand for."""
    found = {path.stem: path for path in stage.iterdir()}
    return {**found, 'gone': stage / 'gone', 'new': stage / 'new'}


def words(line, stage):
    return shlex.split(line.format(**names(stage)))


def content(folder):
    """Every file below, and what is in it."""
    return {
        path.relative_to(folder): path.is_file() and path.read_bytes()
        for path in sorted(folder.rglob('*'))
    }


def status_of(name, arguments, monkeypatch):
    """Run a tool as its file does, in this process; its exit status."""
    tool = ROOT / 'tools' / f'{name}.py'
    monkeypatch.setattr(sys, 'argv', [str(tool), *arguments])
    monkeypatch.syspath_prepend(str(tool.parent))
    forget_runs()
    with pytest.raises(SystemExit) as left:
        runpy.run_path(str(tool), run_name='__main__')
    if isinstance(left.value.code, str):
        # As the interpreter would do.
        print(left.value.code, file=sys.stderr)
        return 1
    return left.value.code


@pytest.mark.parametrize(
    ('line', 'status', 'message'), MATRIX, ids=[row[0] for row in MATRIX]
)
def test_a_mistake_is_one_message_and_leaves_nothing(
    line, status, message, stage, tmp_path, monkeypatch, capfd
):
    name, *arguments = words(line, stage)
    # Where a command that names no folder would leave its own.
    monkeypatch.chdir(tmp_path)
    before = content(stage)
    assert status_of(name, arguments, monkeypatch) == status
    output = capfd.readouterr()
    said = output.out if name == 'doctor' and status == 1 else output.err
    assert re.search(message, said), said
    assert 'Traceback' not in output.err
    if name != 'doctor':
        assert len(re.findall(r'\berror: ', output.err)) == 1, output.err
    assert content(stage) == before
    assert content(tmp_path) == {}


@pytest.mark.parametrize(
    ('line', 'status', 'message'),
    [
        ('layers {broken}', 1, UNREADABLE),
        ('evidence digits --out {notes}', 1, 'is a file'),
    ],
)
def test_a_process_of_its_own_ends_likewise(
    line, status, message, stage, tmp_path
):
    name, *arguments = words(line, stage)
    done = subprocess.run(
        [sys.executable, ROOT / 'tools' / f'{name}.py', *arguments],
        cwd=tmp_path,
        env=dict(os.environ, OMP_NUM_THREADS='1'),
        capture_output=True,
        text=True,
    )
    assert done.returncode == status
    assert re.search(message, done.stderr)
    assert 'Traceback' not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_matrix_has_rows_of_every_command():
    commands = {
        path.stem
        for path in Path(ROOT, 'tools').glob('*.py')
        if not path.stem.startswith('_') and path.stem != 'setup_env'
    }
    assert {line.split()[0] for line, _, _ in MATRIX} == commands
    assert len(MATRIX) >= 60
