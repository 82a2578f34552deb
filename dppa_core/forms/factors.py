"""Low-rank matrices as their two factors: joined, taken back to a rank, and what that loses.

The product itself is never made.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from dppa_core.forms.spectra import strongest
from dppa_core.methods.shared.singular import Factors, rank_of
from dppa_core.system.threads import one_blas_thread

_ROWS = 256
"""Rows of a block in float64."""


def truncated(delta: Float32[ndarray, "rows columns"], rank: int) -> Factors:
    """The strongest directions of a matrix; fewer than `rank` if it has fewer."""
    spectrum = strongest(delta, rank)
    return Factors(spectrum.left, spectrum.right)


def joined(parts: Sequence[Factors], weights: Sequence[float]) -> Factors:
    """The sum of weight times product: the factors side by side, weights in the left one.

    Args:
        parts: At least one.
    """
    left = [np.float32(weight) * part.left for part, weight in zip(parts, weights, strict=True)]
    return Factors(np.hstack(left), np.vstack([part.right for part in parts]))


def reduced(factors: Factors, rank: int) -> Factors:
    """The strongest directions of a product, from the decomposition of a small core."""
    with one_blas_thread():
        left, right, core = factors.around()
        head, values, tail = np.linalg.svd(core)
        rank = min(rank, rank_of(values))
        roots = np.sqrt(values[:rank])
        wide, high = left @ (head[:, :rank] * roots), (roots[:, None] * tail[:rank]) @ right.T
    return Factors(wide.astype(np.float32), high.astype(np.float32))


def values_of(factors: Factors) -> Float64[ndarray, " values"]:
    """The singular values of a product, falling."""
    with one_blas_thread():
        return np.asarray(np.linalg.svd(factors.around()[2], compute_uv=False))


def energy_of(factors: Factors) -> float:
    """The sum of the squares of a product."""
    with one_blas_thread():
        left, right = (part.astype(np.float64) for part in factors)
        return max(float(np.vdot(left.T @ left, right @ right.T)), 0.0)


def lost_of_product(factors: Factors, kept: Factors) -> float:
    """The sum of the squares of the difference of two products."""
    return energy_of(joined((factors, kept), (1.0, -1.0)))


def lost_of_matrix(delta: Float32[ndarray, "rows columns"], kept: Factors | None = None) -> float:
    """The sum of the squares of what a product, if there is any, leaves of a matrix."""
    total = 0.0
    with one_blas_thread():
        for start in range(0, delta.shape[0], _ROWS):
            rows = slice(start, start + _ROWS)
            rest = delta[rows].astype(np.float64)
            if kept is not None:
                rest -= kept.left[rows].astype(np.float64) @ kept.right.astype(np.float64)
            total += float(np.vdot(rest, rest))
    return total
