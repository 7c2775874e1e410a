"""The distiller of knowledge review."""

from typing import Any, Dict, List, Optional, Sequence, Union

import torch
from torch import Tensor

from mmtat.ops import check_positive
from mmtat.registry import MODELS

from ..connectors import ABFConnector
from ..losses import HCLLoss
from .layer_pair_distiller import LayerPairDistiller
from .layer_pairs import RECORDER, feature_shape

#: Log key of the loss.
LOSS_NAME = 'loss_review'


@MODELS.register_module()
class ReviewKDDistiller(LayerPairDistiller):
    """Distil several layers by knowledge review (ReviewKD).

    `Distilling Knowledge via Knowledge Review
    <https://arxiv.org/abs/2104.09044>`_: the student's maps are fused from
    deep to shallow by :class:`ABFConnector`, which is trained with the
    student, and each is compared with the teacher's map by :class:`HCLLoss`. A
    ``ConfigurableDistiller`` with this on top: recorders, connectors, losses
    and mappings work as there. It finds channels and sizes by a dry run of
    both models.

    Args:
        layers (list[dict | str]): Pairs ``dict(student=..., teacher=...)``
            of module names, **from shallow to deep**; a string names the
            same layer in both. A layer returns a map (B, C, H, W), tokens
            (B, N, C) or, as the pooled feature of a classifier, a vector
            (B, C).
        mid_channels (int, optional): Channels in which maps are fused; by
            default those of the student's deepest map, at most 512.
        levels (Sequence[int]): Of :class:`HCLLoss`. Defaults to (4, 2, 1).
        loss_weight (float): Factor of the loss. Defaults to 1.0.
        **kwargs: ``logits``, ``input_size`` and what else
            :class:`LayerPairDistiller` and ``ConfigurableDistiller`` take.

    Raises:
        ValueError: At once for numbers and names that cannot be; when the
            models are known for layers that are not there, or are not in
            order.

    Examples:
        >>> distiller = dict(
        ...     type='mmtat.ReviewKDDistiller',
        ...     layers=['backbone.layer1', 'backbone.layer2',
        ...             'backbone.layer3', 'backbone.layer4', 'neck'])
    """

    def __init__(
        self,
        layers: Sequence[Union[str, Dict[str, str]]],
        mid_channels: Optional[int] = None,
        levels: Sequence[int] = (4, 2, 1),
        loss_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        if mid_channels is not None:
            check_positive('mid_channels', mid_channels, whole=True)
        super().__init__(layers, **kwargs)
        self.check_loss_names([LOSS_NAME])
        self.mid_channels = mid_channels
        self.abf: Optional[ABFConnector] = None
        self.hcl = HCLLoss(levels, loss_weight)

    def build_layers(self, size_is_known: bool) -> None:
        """Build the fusion.

        Args:
            size_is_known (bool): Unused; the order of sizes is the same.

        Raises:
            ValueError: A layer gives no map, or is out of order.
        """
        student, teacher = self._shapes('student'), self._shapes('teacher')
        self.abf = ABFConnector(
            in_channels=[shape[1] for shape in student],
            out_channels=[shape[1] for shape in teacher],
            mid_channels=self.mid_channels,
        )

    def layer_losses(self) -> Dict[str, Tensor]:
        """The loss of the review.

        Returns:
            dict[str, Tensor]: Scalar ``loss_review``.

        Raises:
            ValueError: A layer recorded nothing, or maps do not fit.
        """
        student, teacher = self._maps('student'), self._maps('teacher')
        sizes = [tuple(feature.shape[2:]) for feature in teacher]
        return {LOSS_NAME: self.hcl(self.abf(student, sizes), teacher)}

    def _shapes(self, role: str) -> List[torch.Size]:
        """Shapes of a model's maps, which may not grow with the depth."""
        names = [pair[role] for pair in self.pairs]
        shapes = []
        for index, name in enumerate(names):
            shape = feature_shape(
                self.runs[role], RECORDER.format(index), role, name
            )
            before = shapes[-1] if shapes else shape
            if shape[2:].numel() > before[2:].numel():
                raise ValueError(
                    'layers must be in order, from shallow to deep: the map '
                    f'of the {role} layer {name!r}, {tuple(shape[1:])}, is '
                    f'larger than {tuple(before[1:])} of {names[index - 1]!r}'
                )
            shapes.append(shape)
        return shapes

    def _maps(self, role: str) -> List[Tensor]:
        maps = []
        for index in range(len(self.pairs)):
            feature = self.layer_record(role, index)
            is_map = feature.dim() == 4
            # (B, C) -> (B, C, 1, 1)
            maps.append(feature if is_map else feature[..., None, None])
        return maps
