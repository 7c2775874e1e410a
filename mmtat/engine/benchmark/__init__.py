"""Time and memory of the loss, the teacher, the step and the start."""

from .backends import SHAPES, measure_backends, write_measurements
from .checkpoints import run_checkpoints
from .growth import draw_growth, measure_growth
from .losses import DTYPES, growth_candidates, run_loss
from .machine import check_device, command
from .presets import PRESETS, check_preset
from .publish import (
    check_places,
    insert_results,
    report,
    table_text,
    write_report,
)
from .result import Result, Row, markdown
from .settings import Settings
from .startup import run_startup
from .steps import growth_steps, run_step, run_validation
from .teachers import run_teacher
from .traffic import traffic_table
from .workloads import default_batch, table_name, workloads_of

__all__ = [
    'DTYPES',
    'PRESETS',
    'Result',
    'Row',
    'SHAPES',
    'Settings',
    'check_device',
    'check_places',
    'check_preset',
    'command',
    'default_batch',
    'draw_growth',
    'growth_candidates',
    'growth_steps',
    'insert_results',
    'markdown',
    'measure_backends',
    'measure_growth',
    'report',
    'run_checkpoints',
    'run_loss',
    'run_startup',
    'run_step',
    'run_teacher',
    'run_validation',
    'table_name',
    'table_text',
    'traffic_table',
    'workloads_of',
    'write_measurements',
    'write_report',
]
