"""The compiled loop that counts |d| of bfloat16 weights.

Knows bfloat16 arrays only. Whoever changes what it borrows from `loops` has to touch this file,
too: numba looks for changes by file.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from dppa_core.deltas import OPEN_BITS
from dppa_core.kernels.loops import _LOW, _ONE, _OPEN, _compiled, _value
from dppa_core.kernels.loops import histogram as any_histogram

_BLOCK = 2048
# |d| from 2**-59 to 2**5, where nearly all deltas lie, has bins enough for 15 bits. One more bit
# says whether an element is inside of its bin. The counters of so few stay in the first cache.
_FIRST = np.uint32((127 - 59) << (23 - OPEN_BITS))
_BINS = np.uint32(1 << 15)
_QUAD, _INSIDE = np.uint64(0xFFFF), np.uint64(0x8000800080008000)


@_compiled
@no_type_check
def histogram(base, tuned, words, span):
    counts, keys = np.zeros(1 << 16, np.uint32), np.empty(_BLOCK, np.uint16)
    some = np.empty(_BLOCK // 4 + 1, np.int64)
    lowest, highest = np.uint32(0xFFFFFFFF), np.uint32(0)
    for first in range(0, base.size, _BLOCK):
        old, new = base[first : first + _BLOCK], tuned[first : first + _BLOCK]
        smallest, largest = _assign(old, new, keys)
        # Bits less 1 of what is not 0, and all bits: beyond the counters, a slower loop counts.
        within = smallest >= (_FIRST + np.uint32(1)) << _OPEN
        if not within or largest >= (_FIRST + _BINS) << _OPEN or old.size < _BLOCK:
            any_histogram(old, new, words, span)
            continue
        lowest, highest = min(lowest, smallest), max(highest, largest)
        live = _count(keys.view(np.uint64), counts, some)
        for k in range(live):
            for i in range(4 * some[k], 4 * some[k] + 4):
                bits = np.float32(abs(_value(new[i]) - _value(old[i]))).view(np.uint32)
                words[2 * (bits >> _OPEN) + 1] += np.uint64(bits & _LOW)
    if highest > np.uint32(0) or counts[0] > np.uint32(0):
        _hand_over(counts, lowest + np.uint32(1), highest, words, span)


@_compiled
@no_type_check
def _assign(old, new, keys):
    smallest, largest = np.uint32(0xFFFFFFFF), np.uint32(0)
    for i in range(old.size):
        bits = np.float32(abs(_value(new[i]) - _value(old[i]))).view(np.uint32)
        smallest = min(smallest, np.uint32(bits - np.uint32(1)))  # 0 comes last
        largest = max(largest, bits)
        inside = min(np.uint32(bits & _LOW), np.uint32(1))
        key = max(np.uint32(bits >> _OPEN), _FIRST) - _FIRST
        keys[i] = np.uint16(key | (inside << np.uint32(15)))
    return smallest, largest


@_compiled
@no_type_check
def _count(quads, counts, some):
    # Four keys a load; which loads hold an element inside of its bin is noted on the way.
    live = 0
    for i in range(quads.size):
        quad = quads[i]
        counts[quad & _QUAD] += np.uint32(1)
        counts[(quad >> np.uint64(16)) & _QUAD] += np.uint32(1)
        counts[(quad >> np.uint64(32)) & _QUAD] += np.uint32(1)
        counts[quad >> np.uint64(48)] += np.uint32(1)
        some[live] = i
        live += (quad & _INSIDE) != np.uint64(0)
    return live


@_compiled
@no_type_check
def _hand_over(counts, lowest, highest, words, span):
    words[0] += _ONE * np.uint64(counts[0])
    if highest == np.uint32(0):
        return
    for key in range((lowest >> _OPEN) - _FIRST, (highest >> _OPEN) - _FIRST + np.uint32(1)):
        word = 2 * (np.int64(key) + np.int64(_FIRST))
        words[word] += _ONE * np.uint64(counts[key])
        words[word + 1] += _ONE * np.uint64(counts[key + _BINS])
    index = (lowest >> _OPEN) + ((lowest + _LOW) >> _OPEN)
    span[0] = min(span[0], np.uint32(index - np.uint32(1)))
    span[1] = max(span[1], np.uint32((highest >> _OPEN) + ((highest + _LOW) >> _OPEN)))
