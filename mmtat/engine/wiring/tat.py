"""The Target-aware Transformer for a pair of layers."""

from typing import Any, Dict, Optional

from .code import Commented
from .pairs import Pair, describe
from .regions import (
    MOST_WHOLE,
    left_over,
    propose_anchors,
    propose_patches,
)

#: Weights of configs/tat_deeplabv3plus_r101_r18_voc.py: the released 0.1 and
#: 0.04, beside a cross-entropy that is not divided by the batch size of 16.
_PATCH_WEIGHT, _ANCHOR_WEIGHT = 1.6, 0.64
#: Of configs/tat_resnet34_resnet18_in1k.py.
_WHOLE_WEIGHT = 0.1
#: As released for ImageNet.
_EMBEDDING = dict(kernel_size=3, norm='batch')


def tat(
    pair: Pair, is_segmentation: bool, logits: Optional[Dict[str, str]]
) -> Dict[str, Any]:
    """A TaT distiller for a pair, with why each number is what it is.

    Args:
        pair (Pair): The layers.
        is_segmentation (bool): Whether the student labels pixels.
        logits (dict, optional): Names of layers, to distil the logits too.

    Returns:
        dict: Its config, with comments.
    """
    distiller: Dict[str, Any] = dict(
        type='mmtat.TaTDistiller',
        layers=Commented([pair.names], describe(pair)),
    )
    if not is_segmentation:
        distiller.update(_embeddings(pair))
    distiller['branches'] = _branches(pair, is_segmentation)
    if logits is not None:
        distiller['logits'] = Commented(
            dict(tau=1.0, loss_weight=0.5, **logits),
            'The second released recipe: 0.5 CE + 0.5 KL + 0.1 TaT.',
        )
    return distiller


def _embeddings(pair: Pair) -> Dict[str, Any]:
    """3x3 with a norm over the batch, where the key is the teacher's map."""
    sizes = (pair.student.map[0], pair.teacher.map[0])
    weights = 2 * 9 * sizes[0] * sizes[1]
    why = (
        'As released for ImageNet: 3x3 and a norm over the batch; the key is '
        f"the teacher's own map. {sizes[0]} channels to {sizes[1]}, "
        f'{weights / 1e6:.1f}M weights that are thrown away after training.'
    )
    return dict(
        query=Commented(dict(_EMBEDDING), why),
        key=None,
        value=dict(_EMBEDDING),
    )


def _branches(pair: Pair, is_segmentation: bool) -> Any:
    height, width = pair.teacher.size
    whole = _WHOLE_WEIGHT if not is_segmentation else _PATCH_WEIGHT
    count = f'{height} x {width} = {height * width} positions'
    if height * width <= MOST_WHOLE:
        why = f'{count}: few enough to attend to all of them at once.'
        if is_segmentation:
            why += ' The weight is that of the patch groups of VOC.'
        return Commented(dict(whole=dict(loss_weight=whole)), why)
    patches, groups = propose_patches(height, width)
    anchors = propose_anchors(height, width)
    kernel = height // anchors[0]
    sides = tuple(side // n for side, n in zip((height, width), patches))
    in_group = patches[0] * patches[1] // groups
    rest = [left_over(side, n) for side, n in zip((height, width), patches)]
    why = (
        f'{count}: in patches of {sides[0]}x{sides[1]}, {in_group} to a '
        f'group, and in anchors that average {kernel}x{kernel}, as on VOC.'
    )
    if any(rest):
        why += f' Left over: {rest[0]} of the rows, {rest[1]} of the columns.'
    weights = dict(patch=_WHOLE_WEIGHT, anchor=_WHOLE_WEIGHT)
    if is_segmentation:
        weights = dict(patch=_PATCH_WEIGHT, anchor=_ANCHOR_WEIGHT)
        why += (
            ' The weights are 0.1 and 0.04, as there, times 16 beside a '
            'cross-entropy that is a plain mean.'
        )
    return Commented(
        dict(
            patch_group=dict(
                patches=patches, groups=groups, loss_weight=weights['patch']
            ),
            anchor_point=dict(anchors=anchors, loss_weight=weights['anchor']),
        ),
        why,
    )
