"""Two machines, as network namespaces with a cable between them."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, List

ROOT = Path(__file__).resolve().parents[2]
ADDRESSES = ('10.77.0.1', '10.77.0.2')
PORT = '29611'
CABLE = 'cable'
#: Seconds after which something hangs that must not.
PATIENCE = 300

#: Starts the tasks of a job in turns on the two machines, as srun would.
SRUN = """#!/usr/bin/env bash
while [[ $1 == --* ]]; do
    [ "$1" = --ntasks ] && tasks=$2
    shift 2
done
export SLURM_JOB_ID=7 SLURM_NTASKS=$tasks SLURM_NNODES=$tasks
export SLURM_JOB_NUM_NODES=$tasks SLURM_NODELIST='node[1-2]'
export SLURM_LOCALID=0 SLURM_NTASKS_PER_NODE=1
machines=({names})
pids=()
for ((task = 0; task < tasks; task++)); do
    SLURM_PROCID=$task SLURM_NODEID=$task \\
        ip netns exec "${{machines[$task]}}" "$@" &
    pids+=($!)
done
status=0
for pid in "${{pids[@]}}"; do
    wait "$pid" || status=$?
done
exit $status
"""
SCONTROL = f"""#!/usr/bin/env bash
printf '%s\\n' {' '.join(ADDRESSES)}
"""


def write_slurm(folder: Path, names: List[str]) -> None:
    """Write programs that stand for Slurm's.

    Args:
        folder (Path): For them; is made.
        names (list[str]): Of the namespaces that are its nodes.
    """
    folder.mkdir()
    texts = dict(srun=SRUN.format(names=' '.join(names)), scontrol=SCONTROL)
    for name, text in texts.items():
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)


def why_not() -> str:
    """Why this system offers no network namespaces; '' if it does."""
    if os.geteuid() or shutil.which('ip') is None:
        return 'network namespaces need root and the program ip'
    try:
        with Machines():
            return ''
    except subprocess.CalledProcessError as error:
        said = (error.stderr or b'').decode().strip()
        return f'network namespaces are refused here: {said}'


class Machines:
    """Two namespaces, an address each; gone when the block is left."""

    def __init__(self) -> None:
        tag = os.getpid() % 100000
        self.names = [f'mmtat{tag}{end}' for end in 'ab']
        self.cables = [f'mm{tag}{end}' for end in 'ab']

    def __enter__(self) -> 'Machines':
        try:
            self._set_up()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _set_up(self) -> None:
        for name in self.names:
            _ip('netns', 'add', name)
        first, second = self.cables
        _ip('link', 'add', first, 'type', 'veth', 'peer', 'name', second)
        for name, cable, address in zip(self.names, self.cables, ADDRESSES):
            _ip('link', 'set', cable, 'netns', name)
            # One name on both: Slurm gives both one environment.
            _ip('-n', name, 'link', 'set', cable, 'name', CABLE)
            _ip('-n', name, 'addr', 'add', f'{address}/24', 'dev', CABLE)
            _ip('-n', name, 'link', 'set', 'lo', 'up')
        self.plug(True)

    def __exit__(self, *error: Any) -> None:
        for name in self.names:
            command = ['ip', 'netns', 'del', name]
            subprocess.run(command, capture_output=True)

    def plug(self, is_plugged: bool) -> None:
        """Put the cable in, or pull it out."""
        for name in self.names:
            state = 'up' if is_plugged else 'down'
            _ip('-n', name, 'link', 'set', CABLE, state)

    def on(self, index: int, command: List[str], **extra: str) -> 'Process':
        """Start a command on a machine."""
        extra['GLOO_SOCKET_IFNAME'] = CABLE
        name = self.names[index]
        return Process(['ip', 'netns', 'exec', name, *command], extra)


def _ip(*arguments: str) -> None:
    subprocess.run(['ip', *arguments], check=True, capture_output=True)


class Process:
    """A command with all of its children, which end with it."""

    def __init__(self, command: List[str], extra: Dict[str, str]) -> None:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(('SLURM', 'MASTER', 'TORCHELASTIC'))
        }
        inherited.update(
            PYTHONPATH=str(ROOT),
            PYTHON=sys.executable,
            OMP_NUM_THREADS='1',
            PORT=PORT,
            **extra,
        )
        self._process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=inherited,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait(self, seconds: float = PATIENCE) -> Any:
        """Its status and what it said; None where it had to be killed."""
        try:
            said, _ = self._process.communicate(timeout=max(seconds, 1))
            return self._process.returncode, said
        except subprocess.TimeoutExpired:
            self.kill()
            return None, self._process.communicate()[0]

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""
        return self._process.poll() is not None

    def kill(self) -> None:
        """End it, if it has not."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
