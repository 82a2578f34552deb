"""The compiled loops of the numba backend for elements ranked by another score than |d|.

The functions it uses from `loops` never change, since merges must stay repeatable.
"""

from __future__ import annotations

from typing import no_type_check

import numpy as np

from dppa_core.kernels.loops import _LOW, _OPEN, _compiled, _mix, _value

_ZERO, _INF, _SMALLEST = np.float32(0), np.float32(np.inf), np.finfo(np.float32).tiny
_STEP, _TOP, _NEXT = np.float32(2.0**-24), np.uint64(40), np.uint64(1)


@_compiled
@no_type_check
def score(base, tuned, weights, out):
    for i in range(out.size):
        size = abs(_value(tuned[i]) - _value(base[i]))
        scored = np.float32(weights[i] * size)
        scored = _SMALLEST if scored < _SMALLEST else scored  # NaN stays NaN
        out[i] = _ZERO if size == _ZERO else scored


@_compiled
@no_type_check
def score_random(base, tuned, start, seed, out):
    for i in range(out.size):
        size = abs(_value(tuned[i]) - _value(base[i]))
        drawn = np.float32((_mix(start + np.uint64(i), seed) >> _TOP) + _NEXT) * _STEP
        out[i] = drawn if (size > _ZERO) & (size < _INF) else size


@_compiled
@no_type_check
def add_ranked(acc, base, tuned, scores, start, seed, thresholds, cuts, weights):
    for i in range(acc.size):
        scored, weight = scores[i], _ZERO
        for band in range(thresholds.size):  # thresholds fall: the first band counts
            if scored > thresholds[band]:
                weight = weights[band]
                break
            if scored == thresholds[band] and _mix(start + np.uint64(i), seed) < cuts[band]:
                weight = weights[band]
                break
        term = weight * (_value(tuned[i]) - _value(base[i]))
        acc[i] = acc[i] + term if term != _ZERO else acc[i]


@_compiled
@no_type_check
def sum_by_bin(base, tuned, scores, sums):
    for i in range(scores.size):
        bits = np.float32(scores[i]).view(np.uint32)
        word = (bits >> _OPEN) + ((bits + _LOW) >> _OPEN)
        size = np.float64(abs(_value(tuned[i]) - _value(base[i])))
        sums[word, 0] += size
        sums[word, 1] += size * size
