"""The compiled loop that merges up to three models in one go, each byte read once.

Knows bfloat16 arrays only. Whoever changes what it borrows from `loops` has to touch this file,
too: numba looks for changes by file.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np
from numba import types
from numba.extending import intrinsic
from numba.np.numpy_support import carray

from dppa_core.kernels.loops import _ZERO, _compiled, _flagged, _mix, _value

# Elements worked on at a time: what is kept of them beside five arrays of weights stays in the
# first-level cache.
_BLOCK = 1024
_UPPER, _STEP = np.uint64(32), np.uint32(1)


@intrinsic
@no_type_check
def _bfloat16_at(context, address):
    def generate(target, builder, signature, arguments):
        return builder.inttoptr(arguments[0], target.get_value_type(signature.return_type))

    return types.CPointer(types.uint16)(types.uint64), generate


@_compiled
@no_type_check
def _plus(total, delta, first, second, inner, outer):
    size = abs(delta)
    term = (inner if size > first else outer if size > second else _ZERO) * delta
    return total + term if term != _ZERO else total


@_compiled
@no_type_check
def _narrowed(total):
    bits = np.float32(total).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    return np.uint16((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16))


@_compiled
@no_type_check
def _blend(old, one, two, three, thresholds, weights, out):
    a, b, c = thresholds
    u, v, w = weights
    for i in range(old.size):
        base = _value(old[i])
        total = _plus(base, _value(one[i]) - base, a[0], a[1], u[0], u[1])
        total = _plus(total, _value(two[i]) - base, b[0], b[1], v[0], v[1])
        total = _plus(total, _value(three[i]) - base, c[0], c[1], w[0], w[1])
        out[i] = _narrowed(total)


@_compiled
@no_type_check
def _rank(origin, seed, ranks):
    # Half a hash nearly always tells on which side of a cut it lies, and is a word like the others.
    for i in range(ranks.size):
        ranks[i] = np.uint32(_mix(origin + np.uint64(i), seed) >> _UPPER)


@_compiled
@no_type_check
def _unsure(ranks, cuts, flags):
    """Flag the elements that half a hash does not place; whether there are any."""
    (a, b), (c, d), (e, f) = cuts
    some = False
    for i in range(ranks.size):
        rank = ranks[i]
        one = (rank == a) | (rank == b) | (rank == c)
        some |= one | (rank == d) | (rank == e) | (rank == f)
    if some:
        for i in range(ranks.size):
            rank = ranks[i]
            one = (rank == a) | (rank == b) | (rank == c)
            flags[i] = one | (rank == d) | (rank == e) | (rank == f)
    return some


@_compiled
@no_type_check
def _plus_tied(total, delta, rank, edges, nexts, cuts, weights):
    # Above a threshold is from the next number on; what is below the cut needs the threshold only.
    size = abs(delta)
    first = edges[0] if rank < cuts[0] else nexts[0]
    second = edges[1] if rank < cuts[1] else nexts[1]
    term = (weights[0] if size >= first else weights[1] if size >= second else _ZERO) * delta
    return total + term if term != _ZERO else total


@_compiled
@no_type_check
def _blend_tied(old, one, two, three, ranks, edges, nexts, cuts, weights, out):
    a, b, c = edges
    d, e, f = nexts
    p, q, r = cuts
    u, v, w = weights
    for i in range(old.size):
        base, rank = _value(old[i]), ranks[i]
        total = _plus_tied(base, _value(one[i]) - base, rank, a, d, p, u)
        total = _plus_tied(total, _value(two[i]) - base, rank, b, e, q, v)
        total = _plus_tied(total, _value(three[i]) - base, rank, c, f, r, w)
        out[i] = _narrowed(total)


@_compiled
@no_type_check
def _settle(old, tuned, places, origin, seed, thresholds, cuts, weights, rooms, out):
    bases, totals, deltas, ranks = rooms
    for k in range(places.size):
        bases[k] = _value(old[places[k]])
        totals[k] = bases[k]
        ranks[k] = _mix(origin + np.uint64(places[k]), seed)
    for model in range(3):
        new, first, second = tuned[model], thresholds[model, 0], thresholds[model, 1]
        cut, next_cut = cuts[model, 0], cuts[model, 1]
        inner, outer = weights[model, 0], weights[model, 1]
        for k in range(places.size):
            deltas[k] = _value(new[places[k]]) - bases[k]
        for k in range(places.size):
            size, rank = abs(deltas[k]), ranks[k]
            weight = outer if (size > second) | ((size == second) & (rank < next_cut)) else _ZERO
            weight = inner if (size > first) | ((size == first) & (rank < cut)) else weight
            term = weight * deltas[k]
            totals[k] = totals[k] + term if term != _ZERO else totals[k]
    for k in range(places.size):
        out[places[k]] = _narrowed(totals[k])


@_compiled
@no_type_check
def _rows(of):
    # Numbers in tuples stay in registers; arrays would be read anew for every element.
    return (of[0, 0], of[0, 1]), (of[1, 0], of[1, 1]), (of[2, 0], of[2, 1])


@_compiled
@no_type_check
def fuse(base, tuned, start, seed, thresholds, cuts, weights, out):
    above, halves, any_ties = np.empty_like(thresholds), np.empty((3, 2), np.uint32), False
    for model in range(3):
        for level in range(2):
            border = np.float32(thresholds[model, level] + _ZERO)  # never the zero with a sign
            above[model, level] = np.uint32(border.view(np.uint32) + _STEP).view(np.float32)
            halves[model, level] = np.uint32(cuts[model, level] >> _UPPER)
            any_ties = any_ties or cuts[model, level] > np.uint64(0)
    borders, factors, nexts, parts = _rows(thresholds), _rows(weights), _rows(above), _rows(halves)
    flags, places = np.zeros(_BLOCK, np.uint8), np.empty(_BLOCK + 1, np.int64)
    ranks = np.empty(_BLOCK, np.uint32)
    rooms = (
        np.empty(_BLOCK, np.float32),
        np.empty(_BLOCK, np.float32),
        np.empty(_BLOCK, np.float32),
        np.empty(_BLOCK, np.uint64),
    )
    one, two = carray(_bfloat16_at(tuned[0]), base.size), carray(_bfloat16_at(tuned[1]), base.size)
    three, largest = carray(_bfloat16_at(tuned[2]), base.size), np.uint16(0)
    for first in range(0, base.size, _BLOCK):
        stop = first + _BLOCK
        old, target = base[first:stop], out[first:stop]
        new = one[first:stop], two[first:stop], three[first:stop]
        if any_ties:
            origin, mine = start + np.uint64(first), ranks[: old.size]
            _rank(origin, seed, mine)
            _blend_tied(old, new[0], new[1], new[2], mine, borders, nexts, parts, factors, target)
            if _unsure(mine, parts, flags):
                live = places[: _flagged(flags, old.size, places)]
                _settle(old, new, live, origin, seed, thresholds, cuts, weights, rooms, target)
        else:
            _blend(old, new[0], new[1], new[2], borders, factors, target)
        for i in range(target.size):
            largest = max(largest, np.uint16(target[i] & np.uint16(0x7FFF)))
    return largest
