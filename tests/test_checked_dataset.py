"""A sample that fails is named, counted, and replaced by the same one."""

import copy
import logging
import os
import pickle
import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import (
    ConcatDataset,
    DefaultSampler,
    RepeatDataset,
)
from mmengine.registry import DATASETS
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmtat.datasets.checked_dataset import CheckedDataset
from mmtat.engine.data_check.checked_pipeline import replacement
from mmtat.engine.data_check.checks import FaultyDataError
from mmtat.engine.data_check.in_run import check_samples, leaves_of
from mmtat.engine.hooks.data_fault_hook import DataFaultHook
from mmtat.engine.saving.positions import SeededSamples
from mmtat.engine.student_config import student_config

from .broken import (
    blank,
    convert,
    cut,
    image_of,
    label,
    make_scenes,
    mask_of,
    scenes,
    write_png,
)
from .failing import Numbers
from .interruptions import Interrupt, Interrupted
from .processes import forget_runs
from .running import toy_config, train
from .test_exact_resume import (
    assert_same,
    config_of,
    last_checkpoint,
    without_places,
)
from .toys import distillation, save_teacher
from .voc import ROOT


@pytest.fixture
def warnings_of(caplog):
    """What is logged; mmengine's logger has no parent that pytest hears."""
    from mmengine.logging import MMLogger

    logger = MMLogger.get_instance('checked')
    logger.addHandler(caplog.handler)
    caplog.set_level(logging.WARNING)
    return lambda: [record.getMessage() for record in caplog.records]


def numbers_of(dataset, indices=None):
    indices = range(len(dataset)) if indices is None else indices
    return [dataset[index]['number'] for index in indices]


# --- what mmengine does ------------------------------------------------------


def test_mmengine_replaces_a_sample_that_is_none_and_says_nothing(
    warnings_of,
):
    dataset = Numbers(none=[3])
    assert dataset[3]['number'] != 3
    assert warnings_of() == []


# --- what is done instead ----------------------------------------------------


def test_whole_data_are_what_they_were(warnings_of):
    plain, checked = Numbers(), CheckedDataset(dict(type='Numbers'))
    assert len(checked) == 8
    np.random.seed(1)
    random.seed(1)
    expected = [plain[index] for index in range(8)]
    np.random.seed(1)
    random.seed(1)
    assert [checked[index] for index in range(8)] == expected
    assert warnings_of() == []


@pytest.mark.parametrize('how', ['bad', 'none'])
def test_another_sample_is_taken_and_named_once(warnings_of, how):
    dataset = CheckedDataset(Numbers(**{how: [3]}), most=0.2)
    numbers = numbers_of(dataset)
    taken = replacement(3, 0, seed=0, samples=8)
    assert numbers == [0, 1, 2, taken, 4, 5, 6, 7] and taken != 3
    assert numbers_of(dataset) == numbers
    (message,) = warnings_of()
    reason = dict(bad='broken', none='its pipeline returned None')[how]
    assert message == (
        f'dataset: n3: cannot be loaded: {reason}; n{taken} is taken in its '
        'place. 1 of 8 samples failed, 1 may.'
    )


def test_a_replacement_that_fails_is_replaced(warnings_of):
    first = replacement(3, 0, seed=0, samples=8)
    dataset = CheckedDataset(Numbers(bad=[3, first]), most=0.25)
    assert dataset[3]['number'] == replacement(3, 1, seed=0, samples=8)
    assert len(warnings_of()) == 2


def test_the_seed_decides_what_is_taken():
    taken = {
        CheckedDataset(Numbers(100, bad=[3]), most=0.1, seed=seed)[3]['number']
        for seed in range(5)
    }
    assert len(taken) > 1


def test_every_other_sample_can_be_taken():
    taken = {replacement(3, attempt, 0, 5) for attempt in range(100)}
    assert taken == {0, 1, 2, 4}
    assert replacement(0, 0, 0, 1) == 0


def test_one_of_few_samples_ends_the_run():
    dataset = CheckedDataset(Numbers(bad=[3]))
    with pytest.raises(FaultyDataError) as error:
        numbers_of(dataset)
    assert str(error.value) == (
        'dataset: 1 of 8 samples cannot be used, and 0 may fail (most=0.001). '
        'The last: n3: cannot be loaded: broken. tools/check_data.py CONFIG '
        'finds all of them; mend them, take them out, or allow more'
    )
    assert isinstance(error.value.__cause__, OSError)


def test_more_than_allowed_end_the_run(warnings_of):
    dataset = CheckedDataset(Numbers(1000, bad=[1, 3]))
    assert len(numbers_of(dataset, [0, 1, 2])) == 3
    with pytest.raises(FaultyDataError, match='2 of 1000 samples cannot'):
        dataset[3]
    assert len(warnings_of()) == 1


def test_samples_none_of_which_can_be_used_end_the_run():
    dataset = CheckedDataset(Numbers(bad=range(8)), most=1.0)
    with pytest.raises(FaultyDataError, match='none of 100 samples can be'):
        dataset[0]


def test_no_metric_is_taken_of_other_samples():
    dataset = CheckedDataset(Numbers(bad=[3], test_mode=True), most=0.5)
    with pytest.raises(FaultyDataError, match='n3: .* change the metric'):
        dataset[3]


def test_a_lack_of_memory_is_no_fault_of_a_sample():
    dataset = CheckedDataset(Numbers(), most=1.0)

    def exhaust(results):
        raise MemoryError

    dataset.pipeline.transforms.append(exhaust)
    with pytest.raises(MemoryError):
        dataset[0]


@pytest.mark.parametrize('most', [-0.1, 1.5, True, '0.1'])
def test_a_share_must_be_one(most):
    with pytest.raises(ValueError, match='most must be a share, from 0 to 1'):
        CheckedDataset(Numbers(), most=most)


# --- files and labels --------------------------------------------------------


def break_image(how, root):
    """Break sample 1 in a way that mmengine would not notice."""
    image, mask = image_of(root, 1), mask_of(root, 1)
    if how == 'blank':
        blank(image, 0.9)
    elif how == 'cmyk':
        convert(image, 'CMYK')
    elif how == 'deep':
        write_png(image, np.full((16, 24, 3), 300, np.uint16))
    elif how == 'size':
        write_png(mask, np.zeros((32, 32), np.uint8))
    elif how == 'deep mask':
        write_png(mask, np.full((16, 24), 258, np.uint16))
    elif how == 'label':
        label(mask, 3)
    elif how == 'colours':
        write_png(mask, np.zeros((16, 24, 3), np.uint8))


@pytest.mark.parametrize(
    'how, reason',
    [
        ('blank', '1.jpg: corrupt or cut off: it has no end marker'),
        ('cmyk', '1.jpg: CMYK: '),
        ('deep', '1.jpg: 16-bit: 16 bits a channel'),
        ('size', '1.png: image and mask differ in size: the image is 24x16'),
        ('deep mask', '1.png: 16-bit: label 258, of which loading keeps'),
        ('label', '1.png: labels outside the classes: label 3 at 1 of 384'),
        ('colours', '1.png: mask in colours: RGB'),
    ],
)
def test_what_loading_would_let_pass_is_a_fault(
    tmp_path, warnings_of, how, reason
):
    root = make_scenes(tmp_path / 'data')
    break_image(how, root)
    stock = DATASETS.build(scenes(root, _scope_='mmseg'))
    # Nothing is said; a mask in colours is said to be unusual.
    assert stock[1]['inputs'].shape == (3, 16, 24)
    dataset = CheckedDataset(scenes(root, _scope_='mmseg'), most=0.2)
    taken = dataset[1]['data_samples'].img_path
    assert taken == str(image_of(root, replacement(1, 0, 0, 6)))
    (message,) = warnings_of()
    assert reason in message


def test_a_metric_is_taken_with_an_image_in_cmyk(tmp_path, warnings_of):
    root = make_scenes(tmp_path / 'data')
    break_image('cmyk', root)
    config = scenes(root, _scope_='mmseg', test_mode=True)
    sample = CheckedDataset(config)[1]['data_samples']
    assert sample.img_path == str(image_of(root, 1))
    (message,) = warnings_of()
    assert '1.jpg: CMYK: ' in message and 'used as it is' in message


def test_an_image_that_is_cut_is_a_fault(tmp_path, warnings_of):
    root = make_scenes(tmp_path / 'data')
    cut(image_of(root, 1))
    dataset = CheckedDataset(scenes(root, _scope_='mmseg'), most=0.2)
    assert dataset[1]['data_samples'].img_path != str(image_of(root, 1))
    assert '1.jpg: corrupt or cut off: image file' in warnings_of()[0]


def test_a_grey_image_is_no_fault(tmp_path, warnings_of):
    root = make_scenes(tmp_path / 'data')
    convert(image_of(root, 1), 'L')
    dataset = CheckedDataset(scenes(root, _scope_='mmseg'))
    sample = dataset[1]['data_samples']
    assert sample.img_path == str(image_of(root, 1)) and not warnings_of()


def test_a_file_is_looked_into_before_its_first_use_only(
    tmp_path, monkeypatch
):
    root = make_scenes(tmp_path / 'data')
    dataset = CheckedDataset(scenes(root, _scope_='mmseg'))
    looks = []
    monkeypatch.setattr(
        'mmtat.engine.data_check.checked_pipeline.findings_of',
        lambda data, *args, **kwargs: looks.append(data['img_path']) or [],
    )
    for _ in range(2):
        dataset[1]
    assert looks == [str(image_of(root, 1))]


def test_labels_of_images_are_compared(warnings_of):
    dataset = DATASETS.build(
        dict(
            type='mmtat.Digits',
            split='train',
            labelled=0.5,
            pipeline=[dict(type='mmpretrain.PackInputs')],
        )
    )
    # Those without a label are no fault.
    dataset.data_list[0]['gt_label'] = 10
    checked = CheckedDataset(dataset)
    for index in range(len(dataset)):
        checked[index]
    (message,) = warnings_of()
    assert 'train_0000: labels outside the classes: label 10;' in message


def test_a_mask_that_no_loader_knows_is_compared_after_the_pipeline(
    tmp_path, warnings_of
):
    """Such as one that a pipeline pads with a label that is no class."""
    root = make_scenes(tmp_path / 'data')
    dataset = scenes(root, _scope_='mmseg')
    pad = dict(type='Pad', size=(32, 32), pad_val=dict(img=0, seg=77))
    dataset['pipeline'].insert(2, pad)
    with pytest.raises(FaultyDataError, match='label 77 at 640 of 1024'):
        CheckedDataset(dataset)[0]


# --- wrappers ----------------------------------------------------------------


def test_everything_else_is_the_dataset_itself():
    inner = Numbers(metainfo=dict(classes=('even', 'odd')), bad=[3])
    dataset = CheckedDataset(inner, most=0.2)
    assert dataset.metainfo == inner.metainfo
    assert dataset.get_cat_ids(3) == [1]
    assert dataset.get_data_info(2)['img_path'] == 'n2'
    assert len(DefaultSampler(dataset)) == 8
    assert not hasattr(dataset, 'nothing_of_this_name')
    for same in (copy.deepcopy(dataset), pickle.loads(pickle.dumps(dataset))):
        assert numbers_of(same) == numbers_of(dataset)


def test_lists_are_read_when_they_are_asked_for():
    dataset = CheckedDataset(
        dict(type='Numbers', lazy_init=True, bad=[3]), lazy_init=True
    )
    assert dataset.metainfo == {} and not dataset.dataset._fully_initialized
    with pytest.raises(FaultyDataError):
        dataset[3]


def test_it_stands_in_wrappers_and_around_them(warnings_of):
    def parts():
        return [
            dict(type='Numbers', bad=[1]),
            dict(type='Numbers', length=4, start=8, bad=[9]),
        ]

    taken = [replacement(1, 0, 0, 8), 8 + replacement(1, 0, 0, 4)]
    expected = [0, taken[0], *range(2, 8), 8, taken[1], 10, 11]
    outside = CheckedDataset(
        dict(type='ConcatDataset', datasets=parts()), most=0.2
    )
    assert numbers_of(outside) == expected
    inside = ConcatDataset(
        [
            dict(type='mmtat.CheckedDataset', dataset=part, most=0.25)
            for part in parts()
        ]
    )
    assert numbers_of(inside) == expected
    assert len(warnings_of()) == 4


def test_a_repeated_sample_counts_once():
    repeated = RepeatDataset(Numbers(100, bad=[3]), times=50)
    # Of 5000 samples 5 could fail, of 100 none may.
    dataset = CheckedDataset(repeated)
    with pytest.raises(FaultyDataError, match='1 of 100 samples'):
        dataset[203]


def test_the_rarest_classes_can_be_repeated():
    balanced = dict(
        type='ClassBalancedDataset',
        dataset=dict(
            type='mmtat.CheckedDataset', dataset=dict(type='Numbers')
        ),
        oversample_thr=0.9,
    )
    assert numbers_of(DATASETS.build(balanced))[:4] == [0, 0, 1, 1]


def test_images_that_are_mixed_are_replaced_one_by_one(tmp_path, warnings_of):
    root = make_scenes(tmp_path / 'data')
    cut(image_of(root, 1))
    inner = scenes(root, _scope_='mmseg')
    inner['pipeline'].pop()
    mixed = dict(
        type='mmseg.MultiImageMixDataset',
        dataset=dict(type='ConcatDataset', datasets=[inner]),
        pipeline=[
            dict(type='RandomMosaic', prob=1.0, img_scale=(16, 24)),
            dict(type='PackSegInputs'),
        ],
    )
    dataset = CheckedDataset(mixed, most=0.2)
    for _ in range(8):
        assert dataset[0]['inputs'].shape[0] == 3
    (message,) = warnings_of()
    assert str(image_of(root, 1)) in message


def test_hooks_may_change_the_pipeline_amid_a_run():
    dataset = CheckedDataset(Numbers(bad=[3]), most=0.2)
    dataset.pipeline = Numbers(bad=[5]).pipeline
    assert dataset[3]['number'] == 3
    assert dataset[5]['number'] == replacement(5, 0, 0, 8)


def test_datasets_that_are_not_of_mmengine_stay_as_they_are():
    plain = torch.utils.data.TensorDataset(torch.arange(3))
    assert check_samples(plain) is None
    assert leaves_of(plain) == [plain]
    assert CheckedDataset(plain)[1] == (torch.tensor(1),)


def test_the_config_of_the_student_has_the_dataset_without_its_check():
    plain = dict(type='RepeatDataset', dataset=dict(type='Numbers'), times=2)
    loader = dict(dataset=dict(type='mmtat.CheckedDataset', dataset=plain))
    config = Config(dict(model=distillation(), train_dataloader=loader))
    assert student_config(config).train_dataloader.dataset == plain


def test_what_is_checked_twice_is_checked_once():
    dataset = Numbers(bad=[3])
    record = check_samples(dataset, most=0.2)
    assert check_samples(CheckedDataset(dataset)) is None
    dataset[3]
    assert record.failed == 1


# --- workers -----------------------------------------------------------------


def loader_of(dataset, workers, start='fork'):
    return DataLoader(
        dataset,
        batch_size=2,
        num_workers=workers,
        collate_fn=list,
        multiprocessing_context=start if workers else None,
    )


def test_workers_count_together():
    dataset = Numbers(40, bad=[3, 4, 21], serialize_data=True)
    record = check_samples(dataset, most=0.1)
    batches = list(loader_of(dataset, workers=2))
    assert sum(map(len, batches)) == 40
    assert record.failed == 3
    # They begin anew, and find what they know.
    list(loader_of(dataset, workers=2))
    assert record.failed == 3


def test_the_error_of_a_worker_is_one_message():
    dataset = CheckedDataset(Numbers(40, bad=[3, 4]), most=0.025)
    with pytest.raises(FaultyDataError) as error:
        list(loader_of(dataset, workers=2))
    assert str(error.value).startswith('dataset: 2 of 40 samples cannot be')
    assert 'Traceback' not in str(error.value)
    # Whoever looks for the reason finds the worker's traceback.
    (note,) = error.value.__notes__
    assert 'OSError: broken' in note and 'DataLoader worker' in note


@pytest.mark.slow
def test_workers_that_are_spawned_count_together_too():
    dataset = Numbers(12, bad=[3, 8])
    record = check_samples(dataset, most=0.2)
    list(loader_of(dataset, workers=2, start='spawn'))
    assert record.failed == 2


@pytest.mark.slow
def test_seeded_samples_take_the_same_in_another_order():
    def noise(indices):
        inner = CheckedDataset(Numbers(bad=[3]), most=0.2)
        dataset = SeededSamples(inner, seed=5)
        return {i: dataset[i]['noise'] for i in indices}

    assert noise(range(8)) == noise(reversed(range(8)))


@pytest.mark.parametrize(
    'options',
    [
        dict(seeded=True),
        pytest.param(dict(workers=2), marks=pytest.mark.slow),
        pytest.param(dict(by_epoch=True), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_resumed_run_takes_the_same_samples(tmp_path, options):
    save_teacher(tmp_path / 'teacher.pth')
    images = dict(
        type='mmtat.CheckedDataset',
        dataset=dict(
            type='Numbers',
            length=10,
            bad=(3, 7),
            pipeline=[dict(type='ToInputs')],
        ),
        most=0.2,
    )

    def run(folder, at=None, **more):
        forget_runs()
        config = config_of(
            tmp_path / folder, tmp_path / 'teacher.pth', **options, **more
        )
        config['train_dataloader']['dataset'] = images
        config['custom_hooks'] = [dict(type='Interrupt')]
        Interrupt.at = at
        train(config)

    run('whole')
    with pytest.raises(Interrupted):
        run('cut', at=7)
    run('cut', resume=True)
    states = [
        without_places(last_checkpoint(tmp_path / folder))
        for folder in ('cut', 'whole')
    ]
    assert_same(*states)


# --- several processes -------------------------------------------------------


def images_of(**options):
    return dict(type='Numbers', pipeline=[dict(type='ToInputs')], **options)


def distributed_config(work_dir, **images):
    """A run whose two processes see the even and the odd numbers."""
    config = toy_config(work_dir)
    config['train_dataloader']['dataset'] = dict(
        type='mmtat.CheckedDataset',
        dataset=images_of(length=40, **images),
        most=0.025,
    )
    config['custom_hooks'] = [dict(type='mmtat.DataFaultHook')]
    return config


def test_a_run_says_at_its_end_how_many_failed(tmp_path, warnings_of):
    train(distributed_config(tmp_path, bad=(2,)))
    (log,) = tmp_path.glob('*/*.log')
    text = log.read_text()
    assert 'dataset: n2: cannot be loaded: broken; n' in text
    assert '1 of 40 samples failed in this process' in text


def hooked_config(work_dir, loop='mmtat.ExactIterBasedTrainLoop', **images):
    config = toy_config(work_dir)
    loader = config['train_dataloader']
    loader.update(dataset=images_of(**images), num_workers=1)
    config['train_cfg']['type'] = loop
    config['custom_hooks'] = [dict(type='mmtat.DataFaultHook')]
    return config


def test_the_hook_checks_what_it_is_not_told_of(tmp_path):
    config = hooked_config(tmp_path, bad=(3,))
    with pytest.raises(FaultyDataError, match='training data: 1 of 8 samples'):
        train(config)


def test_the_hook_allows_a_share(tmp_path):
    config = hooked_config(tmp_path, length=1000, bad=(3,))
    train(config)
    (log,) = tmp_path.glob('*/*.log')
    assert 'training data: n3: cannot be loaded' in log.read_text()


def test_the_hook_lets_no_sample_of_a_validation_fail(tmp_path):
    config = hooked_config(tmp_path, length=1000)
    config['val_dataloader']['dataset'] = images_of(length=2000, bad=(3,))
    with pytest.raises(
        FaultyDataError, match='validation data: 1 of 2000 .*, and 0 may fail'
    ):
        train(config)


def test_the_hook_needs_no_training_data_for_a_test(tmp_path):
    config = hooked_config(tmp_path)
    config['test_dataloader'] = config['val_dataloader']
    config['test_dataloader']['dataset'] = images_of(bad=(3,))
    config['test_evaluator'] = config['val_evaluator']
    config['test_cfg'] = dict()
    config['train_dataloader']['dataset'] = dict(type='NoSuchDataset')
    runner = Runner.from_cfg(Config(config))
    with pytest.raises(FaultyDataError, match='test data: 1 of 8 samples'):
        runner.test()


def test_the_hook_says_where_it_comes_too_late(tmp_path):
    config = hooked_config(tmp_path, loop='IterBasedTrainLoop', length=20)
    train(config)
    (log,) = tmp_path.glob('*/*.log')
    assert 'as the workers run already: take mmtat.Exact' in log.read_text()
    config['train_dataloader']['dataset'] = dict(
        type='mmtat.CheckedDataset', dataset=images_of(length=20)
    )
    config.update(work_dir=str(tmp_path / 'wrapped'), experiment_name='b')
    train(config)
    (log,) = tmp_path.glob('wrapped/*/*.log')
    assert 'workers run already' not in log.read_text()


def test_processes_count_each_sample_once(monkeypatch):
    class Store(dict):
        def add(self, key, count):
            self[key] = self.get(key, 0) + count
            return self[key]

    store = Store()
    monkeypatch.setattr(
        'mmtat.engine.hooks.data_fault_hook._store', lambda: store
    )
    hooks = [DataFaultHook(), DataFaultHook()]
    assert hooks[0]._tell([2]) == 1
    assert hooks[1]._tell([2, 3]) == 2
    assert hooks[0]._tell([2]) == 2


def command(work_dir, config, *program):
    """Train as a user does."""
    path = work_dir / 'config.py'
    Config(config).dump(path)
    imports = ['tests.running', 'tests.failing']
    with open(path, 'a') as out:
        out.write(f'custom_imports = dict(imports={imports})\n')
    environment = dict(os.environ, PYTHONPATH=str(ROOT), OMP_NUM_THREADS='1')
    environment['PORT'] = str(20000 + os.getpid() % 20000)
    done = subprocess.run(
        [path if word == 'CONFIG' else word for word in program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode != 0
    return done


@pytest.mark.slow
def test_what_a_worker_found_ends_the_command_with_one_line(tmp_path):
    config = hooked_config(tmp_path, bad=(3,))
    done = command(
        tmp_path, config, sys.executable, 'tools/train.py', 'CONFIG'
    )
    assert 'error: training data: 1 of 8 samples cannot be' in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.slow
def test_two_processes_end_on_what_neither_alone_would(tmp_path):
    config = distributed_config(tmp_path, bad=(2, 3))
    program = ('bash', 'tools/dist_train.sh', 'CONFIG', '2')
    done = command(tmp_path, config, *program)
    assert 'error: dataset: 2 of 40 samples cannot be used' in done.stderr
    assert '[rank 1] dataset: n3: cannot be loaded' in done.stdout
