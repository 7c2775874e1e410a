"""Whether a checkpoint fits a model, before mmengine loads what it can."""

from typing import Dict, List

from torch import Tensor, nn

from mmtat.models.utils import load_state

_PREFIXES = ('module.', 'architecture.')
_NOT_THE_STUDENTS = ('teacher.', 'distiller.')


def check_fit(
    model: nn.Module, state_dict: Dict[str, Tensor], strict: bool
) -> None:
    """Load a state dict into a model; raise unless it is the model's.

    Args:
        model (nn.Module): The bare model; takes what fits.
        state_dict (dict[str, Tensor]): Of a file; names may begin with
            'module.' or 'architecture.'.
        strict (bool): Whether it must hold the whole model and no more
            ('teacher.' and 'distiller.' aside), rather than some of it.

    Raises:
        ValueError: Says how much matched, and what did not.
    """
    load = load_state(model, _bare(state_dict))
    names = [n for n in model.state_dict() if 'num_batches_tracked' not in n]
    bad = set(load.missing + load.mismatched)
    matched = len(names) - len(bad)
    unexpected = [
        name
        for name in load.unexpected
        if not name.startswith(_NOT_THE_STUDENTS)
    ]
    if not names or (matched and not strict):
        return
    if bad or unexpected:
        raise ValueError(
            f'the checkpoint is of another model than {type(model).__name__}'
            f': {matched} of its {len(names)} weights matched'
            + _examples('missing or of another shape', sorted(bad))
            + _examples('not of this model', unexpected)
            + '. Give a checkpoint that was trained with this config'
        )


def _bare(state_dict: Dict[str, Tensor]) -> Dict[str, Tensor]:
    bare = {}
    for name, tensor in state_dict.items():
        for prefix in _PREFIXES:
            if name.startswith(prefix):
                name = name[len(prefix) :]
        bare[name] = tensor
    return bare


def _examples(what: str, names: List[str]) -> str:
    if not names:
        return ''
    shown = ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')
    return f'; {what}: {shown}'
