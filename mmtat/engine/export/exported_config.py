"""The student's config as an export carries it."""

import copy
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmtat.models.utils import without_pretrained


def exported_config(config: Config, name: str) -> Config:
    """A student's config that fetches nothing and knows no SyncBN.

    Args:
        config (Config): Of the student.
        name (str): File name of the export, for the work dir.

    Returns:
        Config: A copy. The Runner tests with it, and the stock tools of
        mmsegmentation and mmpretrain build its model.
    """
    plain = copy.deepcopy(config._cfg_dict).to_dict()
    # A zoo's config holds its preprocessor beside the model, which stock
    # tools then look for there.
    plain['model'] = _without_sync(without_pretrained(plain['model']))
    plain.update(
        load_from=None,
        resume=False,
        # The Runner needs one; that of the run belongs to the run.
        work_dir=f'work_dirs/{Path(name).stem}',
    )
    plain.pop('model_path', None)
    return Config(plain)


def _without_sync(value: Any) -> Any:
    """SyncBN predicts what BN does, and does not need several processes."""
    if isinstance(value, dict):
        return {
            key: 'BN'
            if key == 'type' and item == 'SyncBN'
            else _without_sync(item)
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return type(value)(_without_sync(item) for item in value)
    return value
