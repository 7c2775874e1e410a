"""Fig. 4 of the paper: features, and where pixels of the teacher look."""

from dataclasses import dataclass
from typing import Dict, List, Tuple

import numpy as np
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from torch import Tensor

from mmtat.ops import scaled_channels, tiled

from .features import LayerFeatures
from .images import Picture
from .looks import READINGS, TITLES, BranchLooks
from .overlay import bare, draw_look, mark
from .pixels import Pixel

#: Colours of pixels, apart also for the colour-blind.
COLOURS = ('#56b4e9', '#e69f00', '#009e73', '#cc79a7', '#f0e442', '#d55e00')
#: Channels of a map that are shown, as in the paper.
CHANNELS = 64


@dataclass
class Fig4:
    """What the figure of one image shows.

    Attributes:
        picture (Picture): The image.
        features (LayerFeatures): Of the layer.
        branches (dict[str, BranchLooks]): By their names.
        pixels (list[Pixel]): Of the teacher, in the image's coordinates.
        note (str): A line below.
        reading (str): One of ``READINGS``.
    """

    picture: Picture
    features: LayerFeatures
    branches: Dict[str, BranchLooks]
    pixels: List[Pixel]
    note: str = ''
    reading: str = 'matched'

    def draw(self) -> Figure:
        """Draw it.

        Returns:
            Figure: Of no window.
        """
        tiles, cells = self._tiles(), self._cells()
        across = max(len(tiles) + 1, len(cells[0]), 3)
        aspect = self.picture.size[0] / self.picture.size[1]
        row = _height(aspect)
        heights = [max(row, _height(_tallest(tiles)))]
        heights.append(row * len(cells) + 0.3)
        figure = Figure(figsize=(2.6 * across + 0.4, sum(heights) + 0.4))
        # Room for what stands at the very edge.
        figure.set_layout_engine('constrained', h_pad=0.08, w_pad=0.05)
        above, below = figure.subfigures(2, 1, height_ratios=heights)
        axes = above.subplots(1, across, squeeze=False)[0]
        self._draw_marked(axes[0])
        for axis, (title, tile) in zip(axes[1:], tiles.items()):
            _draw_tile(axis, title, tile)
        for axis in axes[len(tiles) + 1 :]:
            axis.axis('off')
        self._draw_looks(below, cells, across)
        return figure

    @property
    def _is_turned(self) -> bool:
        """Whether a row has one pixel rather than one branch."""
        return len(self.pixels) < len(self.branches)

    def _cells(self) -> List[List[Tuple[str, int]]]:
        """Branch and pixel of each map; the longer of both goes across."""
        names, numbers = list(self.branches), range(len(self.pixels))
        if self._is_turned:
            return [[(name, number) for name in names] for number in numbers]
        return [[(name, number) for number in numbers] for name in names]

    def _tiles(self) -> Dict[str, np.ndarray]:
        maps: Dict[str, Tensor] = {
            'student': self.features.student[0].cpu(),
            **{
                f'reconfigured, {TITLES[name]}': branch.reconfigured()
                for name, branch in self.branches.items()
            },
            'teacher': self.features.teacher[0].cpu(),
        }
        tiles = {}
        for name, feature in maps.items():
            channels = scaled_channels(feature, CHANNELS)
            side = feature.shape[-1]
            title = (
                f'{name}\n{len(channels)} of {len(feature)} channels, '
                f'{feature.shape[1]}×{side}'
            )
            tiles[title] = tiled(channels, max(1, side // 12)).numpy()
        return tiles

    def _draw_marked(self, axis: Axes) -> None:
        axis.imshow(self.picture.pixels)
        for number, pixel in enumerate(self.pixels, 1):
            mark(axis, pixel.x, pixel.y, _colour(number - 1))
            axis.annotate(
                str(number),
                (pixel.x, pixel.y),
                (6, 5),
                textcoords='offset points',
                color='white',
                fontsize=10,
                weight='bold',
                path_effects=[_outline(2.5)],
            )
        height, width = self.picture.size
        axis.set_title(f'{self.picture.name}\n{width}×{height}', fontsize=9)
        bare(axis)

    def _draw_looks(
        self,
        figure: SubFigure,
        cells: List[List[Tuple[str, int]]],
        across: int,
    ) -> None:
        axes = figure.subplots(len(cells), across, squeeze=False)
        for row, chosen in zip(axes, cells):
            for axis, (name, number) in zip(row, chosen):
                pixel = self.pixels[number]
                title = draw_look(
                    axis,
                    self.picture,
                    self.branches[name],
                    pixel,
                    self.reading,
                    _colour(number),
                )
                head = f'#{number + 1}  {pixel.label}'.rstrip()
                axis.set_title(f'{head}\n{title}', fontsize=9)
                if axis is row[0] or self._is_turned:
                    axis.set_ylabel(TITLES[name], fontsize=10)
            for axis in row[len(chosen) :]:
                axis.axis('off')
        note = f'Heat: {READINGS[self.reading]}, over the largest weight'
        figure.supxlabel(f'{note}. {self.note}'.strip(), fontsize=8)


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]


def _outline(width: float) -> patheffects.withStroke:
    return patheffects.withStroke(linewidth=width, foreground='black')


def _draw_tile(axis: Axes, title: str, tile: np.ndarray) -> None:
    axis.imshow(tile, cmap='viridis', vmin=0, vmax=1, interpolation='nearest')
    axis.set_title(title, fontsize=9)
    bare(axis)


def _height(aspect: float) -> float:
    """Of a row of pictures with their titles, in inches."""
    return 2.6 * min(max(aspect, 0.5), 1.6) + 0.45


def _tallest(tiles: Dict[str, np.ndarray]) -> float:
    return max(tile.shape[0] / tile.shape[1] for tile in tiles.values())
