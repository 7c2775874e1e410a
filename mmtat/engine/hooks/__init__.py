from .distillation_monitor_hook import DistillationMonitorHook
from .restore_distiller_hook import RestoreDistillerHook
from .save_student_hook import SaveStudentHook

__all__ = [
    'DistillationMonitorHook',
    'RestoreDistillerHook',
    'SaveStudentHook',
]
