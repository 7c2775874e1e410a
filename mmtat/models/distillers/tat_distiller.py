"""The TaT distiller."""

import logging
from typing import Any, Dict, Optional, Sequence, Union

from mmengine.logging import print_log
from torch import Tensor, nn

from mmtat.registry import MODELS

from .layer_config import BRANCHES, layer_config
from .layer_pair_distiller import LayerPairDistiller
from .layer_pairs import RECORDER, map_shape
from .tat_layer import TaTLayer

_EMBEDDING = dict(kernel_size=1, norm='image')


@MODELS.register_module()
class TaTDistiller(LayerPairDistiller):
    """Distil layers by the Target-aware Transformer.

    A ``ConfigurableDistiller`` with TaT on top: recorders, connectors,
    losses and mappings work as there, so that other losses join TaT in one
    config. It finds channels and sizes by a dry run of both models.

    Args:
        layers (list[dict | str]): Pairs ``dict(student=..., teacher=...)``
            of module names that return a map (B, C, H, W), or the tokens
            (B, N, C) of one; a string names the same layer in both.
        formulation (str): 'released' (both published repositories) or
            'paper' (Eq. 3-5, numbering inferred). Defaults to 'released'.
        query, key, value (dict, optional): Arguments of
            :class:`EmbeddingConnector` but its channels; None for the
            identity. Default to ``dict(kernel_size=1, norm='image')``.
        branches (dict[str, dict], optional): ``whole``, ``patch_group`` and
            ``anchor_point`` with their connector's arguments and
            ``loss_weight``. Defaults to ``dict(whole=dict())``.
        resize (bool, optional): Whether a student's map of another size is
            resized to the teacher's. Defaults to True in 'released', which
            needs it, and to False in 'paper'.
        stream (bool, optional): Whether gradients are taken in the forward,
            some images at a time, which keeps one map of each image in the
            place of fifteen. Defaults to None: where a map is large.
        backend (str): How attention and error are computed, see
            :class:`TaTLoss`. Defaults to 'auto'.
        **kwargs: ``logits``, ``input_size`` and what else
            :class:`LayerPairDistiller` and ``ConfigurableDistiller`` take.

    Raises:
        TypeError, ValueError: At once for unknown names; when the models are
            known for layers that are not there, or maps that a branch
            cannot cut.

    Examples:
        >>> distiller = dict(
        ...     type='mmtat.TaTDistiller',
        ...     layers=['decode_head.bottleneck'],
        ...     branches=dict(
        ...         patch_group=dict(
        ...             patches=(8, 8), groups=16, loss_weight=0.1),
        ...         anchor_point=dict(anchors=(32, 32), loss_weight=0.04)))
    """

    def __init__(
        self,
        layers: Sequence[Union[str, Dict[str, str]]],
        formulation: str = 'released',
        query: Optional[Dict] = _EMBEDDING,
        key: Optional[Dict] = _EMBEDDING,
        value: Optional[Dict] = _EMBEDDING,
        branches: Optional[Dict[str, Dict]] = None,
        resize: Optional[bool] = None,
        stream: Optional[bool] = None,
        backend: str = 'auto',
        **kwargs: Any,
    ) -> None:
        config = layer_config(
            formulation=formulation,
            query=query,
            key=key,
            value=value,
            branches=dict(whole=dict()) if branches is None else branches,
            resize=formulation == 'released' if resize is None else resize,
            stream=stream,
            backend=backend,
        )
        super().__init__(layers, **kwargs)
        self.layer_config = config
        self.tat = nn.ModuleList()
        self.check_loss_names(
            self._loss_name(branch, index)
            for branch in config['branches']
            for index in range(len(self.pairs))
        )

    def build_layers(self, size_is_known: bool) -> None:
        """Build the embeddings of each pair.

        Args:
            size_is_known (bool): Whether branches that the maps cannot
                give are refused now, rather than in the first step.

        Raises:
            ValueError: A layer gives no map, or one that a branch cannot
                cut.
        """
        for index, pair in enumerate(self.pairs):
            name = RECORDER.format(index)
            shapes = {
                role: map_shape(self.runs[role], name, role, source)
                for role, source in pair.items()
            }
            layer = TaTLayer(
                shapes['student'][1], shapes['teacher'][1], **self.layer_config
            )
            if size_is_known:
                layer.check_sizes(**shapes)
            self.tat.append(layer)
            self._log(pair, shapes)

    def layer_losses(self) -> Dict[str, Tensor]:
        """Losses of TaT.

        Returns:
            dict[str, Tensor]: Scalars ``loss_tat``, ``loss_tat_patch_group``
            and ``loss_tat_anchor_point`` by branch (with ``_<n>`` where
            there are several layers).

        Raises:
            ValueError: A layer recorded nothing, or maps do not fit.
        """
        losses = {}
        for index, layer in enumerate(self.tat):
            branches = layer(
                self.layer_record('student', index),
                self.layer_record('teacher', index),
            )
            for name, loss in branches.items():
                losses[self._loss_name(name, index)] = loss
        return losses

    def _loss_name(self, branch: str, index: int) -> str:
        suffix = f'_{index}' if len(self.pairs) > 1 else ''
        return f'loss_tat{BRANCHES[branch][1]}{suffix}'

    def _log(self, pair: Dict[str, str], shapes: Dict) -> None:
        config = self.layer_config
        student, teacher = (
            f'{pair[role]} {tuple(shapes[role][1:])}'
            for role in ('student', 'teacher')
        )
        if shapes['student'][2:] == shapes['teacher'][2:]:
            sizes = 'maps of equal size'
        elif config['resize']:
            sizes = "the student's map is resized to the teacher's"
        else:
            sizes = "the student's map keeps its own size"
        print_log(
            f'TaT ({config["formulation"]}): student {student}, teacher '
            f'{teacher} at input {self.input_size}; {sizes}',
            'current',
            logging.INFO,
        )
