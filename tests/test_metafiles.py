"""model-index.yml and the metafiles say what the configs are."""

import re
from pathlib import Path

import mmpretrain
import mmseg
import pytest
from mmengine.fileio import load

from .metafiles import (
    METAFILES,
    MODELS,
    config_of,
    network_of,
    results_of,
)
from .results import holds
from .test_configs import RUNNABLE
from .voc import ROOT

ZOOS = dict(mmseg=mmseg, mmpretrain=mmpretrain)
DATA = {
    'PascalVOCDataset': 'Pascal VOC 2012 + Aug',
    'COCOStuffDataset': 'COCO-Stuff 10k',
    'ImageNet': 'ImageNet-1k',
    'CIFAR100': 'CIFAR-100',
    'mmtat.Digits': 'Handwritten digits',
    'BaseSegDataset': 'Digit scenes',
}
WRAPPERS = ('ConcatDataset', 'RepeatDataset')


def model_name(model):
    return model['Name']


each_model = pytest.mark.parametrize('model', MODELS, ids=model_name)


# --- the index --------------------------------------------------------------


def test_the_index_imports_every_metafile():
    index = load(str(ROOT / 'model-index.yml'))
    assert index == dict(Import=sorted(METAFILES))


def test_every_config_is_in_one_metafile_that_of_its_folder():
    listed = [
        (Path(path).parent / Path(model['Config']).name, model['Config'])
        for path, metafile in METAFILES.items()
        for model in metafile['Models']
    ]
    assert all(str(here) == config for here, config in listed)
    runnable = [path.relative_to(ROOT).as_posix() for path in RUNNABLE]
    assert sorted(config for _, config in listed) == runnable


def test_names_are_the_configs_with_their_folder_where_two_have_one():
    stems = [path.stem for path in RUNNABLE]
    for model in MODELS:
        path = Path(model['Config'])
        *folders, _ = path.relative_to('configs').parts
        short = stems.count(path.stem) == 1
        name = path.stem if short else '_'.join([*folders, path.stem])
        assert model['Name'] == name


def test_collections_have_a_paper_a_page_and_models():
    names = []
    for path, metafile in METAFILES.items():
        collections = metafile['Collections']
        own = [collection['Name'] for collection in collections]
        assert {m['In Collection'] for m in metafile['Models']} == set(own)
        for collection in collections:
            readme = Path(path).with_name('README.md').as_posix()
            assert collection['README'] == readme
            assert (ROOT / readme).is_file()
            assert collection['Paper']['URL'].startswith('https://')
            assert collection['Paper']['Title']
        names += own
    # An index that is read as one keeps the last of two.
    assert len(set(names)) == len(names)


# --- what is said of a config -----------------------------------------------


@each_model
def test_data_and_length_are_those_of_the_config(model):
    config, said = config_of(model['Config']), model['Metadata']
    dataset = config.train_dataloader.dataset
    while 'type' not in dataset or dataset.type in WRAPPERS:
        dataset = dataset.get('dataset') or dataset.datasets[0]
    assert said['Training Data'] == DATA[dataset.type]
    lengths = dict(max_iters='Iterations', max_epochs='Epochs')
    for key, name in lengths.items():
        assert said.get(name) == config.train_cfg.get(key)


@each_model
def test_the_batch_is_that_of_the_configs_command(model):
    config, said = config_of(model['Config']), model['Metadata']
    text = re.sub(r'\\\n#', '', (ROOT / model['Config']).read_text())
    name = re.escape(model['Config'])
    launch = re.search(
        rf'^# +bash tools/dist_train\.sh +{name} (\d+)$', text, re.M
    )
    single = re.search(rf'^# +python tools/train\.py +{name}$', text, re.M)
    assert bool(launch) != bool(single)
    assert said['Processes'] == (int(launch[1]) if launch else 1)
    batch = config.train_dataloader.batch_size * said['Processes']
    assert said['Batch Size'] == batch
    if 'base_batch_size' in config.get('auto_scale_lr', {}):
        assert config.auto_scale_lr.base_batch_size == batch


@each_model
def test_teacher_and_student_are_those_of_the_config(model):
    config, said = config_of(model['Config']), model['Metadata']
    if 'architecture' not in config.model:
        assert said['Architecture'] == network_of(config.model)
        assert not {'Teacher', 'Student'} & said.keys()
        return
    student, teacher = said['Student'], said['Teacher']
    assert student['Architecture'] == network_of(config.model.architecture)
    alone = config_of(student['Config']).model
    assert alone.backbone == config.model.architecture.backbone
    assert network_of(alone) == student['Architecture']
    source = config.model.teacher
    if '::' not in source:
        source = Path(source).resolve().relative_to(ROOT).as_posix()
    assert teacher['Config'] == source
    assert teacher['Architecture'] == network_of(config_of(source).model)


# --- numbers ----------------------------------------------------------------


def problem_of(result):
    """Why a result does not say where it comes from; None if it does."""
    metrics, origin = result['Metrics'], result.get('Origin')
    if not all(isinstance(value, (int, float)) for value in metrics.values()):
        return 'a metric is no number'
    if origin == 'reported':
        return None if result.get('Source') else 'names no source'
    if origin != 'measured':
        return 'is marked neither as reported nor as measured'
    if not any(
        (ROOT / w).is_file() for w in result.get('Command', '').split()
    ):
        return 'names no command'
    file = ROOT / result.get('File', '')
    if not file.is_file():
        return 'names no file'
    text = file.read_text()
    lost = [v for v in metrics.values() if not holds(text, v)]
    return f'{lost} not in {result["File"]}' if lost else None


@pytest.mark.parametrize('path', METAFILES)
def test_every_number_of_a_metafile_says_where_it_comes_from(path):
    results = list(results_of(METAFILES[path]))
    assert [p for p in map(problem_of, results) if p] == []
    # All of them are seen, and no file is promised that nobody published.
    for model in METAFILES[path]['Models']:
        assert all(entry in results for entry in model.get('Results', ()))
        assert 'Weights' not in model


def test_a_result_without_its_mark_is_found():
    measured = dict(File='README.md', Command='bash tools/demo.sh')
    metrics = dict(mIoU=79.8)
    good = [
        dict(Metrics=metrics, Origin='reported', Source='the paper'),
        dict(Metrics=metrics, Origin='measured', **measured),
    ]
    assert [problem_of(result) for result in good] == [None, None]
    bad = [
        dict(Metrics=metrics),
        dict(Metrics=metrics, Origin='reported'),
        dict(Metrics=dict(mIoU='79.8'), Origin='reported', Source='x'),
        dict(Metrics=dict(mIoU=79.81), Origin='measured', **measured),
        dict(good[1], File='no.csv'),
        dict(good[1], Command='bash tools/no.sh'),
    ]
    assert all(problem_of(result) for result in bad)
    nested = {'Models': [{'Metadata': {'Teacher': bad[0]}}]}
    assert list(results_of(nested)) == [bad[0]]


def test_a_zoos_number_is_that_of_its_metafile():
    checked = set()
    for model in MODELS:
        teacher = model['Metadata'].get('Teacher', {})
        package, _, name = teacher.get('Config', '').rpartition('::')
        if not package:
            continue
        mim = Path(ZOOS[package].__file__).parent / '.mim'
        (metafile,) = (mim / 'configs' / name).parent.glob('metafile.y*ml')
        (entry,) = (
            entry
            for entry in load(str(metafile))['Models']
            if entry['Config'] == f'configs/{name}'
        )
        (results,) = results_of(entry)
        assert teacher['Metrics'].items() <= results['Metrics'].items()
        checked.add(package)
    assert checked == ZOOS.keys()
