"""How this process keeps memory: in few heaps, and seldom looked through for garbage.

Knows Python's collector and the C library's allocator, nothing of what is kept.
"""

from __future__ import annotations

import ctypes
import gc
import sys
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


def keep_what_is_there() -> None:
    """What was made until now stays, and is never looked through again."""
    gc.freeze()
    gc.set_threshold(_YOUNG, _MIDDLE, _OLD)
    gc.enable()
