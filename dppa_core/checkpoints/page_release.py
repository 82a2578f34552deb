"""Keeps the memory of mapped files small: pages read are given back to the system.

Knows how much was read, not what. A page that is needed again is mapped again, from the system's
own cache.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from dppa_core.checkpoints.checkpoint import Checkpoint

LIMIT = 32 << 20
"""Bytes that may be read before the pages go."""


class PageReleaser:
    """Releases the pages of some checkpoints, time and again. Any thread may report to it.

    Args:
        checkpoints: Whose pages to release.
    """

    def __init__(self, checkpoints: Iterable[Checkpoint] = ()) -> None:
        self._checkpoints = tuple(checkpoints)
        self._lock = threading.Lock()
        self._read = 0

    def read(self, nbytes: int) -> None:
        """Note that so many bytes were read."""
        with self._lock:
            self._read += nbytes
            if self._read < LIMIT:
                return
            self._read = 0
        for checkpoint in self._checkpoints:
            checkpoint.release()
