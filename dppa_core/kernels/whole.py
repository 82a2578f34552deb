"""Merges whole bfloat16 tensors in one pass: sums, and the exact cuts among ties.

In numba only. The result equals that of the chunk kernels, which find the cuts in a separate pass.
Elements that may equal a threshold are collected in the first loop and merged afterwards.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from dppa_core.kernels.loops import _ZERO, _compiled, _value
from dppa_core.kernels.paired import (
    blend_and_flag,
    blend_singly,
    extent,
    fetch,
    rows,
    signed_zero,
    weights_at,
)

# numba does not recompile this file when these change; they never change.
from dppa_core.kernels.threshold_ties import settle, single

_BLOCK = 1024
"""Small enough to be still in the first-level cache when flagged elements are read."""
MARGIN, SCRATCH = _BLOCK + 4, 4
"""Spare room: a block may hold too many elements, and the last are written four at a time."""

INFINITE, _NONE = np.uint16(0x7F80), np.uint64(0)
_16, _32, _48 = np.uint64(16), np.uint64(32), np.uint64(48)


@_compiled
@no_type_check
def sweep(addresses, place, seed, bands, room, scratch, out):
    """Write a part of base + weighted, pruned deltas, and collect elements near a threshold.

    The threshold of an open band lies in [`lows`, `highs`).

    Args:
        addresses: Addresses of the parts of the base and three models: uint16, bfloat16 as stored.
        place: Start of the part in the tensor, and the number of elements collected before it.
        seed: Seed of the order among elements equal to a threshold.
        bands: Thresholds, falling: larger |d| are inside the band; for an open band its low. Lows
            and highs, infinite if a band is not open. Weights, that of the first band that
            contains an element. Each (3, 2).
        room: Number of elements in open bands.
        scratch: uint64, `SCRATCH` for each of them and for `MARGIN` more. The same for all parts.
        out: uint16.

    Returns:
        The number of collected elements (invalid if it exceeds the room), and the bits of the
        largest magnitude.
    """
    return _sweep(addresses, place, seed, bands, _laid_out(scratch, room), room, out)


@_compiled
@no_type_check
def finish(collected, seed, bands, counts, exact, room, scratch, out):
    """Merge the collected elements with the exact cuts; see `settle`.

    Args:
        collected: Number of collected elements.
        seed, bands, room, scratch: As in `sweep`.
        counts: (3, 2, 3), int64: the number of elements in an open band, the place of the
            threshold among them in ascending order, and the number to keep, unless more lie above
            the threshold. Zeros if a band is not open.
        exact: Thresholds and cuts, (3, 2) float32 and uint64; written for open bands.
        out: uint16, the whole tensor.
    """
    places, packed = _laid_out(scratch, room)
    rest = scratch[3 * ((room + MARGIN + 1) >> 1) :]
    return settle((places[:collected], packed[:collected]), seed, bands, counts, exact, rest, out)


@_compiled
@no_type_check
def _laid_out(scratch, room):
    """Arrays for the places and weights of collected elements."""
    half = (room + MARGIN + 1) >> 1  # two of 32 bits in each
    return scratch[:half].view(np.uint32), scratch[half : 3 * half]


@_compiled
@no_type_check
def _sweep(addresses, place, seed, bands, taken, room, out):
    thresholds, lows, highs, weights = bands
    old, new1, new2, new3 = weights_at(addresses, out.size)
    edges, ties, factors = rows(thresholds), rows(lows), rows(weights)
    no_cuts = rows(np.zeros((3, 2), np.uint64))
    exact_bands = rows((thresholds + _ZERO).view(np.int32)), no_cuts, factors
    even = out.size & ~1
    words = old[:even].view(np.uint32), new1[:even].view(np.uint32)
    more = new2[:even].view(np.uint32), new3[:even].view(np.uint32)
    target, flags = out[:even].view(np.uint32), np.zeros(_BLOCK, np.uint16)
    pairs, groups = flags.view(np.uint32), np.empty(_BLOCK // 4 + 1, np.uint32)
    singles = [single(lows[k >> 1, k & 1], highs[k >> 1, k & 1]) for k in range(6)]
    between = np.flatnonzero(~np.array(singles))
    (places, packed), (start, collected), largest = taken, place, np.uint16(0)
    for first in range(0, out.size, _BLOCK):
        wide, half = slice(first, first + _BLOCK), slice(first >> 1, (first + _BLOCK) >> 1)
        base, new, part = old[wide], (new1[wide], new2[wide], new3[wide]), out[wide]
        sources = words[0][half], words[1][half], more[0][half], more[1][half]
        # 1. Merge the block, and flag elements at the low of an open band.
        blend_and_flag(sources, edges, ties, factors, pairs, target[half])
        # 2. Merge it again, element by element, if it is odd or holds a -0.
        least, most = extent(part)
        if base.size & 1 or (least == np.uint16(0) and signed_zero(base)):
            blend_singly(base, new, np.uint64(start + first), seed, exact_bands, part)
            most = extent(part)[1]
        # 3. Flag what the first step does not: a last block, and bands of several magnitudes.
        if base.size < _BLOCK:
            _flag_last(base, new, lows, flags)
        for bit in between:
            border = lows[bit >> 1, bit & 1], highs[bit >> 1, bit & 1]
            _flag_between(base, new[bit >> 1], border[0], border[1], flags)
        # 4. Collect places and weights of flagged elements.
        coming = old, new1, new2, new3, first + _BLOCK
        after = collected + _collect(flags, groups, places[collected:], coming)
        span = slice(collected, after)
        _gather(base, new, np.uint32(start + first), places[span], packed[span])
        collected, largest = after, max(largest, most)
        if collected > room:
            break
    return collected, largest


@_compiled
@no_type_check
def _flag_last(old, new, lows, flags):
    """Flag elements of the last block, whose size may be odd."""
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
def _collect(flags, groups, places, coming):
    """Write the places of set flags, and return their number; needs room for 4 more.

    Four flags at a time without a branch, which could not be predicted. Prefetches the weights of
    the next block.
    """
    words, live, size = flags.view(np.uint64), np.uint64(0), np.uint64(0)
    old, new1, new2, new3, after = coming
    for line in range(words.size >> 3):  # 32 elements are a cache line
        place = after + 32 * line
        fetch(old, place)
        fetch(new1, place)
        fetch(new2, place)
        fetch(new3, place)
        for k in range(8 * line, 8 * line + 8):
            groups[live] = k
            live += np.uint64(words[k] != _NONE)
    for k in range(live):
        origin, word = np.uint64(groups[k]) << np.uint64(2), words[groups[k]]
        for i in range(np.uint64(4)):
            places[size] = origin + i
            size += (word >> (i << np.uint64(4))) & np.uint64(1)
    return np.int64(size)


@_compiled
@no_type_check
def _gather(old, new, start, places, packed):
    new1, new2, new3 = new
    for k in range(places.size):
        i = places[k]
        low = np.uint64(old[i]) | (np.uint64(new1[i]) << _16)
        packed[k] = low | (np.uint64(new2[i]) << _32) | (np.uint64(new3[i]) << _48)
    for k in range(places.size):
        places[k] += start
