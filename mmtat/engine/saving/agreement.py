"""All processes of a run come to one answer, at the same step."""

import time
from typing import Any, List, Optional

import torch
from mmengine.dist import all_reduce, get_comm_device, get_world_size
from torch import distributed

#: Steps between two questions, at most.
MOST_STEPS = 100


class Agreement:
    """Whether any process says yes; all of them learn it at the same step.

    They ask each other about once in some seconds, by one reduction of two
    numbers. A GPU is not waited for: its answer is read when the next
    question is due. One process alone has its answer at once.

    Args:
        seconds (float): Between two questions; 0 asks at every step.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.begin()

    def begin(self) -> None:
        """Forget the steps so far."""
        self._due = 0
        self._last: Optional[tuple] = None
        self._question: Optional[_Question] = None

    def reached(self, step: int, is_yes: bool) -> bool:
        """Ask, where it is time to. All processes must call it.

        Args:
            step (int): The same in all processes, and rising.
            is_yes (bool): What this process says.

        Returns:
            bool: What all of them go by.
        """
        if get_world_size() == 1:
            return is_yes
        if step < self._due:
            return False
        answer = None if self._question is None else self._question.answer()
        self._question = _Question([float(is_yes), self._pace(step)])
        if self._question.is_quick:
            answer, self._question = self._question.answer(), None
        # By a number that all of them have, so that all ask at that step.
        pace = self._seconds if answer is None else answer[1]
        self._due = step + steps_between(self._seconds, pace)
        return answer is not None and answer[0] > 0

    def _pace(self, step: int) -> float:
        """Seconds that a step took since the last question."""
        now, last = time.monotonic(), self._last
        self._last = (step, now)
        if last is None:
            return self._seconds
        return (now - last[1]) / max(step - last[0], 1)


def steps_between(seconds: float, pace: float) -> int:
    """How many steps take some time.

    Args:
        seconds (float): The time.
        pace (float): Seconds that a step takes.

    Returns:
        int: From 1 to :data:`MOST_STEPS`.
    """
    if pace * MOST_STEPS <= seconds:
        return MOST_STEPS if seconds > 0 else 1
    return max(1, int(seconds / pace))


def smallest_of_all(count: int) -> int:
    """The smallest count of all processes; all of them must call it.

    Args:
        count (int): Of this process.

    Returns:
        int: The same in all.
    """
    if get_world_size() == 1:
        return count
    smallest = torch.tensor([count], device=get_comm_device())
    all_reduce(smallest, 'min')
    return int(smallest)


class _Question:
    """One reduction: the largest of each number."""

    def __init__(self, numbers: List[float]) -> None:
        device = get_comm_device()
        self._numbers = torch.empty(len(numbers), device=device)
        for place, number in zip(self._numbers, numbers):
            # A kernel's argument: a copy to the GPU could wait for it.
            place.fill_(number)
        distributed.all_reduce(self._numbers, distributed.ReduceOp.MAX)
        self._is_there: Any = None
        if device.type == 'cuda':
            host = torch.empty(len(numbers), pin_memory=True)
            self._numbers = host.copy_(self._numbers, non_blocking=True)
            self._is_there = torch.cuda.Event()
            self._is_there.record()

    @property
    def is_quick(self) -> bool:
        """Whether no GPU stands between the question and the answer."""
        return self._is_there is None

    def answer(self) -> List[float]:
        """The numbers."""
        if self._is_there is not None:
            self._is_there.synchronize()
        return self._numbers.tolist()
