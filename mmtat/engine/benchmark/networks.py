"""Models of a config with random weights, and a batch of noise."""

import copy
from dataclasses import dataclass
from typing import Any, Dict, Optional

import torch
from mmengine.config import Config
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import init_default_scope

from mmtat.models.utils import (
    build_model,
    layer_suggestions,
    load_config,
    resolve_model_config,
    without_pretrained,
)

from ..report import quiet
from .stock import one_to_one, single_teacher_distill

#: How the losses that are compared are named in the rows.
LOSSES = dict(tat='TaT', l2='L2')


@dataclass(frozen=True)
class Workload:
    """A distillation config, at a layer and an image size.

    Attributes:
        config (str): Path of a config of :class:`FrozenTeacherDistill`.
        layer (str): That is distilled, by its name in both models.
        size (int): Side of the images in pixels.
    """

    config: str
    layer: str
    size: int

    def read(self) -> Config:
        """The config for this size, without any file to fetch.

        Returns:
            Config: Teacher and student are whole model configs; the size
            is its ``image_size``.

        Raises:
            ValueError: There is no such config, or it distils nothing.
        """
        config = load_config(self.config, 'config')
        model = config.get('model') or {}
        if 'teacher' not in model or 'architecture' not in model:
            raise ValueError(
                f'config: {self.config!r} has no teacher and architecture; '
                'give one of a distillation'
            )
        init_default_scope(config.get('default_scope', 'mmengine'))
        model.teacher_ckpt = None
        config.image_size = (self.size, self.size)
        preprocessor = config.get('data_preprocessor')
        for role in ('architecture', 'teacher'):
            own, _ = resolve_model_config(model[role], role)
            own = without_pretrained(own)
            if preprocessor is not None:
                own.setdefault(
                    'data_preprocessor', copy.deepcopy(preprocessor)
                )
            if own.get('data_preprocessor', {}).get('size'):
                own.data_preprocessor.size = config.image_size
            model[role] = own
        return config


def check_layer(workload: Workload, role: str) -> BaseModel:
    """Refuse a layer that a model does not have, before any is measured.

    Args:
        workload (Workload): The config and the layer.
        role (str): 'teacher' or 'student'.

    Returns:
        BaseModel: The model, on the CPU.

    Raises:
        ValueError: There is no such config or layer; names close matches.
    """
    build = dict(teacher=build_teacher, student=build_student)[role]
    with quiet():
        model = build(workload.read(), torch.device('cpu'))
    known = dict(model.named_modules())
    if workload.layer not in known:
        raise ValueError(
            f'--layer: the {role} ({type(model).__name__}) has no layer '
            f'{workload.layer!r}; {layer_suggestions(workload.layer, known)}'
        )
    return model


def build_student(config: Config, device: torch.device) -> BaseModel:
    """The student alone.

    Args:
        config (Config): Of :meth:`Workload.read`.
        device (torch.device): Where.

    Returns:
        BaseModel: In training mode.
    """
    return _ready(
        build_model(config.model.architecture, 'architecture'), device
    )


def build_teacher(config: Config, device: torch.device) -> BaseModel:
    """The teacher alone.

    Args:
        config (Config): Of :meth:`Workload.read`.
        device (torch.device): Where.

    Returns:
        BaseModel: In eval mode.
    """
    return _ready(build_model(config.model.teacher, 'teacher'), device).eval()


def build_distillation(
    config: Config,
    layer: str,
    loss: str,
    device: torch.device,
    teacher_options: Optional[Dict[str, Any]] = None,
) -> BaseModel:
    """Build :class:`FrozenTeacherDistill`.

    Args:
        config (Config): Of :meth:`Workload.read`.
        layer (str): That is distilled.
        loss (str): 'tat', as the config has it, or 'l2', one to one.
        device (torch.device): Where.
        teacher_options (dict, optional): Of the algorithm.

    Returns:
        BaseModel: In training mode.
    """
    model = copy.deepcopy(config.model)
    if loss == 'tat':
        model.distiller.layers = [layer]
        model.distiller.input_size = config.image_size
    else:
        model.distiller = one_to_one(config, layer)
    if teacher_options is not None:
        model.teacher_options = teacher_options
    return _ready(build_model(model, 'model'), device)


def build_stock(config: Config, layer: str, device: torch.device) -> BaseModel:
    """Build mmrazor's ``SingleTeacherDistill``, see :mod:`.stock`.

    Args:
        config (Config): Of :meth:`Workload.read`.
        layer (str): That is distilled.
        device (torch.device): Where.

    Returns:
        BaseModel: In training mode.
    """
    return _ready(single_teacher_distill(config, layer), device)


def random_batch(
    config: Config, batch: int, device: torch.device
) -> Dict[str, Any]:
    """Images and labels of noise, as a data loader gives them.

    Args:
        config (Config): Of :meth:`Workload.read`.
        batch (int): Images.
        device (torch.device): Where they are, so that no copy to a GPU is
            timed.

    Returns:
        dict[str, Any]: ``inputs`` and ``data_samples``.
    """
    model = config.model.architecture
    size = tuple(config.image_size)
    options = dict(
        generator=torch.Generator(device).manual_seed(0), device=device
    )
    images = torch.randint(
        0, 256, (batch, 3, *size), dtype=torch.uint8, **options
    )
    if 'decode_head' not in model:
        from mmpretrain.structures import DataSample

        labels = torch.randint(0, _classes(model.head), (batch,), **options)
        samples = [DataSample().set_gt_label(label) for label in labels]
        return dict(inputs=images, data_samples=samples)
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    labels = torch.randint(
        0, _classes(model.decode_head), (batch, 1, *size), **options
    )
    shape = dict(img_shape=size, ori_shape=size)
    samples = [
        SegDataSample(gt_sem_seg=PixelData(data=label), metainfo=shape)
        for label in labels
    ]
    return dict(inputs=list(images), data_samples=samples)


def _classes(head: Any) -> int:
    head = head[-1] if isinstance(head, (list, tuple)) else head
    return head.num_classes


def _ready(model: BaseModel, device: torch.device) -> BaseModel:
    """A model as the Runner has it before its first step, on one device.

    Args:
        model (BaseModel): The model.
        device (torch.device): Where.

    Returns:
        BaseModel: In training mode.
    """
    model.init_weights()
    model = revert_sync_batchnorm(model).to(device)
    # mmrazor's returns nothing.
    model.train()
    return model
