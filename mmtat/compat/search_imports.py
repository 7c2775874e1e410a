"""What mmrazor imports for its architecture search alone, when it is used."""

import contextlib
import importlib.abc
import importlib.util
import sys
import types
from typing import Any, Iterator, Optional, Sequence

from .workaround import Workaround

#: Modules of mmrazor, and what they import at their top for few functions.
_IMPORTS = {
    'mmrazor.models.task_modules.predictor.handler.carts_handler': (
        'sklearn.tree'
    ),
    'mmrazor.models.task_modules.predictor.metric_predictor': 'scipy.stats',
    'mmrazor.models.distillers.ofd_distiller': 'scipy.stats',
}


class _Later:
    """Stands for something of a module, which is imported when it is used."""

    def __init__(self, module: str, name: str) -> None:
        self._module = module
        self._name = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._real()(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        return getattr(self._real(), name)

    def _real(self) -> Any:
        return getattr(importlib.import_module(self._module), self._name)


class _LaterModule(types.ModuleType):
    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):
            raise AttributeError(name)
        return _Later(self.__name__, name)


class _Finder(importlib.abc.MetaPathFinder):
    """Lets the modules of ``_IMPORTS`` find stand-ins."""

    def find_spec(
        self, name: str, path: Optional[Sequence[str]], target: Any = None
    ) -> Any:
        if name not in _IMPORTS:
            return None
        others = (f for f in sys.meta_path if f is not self)
        found = (finder.find_spec(name, path, target) for finder in others)
        spec = next((spec for spec in found if spec is not None), None)
        if spec is not None:
            spec.loader.exec_module = _with_stand_in(
                spec.loader.exec_module, _IMPORTS[name]
            )
        return spec


def _with_stand_in(execute: Any, imported: str) -> Any:
    def exec_module(module: types.ModuleType) -> None:
        with _stand_in(imported):
            execute(module)

    return exec_module


@contextlib.contextmanager
def _stand_in(name: str) -> Iterator[None]:
    package = name.partition('.')[0]
    is_there = importlib.util.find_spec(package) is not None
    if name in sys.modules or not is_there:
        # mmrazor has placeholders of its own for what is not installed.
        yield
        return
    sys.modules[name] = _LaterModule(name)
    try:
        yield
    finally:
        del sys.modules[name]


def _search_imports_needed() -> bool:
    return not any(isinstance(f, _Finder) for f in sys.meta_path)


def _apply_search_imports() -> None:
    sys.meta_path.insert(0, _Finder())


WORKAROUND = Workaround(
    'search-imports',
    'mmrazor.models imports scikit-learn and scipy.stats for its '
    'architecture search, half a second of each start',
    'mmrazor imports them where it uses them',
    _search_imports_needed,
    _apply_search_imports,
)
