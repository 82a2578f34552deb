"""Compiled loops read from disk, without all that only compiling takes.

Knows numba's cache, no loops. Before it reads a compiled function numba loads everything it knows
how to compile, which takes more than a tenth of a second. Where nothing is compiled none of it is
used; the compiler loads it by itself.
"""

from __future__ import annotations

from typing import Any

from numba.core.runtime import nrt


def read_at_once(compiled: Any) -> None:
    """Have a function that numba keeps on disk read from there without further ado."""
    cache = compiled._cache

    def load(signature: Any, context: Any) -> Any:
        nrt.rtsys.initialize(context)  # for arrays that loops make for themselves
        with cache._guard_against_spurious_io_errors():
            return cache._load_overload(signature, context)

    cache.load_overload = load
