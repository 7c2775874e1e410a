"""The weights of a config's distillation losses over its iterations."""

from pathlib import Path
from typing import Dict, List, Tuple

from matplotlib.figure import Figure
from mmengine.config import Config

from .outputs import check_new, check_picture, save_figure

Curves = Dict[str, Tuple[List[int], List[float]]]


def draw_schedule(config: Config, out: Path, force: bool = False) -> Path:
    """Draw a config's weight schedules.

    Args:
        config (Config): Of a distillation.
        out (Path): Of the PNG.
        force (bool): Whether the file may be written over. Defaults to
            False.

    Returns:
        Path: ``out``.

    Raises:
        ValueError: The config distils nothing, or the file is there.
    """
    from .. import schedules

    check_new([check_picture(out)], force)
    curves = schedules.schedule_curves(config)
    if not curves:
        raise ValueError('config: it has no distillation loss with a weight')
    save_figure(schedule_figure(curves), out)
    return out


def schedule_figure(curves: Curves) -> Figure:
    """A line for each loss.

    Args:
        curves (dict[str, tuple[list[int], list[float]]]): Iterations and
            weights by the loss's name.

    Returns:
        Figure: Of no window.
    """
    figure = Figure(figsize=(7.2, 3.8), layout='constrained')
    axis = figure.subplots()
    for number, (name, (steps, weights)) in enumerate(curves.items()):
        # Lines that lie on each other are both seen.
        style = ('-', '--', ':', '-.')[number % 4]
        axis.plot(steps, weights, style, label=name, linewidth=1.8)
    axis.set_xlabel('iteration')
    axis.set_ylabel('weight of the loss')
    axis.set_ylim(bottom=min(0.0, axis.get_ylim()[0]))
    axis.margins(x=0.01)
    axis.grid(alpha=0.3)
    figure.legend(loc='outside upper center', ncols=2, fontsize=9)
    return figure
