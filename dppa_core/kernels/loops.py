"""The compiled loops of the numba backend, in one file: numba detects changes by file.

An array of weights is float32, or uint16 for stored bfloat16. Loops are compiled at first use,
cached on disk, and run without the interpreter lock; without fast-math, so that no multiplication
and addition are fused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, no_type_check

import numpy as np
from numba import njit, types
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import overload

from dppa_core.kernels.ready import read_at_once
from dppa_core.pruning.delta_profile import OPEN_BITS
from dppa_core.pruning.tie_breaking import MULTIPLIERS

_BLOCK = 2048
"""Elements per block. Its temporary values stay in the first-level cache, and slices let every loop
count from 0: only such loops are vectorised."""
_FIRST, _SECOND = np.uint64(MULTIPLIERS[0]), np.uint64(MULTIPLIERS[1])
_S30, _S27, _S31 = np.uint64(30), np.uint64(27), np.uint64(31)
_ZERO, _INF, _NAN = np.float32(0), np.float32(np.inf), np.float32(np.nan)
_OPEN = np.uint32(OPEN_BITS)
_LOW = np.uint32((1 << OPEN_BITS) - 1)
_ONE_COUNT = np.uint64(1 << 40)


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        compiled = njit(cache=True, nogil=True)(function)
    except RuntimeError:  # no cache folder: compile in every process
        return njit(nogil=True)(function)
    read_at_once(compiled)
    return compiled


@no_type_check
def _value(raw):
    raise TypeError("only compiled code asks for the float32 that a stored weight stands for")


@overload(_value, inline="always")
@no_type_check
def _value_of(raw):
    if raw == types.uint16:
        return lambda raw: np.uint32(np.uint32(raw) << np.uint32(16)).view(np.float32)
    return lambda raw: raw


@_compiled
@no_type_check
def _mix(index, seed):
    z = index + seed
    z = (z ^ (z >> _S30)) * _FIRST
    z = (z ^ (z >> _S27)) * _SECOND
    return z ^ (z >> _S31)


@_compiled
@no_type_check
def widen(raw, values):
    for i in range(raw.size):
        values[i] = _value(raw[i])


@_compiled
@no_type_check
def narrow(bits, out):
    for i in range(bits.size):
        odd = (bits[i] >> np.uint32(16)) & np.uint32(1)
        out[i] = (bits[i] + np.uint32(0x7FFF) + odd) >> np.uint32(16)


@_compiled
@no_type_check
def largest(bits):
    most = np.uint32(0)
    for i in range(bits.size):
        most = max(most, np.uint32(bits[i] & np.uint32(0x7FFFFFFF)))
    return most


@_compiled
@no_type_check
def add_whole(acc, base, tuned, weight):
    for i in range(acc.size):
        term = weight * (_value(tuned[i]) - _value(base[i]))
        acc[i] = acc[i] + term if term != _ZERO else acc[i]


@_compiled
@no_type_check
def add_random(acc, base, tuned, start, seed, cut, weight):
    for i in range(acc.size):
        kept = weight if _mix(start + np.uint64(i), seed) < cut else _ZERO
        term = kept * (_value(tuned[i]) - _value(base[i]))
        acc[i] = acc[i] + term if term != _ZERO else acc[i]


@_compiled
@no_type_check
def add_bands(acc, base, tuned, start, seed, thresholds, cuts, weights):
    # The two innermost bands are decided while the delta is in a register, the others before.
    before, outer = np.empty(_BLOCK, np.float32), np.zeros(_BLOCK, np.float32)
    flags, places = np.zeros(_BLOCK, np.uint8), np.empty(_BLOCK + 1, np.int64)
    deltas, new_weights = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.float32)
    hashes = np.empty(_BLOCK, np.uint64)
    # 1. Bands that share out the elements equal to their threshold.
    ties, any_ties = np.empty(cuts.size, np.float32), False
    for band in range(cuts.size):
        ties[band] = thresholds[band] if cuts[band] > np.uint64(0) else _NAN
        any_ties = any_ties or cuts[band] > np.uint64(0)
    for first in range(0, acc.size, _BLOCK):
        stop = first + _BLOCK
        total, old, new = acc[first:stop], base[first:stop], tuned[first:stop]
        # 2. Add the block; without ties that is all.
        if thresholds.size > 2:
            _outer_weights(old, new, outer, thresholds, weights)
        if not any_ties:
            _add_inner(total, old, new, outer, thresholds, weights)
            continue
        _add_inner_and_flag(total, old, new, outer, thresholds, weights, before, flags, ties)
        # 3. Weigh the elements equal to a threshold again, now by their hashes.
        flagged = _flagged(flags, old.size, places)
        origin = start + np.uint64(first)
        for k in range(flagged):
            hashes[k] = _mix(origin + np.uint64(places[k]), seed)
        for k in range(flagged):
            deltas[k], new_weights[k] = _value(new[places[k]]) - _value(old[places[k]]), _ZERO
        for band in range(thresholds.size - 1, -1, -1):
            threshold, cut, weight = thresholds[band], cuts[band], weights[band]
            for k in range(flagged):
                size = abs(deltas[k])
                inside = (size > threshold) | ((size == threshold) & (hashes[k] < cut))
                new_weights[k] = weight if inside else new_weights[k]
        # 4. Replace their sums.
        for k in range(flagged):
            term, kept = new_weights[k] * deltas[k], before[places[k]]
            total[places[k]] = kept + term if term != _ZERO else kept


@_compiled
@no_type_check
def _outer_weights(old, new, outer, thresholds, weights):
    for i in range(old.size):
        outer[i] = _ZERO
    for band in range(thresholds.size - 1, 1, -1):  # inner bands overwrite outer ones
        threshold, weight = thresholds[band], weights[band]
        for i in range(old.size):
            size = abs(_value(new[i]) - _value(old[i]))
            outer[i] = weight if size > threshold else outer[i]


@_compiled
@no_type_check
def _add_inner(total, old, new, outer, thresholds, weights):
    first, inner = thresholds[0], weights[0]
    second, next_to_it = (thresholds[1], weights[1]) if weights.size > 1 else (_INF, _ZERO)
    for i in range(total.size):
        delta = _value(new[i]) - _value(old[i])
        size = abs(delta)
        weight = next_to_it if size > second else outer[i]
        term = (inner if size > first else weight) * delta
        total[i] = total[i] + term if term != _ZERO else total[i]


@_compiled
@no_type_check
def _add_inner_and_flag(total, old, new, outer, thresholds, weights, before, flags, ties):
    first, inner = thresholds[0], weights[0]
    second, next_to_it = (thresholds[1], weights[1]) if weights.size > 1 else (_INF, _ZERO)
    tie, next_tie = ties[0], ties[1] if ties.size > 1 else _NAN
    for i in range(total.size):
        delta = _value(new[i]) - _value(old[i])
        size = abs(delta)
        before[i] = total[i]
        flags[i] = (size == tie) | (size == next_tie)
        weight = next_to_it if size > second else outer[i]
        term = (inner if size > first else weight) * delta
        total[i] = total[i] + term if term != _ZERO else total[i]
    for band in range(2, ties.size):
        tie = ties[band]
        for i in range(total.size):
            flags[i] |= abs(_value(new[i]) - _value(old[i])) == tie


@_compiled
@no_type_check
def _flagged(flags, size, places):
    # Eight flags at a time: most words of flags are zero.
    for i in range(size, flags.size):
        flags[i] = 0
    words, live = flags.view(np.uint64), 0
    busy = np.empty(_BLOCK // 8 + 1, np.int64)
    for k in range((size + 7) >> 3):
        busy[live] = k
        live += words[k] != np.uint64(0)
    count = 0
    for k in range(live):
        word, origin = words[busy[k]], 8 * busy[k]
        while word != np.uint64(0):
            places[count] = origin + np.int64(trailing_zeros(word) >> np.uint64(3))
            count += 1
            word &= word - np.uint64(1)
    return count


@_compiled
@no_type_check
def gather_tied(base, tuned, start, seed, thresholds, lows, highs, counts, hashes):
    flags, places = np.zeros(_BLOCK, np.uint8), np.empty(_BLOCK + 1, np.int64)
    sizes, mixed = np.empty(_BLOCK, np.float32), np.empty(_BLOCK, np.uint64)
    for first in range(0, base.size, _BLOCK):
        old, new = base[first : first + _BLOCK], tuned[first : first + _BLOCK]
        # 1. Flag the elements equal to any threshold, two thresholds at a time.
        for i in range(old.size):
            flags[i] = 0
        for band in range(0, thresholds.size, 2):
            threshold1 = thresholds[band]
            threshold2 = thresholds[band + 1] if band + 1 < thresholds.size else _NAN
            for i in range(old.size):
                size = abs(_value(new[i]) - _value(old[i]))
                flags[i] |= (size == threshold1) | (size == threshold2)
        # 2. Hash these, and sort them out by threshold.
        live = _flagged(flags, old.size, places)
        origin = start + np.uint64(first)
        for k in range(live):
            mixed[k] = _mix(origin + np.uint64(places[k]), seed)
            sizes[k] = abs(_value(new[places[k]]) - _value(old[places[k]]))
        for band in range(thresholds.size):
            tied = counts[band], hashes[band]
            _sort_out(sizes[:live], mixed, thresholds[band], lows[band], highs[band], *tied)


@_compiled
@no_type_check
def _sort_out(sizes, mixed, threshold, low, high, counts, hashes):
    tied, below, end = 0, 0, counts[2]
    for k in range(sizes.size):
        equal = sizes[k] == threshold
        tied += equal
        below += equal & (mixed[k] < low)
    for k in range(sizes.size):
        inside = (sizes[k] == threshold) & (mixed[k] >= low) & (mixed[k] <= high)
        if inside and end < hashes.size:
            hashes[end] = mixed[k]
        end += inside
    counts[0] += tied
    counts[1] += below
    counts[2] = end


@_compiled
@no_type_check
def histogram(base, tuned, words, span):
    # A word is 2**40 times the count plus the sum of the low bits: one addition per element.
    keys = np.empty(_BLOCK, np.uint32)
    pairs = keys.view(np.uint64)
    low, shift, top = np.uint64(_LOW), np.uint64(_OPEN), np.uint64((1 << 18) - 1)
    for first in range(0, base.size, _BLOCK):
        old, new = base[first : first + _BLOCK], tuned[first : first + _BLOCK]
        # 1. Index and low bits of every element, and the extent of the indices.
        smallest, highest = span[0], span[1]
        for i in range(old.size):
            bits = np.float32(abs(_value(new[i]) - _value(old[i]))).view(np.uint32)
            index = np.uint32((bits >> _OPEN) + ((bits + _LOW) >> _OPEN))
            smallest = min(smallest, np.uint32(index - np.uint32(1)))  # an index of 0 comes last
            highest = max(highest, index)
            keys[i] = np.uint32(index << _OPEN) | np.uint32(bits & _LOW)
        span[0], span[1] = smallest, highest
        # 2. Add them to the words, two keys per load.
        for i in range(old.size >> 1):
            pair = pairs[i]
            words[(pair >> shift) & top] += _ONE_COUNT + (pair & low)
            pair >>= np.uint64(32)
            words[pair >> shift] += _ONE_COUNT + (pair & low)
        if old.size & 1:
            pair = np.uint64(keys[old.size - 1])
            words[pair >> shift] += _ONE_COUNT + (pair & low)


@_compiled
@no_type_check
def sum_squares(raw, lanes):
    for first in range(0, raw.size, lanes.size):
        part = raw[first : first + lanes.size]
        for i in range(part.size):
            value = np.float64(_value(part[i]))
            lanes[i] += value * value
