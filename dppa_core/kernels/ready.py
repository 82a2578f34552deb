"""Loads compiled loops from disk without loading the compiler.

Before reading a compiled function numba loads all its typing and lowering rules, which takes over
0.1 s. They are needed only for compiling, and the compiler loads them itself.
"""

from __future__ import annotations

from typing import Any

from numba.core.runtime import nrt


def read_at_once(compiled: Any) -> None:
    """Make numba read a cached function from disk directly."""
    cache = compiled._cache

    def load(signature: Any, context: Any) -> Any:
        nrt.rtsys.initialize(context)  # for arrays allocated by loops
        with cache._guard_against_spurious_io_errors():
            return cache._load_overload(signature, context)

    cache.load_overload = load
