"""What a process of its own would begin with."""

import gc

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer
from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter


def forget_runs():
    """Drop what mmengine shares between the runs of a process.

    It is kept by the name of the experiment, which holds the second of the
    start: a run that begins in the same second as another would find the
    other's logger, whose stream may be closed, and its message hub.
    """
    kinds = (DefaultScope, MessageHub, MMLogger, Visualizer)
    for kind in (*kinds, *Visualizer.__subclasses__()):
        kind._instance_dict.clear()


def end_workers():
    """End the workers of the data loaders that runs have left.

    The garbage collector takes their queues apart before it asks them to
    end, waits five seconds for each, and kills it, which torch may take for
    the death of a worker of the run that is at work then.
    """
    for value in gc.get_objects():
        if type(value) is _MultiProcessingDataLoaderIter:
            value._shutdown_workers()
