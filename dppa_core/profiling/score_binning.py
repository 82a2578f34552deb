"""Scores counted in bins, with the sums of |d| and d² in each bin."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK, TensorPair
from dppa_core.kernels import get_backend
from dppa_core.kernels.protocol import Kernels, Stored
from dppa_core.profiling.significance import Scoring
from dppa_core.pruning.delta_profile import OPEN_BITS
from dppa_core.pruning.floats import to_float32


class Tallied:
    """Scores of one chunk at a time, and the sums of the bins they fall into. For one thread."""

    def __init__(self) -> None:
        self._sums = np.zeros((1 << (32 - OPEN_BITS), 2))
        self._zeros, self._scores = np.zeros(CHUNK, np.float32), np.empty(CHUNK, np.float32)

    def scores(
        self, kernels: Kernels, scoring: Scoring, start: int, base: Stored, tuned: Stored
    ) -> tuple[Stored, Stored]:
        """Zeros and scores, to be counted as the two sides of a delta."""
        scores = self._scores[: base.size]
        scoring.score(kernels, base, tuned, start, scores)
        kernels.sum_by_bin(base, tuned, scores, self._sums)
        return self._zeros[: base.size], scores

    def drain(self, live: Int64[ndarray, " bins"]) -> Float64[ndarray, "bins two"]:
        """Sums of the bins that were written to; resets them to 0."""
        sums: Float64[ndarray, "bins two"] = self._sums[live]
        self._sums[live] = 0
        return sums


def split_scores(
    pair: TensorPair, scoring: Scoring
) -> tuple[Float32[ndarray, " values"], Int64[ndarray, " values"], Float64[ndarray, "values two"]]:
    """One bin for every score of a small tensor: scores, counts, and sums of |d| and d²."""
    base = to_float32(pair.base, pair.base_dtype)
    tuned = to_float32(pair.finetuned, pair.finetuned_dtype)
    scores = np.empty(pair.numel, np.float32)
    scoring.score(get_backend("numba"), base, tuned, 0, scores)
    values, where, counts = np.unique(scores, return_inverse=True, return_counts=True)
    size = np.abs(tuned - base).astype(np.float64)
    sums = np.zeros((values.size, 2))
    np.add.at(sums, where, np.stack([size, size * size], axis=1))
    return values, counts.astype(np.int64), sums
