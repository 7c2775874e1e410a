"""What all tests share: options, the gpu mark, one seed, and time saved."""

import random

import numpy as np
import pytest
import torch

from .processes import forget_runs


def pytest_addoption(parser):
    parser.addoption(
        '--all', action='store_true', help='run the slow tests as well'
    )
    parser.addoption(
        '--faults', action='store_true', help='inject all faults, and no more'
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption('--faults'):
        others = [item for item in items if 'faults' not in item.keywords]
        items[:] = [item for item in items if 'faults' in item.keywords]
        config.hook.pytest_deselected(items=others)
        return
    reason = 'faults: runs with --faults'
    skips = dict(faults=pytest.mark.skip(reason=reason))
    if not config.getoption('--all'):
        for name in ('slow', 'extras', 'browser'):
            reason = f'{name}: runs with --all'
            skips[name] = pytest.mark.skip(reason=reason)
    if not torch.cuda.is_available():
        skips['gpu'] = pytest.mark.skip(reason='gpu: no CUDA device')
    for item in items:
        for name, skip in skips.items():
            if name in item.keywords:
                item.add_marker(skip)


@pytest.fixture(autouse=True)
def fixed_seed():
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(autouse=True)
def quick_runner(monkeypatch):
    """Spare every Runner what asking compilers and formatting take."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)
    monkeypatch.setattr(
        'mmengine.config.config.FormatCode',
        lambda text, **style: (f'{text}\n', True),
    )


@pytest.fixture(autouse=True)
def fresh_process():
    """A process of its own would begin without the last run's state."""
    forget_runs()
