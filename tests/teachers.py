"""Teachers that record, without a student's step."""

import copy

import torch
from torch import nn

from mmtat.models import FrozenTeacherDistill

from .toys import ToySegmentor

#: Options of a teacher that is run as it was built.
PLAIN = dict(channels_last=False, fold_norms=False)
IMAGE = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def trained(teacher=None):
    """A teacher whose norms have statistics that matter."""
    torch.manual_seed(7)
    teacher = teacher or ToySegmentor(width=8)
    for module in teacher.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            if module.affine:
                nn.init.normal_(module.weight)
                nn.init.normal_(module.bias)
    return teacher


def recording(*sources, kind='ModuleOutputs'):
    """A distiller that records, and has no losses."""
    recorders = {
        f'f{index}': dict(type=kind, source=source)
        for index, source in enumerate(sources)
    }
    return dict(
        type='ConfigurableDistiller',
        student_recorders=copy.deepcopy(recorders),
        teacher_recorders=recorders,
    )


def build(distiller, options=None, teacher=None):
    """An algorithm whose student is a copy of the teacher."""
    teacher = teacher or trained()
    return FrozenTeacherDistill(
        architecture=copy.deepcopy(teacher),
        teacher=copy.deepcopy(teacher),
        distiller=distiller,
        teacher_options=options,
    )


def records(model, image=IMAGE):
    """What the teacher's recorders hold after its forward."""
    recorders = model.distiller.teacher_recorders.recorders
    model._teacher.record(model.distiller, image, None)
    model._teacher.join(model.distiller)
    buffers = [recorder.data_buffer for recorder in recorders.values()]
    return [
        value[0] if isinstance(value, tuple) else value
        for buffer in buffers
        for value in buffer
    ]
