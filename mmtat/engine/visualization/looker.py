"""Looks at images through student, teacher and TaT."""

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence

from matplotlib.figure import Figure
from mmengine.config import Config
from mmengine.model import BaseModel
from torch import Tensor

from .features import LayerFeatures, layer_features, undisturbed
from .figure import Fig4
from .images import Picture, loads_files, model_inputs
from .looks import BranchLooks, branches_of
from .pixels import Pixel, class_names, pick_pixels, predicted_labels
from .subject import (
    check_branch,
    check_layer,
    dataset_meta,
    describe,
    resizing_of,
)
from .trained import crop_of


@dataclass
class Looked:
    """What was found out about one image.

    Attributes:
        picture (Picture): The image.
        features (LayerFeatures): Of the layer.
        branches (dict[str, BranchLooks]): By their names.
        pixels (list[Pixel]): Given or picked.
        labels (Tensor | None): (H, W), what a segmenting teacher predicts.
    """

    picture: Picture
    features: LayerFeatures
    branches: Dict[str, BranchLooks]
    pixels: List[Pixel]
    labels: Optional[Tensor]


class Looker:
    """Runs both models on images, and leaves no trace in them.

    Args:
        algorithm (FrozenTeacherDistill): That distils by TaT.
        config (Config): Its own: tells classes and the order of channels.
        layer (int): Index of the pair of layers. Defaults to 0.
        branch (str, optional): Name of one branch; by default all.
        pixels (Sequence[Pixel]): Of each image; by default some are picked.

    Raises:
        ValueError: There is no such layer or branch, or no TaT.
    """

    def __init__(
        self,
        algorithm: BaseModel,
        config: Config,
        layer: int = 0,
        branch: Optional[str] = None,
        pixels: Sequence[Pixel] = (),
    ) -> None:
        check_layer(algorithm, layer)
        check_branch(algorithm, branch)
        self.algorithm = algorithm
        self.layer = layer
        self.branch = branch
        self.pixels = list(pixels)
        self.classes = class_names(
            config.get('metainfo'), dataset_meta(config)
        )
        self.subject = describe(algorithm, layer)
        self.size = crop_of(algorithm, config)
        self.resizing = resizing_of(self.size)
        self._is_bgr = loads_files(config)

    def look_at(self, picture: Picture) -> Looked:
        """Run both models on an image.

        Args:
            picture (Picture): The image.

        Returns:
            Looked: What was found out.
        """
        algorithm, size = self.algorithm, self.size or picture.size
        student, teacher = (
            model_inputs(
                algorithm.data_preprocessor, picture, size, self._is_bgr, role
            )
            for role in ('student', 'teacher')
        )
        features = layer_features(algorithm, student, teacher, self.layer)
        branches = branches_of(features, self.branch)
        with undisturbed(algorithm):
            labels = predicted_labels(algorithm.teacher, teacher)
        pixels = self.pixels or pick_pixels(
            picture, labels, features.teacher, self.classes
        )
        return Looked(picture, features, branches, pixels, labels)

    def figure(
        self, seen: Looked, state: str, reading: str = 'matched'
    ) -> Figure:
        """Fig. 4 of an image.

        Args:
            seen (Looked): Of the image.
            state (str): Of the training: a checkpoint, an iteration.
            reading (str): One of ``READINGS``. Defaults to 'matched'.

        Returns:
            Figure: Of no window.
        """
        return Fig4(
            seen.picture,
            seen.features,
            seen.branches,
            seen.pixels,
            f'{self.subject} · {state}\n{self.resizing}',
            reading,
        ).draw()
