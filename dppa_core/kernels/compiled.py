"""The inner loops in numba: the fast implementation.

Knows arrays of one chunk only. Compiled at first use and kept on disk; without the interpreter
lock; without fast-math, so that no multiplication and addition are fused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt16, UInt64
from numba import njit
from numpy import ndarray

from dppa_core.partition import MULTIPLIERS

_BLOCK = 1024  # elements whose deltas and weights stay in the first-level cache
_FIRST, _SECOND = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no folder to keep compiled code in: compile in every process
        return njit(nogil=True)(function)


@_compiled
@no_type_check
def _mix(index, seed):
    z = index + seed
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return z ^ (z >> _S31)


@_compiled
@no_type_check
def _widen(raw, bits):
    for i in range(raw.size):
        bits[i] = np.uint32(raw[i]) << np.uint32(16)


@_compiled
@no_type_check
def _narrow(bits, out):
    for i in range(bits.size):
        odd = (bits[i] >> np.uint32(16)) & np.uint32(1)
        out[i] = (bits[i] + np.uint32(0x7FFF) + odd) >> np.uint32(16)


@_compiled
@no_type_check
def _add_whole(acc, base, tuned, weight):
    for i in range(acc.size):
        term = weight * (tuned[i] - base[i])
        acc[i] = acc[i] + term if term != np.float32(0) else acc[i]


@_compiled
@no_type_check
def _add_bands(acc, base, tuned, start, seed, thresholds, cuts, weights):
    delta = np.empty(_BLOCK, np.float32)
    size = np.empty(_BLOCK, np.float32)
    weight = np.empty(_BLOCK, np.float32)
    for first in range(0, acc.size, _BLOCK):
        # Slices, so that every loop counts from 0: only then the compiler vectorises it.
        stop = first + _BLOCK
        total, old, new = acc[first:stop], base[first:stop], tuned[first:stop]
        for i in range(total.size):
            delta[i] = new[i] - old[i]
            size[i] = abs(delta[i])
            weight[i] = np.float32(0)
        for level in range(thresholds.size - 1, -1, -1):  # inner levels overwrite outer ones
            threshold, factor, cut = thresholds[level], weights[level], cuts[level]
            for i in range(total.size):
                weight[i] = factor if size[i] > threshold else weight[i]
            if cut > np.uint64(0):
                origin = start + np.uint64(first)
                for i in range(total.size):
                    if size[i] == threshold and _mix(origin + np.uint64(i), seed) < cut:
                        weight[i] = factor
        for i in range(total.size):
            term = weight[i] * delta[i]
            total[i] = total[i] + term if term != np.float32(0) else total[i]


@_compiled
@no_type_check
def _add_random(acc, base, tuned, start, seed, cut, weight):
    for i in range(acc.size):
        kept = weight if _mix(start + np.uint64(i), seed) < cut else np.float32(0)
        term = kept * (tuned[i] - base[i])
        acc[i] = acc[i] + term if term != np.float32(0) else acc[i]


@_compiled
@no_type_check
def _gather(base, tuned, start, seed, low, high, magnitudes, hashes, found):
    for i in range(base.size):
        size = abs(tuned[i] - base[i])
        if low <= size < high and found < magnitudes.size:
            magnitudes[found] = size
            hashes[found] = _mix(start + np.uint64(i), seed)
            found += 1
    return found


@_compiled
@no_type_check
def _histogram(base, tuned, counts, sums, squares):
    block = np.empty(_BLOCK, np.float32)
    bits = block.view(np.uint32)
    for first in range(0, base.size, _BLOCK):
        old, new = base[first : first + _BLOCK], tuned[first : first + _BLOCK]
        for i in range(old.size):
            block[i] = abs(new[i] - old[i])
        for i in range(old.size):
            key = np.int64(bits[i] >> np.uint32(16))
            size = np.float64(block[i])
            counts[key] += 1
            sums[key] += size
            squares[key] += size * size


def widen(raw: UInt16[ndarray, " n"], out: Float32[ndarray, " n"]) -> None:
    """See `Kernels.widen`."""
    _widen(raw, out.view(np.uint32))


def narrow(values: Float32[ndarray, " n"], out: UInt16[ndarray, " n"]) -> None:
    """See `Kernels.narrow`."""
    _narrow(values.view(np.uint32), out)


def add_whole(
    acc: Float32[ndarray, " n"],
    base: Float32[ndarray, " n"],
    tuned: Float32[ndarray, " n"],
    weight: float,
) -> None:
    """See `Kernels.add_whole`."""
    _add_whole(acc, base, tuned, np.float32(weight))


def add_bands(
    acc: Float32[ndarray, " n"],
    base: Float32[ndarray, " n"],
    tuned: Float32[ndarray, " n"],
    start: int,
    seed: int,
    thresholds: Float32[ndarray, " K"],
    cuts: UInt64[ndarray, " K"],
    weights: Float32[ndarray, " K"],
) -> None:
    """See `Kernels.add_bands`."""
    _add_bands(acc, base, tuned, np.uint64(start), np.uint64(seed), thresholds, cuts, weights)


def add_random(
    acc: Float32[ndarray, " n"],
    base: Float32[ndarray, " n"],
    tuned: Float32[ndarray, " n"],
    start: int,
    seed: int,
    cut: int,
    weight: float,
) -> None:
    """See `Kernels.add_random`."""
    _add_random(
        acc, base, tuned, np.uint64(start), np.uint64(seed), np.uint64(cut), np.float32(weight)
    )


def gather(
    base: Float32[ndarray, " n"],
    tuned: Float32[ndarray, " n"],
    start: int,
    seed: int,
    low: float,
    high: float,
    magnitudes: Float32[ndarray, " m"],
    hashes: UInt64[ndarray, " m"],
    found: int,
) -> int:
    """See `Kernels.gather`."""
    edges = np.float32(low), np.float32(high)
    place = np.uint64(start), np.uint64(seed)
    return int(_gather(base, tuned, *place, *edges, magnitudes, hashes, found))


def histogram(
    base: Float32[ndarray, " n"],
    tuned: Float32[ndarray, " n"],
    counts: Int64[ndarray, " bins"],
    sums: Float64[ndarray, " bins"],
    squares: Float64[ndarray, " bins"],
) -> None:
    """See `Kernels.histogram`."""
    _histogram(base, tuned, counts, sums, squares)
