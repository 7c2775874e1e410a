"""A distiller for any loss between two features."""

from typing import Any, Dict, Optional, Sequence, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from mmtat.ops import negative_margin
from mmtat.registry import MODELS

from ..losses.weighted_loss import check_weight
from .channels import build_with_channels, check_losses
from .layer_pair_distiller import LayerPairDistiller
from .layer_pairs import RECORDER, feature_shape


@MODELS.register_module()
class FeatureDistiller(LayerPairDistiller):
    """Distil layers by any loss of the student's and the teacher's feature.

    The rivals of TaT in the same harness: mmrazor's losses and connectors,
    and those of mmtat. Channels come from a dry run of both models; each
    pair of layers has connectors and losses of its own. A
    ``ConfigurableDistiller`` with this on top: recorders, connectors, losses
    and mappings work as there.

    Args:
        layers (list[dict | str]): Pairs ``dict(student=..., teacher=...)``
            of module names that return a map (B, C, H, W), tokens (B, N, C)
            or a vector (B, C); a string names the same layer in both. May be
            left out where only logits are distilled.
        losses (dict[str, dict]): Losses of the two features by their log
            keys, which begin with 'loss'; types without a scope are
            mmrazor's. One that also takes ``data_samples`` gets them.
        student_connector, teacher_connector (dict, optional): What the
            feature passes first. Default to None, nothing.
        pool (bool): Whether maps are averaged to vectors (B, C) first.
            Defaults to False.
        resize (bool): Whether a student's map of another size is resized to
            the teacher's. Defaults to True.
        loss_weight (float): Factor of all losses, of layers and logits.
            Defaults to 1.0.
        **kwargs: ``logits``, ``input_size`` and what else
            :class:`LayerPairDistiller` and ``ConfigurableDistiller`` take.

    Raises:
        TypeError, ValueError: At once for arguments that cannot be; when
            the models are known for layers that are not there.

    Examples:
        >>> distiller = dict(
        ...     type='mmtat.FeatureDistiller',
        ...     layers=['decode_head.bottleneck'],
        ...     student_connector=dict(type='mmtat.EmbeddingConnector'),
        ...     losses=dict(loss_l2=dict(
        ...         type='L2Loss', normalize=False, div_element=True)))
    """

    may_have_no_layers = True

    def __init__(
        self,
        layers: Sequence[Union[str, Dict[str, str]]] = (),
        losses: Optional[Dict[str, Dict]] = None,
        student_connector: Optional[Dict] = None,
        teacher_connector: Optional[Dict] = None,
        pool: bool = False,
        resize: bool = True,
        loss_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        for name, value in (('pool', pool), ('resize', resize)):
            if not isinstance(value, bool):
                raise TypeError(f'{name} must be a bool, got {value!r}')
        configs = dict(student=student_connector, teacher=teacher_connector)
        for role, config in configs.items():
            if not isinstance(config, (dict, type(None))):
                raise TypeError(
                    f'{role}_connector must be a dict, got {config!r}'
                )
        check_weight(loss_weight)
        takes_samples = check_losses(losses)
        super().__init__(layers, **kwargs)
        is_empty = not self.pairs and self.logits is None
        if is_empty or bool(self.pairs) != bool(losses):
            raise ValueError(
                'layers and losses must be given together, or logits alone; '
                f'got layers={layers!r}, losses={losses!r}, '
                f'logits={kwargs.get("logits")!r}'
            )
        self.takes_samples = takes_samples
        self.loss_configs = dict(losses or {})
        self.connector_configs = configs
        self.pool = pool
        self.resize = resize
        self.loss_weight = loss_weight
        self.layer_connectors = nn.ModuleList()
        self.layer_criteria = nn.ModuleList()
        self.check_loss_names(
            self._loss_name(name, index)
            for name in self.loss_configs
            for index in range(len(self.pairs))
        )

    @property
    def needs_data_samples(self) -> bool:
        """Whether a loss asks for the data samples."""
        return super().needs_data_samples or bool(self.takes_samples)

    def build_layers(self, size_is_known: bool) -> None:
        """Build the connectors and the losses of each pair.

        Args:
            size_is_known (bool): Unused; any loss may judge sizes itself.

        Raises:
            ValueError: A layer gives no feature, or a type or an argument
                is unknown.
        """
        for index, pair in enumerate(self.pairs):
            channels = {
                role: self._channels(role, index, source)
                for role, source in pair.items()
            }
            self.layer_connectors.append(self._build_connectors(channels))
            if self.connector_configs['student'] is not None:
                channels = dict(channels, student=channels['teacher'])
            criteria = nn.ModuleDict()
            for name, config in self.loss_configs.items():
                criteria[name] = build_with_channels(
                    config,
                    f'losses.{name}',
                    channels['student'],
                    **channels,
                )
            self.layer_criteria.append(criteria)
        # Those of the weights that are there; loaded ones come later.
        self.init_ofd_connectors(self._models['teacher']())

    def init_ofd_connectors(self, teacher: nn.Module) -> None:
        """Give the margins of OFD's connectors, from the loaded teacher.

        Args:
            teacher (nn.Module): With its weights; the tapped layers are
                norms.

        Raises:
            ValueError: A tapped layer is no batch norm.
        """
        for pair, connectors in zip(self.pairs, self.layer_connectors):
            if hasattr(connectors['teacher'], 'init_margin'):
                norm = teacher.get_submodule(pair['teacher'])
                if not isinstance(norm, nn.modules.batchnorm._BatchNorm):
                    raise ValueError(
                        f'layers: the margins of {type(connectors["teacher"])}'
                        ' come from a batch norm, but the teacher layer '
                        f'{pair["teacher"]!r} is a {type(norm)}'
                    )
                margin = negative_margin(norm.weight, norm.bias).float()
                # (C, ) -> (1, C, 1, 1)
                connectors['teacher'].init_margin(margin[None, :, None, None])

    def layer_losses(self) -> Dict[str, Tensor]:
        """Losses of all pairs.

        Returns:
            dict[str, Tensor]: Scalars by the names in ``losses`` (with
            ``_<n>`` where there are several layers).

        Raises:
            ValueError: A layer recorded nothing.
        """
        losses = {}
        for index, criteria in enumerate(self.layer_criteria):
            student, teacher = self._features(index)
            device = self.layer_record('student', index).device.type
            for name, criterion in criteria.items():
                takes_samples = name in self.takes_samples
                extra = [self.data_samples] if takes_samples else []
                # Products of half precision would spoil mmrazor's losses.
                with torch.autocast(device, enabled=False):
                    loss = criterion(student, teacher, *extra)
                losses[self._loss_name(name, index)] = self.loss_weight * loss
        return losses

    def logits_losses(self) -> Dict[str, Tensor]:
        """The loss of the recorded logits, where they are distilled.

        Returns:
            dict[str, Tensor]: One scalar by its name, or nothing.
        """
        losses = super().logits_losses()
        return {name: self.loss_weight * losses[name] for name in losses}

    def _loss_name(self, name: str, index: int) -> str:
        return f'{name}_{index}' if len(self.pairs) > 1 else name

    def _channels(self, role: str, index: int, source: str) -> int:
        name = RECORDER.format(index)
        return feature_shape(self.runs[role], name, role, source)[1]

    def _build_connectors(self, channels: Dict[str, int]) -> nn.ModuleDict:
        connectors = nn.ModuleDict()
        for role, config in self.connector_configs.items():
            connectors[role] = (
                nn.Identity()
                if config is None
                else build_with_channels(
                    config, f'{role}_connector', channels[role], **channels
                )
            )
        return connectors

    def _features(self, index: int) -> Tuple[Tensor, Tensor]:
        """The features of a pair as its losses get them."""
        student = self.layer_record('student', index)
        teacher = self.layer_record('teacher', index).detach()
        if self.pool:
            student, teacher = _pooled(student), _pooled(teacher)
        are_maps = student.dim() == teacher.dim() == 4
        size = teacher.shape[2:]
        if self.resize and are_maps and student.shape[2:] != size:
            student = F.interpolate(student, size, mode='bilinear')
        connectors = self.layer_connectors[index]
        # mmrazor's losses view maps as rows, which those of tokens are not.
        features = (
            connectors['student'](student.contiguous()),
            connectors['teacher'](teacher.contiguous()),
        )
        return tree_map(_in_full_precision, features)


def _pooled(feature: Tensor) -> Tensor:
    # (B, C, H, W) -> (B, C)
    return feature.mean((2, 3)) if feature.dim() == 4 else feature


def _in_full_precision(value: Any) -> Any:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        return value
    return value.to(torch.promote_types(value.dtype, torch.float32))
