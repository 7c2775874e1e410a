"""What a checkpoint holds: weights, the student's config, how it was made."""

import os.path as osp
from dataclasses import dataclass, field
from typing import Any, Dict, Optional, Tuple

from mmengine.config import Config
from mmengine.model import BaseModel, revert_sync_batchnorm
from mmengine.registry import init_default_scope
from torch import Tensor

from mmtat.models.utils import read_checkpoint, state_dict_of

from ..checkpoint_check import check_fit
from ..inspected import built, read_config
from ..student_config import student_config
from .plain_config import check_parts, is_zoo_name, read_plain_config


@dataclass
class Source:
    """A checkpoint, read.

    Attributes:
        path (str): Path or URL.
        weights (dict[str, Tensor]): Of the student, perhaps with prefixes,
            a teacher and a distiller beside it.
        config (Config): The student's.
        config_from (str): Where that was found.
        run (Config | None): Of the run that wrote the file, if it says so.
        run_text (str | None): The same as the file has it.
        meta (dict): The file's own entry.
        message_hub (dict): The file's own entry.
        averaged (bool | None): Whether the weights are the average (EMA);
            None where there was none.
    """

    path: str
    weights: Dict[str, Tensor]
    config: Config
    config_from: str
    run: Optional[Config] = None
    run_text: Optional[str] = None
    meta: Dict[str, Any] = field(default_factory=dict)
    message_hub: Dict[str, Any] = field(default_factory=dict)
    averaged: Optional[bool] = None


def read_source(
    path: str, config: Optional[str] = None, ema: Optional[bool] = None
) -> Source:
    """Read a checkpoint and find the student's config.

    That is ``--config``, else ``student.py`` beside the file, else the
    config in the file, turned into the student's. Neither the teacher nor
    the distiller of the last is built, and no file of theirs is read.

    Args:
        path (str): Path or URL of a checkpoint of mmtat, mmrazor,
            mmsegmentation or mmpretrain.
        config (str, optional): Path or name of a config of the student, or
            of its distillation.
        ema (bool, optional): True for averaged weights, False for those of
            the last step; by default ``state_dict`` as it is.

    Returns:
        Source: What was found.

    Raises:
        ValueError: The file is no checkpoint, has not the wanted weights, or
            there is no config.
    """
    checkpoint = read_checkpoint(path, 'checkpoint')
    weights, averaged = _weights(checkpoint, path, ema)
    meta, hub = _entry(checkpoint, 'meta'), _entry(checkpoint, 'message_hub')
    text = meta.get('cfg', _entry(hub, 'runtime_info').get('cfg'))
    run = None
    if isinstance(text, str) and text.strip():
        run = _read_or_none(text, f'in {path!r}')
    student, config_from = _find_config(path, config, text)
    return Source(
        path=path,
        weights=weights,
        config=student,
        config_from=config_from,
        run=run,
        run_text=text if run is not None else None,
        meta=meta,
        message_hub=hub,
        averaged=averaged,
    )


def load_student(source: Source) -> BaseModel:
    """Build the student, and fill it with the weights.

    Args:
        source (Source): Of a checkpoint.

    Returns:
        BaseModel: In eval mode, on the CPU, without SyncBN.

    Raises:
        ValueError: The checkpoint is of another model.
    """
    init_default_scope(source.config.get('default_scope') or 'mmengine')
    model = revert_sync_batchnorm(built(source.config))
    try:
        check_fit(model, source.weights, strict=True)
    except ValueError as error:
        raise ValueError(
            f'{error}. The config is {source.config_from}; --config names '
            'another'
        ) from error
    bad = [
        name
        for name, tensor in model.state_dict().items()
        if not tensor.isfinite().all()
    ]
    if bad:
        raise ValueError(
            f'checkpoint: {source.path!r} holds values that are no finite '
            f'numbers in {len(bad)} weights, as {bad[0]}: the run diverged; '
            'give an earlier checkpoint'
        )
    return model.eval().requires_grad_(False)


def _weights(
    checkpoint: Any, path: str, ema: Optional[bool]
) -> Tuple[Dict[str, Tensor], Optional[bool]]:
    averages = _entry(checkpoint, 'ema_state_dict')
    if not averages:
        if ema is not None:
            raise ValueError(
                f'--{"ema" if ema else "no-ema"}: {path!r} holds no averaged '
                'weights (its run had no EMAHook), so there is nothing to '
                'choose; leave the option out'
            )
        return state_dict_of(checkpoint, path, 'checkpoint'), None
    if ema is not False:
        return state_dict_of(checkpoint, path, 'checkpoint'), True
    # mmengine swaps them on save, so these are the weights of the last step.
    begin = 'module.'
    last = {k: v for k, v in averages.items() if k.startswith(begin)}
    return state_dict_of(last, path, 'checkpoint'), False


def _find_config(
    path: str, config: Optional[str], text: Any
) -> Tuple[Config, str]:
    if config is not None:
        return student_config(read_config(config)), f'--config {config}'
    beside = osp.join(osp.dirname(path), 'student.py')
    if '://' not in path and osp.isfile(beside):
        where = repr(beside)
        with open(beside, encoding='utf-8') as file:
            text = file.read()
    elif isinstance(text, str) and text.strip():
        where = f'in {path!r}'
    else:
        raise ValueError(
            f'checkpoint: {path!r} holds no config, and there is no '
            'student.py beside it; give the config that it was trained with '
            'by --config'
        )
    found = read_plain_config(text, where)
    if 'model' not in found:
        raise ValueError(f'the config {where} defines no model; give --config')
    _check_no_file(found.model, where)
    student = student_config(found)
    check_parts(student, where)
    return student, where


def _check_no_file(model: Dict[str, Any], where: str) -> None:
    """Refuse a student that is a config file, which would be run."""
    student = model.get('architecture')
    if isinstance(student, dict):
        student = student.get('cfg_path')
    if isinstance(student, str) and not is_zoo_name(student):
        raise ValueError(
            f'the config {where} takes the student from {student!r}, and '
            'what is found with a checkpoint is not run; give it by --config'
        )


def _read_or_none(text: str, where: str) -> Optional[Config]:
    """The config of the run, of which only facts are wanted."""
    try:
        return read_plain_config(text, where)
    except ValueError:
        return None


def _entry(value: Any, name: str) -> Dict[str, Any]:
    entry = value.get(name) if isinstance(value, dict) else None
    return entry if isinstance(entry, dict) else {}
