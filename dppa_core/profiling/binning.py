"""One tensor's |d|, or another score, counted in bins: from weights to a profile of kilobytes.

Counts and sums are integers: the result is the same however a tensor is cut into slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt32
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK, Loader, TensorPair, slices
from dppa_core.checkpoints.matching import check_finite
from dppa_core.errors import NonFiniteWeights
from dppa_core.kernels import get_backend
from dppa_core.kernels.protocol import Kernels, Stored, Tally
from dppa_core.profiling.bin_loops import bin_loops
from dppa_core.profiling.significance import Scoring
from dppa_core.pruning.delta_profile import OPEN_BITS, ModuleProfile
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.module_groups import Module

EXACT_NUMEL = 1 << 18
"""Up to this size an open bin is split into one bin for every distinct |d|, …"""
EXACT_VALUES = 1 << 15
"""… if there are no more bins than this in all."""

_LOW = np.uint32((1 << OPEN_BITS) - 1)
_INFINITE = 2 * (0x7F800000 >> OPEN_BITS)  # first word of non-finite values
_LANES = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """Counts of a part of a tensor."""

    words: Int64[ndarray, " bins"]
    """Index of the word, ascending: see `Kernels.histogram`."""
    counts: Int64[ndarray, " bins"]
    places: Int64[ndarray, " bins"]
    """Sum of the elements' places in their bin."""
    base_square: float
    """Sum of squares of the base's weights."""
    sums: Float64[ndarray, "bins two"] | None = None
    """Sums of |d| and d² in each bin, if another score than |d| was counted."""
    inside: UInt32[ndarray, " n"] | None = None
    """Bits of all |d| inside their bin; None if they were not kept."""


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


class Counter:
    """Counts parts of tensors, one after the other. For one thread only."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._tallies: list[Tally] = []
        self._tallied: list[Tallied] = []

    def count(
        self,
        pairs: Sequence[TensorPair],
        start: int,
        stop: int,
        scorings: Sequence[Scoring | None],
    ) -> tuple[Bins, ...]:
        """Count the elements from `start` to `stop`, at most 2**24 of them, by |d| or a score.

        Args:
            pairs: Tensors of some models, each beside the same tensor of their base.
            scorings: Ranks the elements of each pair, if not |d|.
        """
        kernels, lanes = self._loader.kernels, np.zeros(_LANES)
        while len(self._tallies) < len(pairs):
            self._tallies.append(Tally())
        if any(scorings) and len(self._tallied) < len(pairs):
            self._tallied = [Tallied() for _ in pairs]
        length = CHUNK if any(scorings) else min(map(self._loader.longest, pairs))
        for first in range(start, stop, length):
            for n, (pair, scoring) in enumerate(zip(pairs, scorings, strict=True)):
                base, tuned = self._loader.chunk(pair, first, min(first + length, stop))
                ranked = base, tuned
                if scoring is not None:
                    ranked = self._tallied[n].scores(kernels, scoring, first, base, tuned)
                kernels.histogram(*ranked, self._tallies[n])
                if n == 0:
                    kernels.sum_squares(base, lanes)
        square = _folded(lanes)
        return tuple(self._bins(n, scoring, square) for n, scoring in enumerate(scorings))

    def _bins(self, n: int, scoring: Scoring | None, square: float) -> Bins:
        drained = self._loader.kernels.drain(self._tallies[n])
        sums = self._tallied[n].drain(drained.words) if scoring else None
        return Bins(drained.words, drained.counts, drained.places, square, sums, drained.inside)


def _folded(lanes: Float64[ndarray, " L"]) -> float:
    while lanes.size > 1:
        lanes = lanes[: lanes.size // 2] + lanes[lanes.size // 2 :]
    return float(lanes[0])


def joined(parts: Sequence[Bins]) -> Bins:
    """Bins of a whole tensor, joined from those of its parts in order."""
    return reduce(_join, parts)


def _join(first: Bins, second: Bins) -> Bins:
    room, none = first.words.size + second.words.size, np.empty((0, 2))
    scored = first.sums is not None and second.sums is not None
    words, counts, places = (np.empty(room, np.int64) for _ in range(3))
    sums = np.empty((room, 2)) if scored else none
    parts = (
        (part.words, part.counts, part.places, none if part.sums is None else part.sums)
        for part in (first, second)
    )
    size = bin_loops().join(*parts, words, counts, places, sums)
    square, summed = first.base_square + second.base_square, sums[:size] if scored else None
    kept = counts[:size].copy()  # frees the unused room
    return Bins(words[:size], kept, places[:size], square, summed)


def profile_tensor(
    loader: Loader,
    module: Module,
    pair: TensorPair,
    names: tuple[str, str] = ("base", "domain model"),
    scoring: Scoring | None = None,
) -> ModuleProfile:
    """Profile one tensor.

    Args:
        pair: Both sides of it; not empty.
        scoring: Ranks its elements, if not |d|.

    Raises:
        NonFiniteWeights: NaN or infinity on either side, or a delta too large for float32.
    """
    counter = Counter(loader)
    parts = [counter.count((pair,), *part, (scoring,))[0] for part in slices(pair.numel)]
    return profile_of_bins(module, pair, joined(parts), names, scoring)


def profile_of_bins(
    module: Module,
    pair: TensorPair,
    bins: Bins,
    names: tuple[str, str],
    scoring: Scoring | None = None,
) -> ModuleProfile:
    """The profile of a tensor whose elements were all counted.

    Raises:
        NonFiniteWeights: NaN or infinity on either side, or a delta too large for float32.
    """
    if bins.words[-1] >= _INFINITE:
        _raise_not_finite(pair, names)
    if scoring is not None and bins.sums is not None:
        return _profile_of_scores(module, pair, bins, bins.sums, scoring)
    bits, excess = np.empty(bins.words.size, np.uint32), np.empty(bins.words.size, np.float32)
    binned, counts = bin_loops(), bins.counts
    binned.unpack(bins.words, counts, bins.places, bits, excess)
    if pair.numel <= EXACT_NUMEL and (bits & 1).any():
        inside, closed = _inside(pair) if bins.inside is None else bins.inside, bits & 1 == 0
        exact = _split(inside, bits[closed], counts[closed])
        if exact[0].size <= EXACT_VALUES:
            bits, counts = exact
            excess = np.zeros(counts.size, np.float32)
    below, energy = np.empty(counts.size + 1, np.int64), np.empty(counts.size + 1)
    products = np.empty(counts.size)
    binned.sum_up(bits, counts, excess, below, energy, products)
    sums = below, energy, float(products.sum())
    magnitudes = bits.view(np.float32)
    return ModuleProfile(module, magnitudes, counts, excess, bins.base_square, sums=sums)


def _inside(pair: TensorPair) -> UInt32[ndarray, " n"]:
    """Bits of all |d| inside their bin."""
    base = to_float32(pair.base, pair.base_dtype)
    delta = np.abs(to_float32(pair.finetuned, pair.finetuned_dtype) - base).view(np.uint32)
    return np.asarray(delta[(delta & _LOW) != 0])


def _split(
    inside: UInt32[ndarray, " n"],
    bits: UInt32[ndarray, " closed"],
    counts: Int64[ndarray, " closed"],
) -> tuple[UInt32[ndarray, " values"], Int64[ndarray, " values"]]:
    """Bins of one magnitude each: those that have one already, and those of all other elements."""
    values, repeats = np.unique(inside, return_counts=True)
    every = np.concatenate([bits, values])
    order = np.argsort(every, kind="stable")  # two ascending runs: merged, not sorted
    return every[order], np.concatenate([counts, repeats])[order].astype(np.int64)


def _split_scores(
    pair: TensorPair, scoring: Scoring
) -> tuple[Float32[ndarray, " values"], Int64[ndarray, " values"], Float64[ndarray, "values two"]]:
    """One bin for every score of a small tensor: scores, counts, and sums of |d| and d²."""
    base = to_float32(pair.base, pair.base_dtype)[:]
    tuned = to_float32(pair.finetuned, pair.finetuned_dtype)[:]
    base.flags.writeable = tuned.flags.writeable = False  # as chunks are, see `Loader.chunk`
    scores = np.empty(pair.numel, np.float32)
    scoring.score(get_backend("auto", pair.numel), base, tuned, 0, scores)
    values, positions, counts = np.unique(scores, return_inverse=True, return_counts=True)
    size = np.abs(tuned - base).astype(np.float64)
    sums = np.zeros((values.size, 2))
    np.add.at(sums, positions, np.stack([size, size * size], axis=1))
    return values, counts.astype(np.int64), sums


def _profile_of_scores(
    module: Module,
    pair: TensorPair,
    bins: Bins,
    sums: Float64[ndarray, "bins two"],
    scoring: Scoring,
) -> ModuleProfile:
    if pair.numel <= EXACT_NUMEL:
        values, repeats, exact = _split_scores(pair, scoring)
        if values.size <= EXACT_VALUES:
            none = np.zeros(values.size, np.float32)
            total = float(exact[:, 0].sum())
            return ModuleProfile(
                module, values, repeats, none, bins.base_square, exact[:, 1].copy(), total
            )
    opened = (bins.words & 1).astype(np.uint32)
    bits = (bins.words >> 1).astype(np.uint32) << OPEN_BITS | opened
    excess = (bins.places / bins.counts - opened).astype(np.float32)
    totals = sums[:, 1].copy(), float(sums[:, 0].sum())
    return ModuleProfile(
        module, bits.view(np.float32), bins.counts, excess, bins.base_square, *totals
    )


def _raise_not_finite(pair: TensorPair, names: tuple[str, str]) -> None:
    """Raise the error that names the side of a pair that is not finite."""
    check_finite(pair.base, pair.base_dtype, pair.name, names[0])
    check_finite(pair.finetuned, pair.finetuned_dtype, pair.name, names[1])
    raise NonFiniteWeights(
        f"{pair.name}: {names[1]} minus {names[0]}, or its score, is too large for float32 "
        "(3.4e38). A damaged file is the usual cause."
    )
