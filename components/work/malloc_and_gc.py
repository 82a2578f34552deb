"""Memory of this process: trimming after work, rare collections."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable

from dppa_core.system.heap import trim_heap

_YOUNG, _MIDDLE, _OLD = 5_000, 10, 50
"""Thresholds of `gc.set_threshold`: a full collection stops all threads for a tenth of a second."""


class MemoryTrimmer:
    """Returns freed memory to the system, some `seconds` after the first end of work.

    glibc would keep it: 140 MB after a dozen stopped scores. What work left in cycles is collected
    before: with collections as rare as `keep_what_is_there` makes them, it was 40 MB in median.
    """

    def __init__(self, trim: Callable[[], object] | None = None, seconds: float = 5.0) -> None:
        self._trim = trim or trim_heap
        self._seconds, self._pending, self._lock = seconds, False, threading.Lock()

    def work_ended(self, _work: object = None) -> None:
        """Schedule a trim, unless one is scheduled."""
        with self._lock:
            if self._pending:
                return
            self._pending = True
        timer = threading.Timer(self._seconds, self._now)
        timer.daemon = True
        timer.start()

    def _now(self) -> None:
        with self._lock:
            self._pending = False
        gc.collect()
        self._trim()


def keep_what_is_there() -> None:
    """Exclude all current objects from garbage collection, and enable it for new ones."""
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    gc.enable()
