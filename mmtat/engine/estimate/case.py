"""Which training step is estimated, and measured: plain values."""

import sys
from dataclasses import dataclass, field
from typing import Any, Dict, List, Optional, Tuple

import torch
from mmengine.config import Config
from mmengine.model import (
    BaseDataPreprocessor,
    BaseModel,
    revert_sync_batchnorm,
)
from torch import Tensor, nn

from ..input_size import training_size
from ..inspected import built, is_distillation, read_config
from ..launch import enable_amp
from ..report import quiet


@dataclass(frozen=True)
class Case:
    """A training step of a config; reaches a child process.

    Attributes:
        config (str): Path of a config, or ``'mmseg::...'``.
        batch (int): Images of a step.
        size (tuple[int, int]): Height and width of the images in pixels.
        amp (bool): Whether mixed precision is switched on.
        options (dict): Settings of the config that are overridden.
        is_assumed (bool): Whether nothing says the size.
    """

    config: str
    batch: int
    size: Tuple[int, int]
    amp: bool = False
    options: Dict[str, Any] = field(default_factory=dict)
    is_assumed: bool = False

    @classmethod
    def of(
        cls,
        config: str,
        batch: Optional[int] = None,
        size: Optional[Tuple[int, int]] = None,
        amp: bool = False,
        options: Optional[Dict[str, Any]] = None,
    ) -> 'Case':
        """The step of a config, which says what is left out here.

        Args:
            config (str): Path of a config, or ``'mmseg::...'``.
            batch (int, optional): Images, by default those of the training
                loader.
            size (tuple[int, int], optional): Height and width, by default
                those of :func:`training_size`.
            amp (bool): As ``--amp``. Defaults to False.
            options (dict, optional): As ``--cfg-options``.

        Returns:
            Case: It.

        Raises:
            ValueError: No such config, no batch size, or one that cannot be.
        """
        read = read_config(config, options)
        if batch is None:
            batch = (read.get('train_dataloader') or {}).get('batch_size')
            if batch is None:
                raise ValueError(
                    'config: train_dataloader.batch_size is not set; give '
                    '--batch N'
                )
        if batch < 1:
            raise ValueError(f'batch must be at least 1, got {batch}')
        if size is not None and min(size) < 1:
            raise ValueError(
                f'size must be height and width in pixels, got {size}'
            )
        is_known = True
        if size is None:
            with quiet():
                model = built(read)
            roles = ('architecture', 'teacher')
            models = [getattr(model, role, model) for role in roles]
            size, is_known = training_size(read, models)
        own = dict(options or {})
        case = cls(config, batch, tuple(size), amp, own, not is_known)
        case.read()
        return case

    def read(self) -> Config:
        """The config with everything that the case says.

        Returns:
            Config: It.

        Raises:
            ValueError: Its optimizer wrapper cannot do mixed precision, or
                it has none.
        """
        config = read_config(self.config, self.options)
        if not config.get('optim_wrapper'):
            raise ValueError(
                f'config: {self.config!r} has no optim_wrapper, so that no '
                'training step can be estimated'
            )
        if self.amp:
            enable_amp(config)
        distiller = config.model.get('distiller') or {}
        if str(distiller.get('type')).startswith('mmtat.'):
            distiller['input_size'] = tuple(self.size)
        return config

    def build(self, config: Config) -> BaseModel:
        """The model as one process has it before its first step.

        Args:
            config (Config): Of :meth:`read`.

        Returns:
            BaseModel: On the CPU, with random weights, in training mode.

        Raises:
            TypeError, ValueError: As in a training.
        """
        model = revert_sync_batchnorm(built(config))
        if is_distillation(config):
            # Else the teacher says, in each step, that it is random.
            model._teacher._is_trained = True
        for module in model.modules():
            is_padding = isinstance(module, BaseDataPreprocessor)
            if is_padding and getattr(module, 'size', None) is not None:
                module.size = tuple(self.size)
        # mmrazor's algorithms return nothing.
        model.train()
        return model

    def data(
        self, model: BaseModel, batch: int, device: torch.device
    ) -> Dict[str, Any]:
        """Black images with labels of class 0, as a data loader gives them.

        Args:
            model (BaseModel): Of :meth:`build`.
            batch (int): Images.
            device (torch.device): Where.

        Returns:
            dict[str, Any]: ``inputs``, and ``data_samples`` for segmentors
            of mmsegmentation and classifiers of mmpretrain.
        """
        student = getattr(model, 'architecture', model)
        preprocessor = model.data_preprocessor
        preprocessor = getattr(preprocessor, 'student', preprocessor)
        # mmengine's plainest only moves a batch; the others make it float.
        is_plain = type(preprocessor) is BaseDataPreprocessor
        channels = next(
            (m.in_channels for m in student.modules() if _is_conv(m)), 3
        )
        images = torch.zeros(
            *(batch, channels, *self.size),
            dtype=torch.float32 if is_plain else torch.uint8,
            device=device,
        )
        if _is_a(student, 'mmseg.models.segmentors', 'BaseSegmentor'):
            samples = _segmentation_samples(images)
            return dict(inputs=list(images), data_samples=samples)
        if _is_a(student, 'mmpretrain.models.classifiers', 'BaseClassifier'):
            from mmpretrain.structures import DataSample

            labels = torch.zeros(batch, dtype=torch.int64, device=device)
            samples = [
                DataSample(metainfo=_names(index)).set_gt_label(label)
                for index, label in enumerate(labels)
            ]
            return dict(inputs=images, data_samples=samples)
        return dict(inputs=images)


def _is_conv(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d)


def _is_a(model: BaseModel, module: str, name: str) -> bool:
    """Whether it is of a class, whose module it then has imported."""
    cls = getattr(sys.modules.get(module), name, None)
    return cls is not None and isinstance(model, cls)


def _segmentation_samples(images: Tensor) -> List[Any]:
    from mmengine.structures import PixelData
    from mmseg.structures import SegDataSample

    size = tuple(images.shape[2:])
    labels = images.new_zeros((len(images), 1, *size), dtype=torch.int64)
    shape = dict(img_shape=size, ori_shape=size)
    return [
        SegDataSample(
            gt_sem_seg=PixelData(data=label),
            metainfo={**shape, **_names(index)},
        )
        for index, label in enumerate(labels)
    ]


def _names(index: int) -> Dict[str, Any]:
    """What a loss may know an image by."""
    return dict(sample_idx=index, img_path=f'{index}.png')
