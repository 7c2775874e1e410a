"""What a training step costs beside that of the student alone."""

import statistics
import time
from typing import Any, Callable, Dict, List

import torch
from mmengine.config import Config
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from mmtat.models.utils import build_model

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


def _ratios(
    configs: Dict[str, Config], baseline: str, rounds: int
) -> Dict[str, float]:
    steps = {name: _step_of(config) for name, config in configs.items()}
    times: Dict[str, List[float]] = {name: [] for name in steps}
    for number in range(_WARM_UP + rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            if number >= _WARM_UP:
                times[name].append(time.perf_counter() - start)
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

    def step() -> None:
        model.train_step(batch, optimizer)
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    return step
