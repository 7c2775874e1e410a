"""What distillation over many GPUs has to send, on paper.

Counted from the models, not measured: which parameters have a gradient, and
how many norms wait for the other processes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, List, Sequence

import torch
from torch import nn

from mmtat.models.utils import build_model

from ..report import quiet
from .memory import MIB
from .networks import Workload
from .workloads import NETWORKS, workloads_of

#: Of a gradient in float32, in which DDP reduces.
_BYTES = 4
GPUS = (8, 64, 256)


@dataclass(frozen=True)
class Traffic:
    """What a step sends.

    Attributes:
        config (str): Name of the config's file.
        student (int): Trained parameters of the student.
        embeddings (int): Of the distiller.
        teacher (int): Parameters of the teacher, none of which is sent.
        synchronized (int): Norms of the student that wait for the other
            processes in each forward and backward.
    """

    config: str
    student: int
    embeddings: int
    teacher: int
    synchronized: int

    @property
    def reduced(self) -> int:
        """Bytes of gradients that are averaged over the processes."""
        return _BYTES * (self.student + self.embeddings)

    def sent(self, processes: int) -> float:
        """Bytes that each process sends in a ring.

        Args:
            processes (int): At least 2.

        Returns:
            float: 2 (n - 1) / n of :attr:`reduced`.
        """
        return 2 * (processes - 1) / processes * self.reduced


def count_traffic(workload: Workload) -> Traffic:
    """Count what a config sends.

    Args:
        workload (Workload): Its config; its layers are the config's own.

    Returns:
        Traffic: The counts.

    Raises:
        ValueError: There is no such config.
    """
    with quiet():
        config = workload.read()
        model = build_model(config.model, 'model')
    norms = (isinstance(m, nn.SyncBatchNorm) for m in model.student.modules())
    return Traffic(
        config=Path(workload.config).name,
        student=_trained(model.student),
        embeddings=_trained(model.distiller),
        teacher=sum(p.numel() for p in model.teacher.parameters()),
        synchronized=sum(norms),
    )


def traffic_table(
    configs: Path,
    presets: Sequence[str] = tuple(NETWORKS),
    say: Callable[[str], Any] = lambda line: None,
) -> str:
    """A table of all configs that the benchmark knows.

    Args:
        configs (Path): Folder of the configs.
        presets (Sequence[str]): By name.
        say (Callable[[str], Any]): Gets a line for each config.

    Returns:
        str: Markdown; parameters in millions, MiB sent by each GPU a step.
    """
    device = torch.device('cuda')
    found: List[Traffic] = []
    for name in presets:
        say(f'traffic: {name}')
        # Of a GPU, as this needs none: the sizes are those of a training.
        found.append(count_traffic(workloads_of(name, configs, device)[0]))
    lines = [
        '| config | student, M | embeddings, M | teacher, M (not sent) | '
        + 'reduced, MiB | '
        + ' | '.join(f'sent at {n} GPUs, MiB' for n in GPUS)
        + ' | SyncBN layers |',
        '|' + ' --- |' * (6 + len(GPUS)),
    ]
    for traffic in found:
        cells = [
            f'`{traffic.config}`',
            *(
                f'{count / 1e6:.2f}'
                for count in (
                    traffic.student,
                    traffic.embeddings,
                    traffic.teacher,
                )
            ),
            f'{traffic.reduced / MIB:.1f}',
            *(f'{traffic.sent(n) / MIB:.1f}' for n in GPUS),
            str(traffic.synchronized),
        ]
        lines.append(f'| {" | ".join(cells)} |')
    return '\n'.join(lines)


def _trained(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters() if p.requires_grad)
