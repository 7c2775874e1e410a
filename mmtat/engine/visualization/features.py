"""What student and teacher give for one image, and what TaT makes of it."""

import contextlib
from dataclasses import dataclass
from typing import Dict, Iterator, List, Tuple

import torch
from mmengine.model import BaseModel
from mmrazor.models.task_modules import RecorderManager
from torch import Tensor, nn

from mmtat.models.distillers.student_call import CALLED_WITH
from mmtat.models.distillers.tat_layer import TaTLayer
from mmtat.models.distillers.tat_streaming import EMBEDDED
from mmtat.models.utils import attach, clear, kept_random_state
from mmtat.models.utils.zero_image import run_model

from .trained import tat_of


@dataclass
class LayerFeatures:
    """One distilled pair of layers on one image.

    Attributes:
        layer (TaTLayer): Embeddings and branches.
        student (Tensor): (1, Cs, Hs, Ws), as the student gives it.
        teacher (Tensor): (1, Ct, Ht, Wt), as the teacher gives it.
        embedded (dict[str, Tensor]): 'query', 'key' and 'value', each
            (1, Ct, H, W), before a branch cuts or pools them.
    """

    layer: TaTLayer
    student: Tensor
    teacher: Tensor
    embedded: Dict[str, Tensor]


def layer_features(
    algorithm: BaseModel, inputs: Tensor, teacher_inputs: Tensor, index: int
) -> LayerFeatures:
    """Run both models on an image, without changing anything of them.

    All is in eval mode: norms over the batch use their running statistics.

    Args:
        algorithm (FrozenTeacherDistill): That distils by TaT.
        inputs (Tensor): (1, 3, H, W), preprocessed for the student.
        teacher_inputs (Tensor): (1, 3, H, W), preprocessed for the teacher.
        index (int): Of the pair of layers.

    Returns:
        LayerFeatures: In float32, without a graph.
    """
    distiller = tat_of(algorithm)
    with undisturbed(algorithm):
        student, teacher = _recorded(algorithm, inputs, teacher_inputs, index)
        layer = distiller.tat[index]
        sources = layer.sources(student, teacher)
        embedded = {n: getattr(layer, n)(sources[n]) for n in EMBEDDED}
    return LayerFeatures(layer, student, teacher, embedded)


def _recorded(
    algorithm: BaseModel, inputs: Tensor, teacher_inputs: Tensor, index: int
) -> Tuple[Tensor, Tensor]:
    distiller = algorithm.distiller
    models = dict(
        teacher=(algorithm.teacher, teacher_inputs),
        student=(algorithm.architecture, inputs),
    )
    try:
        for role, (model, images) in models.items():
            manager, run = distiller.recorders_of(role), distiller.runs[role]
            attach(manager, model, run.overwritten)
            with manager:
                run_model(model, images, None, run.heads, role == 'teacher')
            _note_call(manager, images)
        student = distiller.layer_record('student', index)
        teacher = distiller.layer_record('teacher', index)
    finally:
        for role in models:
            clear(distiller.recorders_of(role))
    return student.float(), teacher.float()


def _note_call(manager: RecorderManager, images: Tensor) -> None:
    """What a student was called with, where only its parts were run."""
    recorder = manager.recorders.get(CALLED_WITH)
    if recorder is not None and not recorder.data_buffer:
        recorder.data_buffer.append((images, None))


@contextlib.contextmanager
def undisturbed(model: nn.Module) -> Iterator[None]:
    """Eval mode without gradients or autocast, of which nothing is left.

    Training flags, buffers and random states return to what they were.

    Args:
        model (nn.Module): An algorithm.

    Yields:
        None: Once it is in eval mode.
    """
    flags: List[Tuple[nn.Module, bool]] = [
        (module, module.training) for module in model.modules()
    ]
    buffers = {n: b.detach().clone() for n, b in model.named_buffers()}
    device = next((p.device.type for p in model.parameters()), 'cpu')
    model.eval()
    try:
        with torch.no_grad(), kept_random_state():
            with torch.autocast(device, enabled=False):
                yield
    finally:
        for module, training in flags:
            module.training = training
        with torch.no_grad():
            for name, buffer in model.named_buffers():
                buffer.copy_(buffers[name])
