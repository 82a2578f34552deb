"""Singular values and directions of matrices, from the smaller Gram matrix in float64."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray

from dppa_core.system.threads import one_blas_thread

Matrix: TypeAlias = Float[ndarray, "rows columns"]
COLUMNS = 4096
"""Columns of a block in float64."""
NOISE = float(np.finfo(np.float32).eps)
"""Smaller singular values, relative to the largest, are rounding in float32."""
_MULTIPLY_RATE = 2e10
"""Additions and multiplications a second of one core that decomposes matrices."""


class Factors(NamedTuple):
    """left @ right."""

    left: Float[ndarray, "rows rank"]
    right: Float[ndarray, "rank columns"]

    @property
    def rank(self) -> int:
        """Columns of the left factor."""
        return int(self.left.shape[1])

    @property
    def turned(self) -> Factors:
        """The transposed product."""
        return Factors(self.right.T, self.left.T)

    def balanced(self) -> Factors:
        """The same product by its directions, from the decomposition of a small core."""
        if not self.rank:
            return self
        with one_blas_thread():
            left, right, core = self.around()
            head, values, tail = np.linalg.svd(core)
        rank = rank_of(values)
        parts = Singular(values[:rank], left @ head[:, :rank], tail[:rank] @ right.T)
        return parts.balanced()

    def around(self) -> tuple[Float64[ndarray, ...], ...]:
        """With left = Q R and rightᵀ = P S: Q, P, and the core R Sᵀ.

        The core has the singular values of the product.
        """
        left, near = np.linalg.qr(self.left.astype(np.float64))
        right, far = np.linalg.qr(self.right.T.astype(np.float64))
        return left, right, near @ far.T


class Singular(NamedTuple):
    """matrix = left @ diag(values) @ right, without directions that are rounding."""

    values: Float64[ndarray, " rank"]
    """Falling, above 0."""
    left: Float64[ndarray, "rows rank"]
    """Orthonormal columns."""
    right: Float64[ndarray, "rank columns"]
    """Orthonormal rows."""

    def balanced(self) -> Factors:
        """Either side times the root of the values."""
        roots = np.sqrt(self.values)
        return Factors(self.left * roots, roots[:, None] * self.right)


def singular(matrix: Matrix, most: int | None = None, above: float = 0.0) -> Singular:
    """The strongest directions of a matrix, by default all whose values are above a bound.

    Machines with other linear algebra may differ in the last bits.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    flat = matrix.T if tall else matrix
    with one_blas_thread():
        values, near = directions_of(flat, most, above)
        far = np.empty((len(values), flat.shape[1]))
        for block in blocks_of(flat):
            far[:, block] = near.T @ flat[:, block].astype(np.float64) / values[:, None]
    return Singular(values, far.T, near.T) if tall else Singular(values, near, far)


def singular_values(matrix: Matrix) -> Float64[ndarray, " values"]:
    """Those of a matrix, falling, rounding included, without its directions."""
    flat = matrix if len(matrix) <= len(matrix.T) else matrix.T
    with one_blas_thread():
        return _roots(np.linalg.eigvalsh(_gram(flat)))


def directions_of(
    flat: Matrix, most: int | None = None, above: float = 0.0
) -> tuple[Float64[ndarray, " rank"], Float64[ndarray, "rows rank"]]:
    """The strongest singular values of a flat matrix, and the directions of its rows.

    The largest element of each direction is positive.
    """
    if not flat.size:
        return np.zeros(0), np.zeros((len(flat), 0))
    squares, vectors = np.linalg.eigh(_gram(flat))
    values = _roots(squares)
    rank = rank_of(values[:most], above)
    vectors = vectors[:, ::-1][:, :rank]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(rank)])
    return values[:rank], vectors * signs


def decompose_seconds(shapes: Iterable[tuple[int, ...]]) -> float:
    """About the seconds of one core that decomposes matrices of these shapes."""
    sides = map(sorted, shapes)
    return sum(9.0 * low**3 + 4.0 * low**2 * high for low, high in sides) / _MULTIPLY_RATE


def rank_of(values: Float64[ndarray, " values"], above: float = 0.0) -> int:
    """How many of falling singular values are more than rounding in float32, and above a bound."""
    return int(np.count_nonzero(values > max(values[:1].sum() * NOISE, above)))


def blocks_of(flat: Matrix) -> list[slice]:
    """Its columns, some at a time."""
    return [slice(start, start + COLUMNS) for start in range(0, flat.shape[1], COLUMNS)]


def _gram(flat: Matrix) -> Float64[ndarray, "rows rows"]:
    gram = np.zeros((flat.shape[0],) * 2)
    for block in blocks_of(flat):
        wide = flat[:, block].astype(np.float64)
        gram += wide @ wide.T
    return gram


def _roots(squares: Float64[ndarray, " values"]) -> Float64[ndarray, " values"]:
    """The singular values of rising eigenvalues."""
    return np.asarray(np.sqrt(np.maximum(squares[::-1], 0)))
