"""The compiled loop that counts |d| of bfloat16 weights.

Knows bfloat16 arrays only. Whoever changes what it borrows from `loops` has to touch this file,
too: numba looks for changes by file.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from dppa_core.deltas import OPEN_BITS
from dppa_core.kernels.loops import _LOW, _OPEN, _compiled, _value
from dppa_core.kernels.loops import histogram as any_histogram

_BLOCK = 2048
# |d| from 2**-59 to 2**5, where nearly all deltas lie, has words enough for 16 bits: one of them
# says whether an element is inside of its bin. The counters of so few stay in the first cache.
_FIRST = np.uint32((127 - 59) << (23 - OPEN_BITS))
_BINS = np.uint32(1 << 15)
_QUAD, _INSIDE = np.uint64(0xFFFF), np.uint64(0x0001000100010001)
_NONE, _BIT, _TWO, _THREE, _SEVEN = (np.uint64(n) for n in (0, 1, 2, 3, 7))
_15, _16, _30, _32, _40, _45, _48 = (np.uint64(n) for n in (15, 16, 30, 32, 40, 45, 48))
_EMPTY = np.uint32(0xFFFFFFFF)


@_compiled
@no_type_check
def histogram(base, tuned, words, quick, span, inside):
    keys, flags = np.empty(_BLOCK, np.uint16), np.empty(_BLOCK // 4, np.uint8)
    some, quads = np.empty(_BLOCK // 32 + 1, np.int64), keys.view(np.uint64)
    lowest, highest = span[2], span[3]
    kept, most = np.int64(inside[0]), np.int64(inside.size)
    for first in range(0, base.size, _BLOCK):
        old, new = base[first : first + _BLOCK], tuned[first : first + _BLOCK]
        smallest, largest = _assign(old, new, keys)
        # Bits less 1 of what is not 0, and all bits: beyond the counters, a slower loop counts.
        within = smallest >= (_FIRST + np.uint32(1)) << _OPEN
        if not within or largest >= (_FIRST + _BINS) << _OPEN:
            any_histogram(old, new, words, span)
            kept = most  # not all of them
            continue
        lowest, highest = min(lowest, smallest), max(highest, largest)
        if old.size < _BLOCK:
            for i in range(old.size):
                quick[keys[i], 0] += np.uint32(1)
            keys[old.size :] = 0
        else:
            _count(quads, quick)
        live = _find_inside(quads, flags, some)
        groups = flags.view(np.uint64)
        for k in range(live):
            group, origin = groups[some[k]], np.uint64(32 * some[k])
            while group != _NONE:  # nearly always once
                bit = np.uint64(trailing_zeros(group))
                i = origin + (bit >> _THREE << _TWO) + (bit & _SEVEN)
                bits = np.float32(abs(_value(new[i]) - _value(old[i]))).view(np.uint32)
                words[2 * (bits >> _OPEN) + 1] += np.uint64(bits & _LOW)
                kept = min(kept + 1, most)
                inside[min(kept, most - 1)] = bits
                group &= group - _BIT
    span[2], span[3], inside[0] = lowest, highest, np.uint32(kept)


@_compiled
@no_type_check
def _assign(old, new, keys):
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
def _count(quads, quick):
    # Four keys a load. Two counters take turns: neighbours are often equal, above all 0.
    for i in range(quads.size):
        quad = quads[i]
        quick[quad & _QUAD, 0] += np.uint32(1)
        quick[(quad >> _16) & _QUAD, 1] += np.uint32(1)
        quick[(quad >> _32) & _QUAD, 0] += np.uint32(1)
        quick[quad >> _48, 1] += np.uint32(1)


@_compiled
@no_type_check
def _find_inside(quads, flags, some):
    """One bit for each element inside of its bin, four in a byte; and which 32 have any."""
    for i in range(quads.size):
        quad = quads[i] & _INSIDE
        flags[i] = np.uint8(quad | (quad >> _15) | (quad >> _30) | (quad >> _45))
    groups, live = flags.view(np.uint64), 0
    for k in range(groups.size):
        some[live] = k
        live += groups[k] != _NONE
    return live


@_compiled
@no_type_check
def drain(words, quick, span, live, counts, places):
    """Write down what was counted where, and how many words that is; all is 0 afterwards."""
    pairs, offset = quick.reshape(-1).view(np.uint64), 2 * np.int64(_FIRST)
    low, high = np.int64(span[2] >> _OPEN) * 2 - offset, np.int64(span[3] >> _OPEN) * 2 + 2 - offset
    mask, found, rare = (_BIT << _40) - _BIT, 0, span[0] != _EMPTY or words[0] != _NONE
    if rare:  # all goes where the slower loop has counted
        words[0] += _both(pairs[0]) << _40
        pairs[0] = _NONE
        for k in range(low, high):
            words[k + offset] += _both(pairs[k]) << _40
            pairs[k] = _NONE
        last = max(np.int64(span[1]), high + offset if span[3] > 0 else 0)
        for k in range(last + 1):
            live[found] = k
            found += words[k] != _NONE
        for k in range(found):
            word = words[live[k]]
            counts[k], places[k], words[live[k]] = word >> _40, word & mask, _NONE
    else:
        live[0], found = 0, np.int64(pairs[0] != _NONE)
        counts[0], places[0], pairs[0] = _both(pairs[0]), 0, _NONE
        begin = found
        for k in range(low, high):
            live[found] = k
            found += pairs[k] != _NONE
        for k in range(begin, found):
            here = live[k] + offset
            counts[k], places[k] = _both(pairs[live[k]]), words[here]
            pairs[live[k]], words[here], live[k] = _NONE, _NONE, here
    span[0], span[1], span[2], span[3] = _EMPTY, np.uint32(0), _EMPTY, np.uint32(0)
    return found


@_compiled
@no_type_check
def _both(pair):
    return (pair & np.uint64(_EMPTY)) + (pair >> _32)
