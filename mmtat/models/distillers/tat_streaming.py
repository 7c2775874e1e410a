"""How the losses of a TaT layer are taken some images at a time."""

from typing import List, Optional, Sequence, Union

import torch
from torch import Tensor, nn

from mmtat.ops import (
    AnchorPoints,
    EmbeddedPass,
    ImagePass,
    PatchGroups,
    PointEmbedding,
    Statistics,
    WholeMap,
    images_at_a_time,
)

from ..connectors import (
    AnchorPointConnector,
    EmbeddingConnector,
    PatchGroupConnector,
)

#: What is embedded, in the order of the attention's arguments.
EMBEDDED = ('query', 'key', 'value')
#: Norms that need nothing of other processes.
_OWN_NORMS = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.Identity)


def foreign_norm(layer: nn.Module) -> Optional[str]:
    """A norm that the Runner has put in the place of an embedding's.

    Args:
        layer (TaTLayer): The layer.

    Returns:
        str | None: Its class, which looks at other processes.
    """
    for name in EMBEDDED:
        norm = getattr(getattr(layer, name), 'norm', None)
        if norm is not None and type(norm) not in _OWN_NORMS:
            return type(norm).__name__
    return None


def pass_of(
    layer: nn.Module, student: Tensor, teacher: Tensor
) -> Union[ImagePass, EmbeddedPass]:
    """What takes the layer's losses and gradients.

    Args:
        layer (TaTLayer): The layer.
        student (Tensor): (B, Cs, Hs, Ws).
        teacher (Tensor): (B, Ct, Ht, Wt).

    Returns:
        ImagePass | EmbeddedPass: The second on a CPU without autocast, for
        1x1 convolutions with a norm of each image.
    """
    return _embedded(layer, student, teacher) or _any(layer, student, teacher)


def _any(layer: nn.Module, student: Tensor, teacher: Tensor) -> ImagePass:
    names = [
        name
        for name in EMBEDDED
        if getattr(getattr(layer, name), 'observes_batch', False)
    ]

    def observe(student: Tensor, teacher: Tensor) -> List[Tensor]:
        maps = layer.sources(student, teacher)
        return [getattr(layer, name).mix(maps[name]) for name in names]

    def remember(statistics: Sequence[Statistics]) -> None:
        sources = layer.sources(student[:1], teacher[:1])
        for name, own in zip(names, statistics):
            count = len(student) * sources[name][0, 0].numel()
            getattr(layer, name).remember(own, count)

    return ImagePass(
        layer.branch_losses,
        list(layer.parameters()),
        images_at_a_time(student),
        observe if names else None,
        remember,
    )


def _embedded(
    layer: nn.Module, student: Tensor, teacher: Tensor
) -> Optional[EmbeddedPass]:
    regions = _regions(layer)
    is_resized = layer.resize and student.shape[2:] != teacher.shape[2:]
    if (
        student.device.type != 'cpu'
        or torch.is_autocast_enabled('cpu')
        or student.dtype not in (torch.float32, torch.float64)
        or not all(_is_point(getattr(layer, name)) for name in EMBEDDED)
        or {p.dtype for p in layer.parameters()} != {student.dtype}
        or teacher.dtype != student.dtype
        or is_resized
        or regions is None
    ):
        return None
    embeddings, parameters = {}, []
    for name in EMBEDDED:
        embedding = getattr(layer, name)
        conv, norm = embedding.conv, embedding.norm
        parameters += [conv.weight, norm.weight, norm.bias]
        embeddings[name] = PointEmbedding(
            layer.source(name),
            # (Ct, C, 1, 1) -> (Ct, C)
            conv.weight.detach()[:, :, 0, 0],
            norm.weight.detach(),
            norm.bias.detach(),
            norm.eps,
        )
    weights = [loss.loss_weight for loss in layer.losses.values()]
    return EmbeddedPass(embeddings, list(zip(regions, weights)), parameters)


def _is_point(embedding: nn.Module) -> bool:
    return (
        type(embedding) is EmbeddingConnector
        and embedding.conv.kernel_size == (1, 1)
        and type(embedding.norm) is nn.InstanceNorm2d
    )


def _regions(layer: nn.Module) -> Optional[List[WholeMap]]:
    """Of each branch; None where one has none, or another backend."""
    regions: List[WholeMap] = []
    for name, connector in layer.connectors.items():
        if layer.losses[name].backend not in ('auto', 'fused'):
            return None
        if type(connector) is PatchGroupConnector:
            if not PatchGroups.serves(connector.patches, connector.groups):
                return None
            regions.append(PatchGroups(connector.patches, connector.groups))
        elif type(connector) is AnchorPointConnector:
            regions.append(AnchorPoints(connector.anchors))
        elif type(connector) is nn.Identity:
            regions.append(WholeMap())
        else:
            return None
    return regions
