"""A hook that lets a run wait for what is done to it."""

import os
import time
from pathlib import Path

from mmengine.hooks import Hook
from mmengine.registry import HOOKS


@HOOKS.register_module()
class WaitAt(Hook):
    """Waits, in an iteration that the environment names, for a file."""

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        folder = Path(runner.work_dir)
        if str(runner.iter) != os.environ.get('WAIT_AT'):
            return
        if runner.rank == 0:
            (folder / 'reached').touch()
        while not (folder / 'go').exists():
            time.sleep(0.02)
