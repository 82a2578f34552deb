"""Compiled loops that read each byte once: up to three models into one, and an adapter's weight.

numba detects changes by file: when a function it uses from `paired` or `loops` changes, touch this
file too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, no_type_check

import numpy as np
from numba import njit, types

from dppa_core.kernels.loops import _ZERO, _compiled
from dppa_core.kernels.paired import (
    blend,
    blend_singly,
    blend_tied,
    extent,
    rank,
    rows,
    signed_zero,
    unsure,
    weights_at,
)
from dppa_core.kernels.ready import Readiness, read_at_once

# Pairs per block: five arrays of them and the hashes stay in a core's cache.
_BLOCK = 1024
_WORD = np.uint64(32)


@_compiled
@no_type_check
def fuse(addresses, start, seed, thresholds, cuts, weights, out):
    """Merge the base and three models at these addresses; bits of the largest magnitude."""
    # 1. Lay out the bands for registers, and the weights as pairs.
    halves = (cuts >> _WORD).astype(np.uint32)
    ties, careful = np.any(cuts > 0), np.any(cuts.astype(np.uint32) > 0)
    bits = rows((thresholds + _ZERO).view(np.int32))  # never the bits of -0
    edges, factors, parts = rows(thresholds), rows(weights), rows(halves)
    bands, highest = (bits, rows(cuts), factors), np.uint16(0)
    old, new1, new2, new3 = weights_at(addresses, out.size)
    pairs = out.size >> 1
    words = (
        old[: 2 * pairs].view(np.uint32),
        new1[: 2 * pairs].view(np.uint32),
        new2[: 2 * pairs].view(np.uint32),
        new3[: 2 * pairs].view(np.uint32),
    )
    target = out[: 2 * pairs].view(np.uint32)
    evens, odds = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.uint32)
    for first in range(0, out.size, 2 * _BLOCK):
        wide, half = slice(first, first + 2 * _BLOCK), slice(first >> 1, (first >> 1) + _BLOCK)
        origin, block, goal = start + np.uint64(first), out[wide], target[half]
        sources = words[0][half], words[1][half], words[2][half], words[3][half]
        # 2. Merge the block; hashes only if a band has ties.
        ranks = evens[: goal.size], odds[: goal.size]
        if ties:
            rank(origin, seed, ranks[0], ranks[1])
            blend_tied(sources, ranks, bits, parts, factors, goal)
        else:
            blend(sources, edges, factors, goal)
        # 3. Merge it again, element by element, if it is odd, or holds a -0 or an unclear hash.
        least, most = extent(block)
        rare = block.size & 1 or (least == np.uint16(0) and signed_zero(old[wide]))
        if not rare and careful:
            rare = unsure(ranks[0], parts) or unsure(ranks[1], parts)
        if rare:
            new = new1[wide], new2[wide], new3[wide]
            blend_singly(old[wide], new, origin, seed, bands, block)
            most = extent(block)[1]
        highest = max(highest, most)
    return highest


@no_type_check
def _add_product(weight, left, right, scale, out):
    total = np.empty(weight.shape[1], np.float64)
    for i in range(weight.shape[0]):
        total[:] = 0.0
        for k in range(left.shape[1]):
            factor = left[i, k]
            for j in range(total.size):
                total[j] += factor * right[k, j]
        for j in range(total.size):
            out[i, j] = np.float32(total[j] * scale + weight[i, j])


_SINGLE, _DOUBLE = types.float32[:, ::1], types.float64[:, ::1]
SIGNATURE = (_SINGLE, _DOUBLE, _DOUBLE, types.float64, _SINGLE)
"""weight (rows, columns), left (rows, rank), right (rank, columns), scale, out (rows, columns)."""
_added: Any = None
"""None without a folder for the cache: nobody waits, so it is never compiled."""
with suppress(RuntimeError):
    # Without fast-math: no multiplication and addition are fused, and none change places.
    _added = njit(cache=True, nogil=True)(_add_product)
    read_at_once(_added)
_is_ready = Readiness(_added, SIGNATURE)


def add_product() -> Callable[..., None] | None:
    """Writes weight + scale * left @ right into out; None if it was not compiled yet."""
    return _added if _is_ready() else None


def compile_now() -> None:
    """Compile the loop and keep it on disk: a second."""
    if _added is not None:
        _added.compile(SIGNATURE)
