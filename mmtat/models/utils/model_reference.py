"""Pointing to a model without owning it."""

import weakref
from typing import Optional

from torch import nn


class ModelReference:
    """Points to a model without making it anybody's submodule.

    A copy points to the same model, and a pickled one to none.

    Args:
        model (nn.Module): Kept alive until :meth:`weaken`.
    """

    def __init__(self, model: nn.Module) -> None:
        self._strong: Optional[nn.Module] = model
        self._weak = weakref.ref(model)

    def __call__(self) -> Optional[nn.Module]:
        """The model, or None where it is gone."""
        return self._weak()

    def weaken(self) -> None:
        """Keep the model alive no longer."""
        self._strong = None

    def __deepcopy__(self, memo: dict) -> 'ModelReference':
        return self

    def __reduce__(self) -> tuple:
        return _dead_reference, ()


def _dead_reference() -> ModelReference:
    reference = ModelReference(nn.Module())
    reference.weaken()
    return reference
