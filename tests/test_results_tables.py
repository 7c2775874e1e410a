"""Every number in a table of results says where it comes from."""

import re
from pathlib import Path

import pytest

from mmtat.engine.comparison.page import insert_tables
from mmtat.engine.comparison.page import table as table_of_rows
from mmtat.engine.comparison.rows import Rows, write_rows

from .metafiles import METAFILES
from .results import (
    holds,
    numbers_of,
    tables_of,
    unmarked,
    wrong_evidence,
)
from .test_configs import CONFIGS
from .voc import ROOT

#: Columns of a folder's table.
ORIGINS = dict(reported='reported', measured='measured here')
#: Not the repository's own.
OTHERS = ('work_dirs', 'data', 'build', 'dist')
PAGES = sorted(ROOT.glob('*.md')) + sorted(
    page
    for folder in ROOT.iterdir()
    if folder.is_dir() and folder.name not in OTHERS
    if not folder.name.startswith('.')
    for page in folder.rglob('*.md')
)


def name_of(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize('page', PAGES, ids=name_of)
def test_every_number_of_a_results_table_says_where_it_comes_from(page):
    text = page.read_text()
    # Only tables in Markdown are read.
    assert '<table' not in text
    assert unmarked(text, page) == []


#: Their tables are of no evidence, and say their command themselves.
MEASURED = ('docs/performance.md', 'docs/reliability.md')
EVIDENCE = [p for p in PAGES if name_of(p) not in MEASURED]


@pytest.mark.parametrize('page', EVIDENCE, ids=name_of)
def test_a_table_of_evidence_is_what_its_file_gives(page):
    assert wrong_evidence(page.read_text(), ROOT / 'docs') == []


def test_a_table_of_cost_says_its_machine_and_command_or_that_it_is_not():
    page = (ROOT / 'docs' / 'performance.md').read_text()
    tables = re.findall(r'<!-- table (\S+) -->(.*?)<!-- end -->', page, re.S)
    assert len(tables) > 20
    for name, text in tables:
        if name == 'traffic' or text.strip() == 'Not measured.':
            continue
        assert re.search(
            r'Measured on .+, torch [\d.]+.+, by `python tools/benchmark.py',
            text,
        ), name


def test_the_table_of_what_was_lost_says_its_command_and_versions():
    page = (ROOT / 'docs' / 'reliability.md').read_text()
    (table,) = re.findall(r'<!-- table sides -->(.*?)<!-- end -->', page, re.S)
    assert re.search(
        r'Seed \d+\. By `python -m tests\.faults --docs .+` with torch '
        r'[\d.]+, mmengine [\d.]+',
        table,
    )


def test_the_tables_of_results_are_found():
    found = {}
    for page in PAGES:
        tables = tables_of(page.read_text())
        found[name_of(page)] = sum(table.is_of_results for table in tables)
    assert found['README.md'] >= 3
    for path in METAFILES:
        assert found[Path(path).with_name('README.md').as_posix()] >= 1


# --- the tables of the folders ----------------------------------------------


def rows_of(folder):
    """The rows of a folder's tables of configs, by the config's name."""
    rows = {}
    text = (ROOT / 'configs' / folder / 'README.md').read_text()
    for table in tables_of(text):
        for row in table.rows:
            link = re.match(r'\[(\w+\.py)\]\((\w+\.py)\)$', row[0])
            if link:
                assert link[1] == link[2] and link[1] not in rows
                rows[link[1]] = dict(zip(table.head, row))
    return rows


def outside_brackets(cell):
    bare = re.sub(r'\([^()]*\)', '()', re.sub(r'\]\([^)]*\)', ']', cell))
    return [float(number) for number, _ in numbers_of(bare)]


@pytest.mark.parametrize('path', METAFILES)
def test_the_table_of_a_folder_says_the_same_as_its_metafile(path):
    rows = rows_of(Path(path).parent.relative_to('configs'))
    models = METAFILES[path]['Models']
    assert sorted(rows) == sorted(Path(m['Config']).name for m in models)
    for model in models:
        row, said = rows[Path(model['Config']).name], model['Metadata']
        if 'Teacher' in said:
            teacher, student = said['Teacher'], said['Student']
            assert row['teacher'].startswith(teacher['Architecture'])
            assert row['student'] == student['Architecture']
            metrics = list(teacher.get('Metrics', {}).values())
            assert outside_brackets(row['teacher']) == metrics
        else:
            assert said['Architecture'] in (row['teacher'], row['student'])
            assert '' in (row['teacher'], row['student'])
        for origin, head in ORIGINS.items():
            numbers = [
                value
                for result in model.get('Results', ())
                if result['Origin'] == origin
                for value in result['Metrics'].values()
            ]
            assert outside_brackets(row[head]) == numbers


def test_every_sweep_is_in_the_table_of_its_folder():
    sweeps = [path.name for path in CONFIGS if path.parent.name == 'sweeps']
    assert sorted(rows_of('sweeps')) == sorted(sweeps)


def test_the_page_of_all_configs_links_to_every_folder():
    text = (ROOT / 'configs' / 'README.md').read_text()
    for path in [*map(Path, METAFILES), Path('configs/sweeps/metafile.yml')]:
        folder = path.parent.relative_to('configs').as_posix()
        assert folder == '.' or f'({folder}/README.md)' in text


# --- the check itself -------------------------------------------------------


def a_table(*rows, before=''):
    """A table of lines, and what stands before it."""
    head, *others = rows
    dashes = '|---|' + '---|' * head.count(' | ')
    return '\n'.join([before, '', head, dashes, *others, ''])


FOLDER_HEAD = '| config | teacher | reported | measured here |'


@pytest.mark.parametrize(
    'text',
    [
        a_table('| model | mIoU |', '| a | 71.5 |'),
        a_table('| model | score |', '| a, 71.5 mIoU | |'),
        a_table('| model | score |', '| a | 71.5 top-1 (the paper) |'),
        a_table('| model | mIoU (reported) |', '| a | 71.5 |'),
        a_table('| model | source | mIoU |', '| a | | 71.5 |'),
        a_table(FOLDER_HEAD, '| a | | 71.5 | |'),
        a_table(FOLDER_HEAD, '| a | | 71.5 (3 × 3) | |'),
        a_table(FOLDER_HEAD, '| a | | 70.1 (the paper), 71.5 | |'),
        a_table(FOLDER_HEAD, '| a | 71.5 mIoU | 70.1 (the paper) | |'),
        a_table(FOLDER_HEAD, '| a | | | 71.5 |'),
        a_table(FOLDER_HEAD, '| a | | | 71.5 (reported, the paper) |'),
        a_table(FOLDER_HEAD, '| a | | | 71.5 (`no/such/file.csv`) |'),
        # No colon: a sentence about something else.
        a_table(
            *('| model | mIoU |', '| a | 71.5 |'),
            before='They have 70.1 (reported, the paper).',
        ),
        # The sentence before the last.
        a_table(
            *('| model | mIoU |', '| a | 71.5 |'),
            before='Theirs is 70.1 (reported, the paper). This is ours:',
        ),
        a_table(
            *('| model | mIoU |', '| a | 71.5 |'),
            before='Our table (measured on a computer):',
        ),
        'model | mIoU\n--- | :---:\na | 71.5\n',
    ],
)
def test_a_number_without_a_mark_is_found(text):
    (problem,) = unmarked(text, ROOT / 'README.md')
    assert problem.startswith('71.5 ')


@pytest.mark.parametrize(
    'text',
    [
        a_table('| a | mIoU (reported, the paper) |', '| b | 71.5 |'),
        a_table('| a | b |', '| 71.5 mIoU (reported, [zoo][z]) | |'),
        a_table('| a | b | source |', '| 71.5 | | reported, the paper |'),
        a_table(FOLDER_HEAD, '| a | | 71.5 ([zoo](x.md)), 7.1 (Lin) | |'),
        a_table(FOLDER_HEAD, '| a | | | 71.5 (`bash tools/demo.sh`) |'),
        a_table(
            *('| a | mIoU |', '| b | 71.5 |'),
            before='Old. New (measured by `bash tools/demo.sh`, torch 2.11):',
        ),
        # No numbers of results.
        a_table('| option | default |', '| rate | 71.5 |'),
        a_table('| tool | mIoU |', '| torch 2.11.0 | `v1.5` |'),
        '```\n' + a_table('| a | mIoU |', '| b | 71.5 |') + '```\n',
    ],
)
def test_a_number_with_its_mark_passes(text):
    assert unmarked(text, ROOT / 'README.md') == []


def test_a_measured_number_must_be_in_the_file_that_it_names(tmp_path):
    page, numbers = tmp_path / 'README.md', tmp_path / 'numbers.csv'
    text = a_table(FOLDER_HEAD, '| a | | | 71.5 ([csv](numbers.csv)) |')
    numbers.write_text('method,mIoU\ntat,0.715\n')
    page.write_text(text)
    assert unmarked(text, page) == []
    numbers.write_text('method,mIoU\ntat,0.7151\n')
    assert 'is not in numbers.csv' in unmarked(text, page)[0]
    own = text.replace('numbers.csv', 'README.md')
    assert 'its own page' in unmarked(own, page)[0]


def test_a_percentage_may_be_a_fraction_in_its_file():
    assert holds('a 0.715 b', '71.5') and holds('71.5', '71.5')
    assert not holds('0.7150001', '71.5') and not holds('7.15', '71.5')


def test_a_table_of_evidence_that_was_edited_is_found(tmp_path):
    rows = Rows(['mIoU', 'noise/mIoU'], weights=dict(tat_released=0.3))
    for method, offset in (('alone', 0.0), ('tat_released', 1.5)):
        rows.values[method] = {
            seed: {'mIoU': 70 + seed + offset, 'noise/mIoU': 50.25 + offset}
            for seed in range(3)
        }
    write_rows(rows, tmp_path / 'evidence' / 'toys_all.csv')
    page = '<!-- table toys_all -->\n<!-- end -->\n'
    text = insert_tables(page, dict(toys_all=table_of_rows(rows)))
    assert '+1.50' in text
    assert unmarked(text, tmp_path / 'evidence.md') == []
    assert wrong_evidence(text, tmp_path) == []
    for number, other in (('51.75', '51.76'), ('+1.50', '+1.05')):
        edited = text.replace(number, other)
        assert 'toys_all.csv' in wrong_evidence(edited, tmp_path)[0]
    other = text.replace('toys_all', 'toys_few')
    assert 'no toys_few.csv' in wrong_evidence(other, tmp_path)[0]
    # Outside its marks it is any table.
    assert unmarked(text.replace('<!--', ''), tmp_path / 'evidence.md')
