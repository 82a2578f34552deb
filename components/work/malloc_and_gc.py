"""How this process keeps memory: in few heaps, given back after work, seldom searched.

What is searched for is garbage, by Python's collector.
"""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

HEAPS = 2
"""That the C library makes: of its own accord it makes eight a core, and what one thread has let go
of in its heap stays there, unused by the others."""
_M_ARENA_MAX = -8
_YOUNG, _MIDDLE, _OLD = 5_000, 10, 50
"""Objects made before the new ones are looked through, and rounds before the older ones are: to
look through all of them holds everybody up for a tenth of a second."""


def few_heaps() -> None:
    """Before the first thread; where the C library is not GNU's, nothing happens."""
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, HEAPS)


class MemoryTrimmer:
    """Gives memory that work has freed back to the system, some seconds after it has ended.

    The C library keeps it for itself otherwise: 140 MB after a dozen scores that were stopped.
    """

    def __init__(self, trim: Callable[[], object] | None = None, seconds: float = 5.0) -> None:
        """
        Args:
            trim: Gives it back; of another C library than GNU's there is no such function.
            seconds: From the first end of work to the trim, which others' ends do not delay.
        """
        self._trim = trim or _malloc_trim
        self._seconds, self._pending, self._lock = seconds, False, threading.Lock()

    def work_ended(self, _work: object = None) -> None:
        """Trim soon, if that is not due already."""
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
        self._trim()


def _malloc_trim() -> None:
    if sys.platform == "linux":
        with suppress(AttributeError):
            ctypes.CDLL(None).malloc_trim(0)


def keep_what_is_there() -> None:
    """What was made until now stays, and is never looked through again."""
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    gc.enable()
