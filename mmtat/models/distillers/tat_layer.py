"""TaT between one layer of the student and one of the teacher."""

from typing import Dict, List, Optional, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode

from mmtat.ops import (
    HalfScale,
    Statistics,
    is_large,
    streamed_losses,
    with_gradient_laid_out,
)

from ..connectors import EmbeddingConnector
from ..losses import TaTLoss
from .layer_config import BRANCHES
from .tat_streaming import EMBEDDED, foreign_norm, pass_of


class TaTLayer(nn.Module):
    """Embeds one pair of maps once and distils it by one or more branches.

    In ``released`` a student position looks over the teacher's positions
    (query = student, key = teacher); in ``paper`` a teacher position looks
    over the student's (query = teacher, key = student). The value is the
    student's and the target the teacher's raw map in both.

    Args:
        student_channels (int): Channels of the student's map.
        teacher_channels (int): Channels of the teacher's map.
        formulation (str): 'released' or 'paper'.
        query, key, value (dict, optional): Arguments of
            :class:`EmbeddingConnector` but its channels; None for the
            identity.
        branches (dict[str, dict]): 'whole', 'patch_group', 'anchor_point':
            their connectors' arguments and ``loss_weight``.
        resize (bool): Whether a student's map of another size is resized to
            the teacher's.
        stream (bool, optional): Whether gradients are taken in the forward,
            some images at a time; None, where an image's map is large.
        backend (str): Of :class:`TaTLoss`.

    Raises:
        ValueError: Unknown names, or an identity between different numbers
            of channels.
    """

    def __init__(
        self,
        student_channels: int,
        teacher_channels: int,
        formulation: str,
        query: Optional[Dict],
        key: Optional[Dict],
        value: Optional[Dict],
        branches: Dict[str, Dict],
        resize: bool,
        stream: Optional[bool] = None,
        backend: str = 'auto',
    ) -> None:
        super().__init__()
        self.formulation = formulation
        self.resize = resize
        self.stream = stream
        self.half_scale = HalfScale()
        sources = dict(student=student_channels, teacher=teacher_channels)
        for name, config in zip(EMBEDDED, (query, key, value)):
            source = self.source(name)
            embedding = _build_embedding(
                name, config, source, sources[source], teacher_channels
            )
            setattr(self, name, embedding)
        self.connectors = nn.ModuleDict()
        self.losses = nn.ModuleDict()
        for name, arguments in branches.items():
            arguments = dict(arguments)
            weight = arguments.pop('loss_weight', 1.0)
            self.losses[name] = TaTLoss(weight, backend)
            self.connectors[name] = BRANCHES[name][0](**arguments)

    def forward(self, student: Tensor, teacher: Tensor) -> Dict[str, Tensor]:
        """Compute the branches' losses.

        Args:
            student (Tensor): (B, Cs, Hs, Ws), with gradient.
            teacher (Tensor): (B, Ct, Ht, Wt), without.

        Returns:
            dict[str, Tensor]: Branch name to scalar loss.

        Raises:
            ValueError: Maps of different sizes that are not resized, or that
                a branch cannot cut; the message names the argument.
        """
        teacher = teacher.detach()
        if self._is_streamed(student):
            images = pass_of(self, student, teacher)
            losses = streamed_losses(images, student, teacher, self.half_scale)
        else:
            own = with_gradient_laid_out(student)
            losses = self.branch_losses(own, teacher, [])
        return dict(zip(self.losses, losses))

    def _is_streamed(self, student: Tensor) -> bool:
        if not torch.is_grad_enabled() or self.stream is False:
            return False
        foreign = foreign_norm(self)
        if self.stream and foreign:
            raise ValueError(
                f'stream=True cannot normalise by {foreign}, which looks at '
                'other processes; leave stream=None, or take norm="image"'
            )
        if self.stream is None and (foreign or not is_large(student)):
            return False
        # Else there is nothing to take the gradient of.
        return student.requires_grad or any(
            p.requires_grad for p in self.parameters()
        )

    def branch_losses(
        self,
        student: Tensor,
        teacher: Tensor,
        statistics: Sequence[Statistics],
    ) -> List[Tensor]:
        """Losses of the branches in turn.

        Args:
            student (Tensor): (b, Cs, Hs, Ws), of some images.
            teacher (Tensor): (b, Ct, Ht, Wt).
            statistics (Sequence[Statistics]): Of the whole batch, for each
                embedding that observes it; empty where these are all images.

        Returns:
            list[Tensor]: Scalars.
        """
        given = iter(statistics)
        maps = self.sources(student, teacher)
        for name in EMBEDDED:
            embedding = getattr(self, name)
            if isinstance(embedding, nn.Identity):
                continue
            is_given = statistics and embedding.observes_batch
            maps[name] = embedding.normalise(
                embedding.mix(maps[name]), next(given) if is_given else None
            )
        return [
            self.losses[branch](*map(connector, maps.values()))
            for branch, connector in self.connectors.items()
        ]

    def sources(self, student: Tensor, teacher: Tensor) -> Dict[str, Tensor]:
        """What query, key and value embed, and the target.

        Args:
            student (Tensor): (b, Cs, Hs, Ws).
            teacher (Tensor): (b, Ct, Ht, Wt).

        Returns:
            dict[str, Tensor]: By their names, in the attention's order.
        """
        student = self._resized(student, teacher)
        # An embedding is channels-last, so one copy serves all branches.
        teacher = teacher.contiguous(memory_format=torch.channels_last)
        own = dict(student=student, teacher=teacher)
        maps = {name: own[self.source(name)] for name in EMBEDDED}
        return dict(maps, target=teacher)

    def check_sizes(self, student: torch.Size, teacher: torch.Size) -> None:
        """Let the branches refuse now what they would refuse in a step.

        Args:
            student (torch.Size): (B, Cs, Hs, Ws), shape of its map.
            teacher (torch.Size): (B, Ct, Ht, Wt).

        Raises:
            ValueError: See :meth:`forward`.
        """
        training = self.training
        with FakeTensorMode(allow_non_fake_inputs=True), torch.no_grad():
            self.eval()(
                torch.zeros(1, *student[1:]), torch.zeros(1, *teacher[1:])
            )
        self.train(training)

    def source(self, name: str) -> str:
        """Whose map an argument embeds.

        Args:
            name (str): 'query', 'key' or 'value'.

        Returns:
            str: 'student' or 'teacher'.
        """
        if name == 'value':
            return 'student'
        student = 'query' if self.formulation == 'released' else 'key'
        return 'student' if name == student else 'teacher'

    def _resized(self, student: Tensor, teacher: Tensor) -> Tensor:
        if student.shape[2:] == teacher.shape[2:]:
            return student
        if self.resize:
            return F.interpolate(student, teacher.shape[2:], mode='bilinear')
        if self.formulation == 'released':
            raise ValueError(
                f'student map {tuple(student.shape[2:])} and teacher map '
                f'{tuple(teacher.shape[2:])} must have equal sizes in the '
                "formulation 'released': its keys are the teacher's and its "
                "values the student's; set resize=True, or formulation="
                "'paper'"
            )
        return student


def _build_embedding(
    name: str,
    config: Optional[Dict],
    source: str,
    in_channels: int,
    out_channels: int,
) -> nn.Module:
    if config is not None:
        return EmbeddingConnector(in_channels, out_channels, **config)
    if in_channels != out_channels:
        raise ValueError(
            f'{name}=None is the identity on the {source} map, which has '
            f'{in_channels} channels, but {out_channels} are needed: give '
            f'{name} an embedding, such as dict(kernel_size=1)'
        )
    return nn.Identity()
