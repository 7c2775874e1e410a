"""Which layers of a model can be distilled."""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd
from torch.nn.modules.instancenorm import _InstanceNorm

from .trace import Call

#: What a map passes without being another one.
_ACTIVATIONS = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
)
_IDENTITIES = (nn.Identity, _DropoutNd)
_NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)
_LEAVES = (nn.Linear, nn.Conv2d)
#: Parts of a model in front of its head, and their wholes.
_BODY = ('backbone', 'neck')
_WHOLE = (*_BODY, 'backbone.timm_model')
#: In the names of layers that only prepare a stage.
_PREPARES = re.compile(r'stem|patch_embed|pad|downsample|spp|soft_split')


@dataclass(frozen=True)
class Candidate:
    """A layer that can be distilled.

    Attributes:
        name (str): Of the module.
        map (tuple[int, int, int]): Channels, height and width.
        where (str): Where it is, for a comment.
        is_tokens (bool): Whether it returns tokens (B, N, C).
    """

    name: str
    map: Tuple[int, int, int]
    where: str
    is_tokens: bool = False

    @property
    def size(self) -> Tuple[int, int]:
        """Height and width."""
        return self.map[1:]


@dataclass
class Found:
    """What a model offers.

    Attributes:
        head (list[Candidate]): Maps in front of the classifying convolution,
            the best one first; empty where no module makes one.
        last (Candidate | None): The last map of the backbone.
        stages (list[Candidate]): The last map of each size in the backbone,
            from shallow to deep.
        norm (Candidate | None): The last batch norm in front of an
            activation.
        logits (str | None): The layer that gives the logits.
        classes (int | None): Their number.
    """

    head: List[Candidate] = field(default_factory=list)
    last: Optional[Candidate] = None
    stages: List[Candidate] = field(default_factory=list)
    norm: Optional[Candidate] = None
    logits: Optional[str] = None
    classes: Optional[int] = None


def find_layers(calls: Sequence[Call], classes: Optional[int]) -> Found:
    """Find what can be distilled in a model that was traced.

    Args:
        calls (Sequence[Call]): Of :func:`trace`.
        classes (int, optional): That its head tells apart.

    Returns:
        Found: It.
    """
    counts = Counter(call.name for call in calls)
    # A recorder keeps the first call of several.
    calls = [call for call in calls if counts[call.name] == 1]
    found = Found(classes=classes)
    classifier = _classifier(calls, classes)
    is_segmentor = any(c.name.startswith('decode_head.') for c in calls)
    if classifier is not None:
        found.logits = classifier.name
        if is_segmentor:
            found.head = list(_in_front_of(classifier, calls))
    body = [
        call
        for call in calls
        if call.map
        and call.name.split('.')[0] in (_BODY[:1] if is_segmentor else _BODY)
        and call.name not in _WHOLE
        and not isinstance(call.module, _IDENTITIES)
        and not any(given is call.output for given in call.inputs)
    ]
    if body:
        found.last = _last_map(body)
        found.stages = _stages(body)
    found.norm = _last_norm(found, calls)
    return found


def _candidate(call: Call, where: str) -> Candidate:
    return Candidate(call.name, call.map, where, call.is_tokens)


def _classifier(
    calls: Sequence[Call], classes: Optional[int]
) -> Optional[Call]:
    """The layer that gives the logits, of the last head where it has several.

    A head may have a second one for a teacher's logits, behind its own.
    """
    found = [
        call
        for call in calls
        if isinstance(call.module, _LEAVES)
        and call.output is not None
        and (call.output.dim() == 2 or call.map)
        and call.output.shape[1] == classes
    ]
    maps = [c for c in found if c.name.startswith('decode_head.')]
    named = [c for c in maps if c.name.endswith('conv_seg')]
    vectors = [c for c in found if c.output.dim() == 2]
    own = [c for c in vectors if c.name.startswith('head.')]
    return next(iter(named[-1:] + maps[-1:] + own[:1] + vectors[-1:]), None)


def _in_front_of(
    classifier: Call, calls: Sequence[Call]
) -> Iterator[Candidate]:
    """Maps that lead to the classifier without becoming another map.

    The one before the last activation is the first choice, as the paper taps
    it; what was resized behind it is the second.
    """
    where = f'the map in front of {classifier.name.rpartition(".")[-1]}'
    behind = []
    tensor = classifier.inputs[0]
    while tensor is not None:
        own = [
            c
            for c in calls
            if c.output is tensor
            and c.map
            and not isinstance(c.module, _IDENTITIES)
        ]
        before = _before(tensor, calls)
        activated = [c for c in own if isinstance(c.module, _ACTIVATIONS)]
        if own and before is None:
            inner = [c for c in own if not _is_passed(c.module)] or own
            norms = [c for c in inner if isinstance(c.module, _NORMS)]
            is_before = bool(norms and (activated or behind))
            yield _candidate(
                (norms or inner)[0],
                where + ', before its activation' * is_before,
            )
        elif own and before.shape[2:] != tensor.shape[2:]:
            behind.append(_candidate(own[-1], f'{where}, resized'))
        elif activated:
            behind.append(_candidate(own[-1], where))
        tensor = before
    yield from behind


def _before(tensor: Tensor, calls: Sequence[Call]) -> Optional[Tensor]:
    """What a tensor was before the module that let it pass."""
    for call in calls:
        if call.output is tensor and _is_passed(call.module):
            if call.inputs and call.inputs[0] is not tensor:
                return call.inputs[0]
    return None


def _is_passed(module: nn.Module) -> bool:
    name = type(module).__name__
    kinds = (*_ACTIVATIONS, *_IDENTITIES, nn.Upsample)
    return isinstance(module, kinds) or name in ('Upsample', 'Swish', 'HSwish')


def _last_map(body: Sequence[Call]) -> Candidate:
    """The last map, of the outermost module that gives one of its size."""
    size = body[-1].map[1:]
    equal = [call for call in body if call.map[1:] == size]
    depth = min(call.name.count('.') for call in equal)
    outer = [call for call in equal if call.name.count('.') == depth]
    return _candidate(outer[-1], 'the last map of the backbone')


def _stages(body: Sequence[Call]) -> List[Candidate]:
    """The last map of each size, of the outermost modules; four at most."""
    last: Dict[Tuple[int, int], Call] = {}
    for call in body:
        if _PREPARES.search(call.name):
            continue
        size = call.map[1:]
        area = size[0] * size[1]
        shrinks = not last or area <= min(h * w for h, w in last)
        before = last.get(size)
        if before is not None:
            is_outer = call.name.count('.') <= before.name.count('.')
        if before is None and shrinks or before is not None and is_outer:
            last[size] = call
    stages = sorted(last.values(), key=lambda c: -c.map[1] * c.map[2])[-4:]
    return [_candidate(c, 'the last map of its size') for c in stages]


def _last_norm(found: Found, calls: Sequence[Call]) -> Optional[Candidate]:
    """A batch norm at the place that is distilled."""
    if found.head:
        (call,) = (c for c in calls if c.name == found.head[0].name)
        return found.head[0] if isinstance(call.module, _BatchNorm) else None
    if found.last is None:
        return None
    norms = [
        call
        for call in calls
        if isinstance(call.module, _BatchNorm)
        and call.map
        and call.name.startswith('backbone')
        and call.map[1:] == found.last.size
    ]
    return _candidate(norms[-1], 'the last batch norm') if norms else None
