"""Deltas as products of their singular directions, in float32."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import xxhash
from jaxtyping import Float32, Float64
from numpy import ndarray

from dppa_core.methods.shared.singular import blocks_of, directions_of
from dppa_core.system.recent import Recent
from dppa_core.system.threads import one_blas_thread

_CACHED_BYTES = 256 << 20


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


def _keep(key: Hashable, spectrum: Spectrum) -> Spectrum:
    _cached.keep(key, spectrum)
    return spectrum


def _decompose(delta: Float32[ndarray, "rows columns"], most: int | None = None) -> Spectrum:
    tall = delta.shape[0] > delta.shape[1]
    flat = delta.T if tall else delta
    with one_blas_thread():
        values, vectors = directions_of(flat, most)
        roots, far = np.sqrt(values), np.empty((len(values), flat.shape[1]), np.float32)
        for block in blocks_of(flat):
            far[:, block] = vectors.T @ flat[:, block].astype(np.float64) / roots[:, None]
    near = (vectors * roots).astype(np.float32)
    left, right = (far.T, near.T) if tall else (near, far)
    return Spectrum(values, np.ascontiguousarray(left), np.ascontiguousarray(right))
