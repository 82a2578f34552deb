"""The compiled loops that count |d| of bfloat16 weights, and the |d| of one bin.

numba detects changes by file: when a function it uses from `loops` changes, touch this file too.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from dppa_core.kernels.loops import _LOW, _ONE_COUNT, _OPEN, _compiled, _flagged, _value
from dppa_core.kernels.loops import histogram as any_histogram
from dppa_core.kernels.paired import fetch
from dppa_core.pruning.delta_profile import OPEN_BITS

_BLOCK = 2048
# |d| from 2**-59 to 2**5, where nearly all deltas lie, needs 15 bits of bins; a 16th tells
# whether an element is inside its bin. These few counters stay in the first-level cache.
_FIRST = np.uint32((127 - 59) << (23 - OPEN_BITS))
_BINS = np.uint32(1 << 15)
_BIN, _INSIDE = np.uint64(0x7FFF), np.uint64(0x0001000100010001)
_NONE, _BIT, _TWO, _THREE, _SEVEN = (np.uint64(n) for n in (0, 1, 2, 3, 7))
_15, _17, _30, _32, _33, _40, _45, _49 = (np.uint64(n) for n in (15, 17, 30, 32, 33, 40, 45, 49))
_EMPTY = np.uint32(0xFFFFFFFF)


@_compiled
@no_type_check
def histogram(base, tuned, words, quick, span, inside):
    keys, flags = np.empty(_BLOCK, np.uint16), np.empty(_BLOCK // 4, np.uint8)
    busy, quads = np.empty(_BLOCK // 32 + 1, np.int64), keys.view(np.uint64)
    lowest, highest = span[2], span[3]
    kept, most = np.int64(inside[0]), np.int64(inside.size)
    for first in range(0, base.size, _BLOCK):
        old, new = base[first : first + _BLOCK], tuned[first : first + _BLOCK]
        # 1. Find the bin of every element; a slower loop counts a block outside the counters.
        smallest, largest = _assign(old, new, keys)
        within = smallest >= (_FIRST + np.uint32(1)) << _OPEN
        if not within or largest >= (_FIRST + _BINS) << _OPEN:
            any_histogram(old, new, words, span)
            kept = most  # not all are kept
            continue
        # 2. Count all elements as if they lay at the edge of their bin.
        lowest, highest = min(lowest, smallest), max(highest, largest)
        if old.size < _BLOCK:
            for i in range(old.size):
                quick[keys[i] >> np.uint16(1), 0] += np.uint32(1)
            keys[old.size :] = 0
        else:
            _count(quads, quick, base, tuned, first + _BLOCK)
        # 3. Correct that for elements inside their bin, and keep their bits.
        live, groups = _find_inside(quads, flags, busy), flags.view(np.uint64)
        while live > 0:  # one element of each group per round
            left = 0
            for k in range(live):
                index = busy[k]
                group, origin = groups[index], np.uint64(32 * index)
                bit = np.uint64(trailing_zeros(group))
                i = origin + (bit >> _THREE << _TWO) + (bit & _SEVEN)
                bits = np.float32(abs(_value(new[i]) - _value(old[i]))).view(np.uint32)
                words[2 * (bits >> _OPEN) + 1] += _ONE_COUNT + np.uint64(bits & _LOW)
                quick[(bits >> _OPEN) - _FIRST, 0] -= np.uint32(1)  # not at the edge
                kept = min(kept + 1, most)
                inside[min(kept, most - 1)] = bits
                groups[index] = group & (group - _BIT)
                busy[left] = index
                left += groups[index] != _NONE
            live = left
    span[2], span[3], inside[0] = lowest, highest, np.uint32(kept)


@_compiled
@no_type_check
def _assign(old, new, keys):
    """Write the key of every element; bits minus 1 of the smallest nonzero |d|, of the largest."""
    smallest, largest = _EMPTY, np.uint32(0)
    for i in range(old.size):
        bits = np.float32(abs(_value(new[i]) - _value(old[i]))).view(np.uint32)
        smallest = min(smallest, np.uint32(bits - np.uint32(1)))  # 0 comes last
        largest = max(largest, bits)
        inside = min(np.uint32(bits & _LOW), np.uint32(1))
        key = max(np.uint32(bits >> _OPEN), _FIRST) - _FIRST
        keys[i] = np.uint16((key << np.uint32(1)) | inside)
    return smallest, largest


@_compiled
@no_type_check
def _count(quads, quick, base, tuned, after):
    # Four keys per load. Two counters alternate: neighbours are often equal, mostly 0. The next
    # block is fetched meanwhile: 32 elements are a cache line.
    for line in range(quads.size >> 3):
        fetch(base, after + 32 * line)
        fetch(tuned, after + 32 * line)
        for i in range(8 * line, 8 * line + 8):
            quad = quads[i]
            quick[(quad >> _BIT) & _BIN, 0] += np.uint32(1)
            quick[(quad >> _17) & _BIN, 1] += np.uint32(1)
            quick[(quad >> _33) & _BIN, 0] += np.uint32(1)
            quick[quad >> _49, 1] += np.uint32(1)


@_compiled
@no_type_check
def _find_inside(quads, flags, busy):
    """One bit for each element inside its bin, four per byte; and the groups of 32 with any."""
    for i in range(quads.size):
        quad = quads[i] & _INSIDE
        flags[i] = np.uint8(quad | (quad >> _15) | (quad >> _30) | (quad >> _45))
    groups, live = flags.view(np.uint64), 0
    for k in range(groups.size):
        busy[live] = k
        live += groups[k] != _NONE
    return live


@_compiled
@no_type_check
def drain(words, quick, span, live, counts, places):
    """Write the counted words and return their number; resets all counters."""
    pairs, offset = quick.reshape(-1).view(np.uint64), np.int64(_FIRST)
    low, high = np.int64(span[2] >> _OPEN) - offset, np.int64(span[3] >> _OPEN) + 1 - offset
    mask, used, rare = (_BIT << _40) - _BIT, 0, span[0] != _EMPTY or words[0] != _NONE
    # 1. Unchanged elements, |d| = 0, have a word of their own.
    words[0] += _both(pairs[0]) << _40
    pairs[0] = _NONE
    # 2. If the slower loop counted, its counters take up everything.
    if rare:
        for k in range(low, high):
            words[2 * (k + offset)] += _both(pairs[k]) << _40
            pairs[k] = _NONE
        last = max(np.int64(span[1]), 2 * (high + offset) if span[3] > 0 else 0)
        for k in range(last + 1):
            live[used] = k
            used += words[k] != _NONE
        for k in range(used):
            word = words[live[k]]
            counts[k], places[k], words[live[k]] = word >> _40, word & mask, _NONE
        span[0], span[1], span[2], span[3] = _EMPTY, np.uint32(0), _EMPTY, np.uint32(0)
        return used
    # 3. Else only the bins between the smallest and the largest |d| are read.
    used = 0
    if words[0] != _NONE:
        live[0], counts[0], places[0], words[0], used = 0, words[0] >> _40, 0, _NONE, 1
    for k in range(low, high):
        edge, word, index = _both(pairs[k]), words[2 * (k + offset) + 1], 2 * (k + offset)
        live[used], counts[used], places[used] = index, edge, 0
        used += edge != _NONE
        live[used], counts[used], places[used] = index + 1, word >> _40, word & mask
        used += word != _NONE
        pairs[k], words[index + 1] = _NONE, _NONE
    span[0], span[1], span[2], span[3] = _EMPTY, np.uint32(0), _EMPTY, np.uint32(0)
    return used


@_compiled
@no_type_check
def _both(pair):
    """The sum of two counters; the first may be below 0."""
    return (pair + (pair >> _32)) & np.uint64(_EMPTY)


@_compiled
@no_type_check
def split_bin(base, tuned, key, counts):
    flags, places = np.zeros(_BLOCK, np.uint8), np.empty(_BLOCK + 1, np.int64)
    for first in range(0, base.size, _BLOCK):
        old, new = base[first : first + _BLOCK], tuned[first : first + _BLOCK]
        for i in range(old.size):
            bits = np.float32(abs(_value(new[i]) - _value(old[i]))).view(np.uint32)
            flags[i] = np.uint32(bits >> _OPEN) == key
        for k in range(_flagged(flags, old.size, places)):
            size = np.float32(abs(_value(new[places[k]]) - _value(old[places[k]])))
            counts[size.view(np.uint32) & _LOW] += 1
