"""What a process of its own would begin with."""

from mmengine.logging import MessageHub, MMLogger
from mmengine.registry import DefaultScope
from mmengine.visualization import Visualizer


def forget_runs():
    """Drop what mmengine shares between the runs of a process.

    It is kept by the name of the experiment, which holds the second of the
    start: a run that begins in the same second as another would find the
    other's logger, whose stream may be closed, and its message hub.
    """
    kinds = (DefaultScope, MessageHub, MMLogger, Visualizer)
    for kind in (*kinds, *Visualizer.__subclasses__()):
        kind._instance_dict.clear()
