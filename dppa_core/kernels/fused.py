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

from dppa_core.kernels.loops import _NAN, _ZERO, _compiled, _flagged, _mix, _value

_BLOCK = 4096


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
def _flag(old, one, two, three, ties, flags):
    a, b, c = ties
    for i in range(old.size):
        base = _value(old[i])
        size = abs(_value(one[i]) - base)
        flag = (size == a[0]) | (size == a[1])
        size = abs(_value(two[i]) - base)
        flag |= (size == b[0]) | (size == b[1])
        size = abs(_value(three[i]) - base)
        flags[i] = flag | (size == c[0]) | (size == c[1])


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
def fuse(base, tuned, start, seed, thresholds, cuts, weights, out):
    # Numbers in tuples stay in registers; arrays would be read anew for every element.
    borders = (
        (thresholds[0, 0], thresholds[0, 1]),
        (thresholds[1, 0], thresholds[1, 1]),
        (thresholds[2, 0], thresholds[2, 1]),
    )
    factors = (
        (weights[0, 0], weights[0, 1]),
        (weights[1, 0], weights[1, 1]),
        (weights[2, 0], weights[2, 1]),
    )
    edges = np.full((3, 2), _NAN, np.float32)
    any_ties = False
    for model in range(3):
        for level in range(2):
            if cuts[model, level] > np.uint64(0):
                edges[model, level], any_ties = thresholds[model, level], True
    ties = ((edges[0, 0], edges[0, 1]), (edges[1, 0], edges[1, 1]), (edges[2, 0], edges[2, 1]))
    flags, places = np.zeros(_BLOCK, np.uint8), np.empty(_BLOCK + 1, np.int64)
    rooms = (
        np.empty(_BLOCK, np.float32),
        np.empty(_BLOCK, np.float32),
        np.empty(_BLOCK, np.float32),
        np.empty(_BLOCK, np.uint64),
    )
    one, two = carray(_bfloat16_at(tuned[0]), base.size), carray(_bfloat16_at(tuned[1]), base.size)
    three, largest = carray(_bfloat16_at(tuned[2]), base.size), np.uint16(0)
    step = _BLOCK if any_ties else 8 * _BLOCK
    for first in range(0, base.size, step):
        stop = first + step
        old, target = base[first:stop], out[first:stop]
        new = one[first:stop], two[first:stop], three[first:stop]
        _blend(old, new[0], new[1], new[2], borders, factors, target)
        if any_ties:
            _flag(old, new[0], new[1], new[2], ties, flags)
            live = places[: _flagged(flags, old.size, places)]
            origin = start + np.uint64(first)
            _settle(old, new, live, origin, seed, thresholds, cuts, weights, rooms, target)
        for i in range(target.size):
            largest = max(largest, np.uint16(target[i] & np.uint16(0x7FFF)))
    return largest
