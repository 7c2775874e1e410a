"""Old checkpoints, removed when the new one is there."""

from typing import Any, List


class RemovesLater:
    """A file backend that only notes what is to be removed.

    Args:
        backend (BaseStorageBackend): For all else.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        self.removed: List[str] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)

    def remove(self, path: str) -> None:  # noqa: D102
        self.removed.append(path)

    rmtree = remove


def remove(backend: Any, path: str) -> None:
    """Remove a file, or a folder with all in it, if it is there.

    Args:
        backend (BaseStorageBackend): Of the path.
        path (str): Of a checkpoint.
    """
    if backend.isfile(path):
        backend.remove(path)
    elif backend.isdir(path):
        backend.rmtree(path)
