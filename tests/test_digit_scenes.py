import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from mmtat.datasets import CLASSES, PALETTE, digit_scenes, write_digit_scenes
from mmtat.datasets.scenes import draw_scene, split_digits

ROOT = Path(__file__).parents[1]
SMALL = dict(train=4, tuning=2, val=3)


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('scenes') / 'some' / 'data'
    return write_digit_scenes(root, labelled=1, aug=2, **SMALL)


def content(root):
    files = [path for path in Path(root).rglob('*') if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def names(root, split):
    path = root / 'ImageSets' / 'Segmentation' / f'{split}.txt'
    return path.read_text().split()


def label(root, name, folder='SegmentationClass'):
    return np.array(Image.open(root / folder / f'{name}.png'))


def test_the_same_seed_gives_the_same_bytes(data, tmp_path):
    again = write_digit_scenes(tmp_path / 'b', labelled=1, aug=2, **SMALL)
    assert content(again) == content(data)


def test_another_seed_gives_other_scenes(data, tmp_path):
    other = write_digit_scenes(tmp_path / 'b', seed=1, **SMALL)
    image = 'JPEGImages/val_00000.jpg'
    assert content(other)[image] != content(data)[image]


def test_a_larger_split_begins_as_a_smaller_one(data, tmp_path):
    larger = write_digit_scenes(tmp_path / 'b', train=5, tuning=3, val=4)
    for name, written in content(data).items():
        if '/val_' in name or 'tuning_' in name:
            assert content(larger)[name] == written


def test_the_splits_share_no_digit_image():
    splits = split_digits(seed=0)
    images = {s: {i.tobytes() for i in splits[s][0]} for s in splits}
    assert {s: len(i) for s, i in images.items()} == dict(
        train=1078, tuning=270, val=449
    )
    assert len(set.union(*images.values())) == 1797


def test_a_split_draws_its_own_digits_alone(tmp_path, monkeypatch):
    drawn = {}

    def note(source, rng, size, digits):
        drawn[len(drawn)] = source[0]
        return draw_scene(source, rng, size, digits)

    monkeypatch.setattr(digit_scenes, 'draw_scene', note)
    write_digit_scenes(tmp_path / 'a', train=1, aug=1, tuning=1, val=1)
    splits = split_digits(seed=0)
    for order, split in enumerate(('train', 'train', 'tuning', 'val')):
        assert np.array_equal(drawn[order], splits[split][0])


def test_the_layout_is_that_of_voc(data):
    for split, count in dict(SMALL, labelled=1, unlabelled=3, aug=2).items():
        assert len(names(data, split)) == count
    every = [
        n for s in ('train', 'aug', 'tuning', 'val') for n in names(data, s)
    ]
    assert {p.stem for p in (data / 'JPEGImages').iterdir()} == set(every)
    for name in every:
        folder = 'SegmentationClass' + ('Aug' if 'aug' in name else '')
        image = cv2.imread(str(data / 'JPEGImages' / f'{name}.jpg'))
        assert image.shape == (40, 40, 3) and image.dtype == np.uint8
        assert label(data, name, folder).shape == (40, 40)


def test_labels_are_the_background_and_the_digits_of_the_scene(data):
    seen = [label(data, name) for name in names(data, 'train')]
    for one in seen:
        digits = set(np.unique(one)) - {0}
        assert 1 <= len(digits) <= 3 and digits <= set(range(1, 11))
        # Most of a scene is background, and no digit is a speck.
        assert 0.5 < (one == 0).mean() < 0.95


def test_digits_are_bright_where_the_label_says_so():
    images, digits = split_digits(seed=0)['val']
    sevens = images[digits == 7], digits[digits == 7]
    image, one = draw_scene(sevens, np.random.default_rng(0))
    assert set(np.unique(one)) == {0, 8}
    brightest = image.max(axis=2)
    assert brightest[one == 8].mean() > 150 > 100 > brightest[one == 0].mean()


def test_labels_show_in_colour(data):
    picture = Image.open(
        data / 'SegmentationClass' / f'{names(data, "val")[0]}.png'
    )
    assert picture.mode == 'P'
    coloured = np.array(picture.convert('RGB'))
    assert np.array_equal(coloured, np.array(PALETTE)[np.array(picture)])


def test_unlabelled_scenes_are_ignored_throughout(data):
    assert names(data, 'train') == [
        *names(data, 'labelled'),
        *names(data, 'unlabelled'),
    ]
    for name in names(data, 'unlabelled'):
        hidden = label(data, name, 'SegmentationClassUnlabelled')
        assert hidden.shape == (40, 40) and set(np.unique(hidden)) == {255}


def test_size_and_number_of_digits_are_chosen(tmp_path):
    root = write_digit_scenes(tmp_path / 'a', size=64, digits=1, **SMALL)
    for name in names(root, 'train'):
        assert label(root, name).shape == (64, 64)
        assert len(np.unique(label(root, name))) == 2
    assert not (root / 'SegmentationClassAug').exists()
    assert not (root / 'SegmentationClassUnlabelled').exists()


def test_the_stock_voc_dataset_reads_the_aug_layout(data):
    from mmseg.datasets import PascalVOCDataset

    for split, folder, count in (
        ('train', 'SegmentationClass', 4),
        ('aug', 'SegmentationClassAug', 2),
    ):
        dataset = PascalVOCDataset(
            ann_file=f'ImageSets/Segmentation/{split}.txt',
            data_root=str(data),
            data_prefix=dict(img_path='JPEGImages', seg_map_path=folder),
            pipeline=[],
        )
        assert len(dataset) == count
        for sample in map(dataset.get_data_info, range(count)):
            name = Path(sample['img_path']).stem
            assert Path(sample['img_path']).is_file()
            assert sample['seg_map_path'] == f'{data}/{folder}/{name}.png'


@pytest.mark.parametrize('split', ['labelled', 'unlabelled', 'val'])
def test_the_configs_of_the_demo_read_the_data(data, split):
    import mmseg.datasets  # noqa: F401

    config = Config.fromfile(
        ROOT / 'configs/demo/digit_scenes_student_further.py'
    )
    mixed = config.train_dataloader.dataset.datasets
    chosen = dict(
        labelled=mixed[0].dataset,
        unlabelled=mixed[1],
        val=config.val_dataloader.dataset,
    )[split]
    with DefaultScope.overwrite_default_scope('mmseg'):
        samples = list(DATASETS.build(dict(chosen, data_root=str(data))))
    read = [sample['data_samples'] for sample in samples]
    assert [Path(one.img_path).stem for one in read] == names(data, split)
    for sample, one in zip(samples, read):
        assert sample['inputs'].shape == (3, 80, 80)
        seen = set(one.gt_sem_seg.data.unique().tolist())
        assert seen == {255} if split == 'unlabelled' else seen < {*range(11)}


def test_the_configs_of_the_demo_know_classes_and_colours():
    config = Config.fromfile(ROOT / 'configs/demo/digit_scenes_teacher.py')
    assert config.metainfo == dict(classes=CLASSES, palette=PALETTE)
    assert config.model.decode_head.num_classes == len(CLASSES)


@pytest.mark.parametrize(
    'argument, value, right',
    [
        ('seed', -1, 'from 0'),
        ('train', 0, 'from 1'),
        ('train', 2.5, 'whole number'),
        ('tuning', True, 'whole number'),
        ('val', 'all', 'whole number'),
        ('labelled', 5, 'from 0 to 4'),
        ('aug', -1, 'from 0'),
        ('size', 23, 'from 24'),
        ('digits', 10, 'from 1 to 9'),
    ],
)
def test_a_bad_argument_is_named(tmp_path, argument, value, right):
    arguments = {**SMALL, argument: value}
    with pytest.raises(ValueError) as error:
        write_digit_scenes(tmp_path / 'a', **arguments)
    message = str(error.value)
    assert message.startswith(f'{argument} must be')
    assert repr(value) in message and right in message
    assert not list(tmp_path.iterdir())


def test_data_of_the_same_call_is_left_alone(tmp_path):
    root = write_digit_scenes(tmp_path / 'a', **SMALL)
    touched = root / 'JPEGImages' / 'val_00000.jpg'
    touched.write_bytes(b'mine')
    assert write_digit_scenes(root, **SMALL) == root
    assert touched.read_bytes() == b'mine'


@pytest.mark.parametrize('arguments', [dict(seed=1), dict(size=48)])
def test_data_of_another_call_is_never_overwritten(tmp_path, arguments):
    root = write_digit_scenes(tmp_path / 'a', **SMALL)
    before = content(root)
    with pytest.raises(ValueError, match='root must be new, empty'):
        write_digit_scenes(root, **{**SMALL, **arguments})
    assert content(root) == before


def test_a_file_or_a_folder_of_something_else_is_refused(tmp_path):
    (tmp_path / 'thesis.txt').write_text('mine')
    for root in (tmp_path, tmp_path / 'thesis.txt'):
        with pytest.raises(ValueError, match='root must be new, empty'):
            write_digit_scenes(root, **SMALL)
    assert content(tmp_path) == {'thesis.txt': b'mine'}


def test_an_empty_folder_is_filled(tmp_path):
    (tmp_path / 'a').mkdir()
    root = write_digit_scenes(tmp_path / 'a', **SMALL)
    assert json.loads((root / 'digit_scenes.json').read_text())['val'] == 3


def test_nothing_half_written_stays(tmp_path, monkeypatch):
    left = []

    def break_down(source, rng, size, digits):
        if len(left) == 5:
            raise KeyboardInterrupt
        left.append(None)
        return draw_scene(source, rng, size, digits)

    monkeypatch.setattr(digit_scenes, 'draw_scene', break_down)
    with pytest.raises(KeyboardInterrupt):
        write_digit_scenes(tmp_path / 'a', **SMALL)
    assert len(left) == 5 and not list(tmp_path.iterdir())
    monkeypatch.undo()
    assert len(names(write_digit_scenes(tmp_path / 'a', **SMALL), 'val')) == 3
