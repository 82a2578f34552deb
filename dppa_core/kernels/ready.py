"""Loads compiled loops from disk without loading the compiler.

Before reading a compiled function numba loads all its typing and lowering rules, which takes over
0.1 s. They are needed only for compiling, and the compiler loads them itself.
"""

from __future__ import annotations

import threading
from typing import Any

from numba.core.runtime import nrt

_READING = threading.Lock()


def read_at_once(compiled: Any) -> None:
    """Make numba read a cached function from disk directly."""
    cache = compiled._cache

    def load(signature: Any, context: Any) -> Any:
        nrt.rtsys.initialize(context)  # for arrays allocated by loops
        with cache._guard_against_spurious_io_errors():
            return cache._load_overload(signature, context)

    cache.load_overload = load


def was_compiled(compiled: Any, signature: Any) -> bool:
    """Read a loop for these types of arguments, if it is on disk; other types are then refused."""
    with _READING:
        if compiled.signatures:
            return True
        target = compiled.targetctx
        found = compiled._cache.load_overload(signature, target)
        if found is not None:
            target.insert_user_function(found.entry_point, found.fndesc, [found.library])
            compiled.add_overload(found)
            compiled.disable_compile()
        return found is not None
