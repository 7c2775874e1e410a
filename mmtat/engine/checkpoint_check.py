"""Whether a checkpoint fits a model, before mmengine loads what it can."""

from typing import Any, Dict

from torch import Tensor, nn

_PREFIXES = ('module.', 'architecture.')


def check_fit(
    model: nn.Module, state_dict: Dict[str, Tensor], strict: bool
) -> None:
    """Raise unless a state dict holds a model, or some of it.

    Args:
        model (nn.Module): The bare model.
        state_dict (dict[str, Tensor]): Of a file; names may begin with
            'module.' or 'architecture.'.
        strict (bool): Whether it must hold the whole model and no more
            ('teacher.' and 'distiller.' aside), rather than some of it.

    Raises:
        ValueError: Says how much matched, and what did not.
    """
    expected = {name: t.shape for name, t in model.state_dict().items()}
    given = {_bare(name): _shape(t) for name, t in state_dict.items()}
    matched = [n for n in expected if given.get(n) == tuple(expected[n])]
    if not expected or (matched and not strict):
        return
    missing = [
        name
        for name in expected
        if name not in matched and not name.endswith('num_batches_tracked')
    ]
    unexpected = [
        name
        for name in given
        if name not in expected
        and not name.startswith(('teacher.', 'distiller.'))
    ]
    if missing or (strict and unexpected):
        raise ValueError(
            f'the checkpoint is of another model than {type(model).__name__}'
            f': {len(matched)} of its {len(expected)} weights matched'
            + _examples('missing or of another shape', missing)
            + _examples('not of this model', unexpected)
            + '. Give a checkpoint that was trained with this config'
        )


def _bare(name: str) -> str:
    for prefix in _PREFIXES:
        if name.startswith(prefix):
            name = name[len(prefix) :]
    return name


def _shape(value: Any) -> Any:
    return tuple(value.shape) if isinstance(value, Tensor) else None


def _examples(what: str, names: list) -> str:
    if not names:
        return ''
    shown = ', '.join(names[:5]) + (', ...' if len(names) > 5 else '')
    return f'; {what}: {shown}'
