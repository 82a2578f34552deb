"""The inner loops in numba: the fast implementation of `Kernels`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from dppa_core.kernels import counting, elected, fused, loops, ranked, token_step
from dppa_core.kernels.protocol import (
    MAX_KEPT_INSIDE,
    Bands,
    Drained,
    Raw,
    Stored,
    Tally,
    Tied,
    Values,
    Windows,
)
from dppa_core.kernels.ready import marker_file
from dppa_core.methods.shared.python_loops import Loops
from dppa_core.methods.shared.sign_election import SignBallot
from dppa_core.pruning.delta_profile import OPEN_BITS
from dppa_core.pruning.tie_breaking import Window
from dppa_core.system.folder_cache import store
from dppa_core.system.locks import lock_folder

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
    acc: Values, base: Stored, tuned: Stored, start: int, seed: int, bands: Bands
) -> None:
    place = np.uint64(start), np.uint64(seed)
    loops.add_bands(acc, base, tuned, *place, *bands)


def add_random(
    acc: Values, base: Stored, tuned: Stored, start: int, seed: int, cut: int, weight: float
) -> None:
    place = np.uint64(start), np.uint64(seed)
    loops.add_random(acc, base, tuned, *place, np.uint64(cut), np.float32(weight))


def score_random(base: Stored, tuned: Stored, start: int, seed: int, out: Values) -> None:
    ranked.score_random(base, tuned, np.uint64(start), np.uint64(seed), out)


def add_ranked(
    acc: Values, base: Stored, tuned: Stored, scores: Values, start: int, seed: int, bands: Bands
) -> None:
    place = np.uint64(start), np.uint64(seed)
    ranked.add_ranked(acc, base, tuned, scores, *place, *bands)


def fuse(
    base: Raw, tuned: Sequence[Raw], start: int, seed: int, bands: Sequence[Bands], out: Raw
) -> bool:
    # The base, with delta 0, replaces a missing model; a missing band holds nothing.
    thresholds, cuts, weights = _NEVER.copy(), np.zeros((3, 2), np.uint64), _NO_WEIGHT.copy()
    places = [_address(base)] * 4
    for model, (raw, (edges, ties, factors)) in enumerate(zip(tuned, bands, strict=True)):
        if not raw.size == base.size == out.size or not raw.flags.c_contiguous:
            raise ValueError(f"{raw.size} elements beside {base.size}, or not in one piece")
        places[1 + model], size = _address(raw), edges.size
        thresholds[model, :size], cuts[model, :size], weights[model, :size] = edges, ties, factors
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
        tally.inside[0] = MAX_KEPT_INSIDE + 1


def drain(tally: Tally) -> Drained:
    used = counting.drain(tally.words, tally.quick, tally.span, *tally.room)
    kept, tally.inside[0] = int(tally.inside[0]), 0
    inside = tally.inside[1 : 1 + kept].copy() if kept <= MAX_KEPT_INSIDE else None
    words, counts, places = (row[:used].copy() for row in tally.room)  # counts are kept
    return Drained(words, counts, places, inside)


def split_bin(base: Stored, tuned: Stored, key: int, counts: Int64[ndarray, " low"]) -> None:
    counting.split_bin(base, tuned, np.uint32(key), counts)


def gather_tied(
    base: Stored, tuned: Stored, start: int, seed: int, windows: Windows, tied: Tied
) -> None:
    place = np.uint64(start), np.uint64(seed)
    loops.gather_tied(base, tuned, *place, *windows, *tied)


def compile_all() -> None:
    """Run every loop on a few elements of each kind of arrays that merges and profiles use."""
    raw, wide, tally = np.zeros(64, np.uint16), np.zeros(64, np.float32), Tally()
    fixed = [np.frombuffer(array.tobytes(), array.dtype) for array in (raw, wide)]  # as if mapped
    threshold, cut = np.ones(1, np.float32), np.ones(1, np.uint64)
    bands, place, sums = (threshold, cut, threshold), (0, 0), np.zeros((1 << 18, 2))
    for array in (raw, fixed[0]):
        widen(array, wide)
    narrow(wide, raw)
    largest(wide)
    fuse(raw, [raw], *place, [bands], raw)
    for array in (*fixed, wide):
        add_whole(wide, array, array, 1.0)
        histogram(array, array, tally)
        split_bin(array, array, 0, np.zeros(1 << OPEN_BITS, np.int64))
        counts, hashes = np.zeros((1, 3), np.int64), np.empty((1, 64), np.uint64)
        gather_tied(array, array, *place, (threshold, cut, cut), (counts, hashes))
    for array in fixed:
        score(array, array, wide, wide)
        score_random(array, array, *place, wide)
        add_bands(wide, array, array, *place, bands)
        add_random(wide, array, array, *place, 1, 1.0)
        add_ranked(wide, array, array, wide, *place, bands)
        sum_by_bin(array, array, wide, sums)
        sum_squares(array, np.zeros(1024))
    drain(tally)
    _compile_rest(wide.reshape(2, 8, 4), raw)


def _compile_rest(deltas: elected.Deltas, raw: Raw) -> None:
    """The loops over stacked deltas, whole tensors and bins."""
    from dppa_core.kernels import binned, whole  # noqa: PLC0415  (numba, where it is used)

    elected.count_magnitudes(deltas[0], np.zeros(1 << 17, np.int64))
    elected.count_within(deltas[0], 0, np.zeros(1 << 16, np.int64))
    elected.gather_tied(deltas[0], 1.0, 0, 0, Window(0, 1, 8))
    elected.vote(deltas, (), 0, 0, (1.0, 1.0))
    elected.agree(deltas, (), 0, 0, SignBallot((1.0, 1.0), (1.0, 1.0), (1.0, 1.0), 0))
    seed, words = np.uint64(0), np.zeros(whole.SCRATCH * (64 + whole.MARGIN), np.uint64)
    bands = tuple(np.full((3, 2), value, np.float32) for value in (np.inf, np.inf, np.inf, 1))
    addresses = np.array([_address(raw)] * 4, np.uint64)
    whole.sweep(addresses, (0, 0), seed, bands, 64, words, raw)
    exact = bands[0].copy(), np.zeros((3, 2), np.uint64)
    whole.finish(0, seed, bands, np.zeros((3, 2, 3), np.int64), exact, 64, words, raw)
    counts, sums = np.ones(4, np.int64), np.ones((4, 2))
    bits, excess = np.zeros(4, np.uint32), np.zeros(4, np.float32)
    binned.unpack(counts, counts, counts, bits, excess)
    binned.sum_up(bits, counts, excess, np.zeros(5, np.int64), np.zeros(5), np.zeros(4))
    parts = ((counts, counts, counts, sums),) * 2
    binned.join(*parts, *np.empty((3, 8), np.int64), np.empty((8, 2)))


def main() -> None:
    """Compile, unless another process does, and write the marker."""
    marker = marker_file()
    marker.parent.mkdir(parents=True, exist_ok=True)
    with suppress(BlockingIOError):
        handle = lock_folder(marker.parent)
        compile_all()
        token_step.compile_now()
        fused.compile_now()
        # Without a cache folder it names none, and "." always exists: numba compiles as needed.
        file = getattr(loops.widen._cache, "_cache_file", None)
        store(marker, os.fsencode(file._index_path if file else ""))
        os.close(handle)
