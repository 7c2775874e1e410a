"""Which layers a distiller records, and for which losses."""

from typing import Dict, List, Optional

from mmrazor.models.distillers import BaseDistiller

from mmtat.models.distillers.layer_pairs import RECORDER


def recorded_as(
    distiller: Optional[BaseDistiller], role: str
) -> Dict[str, str]:
    """What a distiller records of a model, and for which losses.

    Args:
        distiller (ConfigurableDistiller, optional): It.
        role (str): 'student' or 'teacher'.

    Returns:
        dict[str, str]: By the name of the layer, or of the parameter,
        function or method: recorders with the losses that take them.
    """
    manager = getattr(distiller, f'{role}_recorders', None)
    marks: Dict[str, List[str]] = {}
    for name, recorder in getattr(manager, 'recorders', {}).items():
        losses = _losses_of(distiller, role, name)
        mark = f'{name}: {", ".join(losses)}' if losses else name
        if recorder.source:
            marks.setdefault(recorder.source, []).append(mark)
    return {source: '; '.join(marks[source]) for source in marks}


def _losses_of(distiller: BaseDistiller, role: str, recorder: str) -> List:
    """Losses that take what a recorder records."""
    losses = [
        loss
        for loss, mapping in distiller.loss_forward_mappings.items()
        if any(
            end['recorder'] == recorder
            and end['from_student'] == (role == 'student')
            for end in mapping.values()
        )
    ]
    logits = getattr(distiller, 'logits', None)
    of_logits = None if logits is None else logits.loss_name
    if recorder == 'logits' and of_logits is not None:
        return [*losses, of_logits]
    pairs = getattr(distiller, 'pairs', [])
    own = [
        loss
        for loss in getattr(distiller, 'own_loss_names', [])
        if loss != of_logits
    ]
    for index in range(len(pairs)):
        if recorder == RECORDER.format(index):
            # The losses of one of several pairs end in its index.
            numbered = [x for x in own if x.endswith(f'_{index}')]
            is_one = len(pairs) > 1 and numbered
            losses += numbered if is_one else own
    return losses
