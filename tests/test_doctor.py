"""What the doctor finds in broken installations and broken configs."""

import contextlib
import hashlib
import importlib
import importlib.metadata
import logging
import os
import runpy
import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch

from mmtat import compat
from mmtat.engine import doctor
from mmtat.engine.doctor import (
    NOTE,
    OK,
    PROBLEM,
    declared,
    hardware,
    imports,
    installation,
    of_config,
    weights,
)
from mmtat.models.utils import build_model

from .test_benchmark import CONFIG, LAYER
from .voc import ROOT, make_voc, run_tool

TOOL = ROOT / 'tools' / 'doctor.py'


def states(findings):
    return {finding.text: finding.state for finding in findings}


def only(findings, state):
    found = [f for f in findings if f.state == state]
    assert len(found) == 1, findings
    return found[0]


@pytest.fixture
def installed(monkeypatch):
    """Let packages have other versions; None for one that is missing."""
    versions, real = {}, importlib.metadata.version

    def version(name):
        if versions.get(name, '') is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions.get(name) or real(name)

    monkeypatch.setattr(importlib.metadata, 'version', version)
    return versions


def version(name):
    return importlib.metadata.version(name)


# --- versions ---------------------------------------------------------------
def test_this_installation_has_no_problem_of_versions():
    found = list(installation.look_at_packages())
    assert [f for f in found if f.state == PROBLEM] == []
    assert states(found)[f'mmengine {version("mmengine")}'] == OK


@pytest.mark.parametrize(
    ('package', 'found', 'text', 'remedy'),
    [
        ('mmengine', None, 'mmengine is not', "'mmengine==0.10.7'"),
        ('mmengine', '0.10.3', 'outside >=0.10.7', "'mmengine==0.10.7'"),
        ('mmrazor', '1.1.0', 'outside ==1.0.*', "'mmrazor==1.0.0'"),
        ('torch', '2.3.1', 'torch 2.3.1 is outside >=2.4', 'torch==2.11.0'),
        ('joblib', None, 'joblib is not installed', "'joblib=="),
    ],
)
def test_what_is_missing_or_outside_its_range_is_mended_by_a_pip_line(
    installed, package, found, text, remedy
):
    installed[package] = found
    problem = only(installation.look_at_packages(), PROBLEM)
    assert text in problem.text
    assert problem.remedy.startswith('pip install ')
    assert remedy in problem.remedy


def test_a_version_that_was_not_tested_is_a_note(installed):
    installed['mmpretrain'] = '1.2.9'
    note = only(installation.look_at_packages(), NOTE)
    assert note.text == 'mmpretrain 1.2.9, where 1.2.0 was tested'
    assert note.remedy == "pip install 'mmpretrain==1.2.0'"


def test_a_missing_torchvision_is_installed_for_the_torch_that_is_there(
    installed,
):
    installed.update(torchvision=None, torch='2.9.1+cpu')
    problem = only(installation.look_at_packages(), PROBLEM)
    assert problem.remedy == "pip install torchvision 'torch==2.9.1'"


def test_a_torchvision_for_another_torch_is_a_problem(installed):
    assert list(installation.look_at_torchvision()) == []
    installed['torch'] = '2.10.0+cpu'
    problem = only(installation.look_at_torchvision(), PROBLEM)
    assert 'was built for torch' in problem.text
    assert "'torch==2.10.0'" in problem.remedy


@pytest.mark.parametrize(
    ('full', 'lite', 'text', 'remedy'),
    [
        (None, None, 'neither mmcv nor', "pip install 'mmcv-lite==2.1.0'"),
        ('2.1.0', '2.1.0', 'overwrite each other', 'pip uninstall mmcv'),
        ('2.2.0', None, 'mmcv 2.2.0 is outside', "'mmcv==2.1.0'"),
        (None, '1.7.0', 'mmcv-lite 1.7.0', "'mmcv-lite==2.1.0'"),
    ],
)
def test_one_mmcv_in_the_range_of_all_is_needed(
    installed, full, lite, text, remedy
):
    installed.update({'mmcv': full, 'mmcv-lite': lite})
    problem = only(installation.look_at_packages(), PROBLEM)
    assert text in problem.text and remedy in problem.remedy


def test_a_full_mmcv_serves_as_well(installed):
    installed.update({'mmcv': '2.1.0', 'mmcv-lite': None})
    assert states(installation.look_at_packages())['mmcv 2.1.0'] == OK


def test_another_package_of_the_same_module_is_named(monkeypatch, installed):
    installed['living-mmengine'] = '0.10.12'
    monkeypatch.setattr(
        importlib.metadata,
        'packages_distributions',
        lambda: dict(mmengine=['mmengine', 'living-mmengine']),
    )
    problem = only(installation.look_at_foreigners(), PROBLEM)
    assert 'living-mmengine 0.10.12 brings the module mmengine' in problem.text
    assert 'pip uninstall living-mmengine' in problem.remedy


def test_extras_are_notes_with_the_name_of_the_extra(installed):
    assert set(states(installation.look_at_extras()).values()) <= {OK, NOTE}
    installed['onnx'] = installed['safetensors'] = None
    found = [
        f
        for f in installation.look_at_extras()
        if f.text.startswith('export: ')
    ]
    assert found[0].state == NOTE
    assert 'onnx, ' in found[0].text and 'safetensors' in found[0].text
    assert found[0].remedy == "pip install 'mmtat[export]'"


def test_without_a_checkout_the_metadata_say_what_is_needed(
    monkeypatch, tmp_path
):
    lines = [
        'torch>=2.4',
        'mmcv-lite<=2.1.0,>=2.0.0; extra == "lite"',
        'timm ; extra == "timm"',
        'pytest; extra == "tests"',
    ]
    monkeypatch.setattr(importlib.metadata, 'requires', lambda name: lines)
    found = declared.declared(tmp_path)
    assert found.needed == ['torch>=2.4']
    assert found.extras == dict(
        lite=['mmcv-lite<=2.1.0,>=2.0.0'], timm=['timm']
    )
    assert declared.tested_versions(tmp_path) == {}


def test_of_a_checkout_they_are_those_of_its_setup():
    assert 'torch>=2.4' in declared.declared().needed
    assert 'tests' not in declared.declared().extras
    assert declared.tested_versions()['mmengine'] == '0.10.7'


# --- imports and workarounds ------------------------------------------------
def test_a_package_that_does_not_import_is_a_finding(monkeypatch):
    real = importlib.import_module

    def import_module(name):
        if name == 'torchvision':
            raise RuntimeError('operator torchvision::nms does not exist\n...')
        return real(name)

    monkeypatch.setattr(imports.importlib, 'import_module', import_module)
    problem = only(imports.look_at_imports(), PROBLEM)
    assert problem.text == (
        'import torchvision fails: RuntimeError: operator torchvision::nms '
        'does not exist'
    )
    assert 'torch torchvision' in problem.remedy


def test_a_package_that_is_not_there_is_not_told_twice(monkeypatch, installed):
    installed['mmrazor'] = None

    def import_module(name):
        if name.startswith('mmrazor') or name == 'mmtat.models':
            raise ModuleNotFoundError('No module', name='mmrazor')

    monkeypatch.setattr(imports.importlib, 'import_module', import_module)
    assert list(imports.look_at_imports()) == []


def test_every_workaround_says_whether_and_why_it_is_active():
    found = list(imports.look_at_workarounds())
    assert len(found) >= len(compat.WORKAROUNDS)
    lines = {f.text.partition(':')[0]: f.text for f in found}
    for workaround in compat.WORKAROUNDS:
        text = lines[workaround.name]
        is_active = workaround.name in compat.active()
        assert ('active' in text and workaround.reason in text) == is_active


def test_versions_that_nobody_tried_are_a_note_with_a_pip_line(monkeypatch):
    monkeypatch.setattr(torch, '__version__', '2.99.0')
    note = only(imports.look_at_workarounds(), NOTE)
    assert 'this is torch 2.99.0' in note.text
    assert "'torch==2.11.0' 'torchvision==0.26.0'" in note.remedy


def test_looking_that_fails_is_a_finding_and_keeps_what_was_found():
    def look():
        yield doctor.Finding(OK, 'first')
        raise KeyError('lost')

    first, second = doctor.guarded('extras', look)
    assert first.text == 'first'
    assert (second.state, second.text) == (PROBLEM, "extras: KeyError: 'lost'")


# --- devices ----------------------------------------------------------------
@pytest.fixture
def gpus(monkeypatch):
    """Let torch see GPUs of a compute capability."""

    def see(*capabilities, built_for=('sm_80', 'sm_90')):
        cuda = torch.cuda
        monkeypatch.setattr(cuda, 'is_available', lambda: True)
        monkeypatch.setattr(cuda, 'device_count', lambda: len(capabilities))
        monkeypatch.setattr(cuda, 'get_arch_list', lambda: list(built_for))
        monkeypatch.setattr(
            cuda,
            'get_device_properties',
            lambda index: SimpleNamespace(
                name='GPU of a test',
                total_memory=24 * 2**30,
                major=capabilities[index][0],
                minor=capabilities[index][1],
            ),
        )

    return see


def test_a_gpu_is_told_with_what_it_can(gpus):
    gpus((8, 6), (7, 5), built_for=('sm_75', 'sm_80'))
    first, second = hardware.look_at_devices()
    assert (first.state, second.state) == (OK, OK)
    assert 'GPU 0: GPU of a test, 24.0 GiB' in first.text
    assert 'capability 8.6, bfloat16 yes' in first.text
    assert 'bfloat16 slow or not at all' in second.text


def test_a_gpu_that_this_torch_has_no_kernels_for_is_a_problem(gpus):
    gpus((6, 1))
    problem = only(hardware.look_at_devices(), PROBLEM)
    assert 'built for sm_80, sm_90 only' in problem.text


@pytest.mark.parametrize(('count', 'state'), [(1, NOTE), (2, PROBLEM)])
def test_several_gpus_need_nccl(gpus, monkeypatch, count, state):
    gpus(*[(8, 0)] * count)
    monkeypatch.setattr(torch.distributed, 'is_nccl_available', lambda: False)
    found = states(hardware.look_at_communication())
    assert state in [s for text, s in found.items() if 'no NCCL' in text]


def test_a_driver_without_a_torch_for_it_is_told(monkeypatch, tmp_path):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    (note,) = hardware.look_at_devices()
    assert note.state == NOTE and 'no GPU: runs on' in note.text
    driver = tmp_path / 'version'
    driver.write_text('NVRM')
    monkeypatch.setattr(hardware, '_DRIVER', driver)
    monkeypatch.setattr(torch.version, 'cuda', None)
    (note,) = hardware.look_at_devices()
    assert 'is built for CPUs' in note.text
    assert note.remedy.startswith('pip install torch')


# --- a config ---------------------------------------------------------------
@pytest.fixture
def teacher_file(tmp_path, config):
    """Weights of the config's teacher, named by the zoos' convention."""
    from mmengine.config import Config

    own = Config.fromfile(str(config)).model.teacher
    path = tmp_path / 'teacher.pth'
    torch.save(dict(state_dict=build_model(own, 'x').state_dict()), path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return path.rename(tmp_path / f'teacher-{digits}.pth')


@pytest.fixture
def config(tmp_path):
    """A distillation of tiny segmentors on VOC's layout."""
    dataset = dict(
        type='PascalVOCDataset',
        data_root='nowhere',
        data_prefix=dict(
            img_path='JPEGImages', seg_map_path='SegmentationClass'
        ),
        ann_file='ImageSets/Segmentation/train.txt',
        pipeline=[],
    )
    text = CONFIG.replace('num_classes=3', 'num_classes=21')
    text = text.replace('size=(8, 8)', 'size=(64, 64)')
    path = tmp_path / 'tiny.py'
    path.write_text(
        f"{text}\ndefault_scope = 'mmseg'\n"
        f'train_dataloader = dict(batch_size=2, dataset={dataset!r})\n'
    )
    return path


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return make_voc(tmp_path_factory.mktemp('data') / 'voc')


@pytest.fixture
def look(tmp_path, config, data):
    """Look at the config with options."""

    def at(root=data, work_dir=tmp_path / 'run', **options):
        options = {key.replace('__', '.'): v for key, v in options.items()}
        return doctor.look_at_config(
            str(config), str(root), str(work_dir), options
        ).findings

    return at


def test_a_config_that_can_run_has_no_problem(look, teacher_file):
    found = look(model__teacher_ckpt=str(teacher_file))
    assert [f for f in found if f.state != OK] == []
    text = '\n'.join(f.text for f in found)
    assert 'train data, PascalVOCDataset' in text and ', 4 samples' in text
    assert f'layers of the student: {LAYER}' in text
    assert 'sha256 as in its name' in text
    assert 'fits the layers that are recorded' in text
    assert 'GiB free' in text


def test_all_problems_are_shown_and_not_the_first_only(look, tmp_path):
    (tmp_path / 'file').write_text('')
    found = look(
        root=tmp_path / 'no',
        work_dir=tmp_path / 'file' / 'run',
        model__architecture__decode_head__num_classes=19,
        model__teacher_ckpt='no.pth',
        model__distiller__layers=['decode_head.convz.0'],
    )
    text = '\n'.join(f.text for f in found if f.state == PROBLEM)
    assert "no folder '" in text
    assert 'num_classes=19' in text
    assert "no file 'no.pth'" in text
    assert "has no layer 'decode_head.convz.0'" in text
    assert 'cannot be written' in text


def test_a_teacher_file_under_a_wrong_name_is_a_problem(look, teacher_file):
    digits = teacher_file.stem[-8:]
    wrong = teacher_file.rename(teacher_file.with_name('t-01234567.pth'))
    problem = only(look(model__teacher_ckpt=str(wrong)), PROBLEM)
    assert f'has the sha256 {digits}...' in problem.text
    assert 'its name says 01234567' in problem.text
    plain = wrong.rename(wrong.with_name('teacher.pth'))
    found = look(model__teacher_ckpt=str(plain))
    assert [f for f in found if f.state == PROBLEM] == []
    assert any('its name has no sha256' in f.text for f in found)


def test_a_damaged_teacher_file_is_a_problem(look, teacher_file):
    teacher_file.write_bytes(teacher_file.read_bytes()[:-50])
    found = look(model__teacher_ckpt=str(teacher_file))
    assert any(
        f.state == PROBLEM and 'cannot be read as a checkpoint' in f.text
        for f in found
    )


def test_a_file_of_another_model_is_a_problem(look, tmp_path):
    path = tmp_path / 'other.pth'
    torch.save(dict(state_dict=dict(weight=torch.ones(2))), path)
    problem = only(look(model__teacher_ckpt=str(path)), PROBLEM)
    assert 'is not this teacher: 0 of the' in problem.text


def test_a_url_that_is_not_fetched_yet_is_a_note(
    look, teacher_file, monkeypatch, tmp_path
):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    url = f'https://example.org/zoo/{teacher_file.name}'
    note = only(look(model__teacher_ckpt=url), NOTE)
    assert 'is not fetched yet' in note.text
    assert str(tmp_path / 'hub' / 'checkpoints') in note.remedy
    kept = tmp_path / 'hub' / 'checkpoints' / teacher_file.name
    kept.parent.mkdir(parents=True)
    teacher_file.rename(kept)
    found = look(model__teacher_ckpt=url)
    assert [f for f in found if f.state != OK] == []
    assert any(str(kept) in f.text for f in found)


def test_a_teacher_without_weights_is_a_note(look):
    note = only(look(), NOTE)
    assert 'the teacher is random' in note.text
    assert 'model.teacher_ckpt=' in note.remedy


def test_what_the_student_begins_from_is_looked_at(look, teacher_file):
    found = look(
        model__teacher_ckpt=str(teacher_file),
        model__architecture__pretrained='open-mmlab://resnet18_v1c',
        model__architecture__backbone__init_cfg=dict(
            type='Pretrained', checkpoint='missing.pth'
        ),
    )
    assert "begins from: no file 'missing.pth'" in only(found, PROBLEM).text
    assert 'open-mmlab://resnet18_v1c' in only(found, NOTE).text


def test_a_full_disk_is_a_problem(look, teacher_file, monkeypatch):
    monkeypatch.setattr(
        of_config.shutil, 'disk_usage', lambda path: SimpleNamespace(free=10)
    )
    found = look(model__teacher_ckpt=str(teacher_file))
    assert 'two checkpoints may take' in only(found, PROBLEM).text


def test_looking_writes_nothing(look, tmp_path):
    look(work_dir=tmp_path / 'deep' / 'run')
    assert not (tmp_path / 'deep').exists()


def test_a_config_that_is_not_there_is_a_problem():
    (problem,) = doctor.look_at_config('nothing.py').findings
    assert problem.state == PROBLEM
    assert "no config file 'nothing.py'" in problem.text


def test_the_digits_of_a_name_are_found_only_where_the_zoos_have_them():
    find = weights._DIGITS.search
    assert find('resnet34_8xb32_in1k_20210831-f257d4e6.pth')[1] == 'f257d4e6'
    assert find('iter_40000.pth') is None and find('a-1234567.pth') is None


# --- the command ------------------------------------------------------------
def test_the_tool_ends_with_0_where_a_run_would_work(
    monkeypatch, capsys, config, data, teacher_file, tmp_path
):
    status = run_tool(
        monkeypatch,
        'doctor',
        config,
        *('--data-root', data, '--work-dir', tmp_path / 'run'),
        *('--cfg-options', f'model.teacher_ckpt={teacher_file}'),
    )
    output = capsys.readouterr().out
    assert status == 0, output
    for title in ('versions', 'workarounds', 'devices', 'extras', str(config)):
        assert f'{title}\n' in output
    assert 'problems: 0, ' in output


def test_the_tool_ends_with_1_and_the_remedy_of_each_problem(
    monkeypatch, capsys, config
):
    status = run_tool(
        monkeypatch,
        'doctor',
        *(config, '--data-root', 'no', '--work-dir', os.devnull + '/run'),
    )
    output = capsys.readouterr().out
    assert status == 1
    assert 'problems: 2, ' in output
    assert '-> give a folder by --work-dir DIR' in output


@pytest.mark.parametrize('broken', ['torch', 'mmengine'])
def test_the_tool_reports_where_nothing_imports(tmp_path, broken):
    package = tmp_path / broken
    package.mkdir()
    (package / '__init__.py').write_text(
        "raise OSError('lib.so: undefined symbol')"
    )
    result = subprocess.run(
        [sys.executable, str(TOOL), 'configs/deeplabv3_r18_voc.py'],
        cwd=ROOT,
        env=dict(os.environ, PYTHONPATH=str(tmp_path)),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert 'Traceback' not in result.stderr + result.stdout
    lines = [x for x in result.stdout.splitlines() if '  problem  ' in x]
    assert any(f'import {broken} fails: OSError' in line for line in lines)
    assert any('undefined symbol' in line for line in lines[1:])
    # What needs nothing that is broken is still told.
    assert f'ok       mmrazor {version("mmrazor")}' in result.stdout
    assert 'extras' in result.stdout and 'problems: ' in result.stdout


def test_the_tool_leaves_the_log_as_it_was(monkeypatch, capsys):
    module = runpy.run_path(str(ROOT / 'tools' / 'doctor.py'))
    monkeypatch.setattr(sys, 'argv', ['doctor.py'])
    with contextlib.suppress(SystemExit):
        module['main']()
    assert 'problems: ' in capsys.readouterr().out
    assert logging.root.manager.disable == logging.NOTSET
