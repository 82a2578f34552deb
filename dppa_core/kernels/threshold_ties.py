"""Merges the elements that may lie on a threshold, with the exact cuts; see `whole`."""

from __future__ import annotations

import math
from typing import no_type_check

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

# numba does not recompile this file when these change; they never change.
from dppa_core.kernels.loops import _ZERO, _compiled, _mix
from dppa_core.kernels.paired import _high, _inlined, _low, extent, rounded, rows

_ODD, _UPPER = np.uint32(1), np.uint32(16)
_NONE, _LAST, _HALF = np.uint64(0), np.uint64(2**64 - 1), np.uint64(32)


@_compiled
@no_type_check
def single(low, high):
    """Return True if [low, high) holds one magnitude, or none since both are infinite."""
    bits = np.float32(low).view(np.uint32), np.float32(high).view(np.uint32)
    return bits[1] - bits[0] <= _ODD


@_compiled
@no_type_check
def settle(taken, seed, bands, counts, exact, scratch, out):
    """Merge the collected elements again, with the exact cuts.

    Args:
        taken: Their places in the tensor, and their weights: the base in the lowest 16 bits, three
            models above.
        bands: Thresholds, lows, highs and weights, as in `whole.sweep`.
        counts, exact: As in `whole.finish`.
        scratch: uint64, two and a quarter for each element of an open band, and some more.
        out: uint16, the tensor.

    Returns:
        True if every band holds as many elements as `counts` says (if not, nothing is written); and
        the bits of the largest magnitude.
    """
    places, packed = taken
    _, lows, highs, weights = bands
    n, total = places.size, counts[:, :, 0].sum()
    hashes, dealt, rest = scratch[:n], scratch[n : n + total], scratch[n + total :]
    codes, narrow = rest.view(np.uint8)[:n], rest.view(np.uint16)[:n]  # used one after the other
    # 1. Hash every element, and note which open bands contain it.
    for k in range(places.size):
        hashes[k] = _mix(np.uint64(places[k]), seed)
    _encode(packed, rows(lows), rows(highs), codes)
    if not _deal_out(codes, hashes, counts, dealt):
        return False, np.uint16(0)
    # 2. Find the exact threshold and cut of every open band among its elements.
    start = 0
    for bit in range(6):
        model, band = bit >> 1, bit & 1
        within = counts[model, band, 0]
        if within:
            low, tied_hashes = lows[model, band], dealt[start : start + within]
            is_single = single(low, highs[model, band])
            sizes = _sizes(packed, codes, bit, low, within, is_single)
            cut = _exact_cut((sizes, tied_hashes), is_single, counts[model, band])
            exact[0][model, band], exact[1][model, band] = cut
        start += within
    # 3. Merge the elements with these, and write them into the tensor.
    _blend(packed, hashes, exact, weights, narrow)
    for i in range(places.size):
        out[places[i]] = narrow[i]
    return True, extent(narrow)[1]


@_inlined
@no_type_check
def _deltas(weights):
    """The base's weight, and the deltas of three models."""
    first, second = np.uint32(weights), np.uint32(weights >> _HALF)
    base = _low(first)
    return base, _high(first) - base, _low(second) - base, _high(second) - base


@_compiled
@no_type_check
def _encode(packed, lows, highs, codes):
    """Set one bit for each open band that contains an element."""
    for k in range(codes.size):
        _, delta1, delta2, delta3 = _deltas(packed[k])
        a, b, c = abs(delta1), abs(delta2), abs(delta3)
        code = np.uint8((a >= lows[0][0]) & (a < highs[0][0]))
        code |= np.uint8((a >= lows[0][1]) & (a < highs[0][1])) << np.uint8(1)
        code |= np.uint8((b >= lows[1][0]) & (b < highs[1][0])) << np.uint8(2)
        code |= np.uint8((b >= lows[1][1]) & (b < highs[1][1])) << np.uint8(3)
        code |= np.uint8((c >= lows[2][0]) & (c < highs[2][0])) << np.uint8(4)
        code |= np.uint8((c >= lows[2][1]) & (c < highs[2][1])) << np.uint8(5)
        codes[k] = code


@_compiled
@no_type_check
def _deal_out(codes, hashes, counts, dealt):
    """Write the hashes of every band's elements, band by band; return True if all fit."""
    ends, places, total = np.zeros(6, np.int64), np.zeros(6, np.int64), 0
    for bit in range(6):
        places[bit] = total
        total += counts[bit >> 1, bit & 1, 0]
        ends[bit] = total
    for k in range(codes.size):
        code = np.uint64(codes[k])
        while code != _NONE:  # nearly always one iteration
            bit = trailing_zeros(code)
            if places[bit] == ends[bit]:
                return False
            dealt[places[bit]] = hashes[k]
            places[bit] += 1
            code &= code - np.uint64(1)
    return np.all(places == ends)


@_compiled
@no_type_check
def _sizes(packed, codes, bit, low, within, single):
    """|d| of the elements of a band, in the order of their hashes in `_deal_out`."""
    if single:
        return np.full(1, low, np.float32)
    sizes, size, model = np.empty(within, np.float32), 0, bit >> 1
    for k in range(codes.size):
        if (codes[k] >> bit) & 1:
            _, delta1, delta2, delta3 = _deltas(packed[k])
            sizes[size] = abs(delta1 if model == 0 else delta2 if model == 1 else delta3)
            size += 1
    return sizes


@_inlined
@no_type_check
def _inside(delta, mixed, edges, cuts, weights):
    size = abs(delta)
    weight = weights[1] if (size > edges[1]) | ((size == edges[1]) & (mixed < cuts[1])) else _ZERO
    weight = weights[0] if (size > edges[0]) | ((size == edges[0]) & (mixed < cuts[0])) else weight
    return weight * delta


@_compiled
@no_type_check
def _blend(packed, hashes, exact, weights, narrow):
    edges, cuts, factors = rows(exact[0]), rows(exact[1]), rows(weights)
    for i in range(narrow.size):
        mixed, (total, a, b, c) = hashes[i], _deltas(packed[i])
        term1 = _inside(a, mixed, edges[0], cuts[0], factors[0])
        term2 = _inside(b, mixed, edges[1], cuts[1], factors[1])
        term3 = _inside(c, mixed, edges[2], cuts[2], factors[2])
        total = total + term1 if term1 != _ZERO else total
        total = total + term2 if term2 != _ZERO else total
        total = total + term3 if term3 != _ZERO else total
        narrow[i] = rounded(np.float32(total).view(np.uint32)) >> _UPPER


@_compiled
@no_type_check
def _exact_cut(elements, single, counts):
    """Threshold and tie cut of an open band, from the |d| and hashes in it; see `Cut`."""
    sizes, hashes = elements
    within, share, border = hashes.size, counts[2], sizes[0]
    if not single:  # several magnitudes: the threshold is the one at its place
        ordered = np.sort(sizes)
        border = ordered[counts[1]]
        below = np.searchsorted(ordered, border)
        above = sizes.size - np.searchsorted(ordered, border, side="right")
        within, share = sizes.size - above - below, max(share - above, 0)
    if share == 0:
        return border, np.uint64(0)
    if share == within:
        return np.uint32(np.float32(border).view(np.uint32) - _ODD).view(np.float32), np.uint64(0)
    if single:
        return border, _tie_cut(hashes, share)
    return border, _tie_cut(hashes[sizes == border], share)


@_compiled
@no_type_check
def _tie_cut(hashes, share):
    """The hash of the element after the first `share` in the order of hashes.

    As in `hash_window`, only hashes near the cut are examined; a miss widens the window.
    """
    near, tied = np.empty(hashes.size + 1, np.uint64), hashes.size
    deviations = 6.0
    while True:
        # The window in which the cut is expected.
        spread = deviations * math.sqrt(share * (tied - share) / tied) + 8
        lowest, highest = (share - spread) / tied, (share + spread) / tied
        low = np.uint64(lowest * 2.0**64) if lowest > 0 else np.uint64(0)
        high = np.uint64(highest * 2.0**64) if highest < 1 else _LAST
        # The hashes in it, and the number of those below.
        # Hashes below it are counted, those in it copied.
        below, inside = 0, 0
        for i in range(tied):
            below += hashes[i] < low
        for i in range(tied):
            near[inside] = hashes[i]
            inside += (hashes[i] >= low) & (hashes[i] <= high)
        if 0 <= share - below < inside:
            return _short(np.partition(near[:inside], share - below), share - below)
        deviations *= 10


@_compiled
@no_type_check
def _short(hashes, place):
    """The hash at a place, or only its upper half if all earlier hashes are still smaller."""
    before, cut = np.uint64(0), hashes[place]
    for i in range(place):
        before = max(before, hashes[i])
    short = (cut >> _HALF) << _HALF
    return short if place > 0 and before < short else cut
