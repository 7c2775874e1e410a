"""The methods that are compared, each with one weight to tune."""

import copy
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

from mmengine.config import Config

import mmtat

_PACKAGE = Path(mmtat.__file__).resolve().parent


@dataclass(frozen=True)
class Method:
    """One row of a comparison.

    Attributes:
        title (str): For the reader.
        weight (float): Middle of the grid that its weight is tuned on: of
            the size of the published ones, or, where these are of other
            layers or larger maps, about what makes the loss weigh as much.
        layers (str): Which of the scenario's layers it distils: 'one',
            'norm' (a batch norm before its ReLU), 'several', or 'none'.
        many_seeds (bool): Whether it runs with all seeds, or with three.
        formulation (str, optional): Of TaT; None for a rival.
    """

    title: str
    weight: float
    layers: str = 'one'
    many_seeds: bool = False
    formulation: Optional[str] = None


#: By the names of ``configs/_base_/distillers``; TaT is the scenario's own.
METHODS: Dict[str, Method] = {
    'kd': Method('KD', 1.0, 'none', many_seeds=True),
    'dkd': Method('DKD', 1.0, 'none'),
    'dist': Method('DIST', 1.0, 'none'),
    'l2': Method('FitNet (L2)', 1.0),
    'at': Method('AT', 1000.0),
    'cwd': Method('CWD', 10.0, many_seeds=True),
    'pkd': Method('PKD', 6.0),
    'mgd': Method('MGD', 10.0),
    'rkd': Method('RKD', 1.0),
    'crd': Method('CRD', 0.8),
    'ofd': Method('OFD', 1.0, 'norm'),
    'ickd': Method('ICKD', 2.5),
    'review': Method('ReviewKD', 1.0, 'several'),
    'sp': Method('SP', 1000.0),
    'cc': Method('CC', 100.0),
    'vid': Method('VID', 1.0),
    'wkd': Method('WKD-F', 1.0),
    'tat_released': Method(
        'TaT released', 1.0, many_seeds=True, formulation='released'
    ),
    'tat_paper': Method(
        'TaT paper', 1.0, many_seeds=True, formulation='paper'
    ),
}


def distiller_of(
    name: str,
    weight: float,
    tat: Dict[str, Any],
    layers: Dict[str, Sequence],
    changes: Optional[Dict[str, Any]] = None,
) -> Dict[str, Any]:
    """The distiller's config of a method.

    Args:
        name (str): Of :data:`METHODS`.
        weight (float): The method's one weight.
        tat (dict): The scenario's ``TaTDistiller``; its branches get the
            weight times their own.
        layers (dict[str, list]): The scenario's by kind; see
            :class:`Method`.
        changes (dict, optional): Settings of the scenario that the method
            needs, such as the number of images.

    Returns:
        dict: A new config.

    Raises:
        ValueError: An unknown method.
    """
    if name not in METHODS:
        raise ValueError(
            f'method must be one of {", ".join(METHODS)}, got {name!r}'
        )
    method = METHODS[name]
    if method.formulation is not None:
        distiller = copy.deepcopy(dict(tat))
        if method.formulation != tat.get('formulation', 'released'):
            # What embeds the student is the key there, and the query here.
            for name, other in (('query', 'key'), ('key', 'query')):
                distiller.pop(name, None)
                if other in tat:
                    distiller[name] = tat[other]
        distiller['formulation'] = method.formulation
        distiller['branches'] = {
            branch: dict(own, loss_weight=weight * own.get('loss_weight', 1.0))
            for branch, own in tat['branches'].items()
        }
        return distiller
    # In a wheel, and in a checkout.
    places = (_PACKAGE / '.mim', _PACKAGE.parent)
    root = next(place for place in places if (place / 'configs').is_dir())
    file = root / 'configs' / '_base_' / 'distillers' / f'{name}.py'
    config = Config.fromfile(file)
    config.merge_from_dict({'distiller': copy.deepcopy(changes or {})})
    own = {} if method.layers == 'none' else dict(layers=layers[method.layers])
    return dict(config.distiller.to_dict(), loss_weight=weight, **own)


def grid_of(method: Method, factors: Sequence[float]) -> Tuple[float, ...]:
    """The weights that a method is tuned on.

    Args:
        method (Method): The method.
        factors (Sequence[float]): Equal for all methods.

    Returns:
        tuple[float]: Its middle weight times each.
    """
    return tuple(float(f'{method.weight * f:.4g}') for f in factors)


def best_weights(scores: Dict[str, float]) -> Dict[str, float]:
    """Read the weights off a tuning.

    Args:
        scores (dict[str, float]): By '<method>@<weight>', weights rising;
            nan for a training that diverged.

    Returns:
        dict[str, float]: The best weight by method; of equals the least.
    """
    best: Dict[str, Tuple[float, float]] = {}
    for label, score in scores.items():
        name, weight = label.split('@')
        score = -math.inf if math.isnan(score) else score
        if name not in best or score > best[name][0]:
            best[name] = score, float(weight)
    return {name: weight for name, (_, weight) in best.items()}
