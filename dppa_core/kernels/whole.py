"""Whole tensors of bfloat16 in one reading: sums, and the exact cuts among ties.

Knows arrays of one tensor, not treatments or files. In numba only; what it writes is what the
kernels of chunks write, which find the cuts in a reading of their own. Elements that equal a
threshold are collected in the first loop and settled afterwards, among themselves.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

# What is compiled here is not compiled anew when it changes there: these never change.
from dppa_core.kernels.loops import _ZERO, _compiled, _value
from dppa_core.kernels.paired import (
    blend_and_flag,
    blend_singly,
    extent,
    rows,
    signed_zero,
    weights_at,
)
from dppa_core.kernels.settling import settle, single

DONE, TOO_LARGE, OTHER_COUNTS = 0, 1, 2
"""What `merge` says: all is written; a sum is not finite in bfloat16, or an input is not; the
tensor is not the one that was profiled. Only the first leaves a result."""

_BLOCK = 1024
"""So few that they are still in the first-level cache when those that are flagged are read."""
MARGIN, SCRATCH = _BLOCK + 4, 7
"""A block may hold too many elements; and the last ones of it are written four at a time."""

INFINITE, _NONE = np.uint16(0x7F80), np.uint64(0)


@_compiled
@no_type_check
def merge(addresses, seed, thresholds, lows, highs, counts, weights, exact, scratch, out):
    """Write base + weighted, pruned deltas.

    A level that is open has its threshold somewhere from `lows` to before `highs`; `counts` says
    how many elements lie there, the place of the threshold among them in ascending order, and how
    many of them are to be kept, if those above the threshold are not more already.

    Args:
        addresses: Of the base and three models: uint16, bfloat16 as stored.
        seed: Of the order among elements equal to a threshold.
        thresholds: (3, 2), falling; |d| above one is inside its level. Of an open level its low.
        lows: (3, 2); infinite where a level is not open.
        highs: (3, 2), as `lows`.
        counts: (3, 2, 3), int64; zeros where a level is not open.
        weights: (3, 2): of the first level an element is inside of.
        exact: Thresholds and cuts, (3, 2) float32 and uint64: those of open levels are written.
        scratch: uint64, `SCRATCH` for each element in open levels and for `MARGIN` more.
        out: uint16.
    """
    room = counts[:, :, 0].sum()
    longest = room + MARGIN
    half = (longest + 1) >> 1  # two of 32 bits in each
    bases, places = scratch[:half].view(np.float32), scratch[half : 2 * half].view(np.uint32)
    deltas, rest = scratch[2 * half : 5 * half].view(np.float32), scratch[5 * half :]
    more = deltas[: 2 * half], deltas[2 * half : 4 * half], deltas[4 * half :]
    taken = places, bases, more
    given = thresholds, lows, highs, weights
    found, largest = _sweep(addresses, seed, given, taken, room, out)
    if found > room:
        return OTHER_COUNTS
    if found:
        mine = places[:found], bases[:found], taken[2]
        well, most = settle(mine, seed, given, counts, exact, rest, out)
        if not well:
            return OTHER_COUNTS
        largest = max(largest, most)
    return DONE if largest < INFINITE else TOO_LARGE


@_compiled
@no_type_check
def _sweep(addresses, seed, given, taken, room, out):
    thresholds, lows, highs, weights = given
    old, one, two, three = weights_at(addresses, out.size)
    edges, ties, factors = rows(thresholds), rows(lows), rows(weights)
    no_cuts = rows(np.zeros((3, 2), np.uint64))
    levels = rows((thresholds + _ZERO).view(np.int32)), no_cuts, factors
    even = out.size & ~1
    words = old[:even].view(np.uint32), one[:even].view(np.uint32)
    more = two[:even].view(np.uint32), three[:even].view(np.uint32)
    target, flags = out[:even].view(np.uint32), np.zeros(_BLOCK, np.uint16)
    pairs, here = flags.view(np.uint32), np.empty(_BLOCK // 4 + 1, np.uint32)
    singles = [single(lows[k >> 1, k & 1], highs[k >> 1, k & 1]) for k in range(6)]
    between = np.flatnonzero(~np.array(singles))
    (places, bases, deltas), found, largest = taken, 0, np.uint16(0)
    for first in range(0, out.size, _BLOCK):
        wide, half = slice(first, first + _BLOCK), slice(first >> 1, (first + _BLOCK) >> 1)
        base, new, part = old[wide], (one[wide], two[wide], three[wide]), out[wide]
        mine = words[0][half], words[1][half], more[0][half], more[1][half]
        blend_and_flag(mine, edges, ties, factors, pairs, target[half])
        least, most = extent(part)
        if base.size & 1 or (least == np.uint16(0) and signed_zero(base)):
            blend_singly(base, new, np.uint64(first), seed, levels, part)
            most = extent(part)[1]
        if base.size < _BLOCK:
            _flag_last(base, new, lows, flags)
        for level in between:
            border = lows[level >> 1, level & 1], highs[level >> 1, level & 1]
            _flag_between(base, new[level >> 1], border[0], border[1], flags)
        after = found + _collect(flags, here, places[found:])
        span = slice(found, after)
        _gather(base, new, places[span], bases[span], deltas, found)
        for k in range(found, after):
            places[k] += np.uint32(first)
        found, largest = after, max(largest, most)
        if found > room:
            break
    return found, largest


@_compiled
@no_type_check
def _flag_last(old, new, lows, flags):
    """Flag a block that is not full: an odd one has no pair at its end."""
    flags[:] = 0
    for k in range(3):
        for i in range(old.size):
            size = abs(_value(new[k][i]) - _value(old[i]))
            flags[i] |= (size == lows[k, 0]) | (size == lows[k, 1])


@_compiled
@no_type_check
def _flag_between(old, new, low, high, flags):
    for i in range(old.size):
        size = abs(_value(new[i]) - _value(old[i]))
        flags[i] |= (size > low) & (size < high)


@_compiled
@no_type_check
def _collect(flags, here, places):
    """Write down where flags are set, and how many; there is room for 4 more.

    Four flags at a time, and without a branch: how many are set is anybody's guess.
    """
    words, live, found = flags.view(np.uint64), np.uint64(0), np.uint64(0)
    for k in range(words.size):
        here[live] = k
        live += np.uint64(words[k] != _NONE)
    for k in range(live):
        origin, word = np.uint64(here[k]) << np.uint64(2), words[here[k]]
        for i in range(np.uint64(4)):
            places[found] = origin + i
            found += (word >> (i << np.uint64(4))) & np.uint64(1)
    return np.int64(found)


@_compiled
@no_type_check
def _gather(old, new, places, bases, deltas, first):
    one, two, three = deltas[0][first:], deltas[1][first:], deltas[2][first:]
    for k in range(places.size):
        base = _value(old[places[k]])
        bases[k] = base
        one[k] = _value(new[0][places[k]]) - base
        two[k] = _value(new[1][places[k]]) - base
        three[k] = _value(new[2][places[k]]) - base
