"""What a comparison is made on."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence


@dataclass(frozen=True)
class Regime:
    """From where, and with which labels, the students are trained.

    Attributes:
        name (str): Short, for folders.
        title (str): For the reader.
        alone (str): Config of the student without a teacher.
        tat (str): Config of the same with a teacher.
        start (str, optional): Config whose checkpoint is the start; None
            from scratch.
    """

    name: str
    title: str
    alone: str
    tat: str
    start: Optional[str] = None


@dataclass(frozen=True)
class Scenario:
    """A data set with a teacher, a student, and regimes.

    Attributes:
        name (str): Short, for folders.
        title (str): For the reader.
        configs (Path): Folder of the configs.
        teacher (str): Config of the teacher.
        regimes (list[Regime]): What is compared in.
        metric (str): Name of the metric; with ``<shift>/`` before it for
            each of ``shifts``.
        shifts (list[str]): Of the validation.
        tuning (dict): Options that validate on the tuning split instead.
        layers (dict[str, list]): By kind; see :class:`Method`.
        changes (dict[str, dict]): By method, what the data determine of its
            distiller.
        data_root (str, optional): Folder of the data.
    """

    name: str
    title: str
    configs: Path
    teacher: str
    regimes: Sequence[Regime]
    metric: str
    shifts: Sequence[str]
    tuning: Dict[str, Any]
    layers: Dict[str, Sequence]
    changes: Dict[str, Dict] = field(default_factory=dict)
    data_root: Optional[str] = None

    @property
    def metrics(self) -> List[str]:
        """The columns: the metric, and the same under each shift."""
        return [self.metric, *(f'{s}/{self.metric}' for s in self.shifts)]

    def config(self, name: str) -> str:
        """Path of one of the scenario's configs.

        Args:
            name (str): Without folder and suffix.

        Returns:
            str: The path.
        """
        return str(self.configs / f'{name}.py')
