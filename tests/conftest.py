"""What all tests share: --all, the gpu mark, one seed, and time saved."""

import random

import numpy as np
import pytest
import torch

from .processes import forget_runs


def pytest_addoption(parser):
    parser.addoption(
        '--all', action='store_true', help='run the slow tests as well'
    )


def pytest_collection_modifyitems(config, items):
    skips = {}
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
    """Spare every Runner the second that asking compilers takes."""
    monkeypatch.setattr('mmengine.runner.runner.collect_env', dict)


@pytest.fixture(autouse=True)
def fresh_process():
    """A process of its own would begin without the last run's state."""
    forget_runs()
