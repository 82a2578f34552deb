"""Open checkpoints and values computed from them, shared by merges on the same models.

A value is dropped when its file changes.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TypeVar, Unpack

from dppa_core.checkpoints.checkpoint import Checkpoint, FolderCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.weight_file import file_identity
from dppa_core.progress import RunControl
from dppa_core.system.recent import Recent

T = TypeVar("T")
SIZE = 64
HELD = 10 << 20
"""Bytes of a checkpoint that is held in memory: reading it again took a third of a merge."""


class OpenModels:
    """A least-recently-used cache of `size` open checkpoints, profiles and the like; 0 for none.

    Safe for many threads. A cached checkpoint holds headers and mapped files; the system can
    reclaim pages that were read.
    """

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._values = Recent(size)

    def checkpoint(
        self, reference: str, *, public: bool = False, **control: Unpack[RunControl]
    ) -> Checkpoint:
        """As `open_checkpoint`, or the cached one if its files are unchanged."""
        key = reference, public
        cached: Checkpoint | None = self._values.find(key)
        if cached is not None and all(
            file_identity(path) == before for path, before in cached.identities().items()
        ):
            return cached
        opened = open_checkpoint(reference, public=public, **control)
        if self.keeps and isinstance(opened, FolderCheckpoint) and opened.nbytes <= HELD:
            opened.hold()
        self._values.keep(key, opened)
        return opened

    def put(self, reference: str, checkpoint: Checkpoint) -> None:
        """Cache a checkpoint under the reference of a recipe; no folder of that name is needed."""
        self._values.keep((reference, False), checkpoint)

    def value(self, key: Hashable, make: Callable[[], T]) -> T:
        """The cached value of a key, else the result of `make`.

        The key names everything the value depends on; files by their identities.
        """
        cached: T | None = self._values.find(key)
        if cached is None:
            cached = self._values.keep(key, make())
        return cached

    @property
    def keeps(self) -> bool:
        """True if it caches anything."""
        return self._size > 0

    def holds(self, key: Hashable) -> bool:
        """Return True if a key has a cached value."""
        return self._values.find(key) is not None
