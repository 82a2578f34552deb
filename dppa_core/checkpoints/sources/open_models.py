"""Open checkpoints, shared by merges on the same models."""

from __future__ import annotations

from typing import Unpack

from dppa_core.checkpoints.checkpoint import Checkpoint, FolderCheckpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.weight_file import file_identity
from dppa_core.progress import RunControl
from dppa_core.system.recent import Recent

MAX_ENTRIES = 64
MAX_HELD_BYTES = 10 << 20
"""Bytes of a checkpoint that is held in memory: reading it again took a third of a merge."""


class OpenModels:
    """A least-recently-used cache of open checkpoints.

    Safe for many threads. A cached checkpoint holds headers and mapped files; the system can
    reclaim pages that were read.
    """

    def __init__(self) -> None:
        self._checkpoints = Recent(MAX_ENTRIES)

    def checkpoint(
        self, reference: str, *, public: bool = False, **control: Unpack[RunControl]
    ) -> Checkpoint:
        """As `open_checkpoint`, or the cached one if its files are unchanged."""
        key = reference, public
        cached: Checkpoint | None = self._checkpoints.find(key)
        if cached is not None and all(
            file_identity(path) == before for path, before in cached.identities().items()
        ):
            return cached
        opened = open_checkpoint(reference, public=public, **control)
        if isinstance(opened, FolderCheckpoint) and opened.nbytes <= MAX_HELD_BYTES:
            opened.hold()
        self._checkpoints.keep(key, opened)
        return opened

    def put(self, reference: str, checkpoint: Checkpoint) -> None:
        """Cache a checkpoint under the reference of a recipe; no folder of that name is needed."""
        self._checkpoints.keep((reference, False), checkpoint)
