"""The picture of tools/demo.py: what each model sees in some scenes."""

import contextlib
import io
import warnings
from pathlib import Path
from typing import Dict, List, Tuple

import numpy as np
import torch
from matplotlib import pyplot as plt
from matplotlib.patches import Patch
from PIL import Image

from mmtat.datasets import CLASSES, PALETTE

#: Validation scenes in the picture: the first, not the best.
ROWS = 5
_COLOURS = np.array(PALETTE, np.uint8)


def draw(data: Path, models: Dict[str, Tuple[Path, Path]], path: Path) -> Path:
    """Save a picture: for each scene its image, label and predictions.

    Args:
        data (Path): Folder of the digit scenes.
        models (dict[str, tuple[Path, Path]]): For the title of each column
            the config and the checkpoint of a model.
        path (Path): Of the picture.

    Returns:
        Path: ``path``.
    """
    names = (data / 'ImageSets/Segmentation/val.txt').read_text().split()
    names = names[:ROWS]
    images = [str(data / 'JPEGImages' / f'{name}.jpg') for name in names]
    labels = [data / 'SegmentationClass' / f'{name}.png' for name in names]
    columns = {
        'image': [np.array(Image.open(image)) for image in images],
        'label': [_COLOURS[np.array(Image.open(label))] for label in labels],
    }
    for title, (config, checkpoint) in models.items():
        columns[title] = _predict(config, checkpoint, images)
    # No window, also where there is a screen.
    plt.switch_backend('Agg')
    figure, axes = plt.subplots(
        len(names), len(columns), figsize=(9, 10.4), layout='constrained'
    )
    for column, (title, pictures) in zip(axes.T, columns.items()):
        column[0].set_title(title, fontsize=13)
        for axis, picture in zip(column, pictures):
            axis.imshow(picture, interpolation='nearest')
            axis.axis('off')
    figure.legend(
        handles=[
            Patch(color=_COLOURS[index] / 255, label=CLASSES[index])
            for index in range(1, len(CLASSES))
        ],
        loc='outside lower center',
        ncols=len(CLASSES) - 1,
        handlelength=1,
        frameon=False,
        fontsize=12,
    )
    figure.savefig(path, dpi=100)
    plt.close(figure)
    return path


def _predict(
    config: Path, checkpoint: Path, images: List[str]
) -> List[np.ndarray]:
    """Predictions as colours, by the stock inference of mmsegmentation."""
    from mmseg.apis import inference_model, init_model

    device = 'cuda' if torch.cuda.is_available() else 'cpu'
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        # Of mmsegmentation's own deprecated names.
        warnings.simplefilter('ignore')
        model = init_model(str(config), str(checkpoint), device=device)
    return [
        _COLOURS[result.pred_sem_seg.data[0].cpu().numpy()]
        for result in inference_model(model, images)
    ]
