"""Singular values and directions of matrices, from the smaller Gram matrix in float64."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
from jaxtyping import Float, Float64
from numpy import ndarray
from threadpoolctl import ThreadpoolController

Matrix: TypeAlias = Float[ndarray, "rows columns"]
COLUMNS = 4096
"""Columns of a block in float64."""
_NOISE = float(np.finfo(np.float32).eps)
"""Smaller singular values, relative to the largest, are rounding of float32 weights."""


class Singular(NamedTuple):
    """matrix = left @ diag(values) @ right, without directions that are rounding."""

    values: Float64[ndarray, " rank"]
    """Falling, above 0."""
    left: Float64[ndarray, "rows rank"]
    """Orthonormal columns."""
    right: Float64[ndarray, "rank columns"]
    """Orthonormal rows."""

    def first(self, count: int) -> Singular:
        """The strongest directions."""
        return Singular(self.values[:count], self.left[:, :count], self.right[:count])


def singular(matrix: Matrix, most: int | None = None) -> Singular:
    """The strongest directions of a matrix, by default all.

    Machines with other linear algebra may differ in the last bits.
    """
    tall = matrix.shape[0] > matrix.shape[1]
    flat = matrix.T if tall else matrix
    with one_blas_thread():
        values, near = directions_of(flat, most)
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
    flat: Matrix, most: int | None = None
) -> tuple[Float64[ndarray, " rank"], Float64[ndarray, "rows rank"]]:
    """The strongest singular values of a flat matrix, and the directions of its rows.

    The largest element of each direction is positive.
    """
    squares, vectors = np.linalg.eigh(_gram(flat))
    values = _roots(squares)
    rank = rank_of(values[:most])
    vectors = vectors[:, ::-1][:, :rank]
    signs = np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(rank)])
    return values[:rank], vectors * signs


def rank_of(values: Float64[ndarray, " values"]) -> int:
    """How many of falling singular values are more than rounding of float32 weights."""
    return int(np.count_nonzero(values > values[:1].sum() * _NOISE))


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


def one_blas_thread() -> AbstractContextManager[object]:
    """Products in the block take one thread: several beside other threads are 30 times slower."""
    limit: AbstractContextManager[object] = _blas().limit(limits=1, user_api="blas")
    return limit


@cache
def _blas() -> ThreadpoolController:
    """Made once: it looks at all loaded libraries."""
    return ThreadpoolController()
