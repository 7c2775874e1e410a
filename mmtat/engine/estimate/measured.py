"""The same training step for real, in a process of its own."""

import contextlib
import io
from dataclasses import dataclass
from typing import Any, Callable

import torch
from mmengine.optim import build_optim_wrapper

from ..benchmark.candidate import Candidate
from ..benchmark.memory import peak_memory
from ..benchmark.settings import Settings
from ..report import quiet
from .case import Case


@dataclass(frozen=True)
class RealStep(Candidate):
    """The training step of a case, with everything that it allocates.

    Attributes:
        name (str): Of the config.
        case (Case): The step.
    """

    name: str
    case: Case

    counts_build = True

    def load(self, device: torch.device) -> None:
        """Import what models are made of, and run a convolution."""
        with quiet():
            self.case.build(self.case.read())
            layer = torch.nn.Conv2d(3, 8, 3).to(device)
            layer(torch.zeros(1, 3, 8, 8, device=device)).sum().backward()

    def build(self, batch: int, device: torch.device) -> Callable[[], Any]:
        """The model, its optimizer and the images, and their step."""
        with quiet():
            config = self.case.read()
            model = self.case.build(config).to(device)
            # Some constructors print every parameter.
            with contextlib.redirect_stdout(io.StringIO()):
                wrapper = build_optim_wrapper(model, config.optim_wrapper)
            data = self.case.data(model, batch, device)

            def step() -> None:
                model.train_step(data, wrapper)

            step()
        return step


def measured_peak(case: Case, device: torch.device) -> int:
    """Peak memory of a case's step.

    Args:
        case (Case): The step.
        device (torch.device): Where.

    Returns:
        int: Bytes above what the process held with its code loaded: resident
        ones on a CPU, the allocator's on a GPU.

    Raises:
        OutOfMemory: There is less.
        ValueError: The step cannot be.
    """
    settings = Settings(device, case.batch, 1)
    return peak_memory(RealStep(case.config, case), case.batch, settings)
