"""Whole tensors of bfloat16 in one reading: sums, and the exact cuts among ties.

Knows arrays of one tensor, not treatments or files. In numba only; what it writes is what the
kernels of chunks write, which find the cuts in a reading of their own. Elements that equal a
threshold are left open in the first loop and settled afterwards, among themselves.
"""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np

# What is compiled here is not compiled anew when it changes there: these never change.
from dppa_core.kernels.loops import _compiled, _mix, _value

LEVELS = 2
"""Levels of every model; unused ones have the threshold infinity and no ties."""
DONE, TOO_LARGE, OTHER_COUNTS = 0, 1, 2
"""What `merge` says: all is written; a sum is not finite in bfloat16, or an input is not; the
tensor is not the one that was profiled. Only the first leaves a result."""

_BLOCK = 512
_ZERO, _INF = np.float32(0), np.float32(np.inf)
_LIMIT = np.uint32(0x7F7F8000)  # rounds to infinity from here on
_MAGNITUDE, _HALF, _ODD = np.uint32(0x7FFFFFFF), np.uint32(0x7FFF), np.uint32(1)
_UPPER, _LAST = np.uint32(16), np.uint64(2**64 - 1)


@_compiled
@no_type_check
def merge(base, tuned, seed, thresholds, lows, highs, counts, weights, out):
    """Write base + weighted, pruned deltas.

    A level that is open has its threshold somewhere from `lows` to before `highs`; `counts` says
    how many elements lie there, the place of the threshold among them in ascending order, and how
    many of them are to be kept, if those above the threshold are not more already.

    Args:
        base: uint16, bfloat16 as stored.
        tuned: Tuple of K arrays like it.
        seed: Of the order among elements equal to a threshold.
        thresholds: (K, 2), falling; |d| above one is inside its level. Of an open level its low.
        lows: (K, 2); infinite where a level is not open.
        highs: (K, 2), as `lows`.
        counts: (K, 2, 3), int64; zeros where a level is not open.
        weights: (K, 2): of the first level an element is inside of.
        out: uint16, as long as `base`.
    """
    room = counts[:, :, 0].sum()
    places = np.empty(room + _BLOCK + 1, np.int32)  # and a block that has too many
    found, largest = _sweep(base, tuned, thresholds, lows, highs, weights, places, room, out)
    if found > room:
        return OTHER_COUNTS
    if found:
        given = thresholds, lows, highs, counts, weights
        status, more = _settle(base, tuned, seed, given, places[:found], out)
        if status != DONE:
            return status
        largest = max(largest, more)
    return DONE if largest < _LIMIT else TOO_LARGE


@_compiled
@no_type_check
def _sweep(base, tuned, thresholds, lows, highs, weights, places, room, out):
    total, flags = np.empty(_BLOCK, np.float32), np.zeros(_BLOCK, np.uint8)
    here, found, largest = np.empty(_BLOCK // 8 + 1, np.int64), 0, np.uint32(0)
    for first in range(0, out.size, _BLOCK):
        old, part = base[first : first + _BLOCK], out[first : first + _BLOCK]
        acc, some = total[: old.size], False
        for i in range(old.size):
            acc[i] = _value(old[i])
        for k in range(len(tuned)):
            new = tuned[k][first : first + _BLOCK]
            if lows[k, 0] == _INF and lows[k, 1] == _INF:
                _add(acc, old, new, thresholds[k], weights[k])
            else:
                if not some:
                    flags[:] = 0
                some = True
                _add_and_flag(acc, old, new, thresholds[k], weights[k], lows[k], flags)
                for level in range(2):
                    if not _single(lows[k, level], highs[k, level]):
                        _flag_between(old, new, lows[k, level], highs[k, level], flags)
        largest = max(largest, _narrow(acc.view(np.uint32), part))
        if some:
            found = _collect(flags, first, old.size, here, places, found)
            if found > room:
                break
    return found, largest


@_compiled
@no_type_check
def _collect(flags, first, size, here, places, found):
    # Eight flags at a time, and without a branch: how many are set is anybody's guess.
    flags[size:] = 0
    words, live, count = flags.view(np.uint64), 0, 0
    for k in range((size + 7) >> 3):
        here[live] = k
        live += words[k] != np.uint64(0)
    for k in range(live):
        origin = 8 * here[k]
        for i in range(8):
            places[found + count] = first + origin + i
            count += flags[origin + i]
    return found + count


@_compiled
@no_type_check
def _add(acc, old, new, thresholds, weights):
    first, second, inner, outer = thresholds[0], thresholds[1], weights[0], weights[1]
    for i in range(acc.size):
        delta = _value(new[i]) - _value(old[i])
        size = abs(delta)
        weight = outer if size > second else _ZERO
        term = (inner if size > first else weight) * delta
        acc[i] = acc[i] + term if term != _ZERO else acc[i]


@_compiled
@no_type_check
def _add_and_flag(acc, old, new, thresholds, weights, lows, flags):
    first, second, inner, outer = thresholds[0], thresholds[1], weights[0], weights[1]
    low, other = lows[0], lows[1]
    for i in range(acc.size):
        delta = _value(new[i]) - _value(old[i])
        size = abs(delta)
        flags[i] |= (size == low) | (size == other)
        weight = outer if size > second else _ZERO
        term = (inner if size > first else weight) * delta
        acc[i] = acc[i] + term if term != _ZERO else acc[i]


@_compiled
@no_type_check
def _flag_between(old, new, low, high, flags):
    for i in range(old.size):
        size = abs(_value(new[i]) - _value(old[i]))
        flags[i] |= (size > low) & (size < high)


@_compiled
@no_type_check
def _single(low, high):
    """Whether one magnitude alone lies from low to before high, or none since both are infinite."""
    bits = np.float32(low).view(np.uint32), np.float32(high).view(np.uint32)
    return bits[1] - bits[0] <= _ODD


@_compiled
@no_type_check
def _narrow(bits, out):
    largest = np.uint32(0)
    for i in range(out.size):
        value = bits[i]
        largest = max(largest, np.uint32(value & _MAGNITUDE))
        out[i] = (value + _HALF + ((value >> _UPPER) & _ODD)) >> _UPPER
    return largest


@_compiled
@no_type_check
def _settle(base, tuned, seed, given, places, out):
    thresholds, lows, highs, counts, weights = given
    old, acc = np.empty(places.size, np.float32), np.empty(places.size, np.float32)
    hashes, deltas = np.empty(places.size, np.uint64), np.empty(places.size, np.float32)
    some = np.empty(places.size, np.uint16)
    sizes = np.empty((2, places.size + 1), np.float32)
    mixed, room = np.empty((2, places.size + 1), np.uint64), np.empty(places.size + 1, np.uint64)
    for i in range(places.size):
        some[i] = base[places[i]]
    for i in range(places.size):
        old[i] = _value(some[i])
        acc[i] = old[i]
        hashes[i] = _mix(np.uint64(places[i]), seed)
    borders, cuts, found = np.empty(2, np.float32), np.zeros(2, np.uint64), np.empty(2, np.int64)
    for k in range(len(tuned)):
        new = tuned[k]
        for i in range(places.size):
            some[i] = new[places[i]]
        for i in range(places.size):
            deltas[i] = _value(some[i]) - old[i]
        _deal_out(deltas, hashes, lows[k], highs[k], sizes, mixed, found)
        for level in range(2):
            borders[level], cuts[level] = thresholds[k, level], 0
            if found[level] != counts[k, level, 0]:
                return OTHER_COUNTS, np.uint32(0)
            if found[level]:
                mine = sizes[level, : found[level]], mixed[level, : found[level]]
                one = _single(lows[k, level], highs[k, level])
                borders[level], cuts[level] = _border(mine, one, counts[k, level], room)
        _add_inside(acc, deltas, hashes, borders, cuts, weights[k])
    largest = _narrow(acc.view(np.uint32), some)
    for i in range(places.size):
        out[places[i]] = some[i]
    return DONE, largest


@_compiled
@no_type_check
def _deal_out(deltas, hashes, lows, highs, sizes, mixed, found):
    """Collect |d| and hash of the elements of both open levels."""
    low, high, other_low, other_high = lows[0], highs[0], lows[1], highs[1]
    first, second = 0, 0
    for i in range(deltas.size):
        size, own = abs(deltas[i]), hashes[i]
        sizes[0, first], mixed[0, first] = size, own
        sizes[1, second], mixed[1, second] = size, own
        first += (size >= low) & (size < high)
        second += (size >= other_low) & (size < other_high)
    found[0], found[1] = first, second


@_compiled
@no_type_check
def _add_inside(acc, deltas, hashes, borders, cuts, weights):
    first, second, inner, outer = borders[0], borders[1], weights[0], weights[1]
    cut, next_cut = cuts[0], cuts[1]
    for i in range(acc.size):
        delta = deltas[i]
        size = abs(delta)
        weight = outer if (size > second) | ((size == second) & (hashes[i] < next_cut)) else _ZERO
        weight = inner if (size > first) | ((size == first) & (hashes[i] < cut)) else weight
        term = weight * delta
        acc[i] = acc[i] + term if term != _ZERO else acc[i]


@_compiled
@no_type_check
def _border(elements, single, counts, room):
    """Threshold and tie cut of an open level, from the |d| and hashes in it; see `Cut`."""
    sizes, hashes = elements
    within, share, border = sizes.size, counts[2], sizes[0]
    if not single:  # more than one magnitude: the threshold is the one at its place
        ordered = np.sort(sizes)
        border = ordered[counts[1]]
        below = np.searchsorted(ordered, border)
        above = sizes.size - np.searchsorted(ordered, border, side="right")
        within, share = sizes.size - above - below, max(share - above, 0)
    if share == 0:
        return border, np.uint64(0)
    if share == within:
        return np.uint32(np.float32(border).view(np.uint32) - _ODD).view(np.float32), np.uint64(0)
    tied = 0
    for i in range(sizes.size):
        room[tied] = hashes[i]
        tied += sizes[i] == border
    return border, _tie_cut(room[:tied], share)


@_compiled
@no_type_check
def _tie_cut(hashes, share):
    """The hash of the element after the first `share`, by hash.

    As in `tie_window`, only hashes near the cut are looked at; a miss widens the window.
    """
    near, tied = np.empty(hashes.size + 1, np.uint64), hashes.size
    deviations = 6.0
    while True:
        spread = deviations * math.sqrt(share * (tied - share) / tied) + 8
        lowest, highest = (share - spread) / tied, (share + spread) / tied
        low = np.uint64(lowest * 2.0**64) if lowest > 0 else np.uint64(0)
        high = np.uint64(highest * 2.0**64) if highest < 1 else _LAST
        below, inside = 0, 0
        for i in range(tied):
            below += hashes[i] < low
        for i in range(tied):
            near[inside] = hashes[i]
            inside += (hashes[i] >= low) & (hashes[i] <= high)
        if 0 <= share - below < inside:
            return np.partition(near[:inside], share - below)[share - below]
        deviations *= 10
