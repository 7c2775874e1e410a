"""Making a training longer, with its schedule."""

from typing import Any, Dict

from mmtat.models.utils import load_config

_ITERATIONS = (
    'begin',
    'end',
    'T_max',
    'step_size',
    'total_iters',
    'total_steps',
)


def stretched(options: Dict[str, Any], factor: float) -> Dict[str, Any]:
    """Options of the same training with ``factor`` times its iterations.

    Args:
        options (dict[str, Any]): With the 'config' of a training by
            iterations.
        factor (float): Positive.

    Returns:
        dict[str, Any]: The same, and the lengths.

    Raises:
        ValueError: The training is by epochs.
    """
    config = load_config(options['config'], 'config')
    if 'max_iters' not in config.train_cfg:
        raise ValueError(
            f'config must train by iterations, got {options["config"]!r} '
            f'with train_cfg={dict(config.train_cfg)}'
        )
    iterations = round(config.train_cfg.max_iters * factor)
    schedulers = config.param_scheduler
    if isinstance(schedulers, dict):
        schedulers = [schedulers]
    return {
        **options,
        'train_cfg.max_iters': iterations,
        'train_cfg.val_interval': iterations,
        'param_scheduler': [
            _stretched_scheduler(dict(scheduler), factor)
            for scheduler in schedulers
        ],
    }


def _stretched_scheduler(scheduler: Dict, factor: float) -> Dict:
    for key in _ITERATIONS:
        if isinstance(scheduler.get(key), int):
            scheduler[key] = round(scheduler[key] * factor)
    if 'milestones' in scheduler:
        scheduler['milestones'] = [
            round(step * factor) for step in scheduler['milestones']
        ]
    return scheduler
