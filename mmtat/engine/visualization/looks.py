"""Where in the student a pixel of the teacher looks, branch by branch.

Row i of TaT's map says from which of the student's values pixel i of the
teacher is rebuilt, in both formulations. Whose likeness decides differs:

- ``paper``: the query is the teacher's, so that row i also says which of the
  student's positions are most like the teacher's pixel i.
- ``released``: the query is the student's and the keys are the teacher's, so
  that row i asks which of the teacher's pixels the *student's* pixel i is
  like. Which of the student's positions are like the teacher's pixel j is
  told by column j.

The first is called 'mixed' here and the second 'matched'.
"""

from dataclasses import dataclass
from typing import Dict, List, Optional, Tuple

import torch
from torch import Tensor, nn

from mmtat.models.connectors import AnchorPointConnector, PatchGroupConnector
from mmtat.ops import (
    RegionGrid,
    attention_column,
    attention_row,
    cell_numbers,
    pooled_attention,
    rebuilt_map,
    ungroup_patches,
)

from .features import LayerFeatures

#: What a picture of the attention tells; see above.
READINGS = {
    'matched': 'positions of the student that are most like the pixel',
    'mixed': 'values of the student that the pixel is rebuilt from',
}
TITLES = dict(
    whole='whole map', patch_group='patch groups', anchor_point='anchor points'
)


@dataclass
class LookTable:
    """The looks of every token of the teacher.

    Attributes:
        weights (Tensor): (g, T, S), float32: group, token of the teacher,
            token of the student.
        teacher (RegionGrid): Places of T.
        student (RegionGrid): Places of S.
    """

    weights: Tensor
    teacher: RegionGrid
    student: RegionGrid


class BranchLooks:
    """One branch of TaT on one image.

    Args:
        name (str): 'whole', 'patch_group' or 'anchor_point'.
        features (LayerFeatures): Of the image.
    """

    def __init__(self, name: str, features: LayerFeatures) -> None:
        self.name = name
        self.formulation = features.layer.formulation
        self._connector = features.layer.connectors[name]
        with torch.no_grad():
            self.query, self.key, self.value = (
                self._connector(one) for one in features.embedded.values()
            )
        size = features.embedded['value'].shape[2:]
        self.student = _grid(self._connector, size)
        self.teacher = _grid(self._connector, features.teacher.shape[2:])

    @property
    def readings(self) -> List[str]:
        """Readings that differ in this formulation."""
        return list(READINGS)[: 2 if self.formulation == 'released' else 1]

    def look(
        self, y: int, x: int, reading: str = 'matched'
    ) -> Optional[Tensor]:
        """Where in the student one pixel of the teacher looks.

        Args:
            y (int): Row of the teacher's map.
            x (int): Column of the teacher's map.
            reading (str): One of :data:`READINGS`. Defaults to 'matched'.

        Returns:
            Tensor | None: (Hs, Ws), float32, weights of the student's
            positions; NaN where this branch cannot look. None where it cuts
            the pixel off.
        """
        found = self.teacher.token(y, x)
        if found is None:
            return None
        group, token = found
        query, key = (one[group : group + 1] for one in (self.query, self.key))
        by_column = self._by_column(reading)
        attention = attention_column if by_column else attention_row
        weights = attention(query, key, token)[0].float().cpu()
        return self.student.enlarge(self.student.spread(weights, group))

    def table(self, reading: str, most: int) -> LookTable:
        """The looks of all tokens, pooled where there are many.

        Of tokens that are taken together, the teacher's look is the mean
        and the student's weight the sum.

        Args:
            reading (str): One of :data:`READINGS`.
            most (int): Tokens of a group, at most.

        Returns:
            LookTable: On the CPU.
        """
        teacher, student = self.teacher.pooled(most), self.student.pooled(most)
        by_column = self._by_column(reading)
        cells = [
            tuple(new // old for new, old in zip(pooled.cell, grid.cell))
            for pooled, grid in (
                (student if by_column else teacher, self.student),
                (teacher if by_column else student, self.teacher),
            )
        ]
        weights = pooled_attention(self.query, self.key, *cells).float()
        if by_column:
            sizes = [
                torch.bincount(cell_numbers(one.shape[2:], cell)).to(weights)
                for one, cell in zip((self.query, self.key), cells)
            ]
            # From mean over queries and sum over keys to the opposite.
            weights = weights * sizes[0][:, None] / sizes[1]
            # (g, S, T) -> (g, T, S)
            weights = weights.transpose(1, 2)
        return LookTable(weights.cpu(), teacher, student)

    def reconfigured(self) -> Tensor:
        """The student's features as TaT rebuilds them for the teacher's.

        Returns:
            Tensor: (Ct, H', W'), float32, at the teacher's positions as far
            as this branch keeps them, or at its anchor points.
        """
        rebuilt = rebuilt_map(self.query, self.key, self.value).float()
        if isinstance(self._connector, PatchGroupConnector):
            patches = self._connector.patches
            rebuilt = ungroup_patches(rebuilt, patches, self._connector.groups)
        return rebuilt[0].cpu()

    def _by_column(self, reading: str) -> bool:
        return self.formulation == 'released' and reading == 'matched'


def branches_of(
    features: LayerFeatures, chosen: Optional[str] = None
) -> Dict[str, BranchLooks]:
    """The branches of a layer, or one of them.

    Args:
        features (LayerFeatures): Of an image.
        chosen (str, optional): Name of a branch; by default all.

    Returns:
        dict[str, BranchLooks]: By their names.
    """
    names = features.layer.connectors if chosen is None else [chosen]
    return {name: BranchLooks(name, features) for name in names}


def peak_of(look: Tensor) -> Tuple[int, int]:
    """The place of the largest weight.

    Args:
        look (Tensor): (H, W), of :meth:`BranchLooks.look`.

    Returns:
        tuple[int, int]: Row and column.
    """
    flat = int(look.nan_to_num(-1.0).argmax())
    return flat // look.shape[1], flat % look.shape[1]


def _grid(connector: nn.Module, size: torch.Size) -> RegionGrid:
    if isinstance(connector, PatchGroupConnector):
        return RegionGrid.patch_groups(
            size, connector.patches, connector.groups
        )
    if isinstance(connector, AnchorPointConnector):
        return RegionGrid.anchor_points(size, connector.anchors)
    return RegionGrid.whole(size)
