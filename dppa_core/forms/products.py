"""Products of narrow matrices, with the same bits on every machine."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

_ROWS = 64
"""Rows per block; a block fits a core's cache in float64."""


def add_product(
    weight: Float32[ndarray, "rows columns"],
    left: Float32[ndarray, "rows rank"],
    right: Float32[ndarray, "rank columns"],
    scale: float,
    norms: Float32[ndarray, " rows"] | None = None,
) -> Float32[ndarray, "rows columns"]:
    """weight + scale * left @ right in float64, rounded to float32 once.

    The sum over the rank runs in order, element by element, so that the last bit does not depend on
    the machine's math library.

    Args:
        left: B, or A transposed.
        right: A, or B transposed.
        scale: alpha / r, or alpha / sqrt(r).
        norms: For DoRA, the Euclidean norm each row of the sum is scaled to.
    """
    from dppa_core.kernels.fused import add_product as compiled  # noqa: PLC0415  (numba)

    out = np.empty(weight.shape, np.float32)
    fast = compiled() if norms is None and weight.flags.c_contiguous else None
    if fast is not None:
        wide = (np.ascontiguousarray(part, np.float64) for part in (left, right))
        mapped = not weight.flags.writeable  # another type to the compiler
        fast(weight.copy() if mapped else weight, *wide, float(scale), out)
        return out
    for start in range(0, weight.shape[0], _ROWS):
        rows = slice(start, start + _ROWS)
        total = _product(left[rows], right)
        total *= scale
        total += weight[rows]
        if norms is not None:
            lengths = np.sqrt(np.square(total).sum(axis=1))
            total *= (norms[rows] / np.maximum(lengths, np.finfo(np.float64).tiny))[:, None]
        out[rows] = total
    return out


def _product(
    left: Float32[ndarray, "some rank"], right: Float32[ndarray, "rank columns"]
) -> Float64[ndarray, "some columns"]:
    total = np.zeros((left.shape[0], right.shape[1]))
    term = np.empty_like(total)
    for column, row in zip(left.T.astype(np.float64), right.astype(np.float64), strict=True):
        np.multiply(column[:, None], row[None, :], out=term)
        total += term
    return total
