"""The inner loops in numba: the fast implementation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt16, UInt64
from numpy import ndarray

from dppa_core.kernels import counting, elected, fused, loops, ranked
from dppa_core.kernels.protocol import KEPT, Drained, Levels, Stored, Tally
from dppa_core.methods.shared.python_loops import Loops

stacked: Loops = elected
_NEVER, _NO_WEIGHT = np.full((3, 2), np.inf, np.float32), np.zeros((3, 2), np.float32)


def widen(raw: UInt16[ndarray, " n"], out: Float32[ndarray, " n"]) -> None:
    """See `Kernels.widen`."""
    loops.widen(raw, out)


def narrow(values: Float32[ndarray, " n"], out: UInt16[ndarray, " n"]) -> None:
    """See `Kernels.narrow`."""
    loops.narrow(values.view(np.uint32), out)


def largest(values: Float32[ndarray, " n"]) -> float:
    """See `Kernels.largest`."""
    return float(np.uint32(loops.largest(values.view(np.uint32))).view(np.float32))


def add_whole(acc: Float32[ndarray, " n"], base: Stored, tuned: Stored, weight: float) -> None:
    """See `Kernels.add_whole`."""
    loops.add_whole(acc, base, tuned, np.float32(weight))


def add_bands(
    acc: Float32[ndarray, " n"],
    base: Stored,
    tuned: Stored,
    start: int,
    seed: int,
    thresholds: Float32[ndarray, " K"],
    cuts: UInt64[ndarray, " K"],
    weights: Float32[ndarray, " K"],
) -> None:
    """See `Kernels.add_bands`."""
    place = np.uint64(start), np.uint64(seed)
    loops.add_bands(acc, base, tuned, *place, thresholds, cuts, weights)


def add_random(
    acc: Float32[ndarray, " n"],
    base: Stored,
    tuned: Stored,
    start: int,
    seed: int,
    cut: int,
    weight: float,
) -> None:
    """See `Kernels.add_random`."""
    place = np.uint64(start), np.uint64(seed)
    loops.add_random(acc, base, tuned, *place, np.uint64(cut), np.float32(weight))


def score(
    base: Stored,
    tuned: Stored,
    weights: Float32[ndarray, " n"],
    out: Float32[ndarray, " n"],
) -> None:
    """See `Kernels.score`."""
    ranked.score(base, tuned, weights, out)


def score_random(
    base: Stored, tuned: Stored, start: int, seed: int, out: Float32[ndarray, " n"]
) -> None:
    """See `Kernels.score_random`."""
    ranked.score_random(base, tuned, np.uint64(start), np.uint64(seed), out)


def add_ranked(
    acc: Float32[ndarray, " n"],
    base: Stored,
    tuned: Stored,
    scores: Float32[ndarray, " n"],
    start: int,
    seed: int,
    thresholds: Float32[ndarray, " K"],
    cuts: UInt64[ndarray, " K"],
    weights: Float32[ndarray, " K"],
) -> None:
    """See `Kernels.add_ranked`."""
    place = np.uint64(start), np.uint64(seed)
    ranked.add_ranked(acc, base, tuned, scores, *place, thresholds, cuts, weights)


def sum_by_bin(
    base: Stored,
    tuned: Stored,
    scores: Float32[ndarray, " n"],
    sums: Float64[ndarray, "bins two"],
) -> None:
    """See `Kernels.sum_by_bin`."""
    ranked.sum_by_bin(base, tuned, scores, sums)


def fuse(
    base: UInt16[ndarray, " n"],
    tuned: Sequence[UInt16[ndarray, " n"]],
    start: int,
    seed: int,
    levels: Sequence[Levels],
    out: UInt16[ndarray, " n"],
) -> bool:
    """See `Kernels.fuse`."""
    # The base, with delta 0, replaces a missing model; a missing level holds nothing.
    thresholds, cuts, weights = _NEVER.copy(), np.zeros((3, 2), np.uint64), _NO_WEIGHT.copy()
    places = [_address(base)] * 4
    for model, (raw, (mine, ties, factors)) in enumerate(zip(tuned, levels, strict=True)):
        if not raw.size == base.size == out.size or not raw.flags.c_contiguous:
            raise ValueError(f"{raw.size} elements beside {base.size}, or not in one piece")
        places[1 + model], own = _address(raw), mine.size
        thresholds[model, :own], cuts[model, :own], weights[model, :own] = mine, ties, factors
    addresses = np.array(places, np.uint64)
    at = np.uint64(start), np.uint64(seed)
    return bool(fused.fuse(addresses, *at, thresholds, cuts, weights, out) < 0x7F80)


def _address(raw: UInt16[ndarray, " n"]) -> int:
    address: int = raw.__array_interface__["data"][0]  # `.ctypes` would create objects
    return address


def histogram(base: Stored, tuned: Stored, tally: Tally) -> None:
    """See `Kernels.histogram`."""
    if base.dtype == np.uint16:
        counting.histogram(base, tuned, tally.words, tally.quick, tally.span, tally.inside)
    else:
        loops.histogram(base, tuned, tally.words, tally.span)
        tally.inside[0] = KEPT + 1


def drain(tally: Tally) -> Drained:
    """See `Kernels.drain`."""
    found = counting.drain(tally.words, tally.quick, tally.span, *tally.room)
    kept, tally.inside[0] = int(tally.inside[0]), 0
    inside = tally.inside[1 : 1 + kept].copy() if kept <= KEPT else None
    words, counts, places = (row[:found].copy() for row in tally.room)  # counts are kept
    return Drained(words, counts, places, inside)


def sum_squares(raw: Stored, lanes: Float64[ndarray, " L"]) -> None:
    """See `Kernels.sum_squares`."""
    loops.sum_squares(raw, lanes)


def split_bin(base: Stored, tuned: Stored, key: int, counts: Int64[ndarray, " low"]) -> None:
    """See `Kernels.split_bin`."""
    loops.split_bin(base, tuned, np.uint32(key), counts)


def gather_tied(
    base: Stored,
    tuned: Stored,
    start: int,
    seed: int,
    thresholds: Float32[ndarray, " K"],
    lows: UInt64[ndarray, " K"],
    highs: UInt64[ndarray, " K"],
    counts: Int64[ndarray, "K three"],
    hashes: UInt64[ndarray, "K room"],
) -> None:
    """See `Kernels.gather_tied`."""
    place = np.uint64(start), np.uint64(seed)
    loops.gather_tied(base, tuned, *place, thresholds, lows, highs, counts, hashes)
