"""Comparisons are fair, resume, and end in tables that say what was run."""

import math
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import stats

from mmtat.engine import comparison
from mmtat.engine.comparison import (
    METHODS,
    Comparison,
    distiller_of,
    publish,
)
from mmtat.engine.comparison.cost import relative_costs, remembered_costs
from mmtat.engine.comparison.diagnosis import read_file
from mmtat.engine.comparison.methods import best_weights, grid_of
from mmtat.engine.comparison.page import insert_tables, table
from mmtat.engine.comparison.rows import Rows, read_rows, write_rows
from mmtat.engine.comparison.stretch import stretched
from mmtat.engine.seed_statistics import mean_and_std, paired_interval
from mmtat.engine.sweep import Run
from mmtat.models.utils import load_config

from .voc import ROOT

TAT = dict(
    type='mmtat.TaTDistiller',
    layers=['a'],
    query=dict(kernel_size=3),
    key=None,
    branches=dict(whole=dict(), anchor_point=dict(loss_weight=2.0)),
)
LAYERS = dict(one=['a'], norm=['b'], several=['a', 'c'])


@pytest.fixture(scope='module')
def scenarios():
    sys.path.insert(0, str(ROOT / 'tools'))
    try:
        import _evidence_scenarios

        yield _evidence_scenarios.SCENARIOS
    finally:
        sys.path.remove(str(ROOT / 'tools'))


def test_a_paired_interval_is_that_of_the_t_test():
    values, baseline = np.random.default_rng(0).normal(0, 1, (2, 7))
    interval = paired_interval(values, baseline)
    test = stats.ttest_rel(values, baseline)
    low, high = test.confidence_interval(0.95)
    assert interval.mean == pytest.approx((values - baseline).mean())
    assert (interval.low, interval.high) == pytest.approx((low, high))
    assert interval.covers_zero == (test.pvalue > 0.05)
    assert interval.pairs == 7


def test_one_pair_leaves_everything_open():
    interval = paired_interval([2.0], [1.0])
    assert interval.mean == 1.0
    assert (interval.low, interval.high) == (-math.inf, math.inf)
    mean, std = mean_and_std([2.0])
    assert mean == 2.0 and math.isnan(std)


@pytest.mark.parametrize('values, baseline', [([], []), ([1.0], [1.0, 2.0])])
def test_unpaired_values_are_refused(values, baseline):
    with pytest.raises(ValueError, match='of the same seeds'):
        paired_interval(values, baseline)


def test_no_value_has_no_mean():
    assert all(map(math.isnan, mean_and_std([])))


def test_every_rival_of_the_repository_is_a_method():
    folder = ROOT / 'configs' / '_base_' / 'distillers'
    files = {path.stem for path in folder.glob('*.py')}
    rivals = {n for n, m in METHODS.items() if m.formulation is None}
    assert files == rivals


def test_every_method_is_tuned_on_as_many_weights_of_equal_ratios():
    for method in METHODS.values():
        grid = grid_of(method, (0.1, 1.0, 10.0))
        assert np.divide(grid, method.weight) == pytest.approx((0.1, 1, 10))


@pytest.mark.parametrize('name', METHODS)
def test_a_method_has_one_weight_and_the_layers_of_its_kind(name):
    method = METHODS[name]
    distiller = distiller_of(name, 0.5, TAT, LAYERS)
    if method.formulation is not None:
        weights = {
            b: c['loss_weight'] for b, c in distiller['branches'].items()
        }
        assert weights == dict(whole=0.5, anchor_point=1.0)
        assert distiller['formulation'] == method.formulation
    else:
        assert distiller['loss_weight'] == 0.5
        assert distiller.get('layers') == LAYERS.get(method.layers)


def test_in_the_paper_formulation_the_students_embedding_is_the_keys():
    released = distiller_of('tat_released', 1.0, TAT, LAYERS)
    paper = distiller_of('tat_paper', 1.0, TAT, LAYERS)
    assert released['query'] == paper['key'] == dict(kernel_size=3)
    assert released['key'] is None and paper['query'] is None
    assert TAT['branches']['whole'] == {}


def test_the_best_weight_is_taken_and_of_equals_the_least():
    nan = float('nan')
    scores = {'a@0.1': nan, 'a@1': 2.0, 'a@10': 2.0, 'b@1': nan, 'b@10': 0.0}
    assert best_weights(scores) == dict(a=1.0, b=10.0)


def test_costs_are_measured_again_where_a_config_changed(
    tmp_path, monkeypatch
):
    config = str(ROOT / 'configs' / 'digits' / 'digits_further.py')
    measured = []

    def measure(configs, baseline):
        measured.append(list(configs))
        return dict.fromkeys(configs, 1.0)

    monkeypatch.setattr(comparison.cost, 'relative_costs', measure)
    file = tmp_path / 'new' / 'cost.json'
    for lr in (0.1, 0.1, 0.2):
        run = Run({}, 0, config, {'optim_wrapper.optimizer.lr': lr}, 'alone')
        assert remembered_costs([run], 'alone', file) == dict(alone=1.0)
    assert measured == [['alone'], ['alone']]


def test_costs_are_relative_to_the_baseline_and_leave_the_threads():
    config = ROOT / 'configs' / 'digits' / 'digits_further.py'
    twice = {n: load_config(str(config), 'config') for n in ('one', 'other')}
    threads = torch.get_num_threads()
    costs = relative_costs(twice, 'one', rounds=15)
    assert costs['one'] == 1.0
    assert costs['other'] > 0
    assert torch.get_num_threads() == threads


def test_what_the_data_determine_reaches_the_method():
    changes = dict(losses=dict(loss_crd=dict(images=7)))
    crd = distiller_of('crd', 1.0, TAT, LAYERS, changes)['losses']['loss_crd']
    assert crd['images'] == 7 and crd['type'] == 'mmtat.CRDLoss'


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="method must be one of .* got 'kdd'"):
        distiller_of('kdd', 1.0, TAT, LAYERS)


def test_a_longer_training_stretches_its_schedule():
    config = str(ROOT / 'configs' / 'digits' / 'digits_further.py')
    options = stretched({'config': config, 'a': 1}, 2.5)
    assert options['train_cfg.max_iters'] == 375
    assert options['a'] == 1
    first, second = options['param_scheduler']
    assert first['end'] == second['begin'] == round(45 * 2.5)
    assert second['end'] == 375


def rows():
    values = {
        'alone': {s: {'mIoU': 50.0 + s, 'noise/mIoU': 40.0} for s in range(3)},
        'kd': {s: {'mIoU': 52.0 + 2 * s, 'noise/mIoU': 41} for s in range(3)},
    }
    weights, costs = dict(kd=0.1), dict(alone=1.0, kd=1.5)
    return Rows(['mIoU', 'noise/mIoU'], values, weights, costs)


def test_numbers_survive_their_file(tmp_path):
    path = tmp_path / 'new' / 'rows.csv'
    write_rows(rows(), path)
    assert read_rows(path) == rows()


def test_another_file_is_refused(tmp_path):
    path = tmp_path / 'other.csv'
    path.write_text('a,b\n1,2\n')
    with pytest.raises(ValueError, match='no file of a comparison'):
        read_rows(path)


def test_a_table_shows_means_deviations_and_paired_differences():
    lines = table(rows()).splitlines()
    assert lines[0] == (
        '| method | seeds | weight | val | val − alone | noise | cost |'
    )
    assert lines[2] == (
        '| student alone | 3 |  | 51.00 ± 1.00 |  | 40.00 ± 0.00 | 1.00 |'
    )
    low, high = stats.t.interval(0.95, 2, 3, 1 / math.sqrt(3))
    assert lines[3] == (
        f'| KD | 3 | 0.1 | 54.00 ± 2.00 | +3.00 [{low:+.2f}, {high:+.2f}] '
        '| 41.00 ± 0.00 | 1.50 |'
    )


def test_a_table_ends_with_the_difference_of_the_formulations():
    both = rows()
    both.values['tat_released'] = both.values['alone']
    both.values['tat_paper'] = both.values['kd']
    low, high = stats.t.interval(0.95, 2, 3, 1 / math.sqrt(3))
    assert table(both).splitlines()[-1] == (
        f'TaT, paper − released: +3.00 [{low:+.2f}, {high:+.2f}].'
    )


def test_tables_replace_those_between_their_marks():
    page = 'a\n<!-- table x -->\nold\n<!-- end -->\nb\n'
    new = insert_tables(page, {'x': '| 1 |'})
    assert new == 'a\n<!-- table x -->\n\n| 1 |\n\n<!-- end -->\nb\n'
    assert insert_tables(new, {'x': '| 1 |'}) == new


def test_a_table_without_a_place_is_refused():
    with pytest.raises(ValueError, match="one place for the table 'x'"):
        insert_tables('nothing', {'x': '| 1 |'})


@pytest.mark.slow
def test_a_comparison_trains_tunes_and_publishes(
    tmp_path, monkeypatch, scenarios
):
    few = {n: METHODS[n] for n in ('kd', 'sp', 'tat_released', 'tat_paper')}
    for module in (comparison.methods, comparison.stages, comparison.page):
        monkeypatch.setattr(module, 'METHODS', few)
    scenario = scenarios['digits']
    scenario = replace(scenario, regimes=scenario.regimes[1:2])
    said = []

    def compare():
        made = Comparison(
            scenario,
            tmp_path / 'runs',
            seeds=2,
            few_seeds=1,
            factors=(0.1, 1.0),
            options={'train_cfg.max_iters': 2, 'train_cfg.val_interval': 2},
            say=said.append,
        )
        publish({'digits': made}, tmp_path / 'docs')

    (tmp_path / 'docs').mkdir()
    page = tmp_path / 'docs' / 'evidence.md'
    page.write_text('<!-- table digits_few -->\n<!-- end -->\n')
    compare()
    found = read_rows(tmp_path / 'docs' / 'evidence' / 'digits_few.csv')
    assert {n: sorted(s) for n, s in found.values.items()} == {
        'alone': [0, 1],
        'kd': [0, 1],
        'tat_released': [0, 1],
        'tat_paper': [0, 1],
        'same_time': [0],
        'sp': [0],
        'tat_kd': [0],
    }
    assert set(found.weights) == set(few)
    assert found.weights['sp'] in (100.0, 1000.0)
    assert found.costs['alone'] == 1.0 and found.costs['tat_kd'] > 1
    assert table(found) in page.read_text()
    looks = read_file(page.parent / 'evidence' / 'digits_few_diagnosis.csv')
    assert set(looks) == {'kd', 'tat_released', 'tat_paper'}
    for look in looks['tat_paper']:
        assert 0 <= look['attention_entropy'] <= 1
        assert look['distill_gradient_ratio'] > 0
    assert 'attention_entropy' not in looks['kd'][0]
    picture = tmp_path / 'docs' / 'images' / 'evidence_accuracy.png'
    assert picture.stat().st_size > 10000
    said.clear()
    compare()
    assert not any('accuracy' in line for line in said)
