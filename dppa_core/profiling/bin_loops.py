"""The loops over counted bins in numpy, for a process that has not loaded the compiled ones.

The results equal those of `dppa_core.kernels.binned`, bit by bit.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt32
from numpy import ndarray

from dppa_core.kernels.ready import usual_backend
from dppa_core.pruning.delta_profile import OPEN_BITS

_Row = Int64[ndarray, " _"]
Part = tuple[_Row, _Row, _Row, Float64[ndarray, "_ _"]]
"""Words, counts, places and sums."""


def bin_loops() -> Any:
    """The compiled loops, if numba computes or is ready; else this module."""
    if "dppa_core.kernels.numba_backend" in sys.modules or usual_backend(0) == "numba":
        from dppa_core.kernels import binned  # noqa: PLC0415  (numba, where it is used)

        return binned
    return sys.modules[__name__]


def unpack(
    words: Int64[ndarray, " n"],
    counts: Int64[ndarray, " n"],
    places: Int64[ndarray, " n"],
    bits: UInt32[ndarray, " n"],
    excess: Float32[ndarray, " n"],
) -> None:
    """See `binned.unpack`."""
    opened = words & 1
    bits[:] = (words >> 1 << OPEN_BITS) | opened
    excess[:] = np.where(opened, places / counts - 1, 0)


def sum_up(
    bits: UInt32[ndarray, " n"],
    counts: Int64[ndarray, " n"],
    excess: Float32[ndarray, " n"],
    below: Int64[ndarray, " edges"],
    energy: Float64[ndarray, " edges"],
    products: Float64[ndarray, " n"],
) -> None:
    """See `binned.sum_up`."""
    step = np.maximum(bits & 0x7F800000, 0x00800000).astype(np.uint32).view(np.float32)
    wide = bits.view(np.float32).astype(np.float64)
    mean = wide + excess.astype(np.float64) * (step.astype(np.float64) * 2.0**-23)
    below[0], below[1:], energy[-1] = 0, np.cumsum(counts), 0
    products[:] = mean * counts
    energy[:-1] = np.cumsum((mean * mean * counts)[::-1])[::-1]


def join(
    first: Part,
    second: Part,
    words: Int64[ndarray, " room"],
    counts: Int64[ndarray, " room"],
    places: Int64[ndarray, " room"],
    sums: Float64[ndarray, "some two"],
) -> int:
    """See `binned.join`."""
    union = np.union1d(first[0], second[0])
    words[: union.size] = union
    rows = [row[: union.size] for row in (counts, places, sums)]
    for row in rows:
        row[:] = 0
    for part in (first, second):
        indices = np.searchsorted(union, part[0])
        for row, values in zip(rows, part[1:], strict=True):
            if row.size:
                row[indices] += values
    return union.size
