"""A step in a file: all that it takes to run it once more."""

from pathlib import Path
from typing import Any, Dict

from mmengine.dist import get_rank, get_world_size
from mmengine.runner import Runner
from torch import Tensor, nn

from mmtat.files import save_atomically
from mmtat.models.distillers.loss_modules import loss_weights
from mmtat.models.utils import read_checkpoint

from ..checked_runner import bare_model
from ..plain import to_plain
from ..saving.run_state import random_as_plain
from .plain_batch import plain_batch
from .step_watch import StepWatch

#: Tells a dump from other files.
KIND = 'mmtat step that was not finite'


def dump_path(runner: Runner) -> Path:
    """Where this process dumps the iteration that is running.

    Args:
        runner (Runner): In its training.

    Returns:
        Path: In the folder ``non_finite`` of the work dir.
    """
    name = f'iter_{runner.iter + 1}_rank{get_rank()}.pth'
    return Path(runner.work_dir, 'non_finite', name)


def write_dump(
    path: Path,
    runner: Runner,
    watch: StepWatch,
    batch: Any,
    terms: Dict[str, float],
) -> None:
    """Save a step as it was before it began.

    Args:
        path (Path): Of the file.
        runner (Runner): Whose weights are those before the step.
        watch (StepWatch): Of the step.
        batch (Any): Of this process, from the data loader.
        terms (dict[str, float]): Losses of this process.

    Raises:
        ValueError: It cannot be written.
    """
    model = bare_model(runner)
    config = runner.cfg.to_dict()
    dump = dict(
        kind=KIND,
        iteration=runner.iter,
        epoch=runner.epoch,
        rank=get_rank(),
        processes=get_world_size(),
        config=to_plain(config, 'config') if 'model' in config else None,
        batch=plain_batch(batch),
        model=model_tensors(model),
        teacher=_unnamed_teacher(model),
        random=random_as_plain(watch.random),
        terms=terms,
        loss_weights=_loss_weights(model),
        is_distilled=not getattr(model, 'distillation_stopped', False),
        amp=_amp(watch),
        learning_rates=to_plain(runner.optim_wrapper.get_lr()),
        device=next(model.parameters()).device.type,
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ValueError(f'{str(path.parent)!r}: {error}') from error
    save_atomically(dump, path)


def read_dump(path: str) -> Dict[str, Any]:
    """Read a step; nothing in the file is run.

    Args:
        path (str): Of the file.

    Returns:
        dict[str, Any]: As :func:`write_dump` saved it.

    Raises:
        ValueError: It is no such file, or of a run without a config.
    """
    dump = read_checkpoint(path, 'dump')
    if not isinstance(dump, dict) or dump.get('kind') != KIND:
        raise ValueError(
            f'dump: {path!r} is not of mmtat.NonFiniteHook, which writes to '
            'WORK_DIR/non_finite/'
        )
    if dump['config'] is None:
        raise ValueError(
            f'dump: the run of {path!r} was not built from a config, so its '
            'model cannot be built again'
        )
    return dump


def model_tensors(model: nn.Module) -> Dict[str, Tensor]:
    """All that a model computes with: parameters, and buffers of any kind.

    Args:
        model (nn.Module): Without a wrapper.

    Returns:
        dict[str, Tensor]: Copies on the CPU, by their names.
    """
    named = [*model.named_parameters(), *model.named_buffers()]
    return {name: tensor.detach().cpu().clone() for name, tensor in named}


def _unnamed_teacher(model: nn.Module) -> Any:
    """The weights of a teacher that no file holds."""
    holder = getattr(model, '_teacher', None)
    if holder is None or holder.checkpoint is not None:
        return None
    return model_tensors(holder.model)


def _loss_weights(model: nn.Module) -> Dict[str, float]:
    """As a schedule left them."""
    distiller = getattr(model, 'distiller', None)
    return {} if distiller is None else loss_weights(distiller)


def _amp(watch: StepWatch) -> Any:
    """How the losses were cast and scaled; None for full precision."""
    wrapper = watch.wrappers[0]
    scaler = getattr(wrapper, 'loss_scaler', None)
    if scaler is None or not hasattr(wrapper, 'cast_dtype'):
        return None
    dtype = wrapper.cast_dtype
    return dict(
        dtype=None if dtype is None else str(dtype).removeprefix('torch.'),
        scale=scaler.get_scale(),
    )
