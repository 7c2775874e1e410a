"""How large the checkpoints of a training are."""

import copy
import tempfile
from pathlib import Path
from typing import Any, Callable, Dict, List

import torch
from mmengine.runner import Runner
from torch.utils.data import Dataset

from ..report import quiet
from .child import call_in_child
from .memory import MIB
from .networks import (
    Workload,
    build_distillation,
    build_stock,
    build_student,
    random_batch,
)
from .result import Result, Row
from .weights import trained_bytes

STUDENT, BOUND = 'student alone', 'floor: student + embeddings'
OWN, STOCK = 'mmtat, TaT', 'mmrazor, L2'
#: Weights do not depend on it.
_SIZE, _BATCH = 64, 2
_COLUMN = 'MiB'


class _Images(Dataset):
    """The images of one batch."""

    def __init__(self, batch: Dict[str, Any]) -> None:
        self.batch = batch

    def __len__(self) -> int:
        return _BATCH

    def __getitem__(self, index: int) -> Dict[str, Any]:
        return {name: values[index] for name, values in self.batch.items()}


def run_checkpoints(
    workload: Workload,
    name: str,
    say: Callable[[str], Any] = lambda line: None,
) -> Result:
    """Train a step each, and look at the files.

    Args:
        workload (Workload): The config and layer; images are small.
        name (str): Of the preset, for the table's name.
        say (Callable[[str], Any]): Gets a line for each thing that begins.

    Returns:
        Result: Sizes in the column 'MiB', with the optimizer's state.

    Raises:
        ValueError: There is no such config.
    """
    workload.read()
    sizes, embeddings = {}, 0
    for row, kind in ((STUDENT, 'student'), (OWN, 'tat'), (STOCK, 'stock')):
        say(f'checkpoint: {row}')
        sizes[row], own = call_in_child(_checkpoint, workload, kind)
        embeddings += own
    bound = sizes[STUDENT] + embeddings
    rows: List[Row] = [
        Row(row, cells={_COLUMN: size / MIB, '× floor': size / bound})
        for row, size in (
            (BOUND, bound),
            *((row, size) for row, size in sizes.items()),
        )
    ]
    return Result(
        name=f'checkpoint-{name}',
        title=f'Checkpoint, {name}',
        batch=_BATCH,
        rows=rows,
        notes=[
            "Weights, optimizer's state and what mmengine needs to resume, "
            'after one step. Embeddings count with their momenta.'
        ],
        facts=dict(sizes=sizes, embeddings=embeddings),
    )


def _checkpoint(workload: Workload, kind: str) -> List[int]:
    """Bytes of the file, and of the distiller with its optimizer state."""
    device = torch.device('cpu')
    small = Workload(workload.config, workload.layer, _SIZE)
    with quiet(), tempfile.TemporaryDirectory() as folder:
        config = small.read()
        # Cutting a map needs no weight, and this one is small.
        config.model.distiller.branches = dict(whole=dict())
        if kind == 'student':
            model = build_student(config, device)
        elif kind == 'stock':
            model = build_stock(config, workload.layer, device)
        else:
            model = build_distillation(config, workload.layer, kind, device)
        runner = Runner(
            model=model,
            work_dir=folder,
            train_dataloader=dict(
                dataset=_Images(random_batch(config, _BATCH, device)),
                batch_size=_BATCH,
                num_workers=0,
                sampler=dict(type='DefaultSampler', shuffle=False),
                collate_fn=dict(type='pseudo_collate'),
            ),
            train_cfg=dict(by_epoch=False, max_iters=1),
            optim_wrapper=copy.deepcopy(config.optim_wrapper),
            default_hooks=dict(
                checkpoint=dict(
                    type='CheckpointHook', by_epoch=False, interval=1
                )
            ),
            default_scope=config.get('default_scope'),
            experiment_name=f'checkpoint_{kind}',
        )
        runner.train()
        size = Path(folder, 'iter_1.pth').stat().st_size
        own = 0
        if kind == 'tat':
            own = trained_bytes(model.distiller, runner.optim_wrapper)
    return [size, own]
