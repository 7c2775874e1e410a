"""What a training step costs beside that of the student alone."""

import json
import statistics
from pathlib import Path
from typing import Any, Callable, Dict, Sequence

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmtat.files import write_atomically
from mmtat.models.utils import build_model

from ..sweep import Run
from ..sweep.options import digest, resolve
from ..timing import time_in_turns

#: Steps before the first that counts.
_WARM_UP = 3


def relative_costs(
    configs: Dict[str, Config], baseline: str, rounds: int = 30
) -> Dict[str, float]:
    """Time of a training step relative to that of a baseline.

    All take turns in one process, a step each, so that whatever else the
    machine does is shared out. On a CPU that is one core.

    Args:
        configs (dict[str, Config]): Of trainings, by name.
        baseline (str): One of them.
        rounds (int): Steps of each that count, at least 1. Defaults to 30.

    Returns:
        dict[str, float]: Ratio of the medians, by name.
    """
    threads = torch.get_num_threads()
    # As one of several trainings at a time has them.
    torch.set_num_threads(1)
    try:
        return _ratios(configs, baseline, rounds)
    finally:
        torch.set_num_threads(threads)


def remembered_costs(
    runs: Sequence[Run], baseline: str, file: Path
) -> Dict[str, float]:
    """:func:`relative_costs`, measured once and kept in a file.

    Args:
        runs (list[Run]): By their names; measured anew where a config is not
            that of the file.
        baseline (str): Name of one of them.
        file (Path): Of the numbers.

    Returns:
        dict[str, float]: By name.
    """
    configs = {run.name: resolve(run) for run in runs}
    key = {run.name: digest(run, configs[run.name]) for run in runs}
    record = json.loads(file.read_text()) if file.is_file() else {}
    if record.get('configs') != key:
        costs = relative_costs(configs, baseline)
        record = dict(configs=key, costs=costs)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(file, json.dumps(record, indent=1))
    return record['costs']


def _ratios(
    configs: Dict[str, Config], baseline: str, rounds: int
) -> Dict[str, float]:
    steps = {name: _step_of(config) for name, config in configs.items()}
    for _ in range(_WARM_UP):
        for step in steps.values():
            step()
    times = time_in_turns(steps, rounds, torch.device(get_device()))
    medians = {name: statistics.median(own) for name, own in times.items()}
    return {name: own / medians[baseline] for name, own in medians.items()}


def _step_of(config: Config) -> Callable[[], Any]:
    """A function that trains one step, on one batch again and again."""
    init_default_scope(config.default_scope)
    model = dict(config.model)
    if config.get('data_preprocessor') is not None:
        model.setdefault('data_preprocessor', config.data_preprocessor)
    model = build_model(model, 'model')
    model.init_weights()
    model = model.to(get_device()).train()
    optimizer = build_optim_wrapper(model, config.optim_wrapper)
    batch = next(iter(Runner.build_dataloader(config.train_dataloader)))

    return lambda: model.train_step(batch, optimizer)
