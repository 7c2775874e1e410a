from .data_fault_hook import DataFaultHook
from .distill_weight_hook import DistillWeightHook
from .distillation_balance_hook import DistillationBalanceHook
from .distillation_figure_hook import DistillationFigureHook
from .distillation_monitor_hook import DistillationMonitorHook
from .non_finite_hook import NonFiniteHook
from .preemption_hook import PreemptionHook
from .restore_distiller_hook import RestoreDistillerHook
from .safe_checkpoint_hook import SafeCheckpointHook
from .save_student_hook import SaveStudentHook
from .teacher_metric_hook import TeacherMetricHook
from .teacher_sense_hook import TeacherSenseHook

__all__ = [
    'DataFaultHook',
    'DistillWeightHook',
    'DistillationBalanceHook',
    'DistillationFigureHook',
    'DistillationMonitorHook',
    'NonFiniteHook',
    'PreemptionHook',
    'RestoreDistillerHook',
    'SafeCheckpointHook',
    'SaveStudentHook',
    'TeacherMetricHook',
    'TeacherSenseHook',
]
