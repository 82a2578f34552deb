"""Memory settings of this process: few malloc arenas, trimming after work, rare collections."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

HEAPS = 2
"""Arenas of glibc. By default it makes eight per core; memory freed in one is not reused by the
others."""
_M_ARENA_MAX = -8
_YOUNG, _MIDDLE, _OLD = 5_000, 10, 50
"""Thresholds of `gc.set_threshold`: a full collection stops all threads for a tenth of a second."""


def few_heaps() -> None:
    """Limit the arenas, before the first thread starts; no effect without glibc."""
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, HEAPS)


class MemoryTrimmer:
    """Returns freed memory to the system, some `seconds` after the first end of work.

    glibc would keep it: 140 MB after a dozen stopped scores. What work left in cycles is collected
    before: with collections as rare as `keep_what_is_there` makes them, it was 40 MB in median.
    """

    def __init__(self, trim: Callable[[], object] | None = None, seconds: float = 5.0) -> None:
        self._trim = trim or _malloc_trim
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


def _malloc_trim() -> None:
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def keep_what_is_there() -> None:
    """Exclude all current objects from garbage collection, and enable it for new ones."""
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    gc.enable()
