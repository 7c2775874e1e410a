"""Weights that a config calls tuned are those that the tuning gave."""

import csv

import pytest

from mmtat.engine.comparison.methods import best_weights
from mmtat.models.utils import load_config

from .voc import ROOT

TUNED = 'docs/evidence/digit_scenes_few_tuning.csv'
CONFIGS = [
    path
    for path in sorted((ROOT / 'configs/rivals/voc').glob('*.py'))
    if TUNED in path.read_text()
]
#: Times the tuned weight, where the loss depends on the size of the map:
#: 128 x 128 positions for 20 x 20, 512 channels for 64.
FACTORS = dict(at=128**2 / 20**2, ofd=64 * 20**2 / (512 * 128**2))


def test_most_weights_of_the_segmentation_pair_are_tuned():
    assert len(CONFIGS) == 15


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_tuned_weight_is_the_best_of_its_file(path):
    method = path.stem.split('_')[0]
    with open(ROOT / TUNED, newline='') as file:
        scores = {
            row['method']: float(row['mIoU']) for row in csv.DictReader(file)
        }
    tuned = best_weights(scores)[method] * FACTORS.get(method, 1)
    weight = load_config(str(path), 'config').model.distiller.loss_weight
    assert weight == pytest.approx(tuned, rel=0.05)
