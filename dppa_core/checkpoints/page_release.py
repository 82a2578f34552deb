"""Keeps the memory of mapped files small: returns their pages to the system.

A page that is needed again comes from the system's page cache.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable

from dppa_core.checkpoints.checkpoint import Checkpoint

LIMIT = 32 << 20
"""Bytes read before pages are released."""


class PageReleaser:
    """Releases the pages of checkpoints after every so many bytes. Safe for many threads."""

    def __init__(self, checkpoints: Iterable[Checkpoint] = ()) -> None:
        self._checkpoints = tuple(checkpoints)
        self._lock = threading.Lock()
        self._read = 0

    def read(self, nbytes: int) -> None:
        """Report bytes that were read."""
        with self._lock:
            self._read += nbytes
            if self._read < LIMIT:
                return
            self._read = 0
        for checkpoint in self._checkpoints:
            checkpoint.release()
