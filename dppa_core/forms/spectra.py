"""Singular values and vectors of deltas, from the smaller Gram matrix in float64."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cache

import numpy as np
import xxhash
from jaxtyping import Float32, Float64
from numpy import ndarray
from threadpoolctl import ThreadpoolController

from dppa_core.system.recent import Recent

_CACHED_BYTES = 256 << 20
_COLUMNS = 4096
"""Columns of a block in float64."""
_NOISE = float(np.finfo(np.float32).eps)
"""Smaller singular values, relative to the largest, are rounding of float32 weights."""


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """delta = left @ right, by falling singular value."""

    values: Float64[ndarray, " rank"]
    """The singular values, without those that are rounding."""
    left: Float32[ndarray, "rows rank"]
    """Left vectors, each times the root of its value."""
    right: Float32[ndarray, "rank columns"]
    """Right vectors, likewise."""

    @property
    def nbytes(self) -> int:
        """Bytes in memory."""
        return int(self.values.nbytes + self.left.nbytes + self.right.nbytes)


_cached = Recent(_CACHED_BYTES, lambda spectrum: spectrum.nbytes)


def spectrum_of(delta: Float32[ndarray, "rows columns"]) -> Spectrum:
    """The whole spectrum of a matrix; recent ones are cached.

    The largest element of each left vector is positive. Machines with other linear algebra may
    differ in the last bits of a vector.
    """
    key = delta.shape, xxhash.xxh3_128_digest(delta.tobytes())
    cached: Spectrum | None = _cached.find(key)
    return cached or _keep(key, _decompose(delta))


def strongest(delta: Float32[ndarray, "rows columns"], rank: int) -> Spectrum:
    """The first `rank` directions of a matrix, at most; nothing is cached."""
    return _decompose(delta, rank)


def rank_of(values: Float64[ndarray, " values"]) -> int:
    """How many of falling singular values are more than rounding of float32 weights."""
    return int(np.count_nonzero(values > values[:1].sum() * _NOISE))


def _keep(key: Hashable, spectrum: Spectrum) -> Spectrum:
    _cached.keep(key, spectrum)
    return spectrum


def singular_values(delta: Float32[ndarray, "rows columns"]) -> Float64[ndarray, " values"]:
    """Those of a matrix, falling, without its directions; nothing is cached."""
    with one_blas_thread():
        return _roots(np.linalg.eigvalsh(_gram(delta if len(delta) <= len(delta.T) else delta.T)))


def _decompose(delta: Float32[ndarray, "rows columns"], most: int | None = None) -> Spectrum:
    tall = delta.shape[0] > delta.shape[1]
    flat = delta.T if tall else delta
    with one_blas_thread():
        squares, vectors = np.linalg.eigh(_gram(flat))
        values = _roots(squares)
        rank = rank_of(values[:most])
        values, vectors = values[:rank], vectors[:, ::-1][:, :rank]
        vectors = vectors * np.sign(vectors[np.abs(vectors).argmax(axis=0), np.arange(rank)])
        roots, far = np.sqrt(values), np.empty((rank, flat.shape[1]), np.float32)
        for block in _blocks(flat):
            far[:, block] = vectors.T @ flat[:, block].astype(np.float64) / roots[:, None]
    near = (vectors * roots).astype(np.float32)
    left, right = (far.T, near.T) if tall else (near, far)
    return Spectrum(values, np.ascontiguousarray(left), np.ascontiguousarray(right))


def _gram(flat: Float32[ndarray, "rows columns"]) -> Float64[ndarray, "rows rows"]:
    gram = np.zeros((flat.shape[0],) * 2)
    for block in _blocks(flat):
        wide = flat[:, block].astype(np.float64)
        gram += wide @ wide.T
    return gram


def _blocks(flat: Float32[ndarray, "rows columns"]) -> list[slice]:
    return [slice(start, start + _COLUMNS) for start in range(0, flat.shape[1], _COLUMNS)]


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
