"""Backbones of timm."""

import difflib
import importlib.util
from typing import Any, Dict, List


def check_timm(name: str, argument: str) -> None:
    """Raise unless timm has a model.

    Args:
        name (str): Of timm.
        argument (str): What named it, for messages.

    Raises:
        ValueError: timm is not installed, or has no such model; names close
            matches.
    """
    if importlib.util.find_spec('timm') is None:
        raise ValueError(
            f"{argument}: timm is not installed: pip install 'mmtat[timm]'"
        )
    import timm

    if not timm.is_model(name):
        known = timm.list_models()
        close = difflib.get_close_matches(name.split('.')[0], known, n=4)
        raise ValueError(
            f'{argument}: timm has no model {name!r}; close matches: '
            + ', '.join(f'timm::{one}' for one in close)
        )


def timm_config(name: str) -> Dict[str, Any]:
    """A classifier around a backbone of timm, without a head.

    Args:
        name (str): Of timm.

    Returns:
        dict: Its config, with timm's normalisation.
    """
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(name)
    mean = getattr(known, 'mean', (0.485, 0.456, 0.406))
    std = getattr(known, 'std', (0.229, 0.224, 0.225))
    return dict(
        type='mmpretrain.ImageClassifier',
        backbone=dict(type='TIMMBackbone', model_name=name),
        data_preprocessor=dict(
            mean=_of_bytes(mean),
            std=_of_bytes(std),
            to_rgb=True,
        ),
    )


def _of_bytes(values: Any) -> List[float]:
    return [round(255 * value, 3) for value in values]
