"""What goes into a graph: a network, with what is before and behind it."""

import copy
from typing import Tuple

from torch import Tensor, nn

from .folding import drop_auxiliary_heads, fold_norms
from .image_input import ImageInput, Normalise
from .options import ExportOptions


class Exported(nn.Module):
    """What is in a graph: a network, and what stands before and behind it.

    Args:
        network (nn.Module): Of :func:`network_of`.
        image (ImageInput): Of the student.
        normalises (bool): Whether it takes RGB images of 0 to 255.
        argmax (bool): Whether it gives labels.
    """

    def __init__(
        self,
        network: nn.Module,
        image: ImageInput,
        normalises: bool = False,
        argmax: bool = False,
    ) -> None:
        super().__init__()
        self.network = network
        self.normalise = Normalise(image) if normalises else None
        self.argmax = argmax

    def forward(self, image: Tensor) -> Tensor:
        """Run it.

        Args:
            image (Tensor): (N, C, H, W).

        Returns:
            Tensor: Scores (N, K, ...), or labels (N, ...).
        """
        if self.normalise is not None:
            image = self.normalise(image)
        scores = self.network(image)
        return self.network.labels(scores) if self.argmax else scores


def graph_network(
    network: nn.Module,
    image: ImageInput,
    sample: Tensor,
    options: ExportOptions,
) -> Tuple[Exported, int]:
    """A copy of a network, as it goes into a graph.

    Args:
        network (nn.Module): Of the student.
        image (ImageInput): What it takes.
        sample (Tensor): (1, C, H, W), normalised.
        options (ExportOptions): What the graph is to have.

    Returns:
        tuple[Exported, int]: The copy, and how many norms were folded.
    """
    network = copy.deepcopy(network)
    drop_auxiliary_heads(network)
    folded = fold_norms(network, sample) if options.fold_norms else 0
    normalises = options.preprocessing is not None
    exported = Exported(network, image, normalises, options.argmax)
    return exported.eval(), folded
