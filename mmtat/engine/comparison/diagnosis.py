"""What a distillation did during its training, from the runs' logs."""

import csv
import io
import json
from pathlib import Path
from typing import Dict, List

from mmtat.files import write_atomically

#: What DistillationMonitorHook logs, and how the reader calls it.
MEASURES = {
    'distill_gradient_ratio': 'gradient: distillation / task',
    'distill_gradient_cosine': 'cosine of the two gradients',
    'attention_entropy': 'entropy of the attention',
}

#: For each method its looks, each with 'step' and some of the measures.
Looks = Dict[str, List[Dict[str, float]]]


def read_looks(folder: Path) -> List[Dict[str, float]]:
    """What the monitor logged in a run.

    Args:
        folder (Path): Of the run.

    Returns:
        list[dict[str, float]]: Its looks, in the order of the steps.
    """
    log = max(folder.glob('*/vis_data/scalars.json'))
    looks = []
    for line in map(json.loads, log.read_text().splitlines()):
        found = {name: line[name] for name in MEASURES if name in line}
        if found:
            looks.append(dict(step=line['step'], **found))
    return looks


def write_looks(looks: Looks, path: Path) -> None:
    """Write a csv file, a line for each look.

    Args:
        looks (dict[str, list[dict[str, float]]]): By method.
        path (Path): Of the file.
    """
    text = io.StringIO()
    names = ['method', 'step', *MEASURES]
    writer = csv.DictWriter(text, names, lineterminator='\n')
    writer.writeheader()
    for method, own in looks.items():
        for look in own:
            numbers = {key: f'{value:.5g}' for key, value in look.items()}
            writer.writerow(dict(method=method, **numbers))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, text.getvalue())


def read_file(path: Path) -> Looks:
    """Read what :func:`write_looks` wrote.

    Args:
        path (Path): Of the file.

    Returns:
        dict[str, list[dict[str, float]]]: By method.
    """
    looks: Looks = {}
    with open(path, newline='') as file:
        for line in csv.DictReader(file):
            method = line.pop('method')
            own = {key: float(value) for key, value in line.items() if value}
            looks.setdefault(method, []).append(own)
    return looks


def draw_looks(looks: Dict[str, Looks], titles: Dict[str, str], path: Path):
    """Draw every measure over the steps, a row for each training.

    Args:
        looks (dict[str, dict]): By the name of the row.
        titles (dict[str, str]): Of the methods.
        path (Path): Of the picture.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 2.6 * len(looks)), layout='constrained')
    rows = figure.subplots(len(looks), len(MEASURES), squeeze=False)
    for row, (name, methods) in zip(rows, looks.items()):
        for axis, (measure, label) in zip(row, MEASURES.items()):
            for method, own in methods.items():
                seen = [look for look in own if measure in look]
                axis.plot(
                    [look['step'] for look in seen],
                    [look[measure] for look in seen],
                    label=titles[method],
                )
            axis.set_title(label, fontsize=9)
            axis.grid(alpha=0.3)
            if measure == 'distill_gradient_ratio':
                axis.set_yscale('log')
        row[0].set_ylabel(name.replace('_', ' '), fontsize=9)
        row[1].set_xlabel('step', fontsize=9)
    rows[0][1].legend(fontsize=7, ncols=2)
    figure.savefig(path, dpi=110, format='png')
