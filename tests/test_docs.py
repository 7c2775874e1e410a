"""Every block of code, link and message of the documentation is true."""

import ast
import contextlib
import copy
import functools
import os
import re
import runpy
import subprocess
import sys

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import (
    DATASETS,
    HOOKS,
    MODELS,
    OPTIM_WRAPPERS,
    VISUALIZERS,
    init_default_scope,
)

from mmtat.datasets import write_digit_scenes
from mmtat.engine.dataset_check import datasets_of
from mmtat.engine.documentation import reference_page
from mmtat.engine.inspected import built, read_config
from mmtat.engine.student_config import student_config
from mmtat.models.utils import build_model

from .doc_pages import (
    BLOCKS,
    COMMANDS,
    PAGES,
    ROOT,
    SHOWN,
    anchors_of,
    links_of,
    messages,
    name_of,
)
from .test_packaging import setup_env
from .test_scripts import STAND_IN, write_program
from .voc import run_tool

TOOLS = ROOT / 'tools'
#: Scripts, and the tool that gets their arguments.
SCRIPTS = dict(
    (('demo.sh', 'demo.py'), ('dist_train.sh', 'train.py'),
     ('dist_test.sh', 'test.py'), ('slurm_train.sh', 'train.py'))
)  # fmt: skip
#: Programs of others, whose arguments are theirs.
OTHERS = ('mkdocs', 'nvidia-smi')
#: What a fragment of a config is laid over.
BASE = ROOT / 'configs' / 'tat_deeplabv3_r101_r18_voc.py'
CLASSIFIER = ROOT / 'configs' / 'tat_resnet34_resnet18_in1k.py'
#: Quicker to build than R101, and of 21 classes as the base.
TEACHER = dict(
    cfg_path='mmseg::deeplabv3/'
    'deeplabv3_r18-d8_4xb2-80k_cityscapes-512x1024.py',
    decode_head=dict(num_classes=21),
)
FRAGMENTS = ('distiller', 'teacher_options')


def named(things):
    return dict(argvalues=things, ids=[thing.name for thing in things])


def run_blocks(*languages):
    found = [
        block
        for block in BLOCKS
        if block.language in languages and block.reason is None
    ]
    return named(found)


@pytest.mark.parametrize('block', **named(BLOCKS))
def test_a_block_is_run_or_says_why_not(block):
    known = ('bash', 'python', 'diff', *SHOWN)
    assert block.language in known, f'no test reads {block.language!r}'
    if block.reason is not None:
        assert len(block.reason) > 10, 'say why it is not run'


# --- commands ---------------------------------------------------------------


@functools.lru_cache(maxsize=None)
def parser_of(tool):
    sys.path.insert(0, str(TOOLS))
    try:
        return runpy.run_path(str(TOOLS / tool))['parse_args']
    finally:
        sys.path.remove(str(TOOLS))


def parse(tool, arguments, monkeypatch, capfd):
    """Let a tool read its command line; its options are what it says."""
    monkeypatch.setattr(sys, 'argv', [tool, *arguments])
    try:
        return parser_of(tool)()
    except SystemExit as leaving:
        is_help = leaving.code in (0, None) and '--help' in arguments
        assert is_help, capfd.readouterr().err


@pytest.fixture
def stand_ins(tmp_path, monkeypatch):
    """A Python and an srun that only print what they are called with."""
    python = write_program(tmp_path / 'python', STAND_IN.format(gpus=8))
    write_program(
        tmp_path / 'bin/srun', '#!/usr/bin/env bash\nprintf "%s\\n" "$@"\n'
    )
    path = f'{tmp_path / "bin"}{os.pathsep}{os.environ["PATH"]}'
    monkeypatch.setenv('PYTHON', str(python))
    monkeypatch.setenv('PATH', path)


def arguments_behind(script, words, environment, tool):
    """What a script of tools/ calls a tool with."""
    done = subprocess.run(
        ['bash', TOOLS / script, *words],
        env={**os.environ, **dict(environment)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return lines[lines.index(str(TOOLS / tool)) + 1 :]


@pytest.mark.parametrize('command', **named(COMMANDS))
def test_a_command_is_one_of_its_tool(
    command, monkeypatch, capfd, request, tmp_path
):
    program, *words = command.words
    for word in words:
        if word.startswith(('configs/', 'docs/', 'tools/')):
            assert (ROOT / word).exists(), f'there is no {word}'
    if program == 'pip':
        extras = re.findall(r'\[([\w,]+)\]$', words[-1])
        assert words[0] in ('install', 'uninstall')
        for extra in extras[0].split(',') if extras else ():
            assert extra in setup_env.declared(), f'no extra {extra}'
    elif program == 'python' and words[0] == '-c':
        ast.parse(words[1])
    elif program == 'python':
        tool = words[0].removeprefix('tools/')
        parse(tool, words[1:], monkeypatch, capfd)
    elif program == 'bash' and words[0].removeprefix('tools/') in SCRIPTS:
        script = words[0].removeprefix('tools/')
        tool, arguments = SCRIPTS[script], words[1:]
        if tool != 'demo.py':
            request.getfixturevalue('stand_ins')
            arguments = arguments_behind(
                script, arguments, command.environment, tool
            )
        parse(tool, arguments, monkeypatch, capfd)
    elif program == 'bash':
        assert words[0] == 'tools/run_tests.sh'
    elif program == 'source':
        assert words == ['.venv/bin/activate']
    else:
        assert program in OTHERS, f'no test knows {program}'


# --- python -----------------------------------------------------------------


@pytest.fixture(scope='module')
def finished(tmp_path_factory):
    """A folder as the demo and a run leave it, with random weights."""
    root = tmp_path_factory.mktemp('finished')
    write_digit_scenes(
        root / 'work_dirs/demo/data_seed0', train=4, tuning=1, val=1
    )
    config = student_config(
        read_config(str(ROOT / 'configs/demo/digit_scenes_tat.py'))
    )
    init_default_scope('mmseg')
    model = build_model(copy.deepcopy(config.model), 'model')
    checkpoint = dict(state_dict=model.state_dict(), meta={})
    for name in ('work_dirs/demo/digit_scenes_tat', 'work_dirs/NAME'):
        (root / name).mkdir(parents=True)
        config.dump(root / name / 'student.py')
    for name in ('work_dirs/demo/digit_scenes_tat/iter_500.pth', 'CHECKPOINT'):
        torch.save(checkpoint, root / name)
    return root


@pytest.fixture(scope='module')
def page_folders(tmp_path_factory):
    """For each page a folder with the configs that it writes out."""

    @functools.lru_cache(maxsize=None)
    def folder_of(page):
        folder = tmp_path_factory.mktemp(page.stem)
        base = f"_base_ = '{ROOT}/configs/deeplabv3_r18_voc.py'\n"
        (folder / 'my_student.py').write_text(base)
        for block in BLOCKS:
            if block.page == page and block.file:
                (folder / block.file).write_text(block.text)
        return folder

    return folder_of


@pytest.fixture(scope='module')
def namespaces():
    """What the blocks of a page have defined, in their order."""
    return {}


def assigned(text):
    """Names that a config sets; None where a block does anything else."""
    tree = ast.parse(text)
    if not all(isinstance(node, ast.Assign) for node in tree.body):
        return None
    names = [node.targets[0].id for node in tree.body]
    is_config = {'_base_', 'model', 'custom_hooks', 'optim_wrapper', 'val_cfg',
                 'visualizer', 'vis_backends', *FRAGMENTS}  # fmt: skip
    return names if is_config & set(names) else None


def build_all(config):
    """Build what a config names, without data, files and networks."""
    init_default_scope(config.get('default_scope', 'mmengine'))
    for hook in config.get('custom_hooks', ()):
        HOOKS.build(copy.deepcopy(hook))
    for dataset in datasets_of(config):
        # VOC's own class looks for its files at once.
        if 'VOC' not in dataset['type']:
            DATASETS.build(dict(copy.deepcopy(dataset), lazy_init=True))
    for key, registry in (
        ('optim_wrapper', OPTIM_WRAPPERS),
        ('visualizer', VISUALIZERS),
    ):
        kind = config.get(key, {}).get('type')
        with registry.switch_scope_and_registry(None) as scoped:
            assert kind is None or scoped.get(kind) is not None, kind
    if 'model' in config:
        return built(config)


def fragment_config(block, names, base):
    """A fragment laid over a whole config."""
    config = read_config(str(base))
    given = Config.fromstring(block.text, '.py')
    for name in names:
        if name == 'model':
            config.merge_from_dict(dict(model=given.model))
        elif name in FRAGMENTS:
            config.model[name] = given[name]
        else:
            config[name] = given[name]
    if base == BASE:
        config.model.teacher = TEACHER
    return config


def bases_of(block):
    """Configs of which one has what the fragment names."""
    match = re.fullmatch(r'with: (\S+)', block.comment)
    if match:
        return [ROOT / match[1]]
    # A docstring's example has no room to say.
    return [BASE, CLASSIFIER] if block.page.stem == 'reference' else [BASE]


@pytest.mark.parametrize('block', **run_blocks('python'))
def test_python_runs(block, finished, page_folders, namespaces, monkeypatch):
    names = assigned(block.text)
    if names is None:
        monkeypatch.chdir(finished)
        space = namespaces.setdefault(block.page, {})
        exec(compile(block.text, block.name, 'exec'), space)
        return
    folder = page_folders(block.page)
    if block.file or '_base_' in names:
        path = folder / (block.file or f'block_{block.line}.py')
        path.write_text(block.text)
        config = read_config_or_data(path)
        assert ('model' in config) == (build_all(config) is not None)
        return
    *others, last = bases_of(block)
    for base in others:
        with contextlib.suppress(ValueError):
            build_all(fragment_config(block, names, base))
            return
    build_all(fragment_config(block, names, last))


def read_config_or_data(path):
    config = Config.fromfile(path)
    return read_config(str(path)) if 'model' in config else config


@pytest.mark.parametrize('block', **run_blocks('diff'))
@pytest.mark.parametrize('side', ['-', '+'])
def test_both_sides_of_a_diff_build(block, side, page_folders):
    lines = block.text.splitlines()
    assert all(line[:1] in ' -+' for line in lines)
    kept = [line[1:] for line in lines if line[:1] in (' ', side)]
    assert len(kept) < len(lines)
    sign = dict(zip('-+', ('before', 'after')))[side]
    path = page_folders(block.page) / f'{sign}_{block.line}.py'
    path.write_text('\n'.join(kept))
    config = Config.fromfile(path)
    config.setdefault('default_scope', 'mmseg')
    config.model.teacher_ckpt = None
    if config.model.type == 'SingleTeacherDistill':
        init_default_scope('mmseg')
        model = MODELS.build(config.model)
    else:
        config = read_config(str(path), dict(default_scope='mmseg'))
        model = built(config)
    assert type(model).__name__ == config.model.type.split('.')[-1]


# --- links, messages, reference ---------------------------------------------


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    for link in links_of(page):
        if re.match(r'(https?|mailto):', link):
            continue
        path, _, anchor = link.partition('#')
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert target.is_relative_to(ROOT), f'{link} leaves the repository'
        if anchor:
            assert anchor in anchors_of(target), link


def test_every_page_can_be_reached_from_the_index():
    linked = links_of(ROOT / 'docs/README.md')
    for page in (ROOT / 'docs').glob('*.md'):
        assert page.name == 'README.md' or page.name in linked, page


MESSAGES = [
    block
    for block in BLOCKS
    if block.page.name == 'troubleshooting.md' and block.language == 'text'
]


@pytest.fixture(scope='module')
def known_messages():
    return messages()


@pytest.mark.parametrize('block', **named(MESSAGES))
def test_a_message_is_still_in_the_source(block, known_messages):
    text = ' '.join(block.text.split())
    assert any(pattern.fullmatch(text) for pattern in known_messages)


def test_the_reference_is_of_these_docstrings():
    text = (ROOT / 'docs/reference.md').read_text(encoding='utf-8')
    assert text == reference_page(), 'python tools/config_reference.py'


def test_the_check_of_the_reference_tells_an_old_page(tmp_path, monkeypatch):
    page = tmp_path / 'reference.md'
    page.write_text('old')
    write = functools.partial(
        run_tool, monkeypatch, 'config_reference', '--out', page
    )
    assert 'out of date' in write('--check')
    assert page.read_text() == 'old'
    assert write() == 0
    assert write('--check') == 0


# --- the site ---------------------------------------------------------------


@pytest.mark.parametrize(
    ('repository', 'expected'),
    [
        (None, 'see configs and images, `a`(x), [b](b.md)'),
        (
            'https://example.org/mmtat/',
            'see [configs](https://example.org/mmtat/blob/HEAD/configs) and '
            '[images](https://example.org/mmtat/blob/HEAD/docs/images), '
            '`a`(x), [b](b.md)',
        ),
    ],
)
def test_links_out_of_the_site_lead_to_the_repository(repository, expected):
    from types import SimpleNamespace as Some

    rewrite = runpy.run_path(str(ROOT / 'docs/site_links.py'))
    code = '```python\n[configs](../configs)\n```'
    text = rewrite['on_page_markdown'](
        'see [configs](../configs) and [images](images), `a`(x), [b](b.md)\n'
        + code,
        page=Some(file=Some(src_uri='page.md')),
        config=Some(repo_url=repository, docs_dir=str(ROOT / 'docs')),
    )
    assert text == f'{expected}\n{code}'


@pytest.mark.extras
def test_the_site_builds_and_is_whole(tmp_path):
    pytest.importorskip('mkdocs', reason="pip install 'mmtat[docs]'")
    done = subprocess.run(
        [sys.executable, '-m', 'mkdocs', 'build', '--strict', '-d', tmp_path],
        cwd=ROOT,
        env={**os.environ, 'NO_MKDOCS_2_WARNING': '1'},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for page in (ROOT / 'docs').glob('*.md'):
        name = 'index' if page.stem == 'README' else page.stem
        html = (tmp_path / f'{name}.html').read_text(encoding='utf-8')
        # Nothing that a reader's browser would fetch from elsewhere.
        assert not re.search(r'(src|href)="https?://[^"]*\.(js|css)"', html)
        assert not re.search(r'(src|href)="\.\./', html), page
    assert not list(tmp_path.rglob('*.py'))


MENDED = re.compile(r'^(?:from|import) mm(?:seg|pretrain)\b', re.M)


@pytest.mark.parametrize(
    'block',
    **named(
        [
            block
            for block in BLOCKS
            if block.language == 'python'
            and re.search('^import mmtat', block.text, re.M)
            and MENDED.search(block.text)
        ]
    ),
)
def test_mmtat_is_imported_before_what_it_mends(block):
    first = re.search('^import mmtat', block.text, re.M).start()
    assert first < MENDED.search(block.text).start()
