"""A pass over the images of TaT as released for segmentation, on a CPU.

What :class:`ImagePass` does for any embedding by autograd is done here by
hand for 1x1 convolutions with a norm of each image: in memory that is taken
once, with the channels of a position together, and a block of regions at a
time, which stays in the caches.
"""

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from .backends.fused import half_gradients
from .region_blocks import WholeMap

#: The arguments of the attention, in its order.
ROLES = ('query', 'key', 'value')


@dataclass
class PointEmbedding:
    """A 1x1 convolution without bias, and a norm of each image.

    Attributes:
        source (str): 'student' or 'teacher', whose map it embeds.
        weight (Tensor): (Ct, C) of the convolution.
        scale (Tensor): (Ct,) of the norm.
        shift (Tensor): (Ct,) of the norm.
        eps (float): Of the norm.
    """

    source: str
    weight: Tensor
    scale: Tensor
    shift: Tensor
    eps: float


class EmbeddedPass:
    """Takes TaT's losses and their gradients image by image.

    Args:
        embeddings (dict[str, PointEmbedding]): By the :data:`ROLES`.
        branches (Sequence[tuple[WholeMap, float]]): Regions, and the weight
            of their loss.
        parameters (Sequence[Tensor]): Leaves: weight, scale and shift of
            query, key and value in turn, in any shape.
    """

    def __init__(
        self,
        embeddings: Dict[str, PointEmbedding],
        branches: Sequence[Tuple[WholeMap, float]],
        parameters: Sequence[Tensor],
    ) -> None:
        self.embeddings = embeddings
        self.branches = branches
        self.parameters = parameters

    @torch.no_grad()
    def run(
        self,
        student: Tensor,
        teacher: Tensor,
        needs: Sequence[bool],
        scale: float = 1.0,
        outer: Optional[Sequence[Optional[Tensor]]] = None,
    ) -> Tuple[List[Tensor], List[Optional[Tensor]]]:
        """See :meth:`ImagePass.run`; all of float32, or of float64."""
        weights = [weight for _, weight in self.branches]
        factors = [
            None if own is None else own * weight * scale / len(student)
            for own, weight in zip(outer or [1.0] * len(weights), weights)
        ]
        work = _Work(self.embeddings, student, teacher)
        whole = _empty_as(student) if needs[0] else None
        values = student.new_zeros(len(weights))
        sums = [torch.zeros_like(one) for one in self.parameters]
        for index in range(len(student)):
            work.embed(student[index], teacher[index])
            for number, (region, weight) in enumerate(self.branches):
                loss = work.distil(region, factors[number])
                values[number] += loss * (weight / len(student))
            work.back(sums, None if whole is None else whole[index])
        gradients = [
            gradient if need else None
            for gradient, need in zip([whole, *sums], needs)
        ]
        return list(values), gradients


class _Work:
    """The maps of one image, and their gradients."""

    def __init__(
        self,
        embeddings: Dict[str, PointEmbedding],
        student: Tensor,
        teacher: Tensor,
    ) -> None:
        self.embeddings = [embeddings[role] for role in ROLES]
        self.inputs: Dict[str, Tensor] = {}
        width = teacher.shape[1]
        sizes = dict(student=student.shape[2:], teacher=teacher.shape[2:])
        shapes = [(*sizes[e.source], width) for e in self.embeddings]
        #: Of zero mean and unit variance in each channel, (H, W, Ct).
        self.maps = [student.new_empty(shape) for shape in shapes]
        #: By the maps with their affine.
        self.gradients = [student.new_empty(shape) for shape in shapes]
        self.target = student.new_empty(*sizes['teacher'], width)
        self.means, self.inverses = student.new_empty(2, len(ROLES), width)

    def embed(self, student: Tensor, teacher: Tensor) -> None:
        """Take the maps of an image, (C, H, W) each."""
        # (C, H, W) -> (H*W, C)
        self.inputs = dict(
            student=student.flatten(1).t(), teacher=teacher.flatten(1).t()
        )
        # (C, H, W) -> (H, W, C)
        self.target.copy_(teacher.permute(1, 2, 0))
        for index, embedding in enumerate(self.embeddings):
            feature = self.maps[index]
            torch.mm(
                self.inputs[embedding.source],
                embedding.weight.t(),
                out=feature.flatten(0, 1),
            )
            self.gradients[index].zero_()
            torch.ops.aten.native_batch_norm.out(
                _image(feature),
                *(None, None, None, None),
                training=True,
                momentum=0.0,
                eps=embedding.eps,
                out=_image(feature),
                save_mean=self.means[index],
                save_invstd=self.inverses[index],
            )

    def distil(
        self, region: WholeMap, factor: Union[Tensor, float, None]
    ) -> Tensor:
        """Mean squared error of a branch; its gradients are added."""
        count = region.elements(self.target)
        needs = [factor is not None] * len(ROLES) + [False]
        total = self.target.new_zeros(())
        for block in range(region.blocks):
            cuts = [
                region.cut(feature, block, (embedding.scale, embedding.shift))
                for feature, embedding in zip(self.maps, self.embeddings)
            ]
            target = region.cut(self.target, block)
            loss, halves = half_gradients((*cuts, target), needs)
            total += loss
            for half, own in zip(halves, self.gradients):
                if half is not None:
                    region.add(half, own, block, factor * (2 / count))
        return total / count

    def back(self, sums: List[Tensor], gradient: Optional[Tensor]) -> None:
        """Add the parameters' gradients; write that of the student's map.

        Args:
            sums (list[Tensor]): Of weight, scale and shift of each role.
            gradient (Tensor, optional): (Cs, H, W), of the image.
        """
        is_first = True
        for index, embedding in enumerate(self.embeddings):
            weight, scale, shift = sums[3 * index : 3 * index + 3]
            mixed = self._through_norm(index, scale, shift)
            # The norm's division by the deviation, left for the small ones.
            inverse = self.inverses[index][:, None]
            own = self.inputs[embedding.source]
            weight.view_as(embedding.weight).addcmul_(mixed.t() @ own, inverse)
            if embedding.source == 'student' and gradient is not None:
                # (Cs, H, W) -> (H*W, Cs)
                total = gradient.flatten(1).t()
                matrix = embedding.weight * inverse
                if is_first:
                    torch.mm(mixed, matrix, out=total)
                else:
                    torch.addmm(total, mixed, matrix, out=total)
                is_first = False

    def _through_norm(
        self, index: int, scale: Tensor, shift: Tensor
    ) -> Tensor:
        """The gradient before a norm, (H*W, Ct), but for the division."""
        before, *sums = torch.ops.aten.native_batch_norm_backward(
            _image(self.gradients[index]),
            _image(self.maps[index]),
            self.embeddings[index].scale,
            *(None, None),
            torch.zeros_like(scale),
            torch.ones_like(scale),
            train=True,
            eps=self.embeddings[index].eps,
            output_mask=[True, True, True],
        )
        scale += sums[0]
        shift += sums[1]
        # (1, Ct, H, W) -> (H*W, Ct)
        return before[0].flatten(1).t()


def _empty_as(student: Tensor) -> Tensor:
    """Laid out as the maps, if the positions of one are one dimension."""
    layout = torch.contiguous_format
    if student.is_contiguous(memory_format=torch.channels_last):
        layout = torch.channels_last
    # In other strides, flattening it would give a copy to write to.
    return torch.empty_like(student, memory_format=layout)


def _image(feature: Tensor) -> Tensor:
    """(H, W, C) -> (1, C, H, W), channels-last."""
    # With the strides of a batch, or kernels would make a copy of it.
    return feature[None].permute(0, 3, 1, 2)
