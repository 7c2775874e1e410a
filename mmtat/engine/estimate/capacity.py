"""The largest batch that some memory holds."""

from typing import Callable

#: Where the search ends: each image is a Python object as well.
MOST_IMAGES = 1024
#: Of a GPU's memory, for tensors. What the driver, the workspaces of cuDNN
#: and cuBLAS and the allocator's holes take of the rest was not measured.
SHARE = 0.9
_GIB = 2**30
#: Batches that are looked at, at most; a handful is usual.
_RUNS = 24


def gpu_budget(gigabytes: float) -> int:
    """Bytes for tensors on a GPU that is sold by its gigabytes.

    Args:
        gigabytes (float): As 24, 40 or 80, which are GiB.

    Returns:
        int: Nine tenths of them.

    Raises:
        ValueError: None or less.
    """
    # Neither infinity nor what is no number is a budget.
    if not 0 < gigabytes < float('inf'):
        raise ValueError(
            f'gpu-memory must be gigabytes above 0, got {gigabytes:g}'
        )
    return int(gigabytes * _GIB * SHARE)


def largest_batch(
    peak_of: Callable[[int], int], budget: int, least: int, second: int
) -> int:
    """The largest batch whose peak is within a budget.

    Goes along the line through two batches, and on along those through what
    it meets: where the peak moves to another time of the step, it grows
    faster from there on.

    Args:
        peak_of (Callable[[int], int]): Bytes of a batch; must not fall.
        budget (int): Bytes.
        least (int): The smallest batch that can be.
        second (int): Another to begin with.

    Returns:
        int: Images, whose peak was looked at; 0 where not even the smallest
        fits, :data:`MOST_IMAGES` where more may.
    """
    low, high = least, MOST_IMAGES + 1
    if peak_of(low) > budget:
        return 0
    for _ in range(_RUNS):
        if high - low == 1:
            break
        second = min(max(second, low + 1), high - 1)
        slope = (peak_of(second) - peak_of(low)) / (second - low)
        if peak_of(second) <= budget:
            low = second
        else:
            high = second
        room = (budget - peak_of(low)) / slope if slope > 0 else MOST_IMAGES
        second = low + int(min(room, MOST_IMAGES))
    return low
