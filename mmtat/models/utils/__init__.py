from mmtat.compat.weights_only import trust_checkpoints

from .checkpoint_reading import (
    read_checkpoint,
    read_state_dict,
    state_dict_of,
)
from .data_preprocessor import DistillDataPreprocessor, teacher_preprocessor
from .dry_run import DryRun, dry_run, module_recorders
from .frozen_teacher import FrozenTeacher
from .graph_check import check_graph, watch_graph
from .layer_table import RecordableLayer, recordable_layers
from .model_config import (
    build_model,
    check_type,
    load_config,
    resolve_model_config,
    without_pretrained,
)
from .model_reference import ModelReference
from .norm_watch import NormWatch
from .random_state import (
    kept_random_state,
    random_state,
    set_random_state,
)
from .recording import (
    add_recorder,
    attach,
    check_classes,
    check_recorded,
    check_sources,
    clear,
    layer_suggestions,
    recorded,
)
from .state_loading import StateLoad, load_state
from .teacher_checkpoint import load_teacher
from .teacher_options import TeacherOptions
from .teacher_speed import TeacherSpeed
from .zero_image import input_size

__all__ = [
    'DistillDataPreprocessor',
    'DryRun',
    'FrozenTeacher',
    'ModelReference',
    'NormWatch',
    'RecordableLayer',
    'StateLoad',
    'TeacherOptions',
    'TeacherSpeed',
    'add_recorder',
    'attach',
    'build_model',
    'check_classes',
    'check_graph',
    'check_recorded',
    'check_sources',
    'check_type',
    'clear',
    'dry_run',
    'input_size',
    'kept_random_state',
    'layer_suggestions',
    'load_config',
    'load_state',
    'load_teacher',
    'module_recorders',
    'random_state',
    'read_checkpoint',
    'read_state_dict',
    'recordable_layers',
    'recorded',
    'resolve_model_config',
    'set_random_state',
    'state_dict_of',
    'teacher_preprocessor',
    'trust_checkpoints',
    'watch_graph',
    'without_pretrained',
]
