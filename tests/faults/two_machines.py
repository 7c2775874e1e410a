"""A job on two machines: by torchrun, by Slurm, and with one that is lost."""

import contextlib
import os
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List

import torch
from mmengine.config import Config

from ..running import toy_config
from ..toys import distillation, save_teacher
from .judge import difference
from .machines import (
    ADDRESSES,
    CABLE,
    PATIENCE,
    PORT,
    ROOT,
    Machines,
    Process,
    why_not,
    write_slurm,
)

#: Seconds that a process waits for its peers, and that all may take to end.
TIMEOUT, BOUND = 20, 90
LOST_AT = 7


@dataclass
class Job:
    """A config on two processes, with its folder.

    Attributes:
        folder (Path): Of the config and of what the run writes.
        config (Path): The file.
    """

    folder: Path
    config: Path = field(init=False)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        save_teacher(self.folder / 'teacher.pth')
        model = distillation(
            student=dict(norm='BN'),
            teacher_ckpt=str(self.folder / 'teacher.pth'),
        )
        config = toy_config(
            self.folder,
            model,
            max_iters=12,
            env_cfg=dict(dist_cfg=dict(backend='gloo', timeout=TIMEOUT)),
            custom_hooks=[dict(type='WaitAt')],
        )
        config['train_dataloader']['sampler'] = dict(
            type='InfiniteSampler', shuffle=True
        )
        config['train_cfg'].update(
            type='mmtat.ExactIterBasedTrainLoop', val_interval=3
        )
        config['default_hooks']['checkpoint'] = dict(
            type='mmtat.SafeCheckpointHook', by_epoch=False, interval=3
        )
        self.config = self.folder / 'config.py'
        Config(config).dump(self.config)
        imports = ['tests.running', 'tests.faults.hooks']
        with open(self.config, 'a') as out:
            out.write(f'custom_imports = dict(imports={imports})\n')

    def command(self, processes: int, *arguments: str) -> List[str]:
        """For ``tools/dist_train.sh``, with processes of one machine."""
        script = str(ROOT / 'tools/dist_train.sh')
        return [
            *('bash', script, str(self.config), str(processes)),
            *arguments,
        ]

    def last(self) -> Any:
        """What its last checkpoint holds."""
        name = (self.folder / 'last_checkpoint').read_text().strip()
        return torch.load(name, weights_only=True)


def on_both(machines: Machines, job: Job, *arguments: str, **extra: str):
    """Start a job on both machines."""
    return [
        machines.on(
            index,
            job.command(1, *arguments),
            NNODES='2',
            NODE_RANK=str(index),
            MASTER_ADDR=ADDRESSES[0],
            **extra,
        )
        for index in range(2)
    ]


def experiments(
    folder: Path, say: Callable[[str], None]
) -> List[Dict[str, Any]]:
    """Train on two machines, by torchrun and by Slurm, and lose one.

    Args:
        folder (Path): For all runs.
        say (Callable[[str], None]): Is told how far it is, and why nothing
            is done where the system allows no namespaces.

    Returns:
        list[dict]: A record for each, of ``kind``, ``seconds``, ``message``
        and ``wrong``.
    """
    reason = why_not()
    if reason:
        say(f'two machines: skipped, {reason}')
        return []
    alone = Job(folder / 'alone')
    status, said = Process(alone.command(2), {}).wait()
    if status:
        raise RuntimeError(said[-3000:])
    records = []
    with Machines() as machines:
        for experiment in (_by_torchrun, _by_slurm, _by_losing_one):
            record = experiment(machines, folder, alone.last())
            say(f'two machines: {record["kind"]}: {record["wrong"] or "ok"}')
            records.append(record)
    return records


def _by_torchrun(
    machines: Machines, folder: Path, expected: Any
) -> Dict[str, Any]:
    job = Job(folder / 'torchrun')
    ended = _all(on_both(machines, job))
    return _record('tools/dist_train.sh on both', ended, job, expected)


def _by_slurm(
    machines: Machines, folder: Path, expected: Any
) -> Dict[str, Any]:
    job, programs = Job(folder / 'slurm'), folder / 'bin'
    write_slurm(programs, machines.names)
    script = str(ROOT / 'tools/slurm_train.sh')
    command = ['bash', script, 'partition', 'job', str(job.config)]
    process = Process(
        command,
        dict(
            PATH=f'{programs}{os.pathsep}{os.environ["PATH"]}',
            GPUS='2',
            GPUS_PER_NODE='1',
            MASTER_PORT=PORT,
            GLOO_SOCKET_IFNAME=CABLE,
        ),
    )
    ended = _all([process])
    return _record('tools/slurm_train.sh on both', ended, job, expected)


def _by_losing_one(
    machines: Machines, folder: Path, expected: Any
) -> Dict[str, Any]:
    job = Job(folder / 'lost')
    processes = on_both(machines, job, WAIT_AT=str(LOST_AT))
    with _killed(processes):
        is_there = _appears(job.folder / 'reached', processes)
        machines.plug(False)
        (job.folder / 'go').touch()
        begun = time.monotonic()
        ended = [
            p.wait(begun + 3 * BOUND - time.monotonic()) for p in processes
        ]
    seconds = time.monotonic() - begun
    machines.plug(True)
    record = dict(
        kind='the cable pulled out', seconds=seconds, wrong=[],
        message=_message(ended[0][1]), said=[said for _, said in ended],
    )  # fmt: skip
    if not is_there:
        record['wrong'].append('it did not come to the iteration')
    if seconds > BOUND or any(status is None for status, _ in ended):
        record['wrong'].append(f'it did not end within {BOUND} s')
    elif not all(status for status, _ in ended):
        record['wrong'].append('it ended as if all were well')
    resumed = _record(
        '', _all(on_both(machines, job, '--resume')), job, expected
    )
    record['wrong'] += resumed['wrong']
    record['resumed'] = resumed['said']
    return record


def _message(said: str) -> str:
    """The line that tells a user what happened."""
    lines = [line for line in said.splitlines() if 'rror' in line]
    own = [line for line in lines if 'error: ' in line]
    return (own or lines or [''])[0].strip()


def _all(processes: List[Process]) -> List[Any]:
    with _killed(processes):
        return [process.wait() for process in processes]


@contextlib.contextmanager
def _killed(processes: List[Process]) -> Iterator[None]:
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def _appears(path: Path, processes: List[Process]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not path.exists() and time.monotonic() < deadline:
        if any(p.has_ended for p in processes):
            return False
        time.sleep(0.05)
    return path.exists()


def _record(
    kind: str, ended: List[Any], job: Job, expected: Any
) -> Dict[str, Any]:
    wrong, said = [], [text[-4000:] for _, text in ended]
    if any(status != 0 for status, _ in ended):
        wrong.append('it failed')
    else:
        differs = difference(job.last(), expected)
        wrong += [f'it ends otherwise: {differs}'] if differs else []
    return dict(kind=kind, seconds=None, message='', wrong=wrong, said=said)
