"""One tensor's |d|, or another score, counted in bins: from weights to a profile of kilobytes.

Knows the weights of one pair of tensors, not checkpoints. Counts and sums are integers: the
result is the same however a tensor is cut into slices.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64, UInt32, UInt64
from numpy import ndarray

from dppa_core.chunks import Loader, TensorPair, slices
from dppa_core.deltas import OPEN_BITS, ModuleProfile
from dppa_core.errors import NonFiniteWeights
from dppa_core.floats import to_float32
from dppa_core.modules import Module
from dppa_core.pairs import check_finite
from dppa_core.score_binning import Tallied, split_scores
from dppa_core.scoring import Scoring

EXACT_NUMEL = 1 << 18
"""Up to this size an open bin is split into one bin for every distinct |d|, …"""
EXACT_VALUES = 1 << 15
"""… if there are no more bins than this in all."""

_LOW = np.uint32((1 << OPEN_BITS) - 1)
_INFINITE = 2 * (0x7F800000 >> OPEN_BITS)  # the first word of what is not finite
_LANES = 1024


@dataclass(frozen=True, slots=True, eq=False)
class Bins:
    """What was counted in a part of a tensor."""

    words: Int64[ndarray, " bins"]
    """Index of the word, ascending: see `Kernels.histogram`."""
    counts: Int64[ndarray, " bins"]
    places: Int64[ndarray, " bins"]
    """Sum of the elements' places in their bin."""
    base_square: float
    """Sum of squares of the base's weights."""
    sums: Float64[ndarray, "bins two"] | None = None
    """Sums of |d| and d² in each bin, where another score than |d| was counted."""


class Counter:
    """Counts parts of tensors, one after the other. For one thread only.

    Args:
        loader: What to read and count with.
    """

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._words = np.zeros(1 << (32 - OPEN_BITS), np.uint64)
        self._tallied: Tallied | None = None

    def count(
        self,
        pair: TensorPair,
        start: int,
        stop: int,
        scoring: Scoring | None = None,
        base_square: float | None = None,
    ) -> Bins:
        """Count the elements from `start` to `stop`, at most 2**24 of them, by |d| or a score.

        Args:
            pair: Both sides.
            start: Flat index of the first element.
            stop: Flat index after the last one.
            scoring: What ranks the elements, if not |d|.
            base_square: The sum of squares of the base's weights, where it is known.
        """
        span = np.array([0xFFFFFFFF, 0], np.uint32)
        lanes, kernels = np.zeros(_LANES), self._loader.kernels
        if scoring is not None and self._tallied is None:
            self._tallied = Tallied()
        read = self._loader.runs if scoring is None else self._loader.chunks
        for first, base, tuned in read(pair, start, stop):
            ranked = base, tuned
            if scoring is not None and self._tallied is not None:
                ranked = self._tallied.scores(kernels, scoring, first, base, tuned)
            kernels.histogram(*ranked, self._words, span)
            if base_square is None:
                kernels.sum_squares(base, lanes)
        live, words = self._drain(span)
        sums = None if scoring is None or self._tallied is None else self._tallied.drain(live)
        counts, places = (words >> np.uint64(40)), words & np.uint64((1 << 40) - 1)
        square = _folded(lanes) if base_square is None else base_square
        return Bins(live, counts.astype(np.int64), places.astype(np.int64), square, sums)

    def _drain(
        self, span: UInt32[ndarray, " two"]
    ) -> tuple[Int64[ndarray, " b"], UInt64[ndarray, " b"]]:
        """The words written to, which are 0 again afterwards."""
        first, last = int(span[0]) + 1, int(span[1])
        live = first + np.flatnonzero(self._words[first : last + 1] != 0)
        if self._words[0]:
            live = np.concatenate([[0], live])
        words = self._words[live]
        self._words[live] = 0
        return live, words


def _folded(lanes: Float64[ndarray, " L"]) -> float:
    while lanes.size > 1:
        lanes = lanes[: lanes.size // 2] + lanes[lanes.size // 2 :]
    return float(lanes[0])


def joined(parts: Sequence[Bins]) -> Bins:
    """The bins of a whole tensor from those of its parts, in their order."""
    if len(parts) == 1:
        return parts[0]
    words, where = np.unique(np.concatenate([part.words for part in parts]), return_inverse=True)
    counts, places = np.zeros((2, words.size), np.int64)
    np.add.at(counts, where, np.concatenate([part.counts for part in parts]))
    np.add.at(places, where, np.concatenate([part.places for part in parts]))
    square = sum(part.base_square for part in parts)
    if parts[0].sums is None:
        return Bins(words, counts, places, square)
    sums = np.zeros((words.size, 2))
    np.add.at(sums, where, np.concatenate([part.sums for part in parts if part.sums is not None]))
    return Bins(words, counts, places, square, sums)


def profile_tensor(
    loader: Loader,
    module: Module,
    pair: TensorPair,
    names: tuple[str, str] = ("base", "domain model"),
    scoring: Scoring | None = None,
) -> ModuleProfile:
    """Profile one tensor.

    Args:
        loader: What to read and count with.
        module: What the tensor is.
        pair: Both sides of it; not empty.
        names: Of base and domain model, for messages.
        scoring: What ranks its elements, if not |d|.

    Raises:
        NonFiniteWeights: NaN or infinity on either side, or a delta too large for float32.
    """
    counter = Counter(loader)
    parts = [counter.count(pair, start, stop, scoring) for start, stop in slices(pair.numel)]
    return profile_of_bins(module, pair, joined(parts), names, scoring)


def profile_of_bins(
    module: Module,
    pair: TensorPair,
    bins: Bins,
    names: tuple[str, str],
    scoring: Scoring | None = None,
) -> ModuleProfile:
    """The profile of a tensor, all of whose elements were counted.

    Raises:
        NonFiniteWeights: NaN or infinity on either side, or a delta too large for float32.
    """
    if bins.words[-1] >= _INFINITE:
        raise_not_finite(pair, names)
    if scoring is not None and bins.sums is not None:
        return _profile_of_scores(module, pair, bins, bins.sums, scoring)
    opened = (bins.words & 1).astype(np.uint32)
    bits = (bins.words >> 1).astype(np.uint32) << OPEN_BITS | opened
    if opened.any() and pair.numel <= EXACT_NUMEL:
        exact = _split(pair, bits[opened == 0], bins.counts[opened == 0])
        if exact[0].size <= EXACT_VALUES:
            magnitudes, counts = exact
            none = np.zeros(counts.size, np.float32)
            return ModuleProfile(
                module, magnitudes.view(np.float32), counts, none, bins.base_square
            )
    excess = (bins.places / bins.counts - opened).astype(np.float32)
    return ModuleProfile(module, bits.view(np.float32), bins.counts, excess, bins.base_square)


def _split(
    pair: TensorPair, bits: UInt32[ndarray, " closed"], counts: Int64[ndarray, " closed"]
) -> tuple[UInt32[ndarray, " values"], Int64[ndarray, " values"]]:
    """Bins of one magnitude each: those that are so already, and those of all other elements."""
    base = to_float32(pair.base, pair.base_dtype)
    delta = np.abs(to_float32(pair.finetuned, pair.finetuned_dtype) - base).view(np.uint32)
    values, found = np.unique(delta[(delta & _LOW) != 0], return_counts=True)
    every = np.concatenate([bits, values])
    order = np.argsort(every, kind="stable")  # of two ascending runs: merged, not sorted
    return every[order], np.concatenate([counts, found])[order].astype(np.int64)


def _profile_of_scores(
    module: Module,
    pair: TensorPair,
    bins: Bins,
    sums: Float64[ndarray, "bins two"],
    scoring: Scoring,
) -> ModuleProfile:
    if pair.numel <= EXACT_NUMEL:
        values, found, exact = split_scores(pair, scoring)
        if values.size <= EXACT_VALUES:
            none = np.zeros(values.size, np.float32)
            total = float(exact[:, 0].sum())
            return ModuleProfile(
                module, values, found, none, bins.base_square, exact[:, 1].copy(), total
            )
    opened = (bins.words & 1).astype(np.uint32)
    bits = (bins.words >> 1).astype(np.uint32) << OPEN_BITS | opened
    excess = (bins.places / bins.counts - opened).astype(np.float32)
    return ModuleProfile(
        module,
        bits.view(np.float32),
        bins.counts,
        excess,
        bins.base_square,
        sums[:, 1].copy(),
        float(sums[:, 0].sum()),
    )


def raise_not_finite(pair: TensorPair, names: tuple[str, str]) -> None:
    """Say which side of a pair is not finite.

    Raises:
        NonFiniteWeights: always.
    """
    check_finite(pair.base, pair.base_dtype, pair.name, names[0])
    check_finite(pair.finetuned, pair.finetuned_dtype, pair.name, names[1])
    raise NonFiniteWeights(
        f"{pair.name}: {names[1]} minus {names[0]}, or its score, is too large for float32 "
        "(3.4e38). A damaged file is the usual cause."
    )
