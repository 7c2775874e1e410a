"""Stock mmrazor doing the job that mmtat is compared with."""

from typing import Any, Dict

from mmengine.config import Config
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import DefaultScope
from mmrazor.models.task_modules import RecorderManager
from mmrazor.registry import MODELS as MMRAZOR_MODELS

from mmtat.models.utils import build_model, check_sources, dry_run


def single_teacher_distill(config: Config, layer: str) -> BaseModel:
    """Build mmrazor's ``SingleTeacherDistill`` with a one-to-one L2 loss.

    Args:
        config (Config): Of :meth:`Workload.read`.
        layer (str): That is distilled.

    Returns:
        BaseModel: The algorithm.
    """
    student = build_model(config.model.architecture, 'architecture')
    teacher = build_model(config.model.teacher, 'teacher')
    with DefaultScope.overwrite_default_scope('mmrazor'):
        return MMRAZOR_MODELS.build(
            dict(
                type='SingleTeacherDistill',
                architecture=student,
                # Its norms stay in eval mode, so that none of them waits
                # for other processes.
                teacher=revert_sync_batchnorm(teacher),
                distiller=one_to_one(config, layer),
            )
        )


def one_to_one(config: Config, layer: str) -> Dict[str, Any]:
    """Config of mmrazor's own distiller, with channels made equal.

    Args:
        config (Config): Of :meth:`Workload.read`.
        layer (str): That is distilled.

    Returns:
        dict[str, Any]: A ``ConfigurableDistiller`` with an L2 loss.
    """
    own, target = (
        _channels(config, role, layer) for role in ('architecture', 'teacher')
    )
    student = dict(from_student=True, recorder='layer')
    connectors = None
    if own != target:
        student['connector'] = 'regressor'
        connectors = dict(
            regressor=dict(
                type='ConvModuleConnector',
                in_channel=own,
                out_channel=target,
                act_cfg=None,
            )
        )
    return dict(
        type='ConfigurableDistiller',
        student_recorders=_recorder(layer),
        teacher_recorders=_recorder(layer),
        connectors=connectors,
        distill_losses=dict(
            loss_l2=dict(type='L2Loss', normalize=False, div_element=True)
        ),
        loss_forward_mappings=dict(
            loss_l2=dict(
                s_feature=student,
                t_feature=dict(from_student=False, recorder='layer'),
            )
        ),
    )


def _recorder(layer: str) -> Dict[str, Dict]:
    return dict(layer=dict(type='ModuleOutputs', source=layer))


def _channels(config: Config, role: str, layer: str) -> int:
    """Of what the layer gives."""
    model = build_model(config.model[role], role)
    with DefaultScope.overwrite_default_scope('mmrazor'):
        manager = RecorderManager(_recorder(layer))
    check_sources(manager, model, role)
    return dry_run(model, manager, (64, 64)).records['layer'][0][1]
