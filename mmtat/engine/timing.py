"""Wall-clock times of several functions, taken in turns."""

import statistics
import time
from typing import Any, Callable, Dict, List, Sequence, Tuple

import torch

Step = Callable[[], Any]


def synchronize(device: torch.device) -> None:
    """Wait for the work of a GPU; nothing to wait for on a CPU.

    Args:
        device (torch.device): The device.
    """
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


def time_in_turns(
    steps: Dict[str, Step], repeats: int, device: torch.device
) -> Dict[str, List[float]]:
    """Run each once per round, so that all share what else the machine does.

    Every other round goes backwards: what one leaves in the caches serves
    now this neighbour, now that.

    Args:
        steps (dict[str, Callable]): By name, warmed up.
        repeats (int): Rounds, at least 1.
        device (torch.device): Whose work is waited for.

    Returns:
        dict[str, list[float]]: Seconds of each round, by name.
    """
    times: Dict[str, List[float]] = {name: [] for name in steps}
    for number in range(repeats):
        order = list(steps) if number % 2 == 0 else list(reversed(steps))
        for name in order:
            synchronize(device)
            start = time.perf_counter()
            steps[name]()
            synchronize(device)
            times[name].append(time.perf_counter() - start)
    return times


def spread(values: Sequence[float]) -> Tuple[float, float]:
    """The quartiles, between which the middle half lies.

    Args:
        values (Sequence[float]): At least one.

    Returns:
        tuple[float, float]: First and third; the ends of fewer than four.
    """
    if len(values) < 4:
        return min(values), max(values)
    first, _, third = statistics.quantiles(values, n=4, method='inclusive')
    return first, third
