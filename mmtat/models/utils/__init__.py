from .data_preprocessor import DistillDataPreprocessor, teacher_preprocessor
from .dry_run import DryRun, dry_run, input_size, module_recorders
from .frozen_teacher import FrozenTeacher
from .model_config import (
    build_model,
    load_config,
    resolve_model_config,
    without_pretrained,
)
from .recording import attach, check_classes, check_sources, clear
from .teacher_checkpoint import load_teacher, read_state_dict

__all__ = [
    'DistillDataPreprocessor',
    'DryRun',
    'FrozenTeacher',
    'attach',
    'build_model',
    'check_classes',
    'check_sources',
    'clear',
    'dry_run',
    'input_size',
    'load_config',
    'load_teacher',
    'module_recorders',
    'read_state_dict',
    'resolve_model_config',
    'teacher_preprocessor',
    'without_pretrained',
]
