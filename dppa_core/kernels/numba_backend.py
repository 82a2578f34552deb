"""The inner loops in numba: the fast implementation of `Kernels`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from dppa_core.kernels import counting, elected, fused, loops, ranked
from dppa_core.kernels.protocol import (
    KEPT,
    Drained,
    Levels,
    Raw,
    Stored,
    Tally,
    Tied,
    Values,
    Windows,
)
from dppa_core.methods.shared.python_loops import Loops

stacked: Loops = elected
widen, sum_squares = loops.widen, loops.sum_squares
score, sum_by_bin = ranked.score, ranked.sum_by_bin
_NEVER, _NO_WEIGHT = np.full((3, 2), np.inf, np.float32), np.zeros((3, 2), np.float32)


def narrow(values: Values, out: Raw) -> None:
    loops.narrow(values.view(np.uint32), out)


def largest(values: Values) -> float:
    return float(np.uint32(loops.largest(values.view(np.uint32))).view(np.float32))


def add_whole(acc: Values, base: Stored, tuned: Stored, weight: float) -> None:
    loops.add_whole(acc, base, tuned, np.float32(weight))


def add_bands(
    acc: Values, base: Stored, tuned: Stored, start: int, seed: int, levels: Levels
) -> None:
    place = np.uint64(start), np.uint64(seed)
    loops.add_bands(acc, base, tuned, *place, *levels)


def add_random(
    acc: Values, base: Stored, tuned: Stored, start: int, seed: int, cut: int, weight: float
) -> None:
    place = np.uint64(start), np.uint64(seed)
    loops.add_random(acc, base, tuned, *place, np.uint64(cut), np.float32(weight))


def score_random(base: Stored, tuned: Stored, start: int, seed: int, out: Values) -> None:
    ranked.score_random(base, tuned, np.uint64(start), np.uint64(seed), out)


def add_ranked(
    acc: Values, base: Stored, tuned: Stored, scores: Values, start: int, seed: int, levels: Levels
) -> None:
    place = np.uint64(start), np.uint64(seed)
    ranked.add_ranked(acc, base, tuned, scores, *place, *levels)


def fuse(
    base: Raw, tuned: Sequence[Raw], start: int, seed: int, levels: Sequence[Levels], out: Raw
) -> bool:
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


def _address(raw: Raw) -> int:
    return int(raw.__array_interface__["data"][0])  # `.ctypes` would create objects


def histogram(base: Stored, tuned: Stored, tally: Tally) -> None:
    if base.dtype == np.uint16:
        counting.histogram(base, tuned, tally.words, tally.quick, tally.span, tally.inside)
    else:
        loops.histogram(base, tuned, tally.words, tally.span)
        tally.inside[0] = KEPT + 1


def drain(tally: Tally) -> Drained:
    found = counting.drain(tally.words, tally.quick, tally.span, *tally.room)
    kept, tally.inside[0] = int(tally.inside[0]), 0
    inside = tally.inside[1 : 1 + kept].copy() if kept <= KEPT else None
    words, counts, places = (row[:found].copy() for row in tally.room)  # counts are kept
    return Drained(words, counts, places, inside)


def split_bin(base: Stored, tuned: Stored, key: int, counts: Int64[ndarray, " low"]) -> None:
    loops.split_bin(base, tuned, np.uint32(key), counts)


def gather_tied(
    base: Stored, tuned: Stored, start: int, seed: int, windows: Windows, tied: Tied
) -> None:
    place = np.uint64(start), np.uint64(seed)
    loops.gather_tied(base, tuned, *place, *windows, *tied)
