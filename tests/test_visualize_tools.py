import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mmtat.datasets import CLASSES, PALETTE
from mmtat.engine import schedules
from mmtat.engine.inspected import built, read_config
from mmtat.engine.visualization.agreement import class_ious, verdicts
from mmtat.engine.visualization.compare import compare_checkpoints
from mmtat.engine.visualization.compare_figure import (
    coloured,
    segmentation_figure,
)
from mmtat.engine.visualization.curves import curves_figure, draw_curves
from mmtat.engine.visualization.images import Picture
from mmtat.engine.visualization.logs import read_runs
from mmtat.engine.visualization.outputs import as_array
from mmtat.engine.visualization.schedule import draw_schedule, schedule_figure

from .distilled import CONFIG, ROOT, DistilledRun

DIGITS = ROOT / 'configs/digits/digits_tat.py'


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    run = DistilledRun(tmp_path_factory.mktemp('run'))
    # Another student, whose predictions differ.
    content = torch.load(run.checkpoint)
    for name, tensor in content['state_dict'].items():
        if name.startswith('decode_head.conv_seg'):
            tensor.mul_(-3)
    run.other = run.checkpoint.with_name('other.pth')
    torch.save(content, run.other)
    return run


def tool(*arguments, **options):
    """Run the command as a user types it."""
    return subprocess.run(
        [sys.executable, ROOT / 'tools/visualize.py', *map(str, arguments)],
        capture_output=True,
        text=True,
        **options,
    )


def test_iou_counts_all_images_and_leaves_ignored_pixels_out():
    predictions = [np.array([[0, 1, 1]]), np.array([[2, 2, 0]])]
    references = [np.array([[0, 0, 1]]), np.array([[255, 2, 0]])]
    ious = class_ious(predictions, references, 4)
    assert ious == [2 / 3, 1 / 2, 1, None]


def test_a_verdict_says_who_is_right():
    first, last = np.array([[1, 1, 2, 2, 1]]), np.array([[2, 1, 1, 2, 1]])
    reference = np.array([[1, 1, 1, 1, 255]])
    assert verdicts(first, last, reference).tolist() == [[1, 3, 2, 0, 4]]


def test_label_maps_have_the_colours_of_the_data_set():
    palette = np.array(PALETTE, np.uint8)
    picture = coloured(np.array([[0, 3], [255, 10]]), palette)
    assert picture.tolist() == [
        [PALETTE[0], PALETTE[3]],
        [[255, 255, 255], PALETTE[10]],
    ]


def test_the_map_of_changes_shows_where_the_last_is_better():
    reference = np.zeros((8, 8), np.int64)
    first, last = reference.copy(), reference.copy()
    first[:, 4:] = 1
    last[:4, :4] = 1
    picture = Picture('a', np.zeros((8, 8, 3), np.uint8))
    ious = {'a': [0.5, 0.0], 'b': [0.75, 0.0]}
    figure = segmentation_figure(
        [picture],
        [reference],
        [dict(a=first, b=last)],
        [reference],
        ious,
        ['sky', 'sea'],
        np.array([[9, 9, 9], [200, 0, 0]], np.uint8),
        ['a', 'b'],
        'label',
    )
    axes = {axis.get_title(): axis for axis in figure.subfigs[0].axes}
    assert list(axes) == ['image', 'label', 'a', 'b', 'change']
    change = axes['change'].images[0].get_array()
    colours = {
        name: tuple(np.round(change[y, x] * 255).astype(int))
        for name, (y, x) in dict(
            only_first=(1, 1), only_last=(6, 6), both_right=(6, 1)
        ).items()
    }
    assert colours == dict(
        only_first=(230, 159, 0),
        only_last=(47, 127, 193),
        both_right=(233, 233, 236),
    )
    assert as_array(figure).std() > 20
    bars = figure.subfigs[1].axes[0].containers
    heights = [[bar.get_height() for bar in group] for group in bars]
    assert heights == [[0.5, 0.0], [0.75, 0.0]]


def compare(run, out, *images, config=CONFIG, options=(), **arguments):
    named = [f'alone={run.alone}', f'distilled={run.other}']
    return compare_checkpoints(
        read_config(str(config), dict(options)),
        arguments.pop('checkpoints', named),
        list(map(str, images or [run.image()])),
        out,
        **arguments,
    )


def rows_of(file):
    with open(file, newline='') as opened:
        return list(csv.DictReader(opened))


def test_labels_are_taken_from_the_data_set(run, tmp_path, capsys):
    from mmtat.engine.dataset_check import set_data_root

    config = read_config(str(CONFIG))
    set_data_root(config, str(run.data))
    files = compare_checkpoints(
        config,
        [f'alone={run.alone}', f'distilled={run.other}'],
        [str(run.image(0)), str(run.image(2))],
        tmp_path / 'out',
        with_teacher=True,
        teacher_ckpt=str(run.teacher),
    )
    rows = rows_of(files[1])
    assert {row['reference'] for row in rows} == {'label'}
    assert {row['model'] for row in rows} == {'alone', 'distilled', 'teacher'}
    assert {row['image'] for row in rows} == {
        'all images',
        'val_00000',
        'val_00002',
    }
    shown = capsys.readouterr().out
    assert 'IoU with the label' in shown
    assert 'distilled - alone' in shown
    picture = np.asarray(Image.open(files[0]).convert('RGB'))
    assert min(picture.shape[:2]) > 500 and picture.std() > 20


def test_numbers_are_those_of_the_stock_metric(run, tmp_path):
    from mmseg.apis import inference_model, init_model

    config = CONFIG.with_name('digit_scenes_student_further.py')
    model = init_model(str(config), str(run.alone), device='cpu')
    stock = inference_model(model, str(run.image(1))).pred_sem_seg.data[0]
    # Half right, so that no number is 0 or 1.
    label = torch.roll(stock, 7, 0).numpy()
    label[:20] = (label[:20] + 1) % len(CLASSES)
    Image.fromarray(label.astype(np.uint8)).save(tmp_path / 'val_00001.png')
    files = compare(run, tmp_path / 'out', run.image(1), labels=tmp_path)
    written = {
        row['class']: float(row['iou'])
        for row in rows_of(files[1])
        if row['model'] == 'alone' and row['image'] == 'val_00001'
    }
    assert any(0.1 < iou < 0.9 for iou in written.values())
    for name, iou in written.items():
        index = CLASSES.index(name)
        ours, theirs = stock.numpy() == index, label == index
        wanted = (ours & theirs).sum() / (ours | theirs).sum()
        assert iou == pytest.approx(wanted, abs=1e-4)


def test_without_labels_the_teacher_is_agreed_with(run, tmp_path):
    files = compare(
        run, tmp_path, with_teacher=True, teacher_ckpt=str(run.teacher)
    )
    rows = rows_of(files[1])
    assert {row['reference'] for row in rows} == {'prediction of teacher'}
    of_teacher = [r['iou'] for r in rows if r['model'] == 'teacher']
    assert set(of_teacher) == {'1.0000'}


def test_classifiers_are_compared_by_their_top_classes(tmp_path):
    algorithm = built(read_config(str(DIGITS)))
    student = {
        name: tensor
        for name, tensor in algorithm.state_dict().items()
        if not name.startswith('distiller.')
    }
    torch.save(dict(state_dict=student), tmp_path / 's.pth')
    pixels = np.random.randint(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / 'noise.png')
    files = compare_checkpoints(
        read_config(str(DIGITS)),
        [f'alone={tmp_path / "s.pth"}'],
        [str(tmp_path / 'noise.png')],
        tmp_path / 'out',
    )
    rows = rows_of(files[1])
    assert [row['rank'] for row in rows] == list('12345')
    scores = [float(row['score']) for row in rows]
    assert scores == sorted(scores, reverse=True)
    # Scores of what the stock model says of the same pixels.
    model = algorithm.architecture.eval()
    image = torch.from_numpy(pixels).permute(2, 0, 1)[None]
    inputs = model.data_preprocessor(dict(inputs=image))['inputs']
    stock = model(inputs, mode='predict')[0].pred_score
    assert scores[0] == pytest.approx(stock.max().item(), abs=1e-4)
    assert rows[0]['class'] == str(stock.argmax().item())
    assert np.asarray(Image.open(files[0])).std() > 10


@pytest.mark.parametrize(
    'case, message',
    [
        ('no images', 'IMAGE: give at least one image'),
        ('no name', "must be NAME=FILE.*got '.*alone.pth'"),
        ('twice', "the name 'a' is taken"),
        ('reserved', "the name 'teacher' is taken"),
        ('another model', 'is of another model than EncoderDecoder'),
        ('no file', "--checkpoints a: no file 'gone.pth'"),
        ('no label', "--labels: .*val_00000.png' is not there"),
        ('small label', 'is 9 wide and 7 high, but its image 40 and 40'),
        ('no teacher', '--teacher: the config is no distillation'),
        ('there', 'compare.png.* exists; --force'),
    ],
)
def test_what_cannot_be_compared_is_refused(run, tmp_path, case, message):
    torch.save(dict(state_dict=dict(a=torch.ones(1))), tmp_path / 'b.pth')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'small').mkdir()
    small = Image.fromarray(np.zeros((7, 9), np.uint8))
    small.save(tmp_path / 'small' / 'val_00000.png')
    (tmp_path / 'there').mkdir()
    (tmp_path / 'there' / 'compare.png').write_text('mine')
    student = CONFIG.with_name('digit_scenes_student.py')
    arguments = {
        'no images': dict(images=[]),
        'no name': dict(checkpoints=[str(run.alone)]),
        'twice': dict(checkpoints=[f'a={run.alone}', f'a={run.other}']),
        'reserved': dict(checkpoints=[f'teacher={run.alone}']),
        'another model': dict(checkpoints=[f'a={tmp_path / "b.pth"}']),
        'no file': dict(checkpoints=['a=gone.pth']),
        'no label': dict(labels=tmp_path / 'empty'),
        'small label': dict(labels=tmp_path / 'small'),
        'no teacher': dict(config=student, with_teacher=True),
        'there': dict(out=tmp_path / 'there'),
    }[case]
    out = arguments.pop('out', tmp_path / 'out')
    if 'images' in arguments:
        arguments.pop('images')
        with pytest.raises(ValueError, match=message):
            compare_checkpoints(
                read_config(str(CONFIG)), [f'a={run.alone}'], [], out
            )
    else:
        with pytest.raises(ValueError, match=message):
            compare(run, out, **arguments)
    assert not (tmp_path / 'out').exists()
    assert (tmp_path / 'there' / 'compare.png').read_text() == 'mine'


def log(folder, *lines):
    """A log of mmengine's LocalVisBackend."""
    file = folder / 'vis_data' / 'scalars.json'
    file.parent.mkdir(parents=True)
    texts = [x if isinstance(x, str) else json.dumps(x) for x in lines]
    file.write_text('\n'.join(texts) + '\n')
    return file


def training(step, loss, **others):
    return dict(
        dict(lr=0.1, loss=loss, time=1.0, iter=step, step=step), **others
    )


def test_starts_of_a_run_are_joined_and_resumed_steps_replaced(tmp_path):
    log(tmp_path / 'run' / '1', training(1, 9.0), training(2, 8.0))
    log(tmp_path / 'run' / '2', training(2, 7.0), dict(mIoU=40, step=2))
    runs = read_runs([str(tmp_path / 'run')])
    assert runs['run']['loss'] == ([1, 2], [9.0, 7.0])
    assert runs['run']['mIoU'] == ([2], [40.0])


def test_epochs_of_validations_become_iterations(tmp_path):
    file = log(
        tmp_path,
        training(10, 3.0, epoch=1),
        training(20, 2.0, epoch=1),
        dict([('accuracy/top1', 50.0), ('step', 1)]),
        training(40, 1.0, epoch=2),
        dict([('accuracy/top1', 60.0), ('step', 2)]),
    )
    runs = read_runs([str(file)])
    (curves,) = runs.values()
    assert curves['accuracy/top1'] == ([20, 40], [50.0, 60.0])


def test_a_students_losses_stand_beside_those_of_a_student_alone(tmp_path):
    first = log(tmp_path / 'a', {'decode.loss_ce': 1.0, 'step': 1, 'lr': 1})
    second = log(
        tmp_path / 'b', {'student.decode.loss_ce': 2.0, 'step': 1, 'lr': 1}
    )
    runs = read_runs([str(first), str(second)])
    assert list(runs) == ['a', 'b']
    assert [one['decode.loss_ce'][1] for one in runs.values()] == [
        [1.0],
        [2.0],
    ]


def test_broken_lines_are_left_out_with_a_note(tmp_path, capsys):
    log(
        tmp_path / 'run',
        training(1, 2.0),
        '{"loss": 1, "st',
        'no json',
        '[1, 2]',
        '{"loss": NaN, "lr": 0.1, "step": 2}',
        training(3, 1.0),
    )
    out = draw_curves([str(tmp_path / 'run')], tmp_path / 'c.png')
    assert '3 lines that cannot be read are left out' in (
        capsys.readouterr().out
    )
    assert min(Image.open(out).size) > 300


def test_every_run_has_a_line_in_every_panel():
    runs = {
        'one': dict(loss=([1, 2], [3.0, 2.0]), mIoU=([2], [40.0])),
        'two': dict(loss=([1, 2], [5.0, 4.0])),
    }
    figure = curves_figure(runs, ['loss', 'mIoU'])
    loss, metric = figure.axes[:2]
    assert loss.get_title() == 'loss'
    drawn = [line.get_ydata().tolist() for line in loss.lines]
    assert drawn[:2] == [[3.0, 2.0], [5.0, 4.0]]
    assert metric.lines[0].get_ydata().tolist() == [40.0]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ['one', 'two']


def test_keys_choose_the_panels(tmp_path, capsys):
    log(tmp_path / 'a', training(1, 2.0, grad=3.0))
    log(tmp_path / 'b', training(1, 2.0))
    logs = [str(tmp_path / 'a'), str(tmp_path / 'b')]
    whole = draw_curves(logs, tmp_path / 'all.png')
    chosen = draw_curves(logs, tmp_path / 'one.png', ['grad'])
    assert Image.open(chosen).size[0] < Image.open(whole).size[0]
    assert 'b has logged no grad' in capsys.readouterr().out


@pytest.mark.parametrize(
    'case, message',
    [
        ('gone', "LOG: '.*gone' is not there"),
        ('empty', 'no vis_data/scalars.json; it is no work dir'),
        ('nothing', 'holds no scalars'),
        ('key', "no run has logged 'losss'; close matches: loss;"),
        ('picture', "--out must be a .png file, got '.*c.pdf'"),
        ('there', 'exists; --force writes over it'),
    ],
)
def test_what_has_no_curves_is_refused(tmp_path, case, message):
    log(tmp_path / 'run', training(1, 2.0))
    log(tmp_path / 'nothing', 'no json')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'there.png').write_text('mine')
    logs = tmp_path / (case if case in ('gone', 'empty', 'nothing') else 'run')
    out = dict(picture='c.pdf', there='there.png').get(case, 'c.png')
    keys = ['losss'] if case == 'key' else None
    with pytest.raises(ValueError, match=message):
        draw_curves([str(logs)], tmp_path / out, keys)
    assert not (tmp_path / 'c.png').exists()
    assert (tmp_path / 'there.png').read_text() == 'mine'


def test_a_schedule_is_plotted(tmp_path, monkeypatch):
    curves = dict(
        loss_tat=([0, 10, 20], [0.0, 1.0, 1.0]), kl=([0, 20], [2, 2])
    )
    monkeypatch.setattr(schedules, 'schedule_curves', lambda config: curves)
    figure = schedule_figure(curves)
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert lines['loss_tat'].get_xydata().tolist() == [
        [0, 0],
        [10, 1],
        [20, 1],
    ]
    assert lines['kl'].get_ydata().tolist() == [2, 2]
    out = draw_schedule(None, tmp_path / 'schedule.png')
    assert Image.open(out).size[0] > 500
    with pytest.raises(ValueError, match='exists; --force'):
        draw_schedule(None, out)
    draw_schedule(None, out, force=True)


def test_the_schedule_of_a_config_is_plotted(tmp_path):
    config = tmp_path / 'config.py'
    weights = "{'loss_tat_*': [dict(type='linear', begin=0, end=100, "
    config.write_text(
        f'_base_ = {str(CONFIG)!r}\n'
        "custom_hooks = [dict(type='mmtat.DistillWeightHook', "
        f'schedules={weights}start=0.0, stop=1.0)]}})]\n'
    )
    curves = schedules.schedule_curves(read_config(str(config)))
    steps, weights = curves['loss_tat_patch_group']
    assert (weights[0], weights[-1]) == (0, 3)
    out = draw_schedule(read_config(str(config)), tmp_path / 'schedule.png')
    assert np.asarray(Image.open(out).convert('RGB')).std() > 5


def test_a_config_without_distillation_has_no_schedule(tmp_path):
    config = read_config(str(CONFIG.with_name('digit_scenes_student.py')))
    with pytest.raises(ValueError, match='config: it has no teacher'):
        draw_schedule(config, tmp_path / 'schedule.png')


def test_the_command_draws_maps_as_typed(run, tmp_path):
    done = tool(
        *('maps', CONFIG, run.checkpoint, run.image(0)),
        *('--teacher-ckpt', run.teacher, '--pixel', '3,4', '--html'),
        cwd=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    # Beside the checkpoint, where no folder is named.
    out = run.checkpoint.parent / 'maps'
    assert f'wrote {out / "val_00000.png"}' in done.stdout
    assert f'wrote {out / "maps.html"}' in done.stdout
    assert sorted(path.name for path in out.iterdir()) == [
        'maps.html',
        'val_00000.png',
    ]


@pytest.mark.slow
def test_the_command_compares_as_typed(run, tmp_path):
    done = tool(
        *('compare', CONFIG, '--checkpoints', f'a={run.alone}'),
        *(f'b={run.other}', run.image(0), '--data-root', run.data),
        *('--out', tmp_path / 'out'),
    )
    assert done.returncode == 0, done.stderr
    assert 'b - a' in done.stdout
    names = sorted(path.name for path in (tmp_path / 'out').iterdir())
    assert names == ['compare.csv', 'compare.png']


@pytest.mark.slow
def test_the_command_draws_curves_and_schedules_as_typed(tmp_path):
    log(tmp_path / 'run', training(1, 2.0), training(2, 1.0))
    done = tool('curves', 'run', cwd=tmp_path)
    assert done.returncode == 0 and 'wrote curves.png' in done.stdout
    done = tool('schedule', CONFIG, '--out', 'weights.png', cwd=tmp_path)
    assert done.returncode == 0 and 'wrote weights.png' in done.stdout
    assert {path.name for path in Path(tmp_path).glob('*.png')} == {
        'curves.png',
        'weights.png',
    }
    done = tool('curves', 'gone', '--force', cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: LOG: 'gone' is not there")
