"""Reading checkpoint files: weights, and nothing that runs."""

import errno
import os.path as osp
from collections import OrderedDict
from typing import Any, Dict

from mmengine.runner.checkpoint import CheckpointLoader
from torch import Tensor

from mmtat.compat.weights_only import (
    RefusedFile,
    is_archive,
    load_weights,
    reading_for,
)
from mmtat.downloads import FetchError, fetch, is_url


def read_checkpoint(path: str, name: str, is_mapped: bool = False) -> Any:
    """Read a checkpoint file, weights only.

    Args:
        path (str): Path or URL of a checkpoint.
        name (str): Name of the argument, for messages.
        is_mapped (bool): Whether tensors may stay in the file until they are
            used, which spares a copy: nobody may write to it meanwhile.
            Defaults to False.

    Returns:
        Any: What the file holds, on the CPU.

    Raises:
        ValueError: The file is missing, out of reach, truncated, or holds
            more than weights and plain values, which are named.
    """
    try:
        with reading_for(name):
            return _read(path, name, is_mapped)
    except (RefusedFile, FetchError):
        raise
    except FileNotFoundError as error:
        raise ValueError(
            f'{name}: no file {path!r}; give the path or the URL of a '
            'checkpoint'
        ) from error
    except Exception as error:
        # torch looks for the end of a file that is cut where no file can be.
        is_cut = getattr(error, 'errno', None) == errno.EINVAL
        if isinstance(error, OSError) and not is_cut:
            raise ValueError(
                f'{name}: {path!r} cannot be fetched or opened: '
                f'{_first_line(error)}. Without a network, give the path of '
                'a file'
            ) from error
        reason = 'its end is missing' if is_cut else _first_line(error)
        raise ValueError(
            f'{name}: {path!r} cannot be read as a checkpoint of weights '
            f'(truncated, or another kind of file): {reason}'
        ) from error


def _read(path: str, name: str, is_mapped: bool) -> Any:
    if is_url(path):
        path = str(fetch(path, name))
    # Files of torch before 1.6 are no archives, and cannot be mapped.
    if is_mapped and osp.isfile(path) and is_archive(path):
        return load_weights(path, 'cpu', is_mapped=True)
    return CheckpointLoader.load_checkpoint(path, 'cpu', 'silent')


def read_state_dict(
    path: str, name: str, is_mapped: bool = False
) -> Dict[str, Tensor]:
    """The weights in a checkpoint file; see :func:`state_dict_of`.

    Args:
        path (str): Path or URL of a checkpoint.
        name (str): Name of the argument, for messages.
        is_mapped (bool): See :func:`read_checkpoint`.

    Returns:
        dict[str, Tensor]: The weights.

    Raises:
        ValueError: The file cannot be read, or holds no weights.
    """
    checkpoint = read_checkpoint(path, name, is_mapped)
    return state_dict_of(checkpoint, path, name)


def state_dict_of(checkpoint: Any, path: str, name: str) -> Dict[str, Tensor]:
    """The weights in a checkpoint, without a leading 'module.'.

    Args:
        checkpoint (Any): What a file holds.
        path (str): The file, for messages.
        name (str): Name of the argument, for messages.

    Returns:
        dict[str, Tensor]: Its ``state_dict`` or ``model`` entry, or the
        tensors of the checkpoint itself where it is a bare state dict.

    Raises:
        ValueError: It holds no weights.
    """
    for key in ('state_dict', 'model'):
        if isinstance(checkpoint, dict) and key in checkpoint:
            checkpoint = checkpoint[key]
    tensors = _tensors(checkpoint)
    if not tensors:
        raise ValueError(
            f'{name}: {path!r} holds no weights; expected a dict of tensors, '
            "or one under 'state_dict'"
        )
    if all(key.startswith('module.') for key in tensors):
        return {key[len('module.') :]: t for key, t in tensors.items()}
    return tensors


def _tensors(checkpoint: Any) -> Dict[str, Tensor]:
    """The tensors of a state dict, and what it says of their versions."""
    if not isinstance(checkpoint, dict):
        return {}
    tensors = OrderedDict(
        (name, value)
        for name, value in checkpoint.items()
        if isinstance(value, Tensor)
    )
    if hasattr(checkpoint, '_metadata'):
        tensors._metadata = checkpoint._metadata
    return tensors


def _first_line(error: Exception) -> str:
    if str(error).startswith('Weights only load failed'):
        # torch goes on with how to load it unsafely.
        return 'it is no file of torch.save, or damaged'
    return (str(error) or type(error).__name__).strip().split('\n')[0]
