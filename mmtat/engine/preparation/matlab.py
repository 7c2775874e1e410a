"""Reading MATLAB's files, in which SBD, COCO-Stuff and ImageNet come."""

from pathlib import Path
from typing import Any, Callable

import numpy as np
from PIL import Image
from scipy.io import loadmat


def read_matlab(path: Path, name: str, get: Callable[[Any], Any]) -> Any:
    """Read something out of a MATLAB file.

    Args:
        path (Path): Of the file, which holds data and no code.
        name (str): Of the variable in it.
        get (Callable): Takes what is wanted from the variable.

    Returns:
        Any: What ``get`` returns.

    Raises:
        ValueError: The file cannot be read, or has another content.
    """
    try:
        return get(loadmat(path, variable_names=[name])[name])
    except Exception as error:
        # scipy raises about anything.
        raise ValueError(
            f"'{path.name}' cannot be read: {type(error).__name__}: {error}"
        ) from error


def save_labels(labels: np.ndarray, path: Path) -> None:
    """Save labels as a PNG file of one channel.

    Args:
        labels (np.ndarray): (H, W), integers.
        path (Path): Of the file.

    Raises:
        ValueError: Not a map, or a label that a byte cannot hold.
    """
    is_map = labels.ndim == 2 and labels.size
    if not is_map or labels.min() < 0 or labels.max() > 255:
        raise ValueError(
            f"'{path.name}' would be no map of labels from 0 to 255: its "
            f'shape is {labels.shape}'
        )
    Image.fromarray(labels.astype(np.uint8)).save(path)
