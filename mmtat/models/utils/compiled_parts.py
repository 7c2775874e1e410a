"""Compiling a model around its recorded layers."""

from typing import Any, Callable, Collection, Dict, List

import torch
from mmengine.logging import print_log
from torch import nn


class CompiledParts:
    """Compiles the largest parts of a model with no recorded layer inside.

    Recording, and the end after the last recorded layer, are hooks: Python
    that compiled code would have to leave at each. So what holds a recorded
    layer runs eagerly, and its other parts are compiled one by one; the
    recorded layer itself may be one, as hooks run around a ``forward``.
    They are compiled in the first step, and for each shape.

    Args:
        model (nn.Module): It stays as it is.
        sources (Collection[str]): Names of the recorded layers.
        called (Collection[str]): Names of the modules that run.
        arguments (dict): Of ``torch.compile``.

    Attributes:
        forwards (dict[str, Callable]): Compiled forwards by the names of
            their modules.
    """

    def __init__(
        self,
        model: nn.Module,
        sources: Collection[str],
        called: Collection[str],
        arguments: Dict[str, Any],
    ) -> None:
        names = _parts('', model, sources, called)
        modules = {name: model.get_submodule(name) for name in names}
        self.forwards: Dict[str, Callable] = {
            name: torch.compile(module.forward, **arguments)
            for name, module in modules.items()
        }
        self._modules = modules
        what = ', '.join(names) or 'nothing (it has no part without one)'
        print_log(
            f'torch.compile of the teacher: {what}; what is around recorded '
            'layers runs eagerly, and ends with the last of them',
            'current',
        )

    def current(self, model: nn.Module) -> Dict[nn.Module, Callable]:
        """The forwards of the modules that are still there.

        Args:
            model (nn.Module): That was given, or a copy.

        Returns:
            dict[nn.Module, Callable]: Compiled forwards.
        """
        modules = dict(model.named_modules())
        return {
            module: self.forwards[name]
            for name, module in self._modules.items()
            if modules.get(name) is module
        }


def _parts(
    name: str,
    module: nn.Module,
    sources: Collection[str],
    called: Collection[str],
) -> List[str]:
    children = dict(module.named_children())
    if not children:
        # One kernel is not worth a compiled function.
        return []
    prefix = f'{name}.' if name else ''
    has_inside = any(s.startswith(prefix) and s != name for s in sources)
    if name in called and not has_inside:
        return [name]
    parts = []
    for child, inner in children.items():
        parts += _parts(prefix + child, inner, sources, called)
    return parts
