"""What the student is called with in a step, where that is needed."""

from typing import List, Tuple

from mmengine.structures import BaseDataElement
from mmrazor.models.task_modules import RecorderManager

from ..utils import add_recorder, recorded

#: Name of its recorder.
CALLED_WITH = 'called_with'


def record_call(manager: RecorderManager) -> None:
    """Record what the student is called with.

    Args:
        manager (RecorderManager): The student's recorders.

    Raises:
        ValueError: The config has a recorder of that name.
    """
    add_recorder(manager, CALLED_WITH, 'ModuleInputs', '', 'student')


def samples_of_call(manager: RecorderManager) -> List[BaseDataElement]:
    """The data samples that the student was called with.

    Args:
        manager (RecorderManager): The student's recorders.

    Returns:
        list[BaseDataElement]: Of the batch.

    Raises:
        ValueError: It did not run.
    """
    return recorded(manager, CALLED_WITH, 'student')[1]


def image_size_of_call(manager: RecorderManager) -> Tuple[int, int]:
    """Height and width of the images that the student was called with.

    Args:
        manager (RecorderManager): The student's recorders.

    Returns:
        tuple[int, int]: In pixels.

    Raises:
        ValueError: It did not run.
    """
    images = recorded(manager, CALLED_WITH, 'student')[0]
    return tuple(images.shape[-2:])
