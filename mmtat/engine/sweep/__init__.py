"""Many runs of a config: a grid of its options, times seeds."""

from .grid import Run, Sweep
from .pool import finished_runs, resolve_sweep, run_sweep
from .records import Result
from .sweep_file import is_sweep, read_sweep
from .tables import write_results

__all__ = [
    'Result',
    'Run',
    'Sweep',
    'finished_runs',
    'is_sweep',
    'read_sweep',
    'resolve_sweep',
    'run_sweep',
    'write_results',
]
