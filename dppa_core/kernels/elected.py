"""The loops over stacked deltas in numba: counts of magnitudes, and election of signs.

`Loops` describes them; `dppa_core.methods.shared.numpy_loops` is the reference. Blocks stay in the
first-level cache, so that no delta, sign or divisor is written to memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Int64, UInt32, UInt64
from numpy import ndarray

from dppa_core.kernels.loops import _BLOCK, _compiled, _flagged, _mix
from dppa_core.methods.shared.sign_election import SignBallot
from dppa_core.pruning.tie_breaking import Cut, Window

Values = Float32[ndarray, "rows columns"]
Deltas = Float32[ndarray, "K rows columns"]

_ZERO, _NONE = np.float32(0), np.uint64(0)
_SIZE, _LOW, _HALF, _NEXT = np.uint32(0x7FFFFFFF), np.uint32(0xFFFF), np.uint32(16), np.uint32(1)
_NEGATIVE, _POSITIVE, _UNDECIDED = np.int8(-1), np.int8(1), np.int8(0)


def count_magnitudes(values: Values, counts: Int64[ndarray, " words"]) -> None:
    _count_magnitudes(_bits(values), counts)


def count_within(values: Values, high: int, counts: Int64[ndarray, " low"]) -> None:
    _count_within(_bits(values), np.uint32(high), counts)


def gather_tied(
    values: Values, threshold: float, start: int, seed: int, window: Window
) -> tuple[int, UInt64[ndarray, " n"]]:
    bits, key = _bits(values), np.float32(threshold).view(np.uint32)
    place = np.uint64(start), np.uint64(seed), np.uint64(window.low), np.uint64(window.high)
    hashes = np.empty(window.room, np.uint64)
    below, inside = _gather_tied(bits, key, *place, hashes)
    if inside > hashes.size:  # more than expected
        hashes = np.empty(inside, np.uint64)
        _gather_tied(bits, key, *place, hashes)
    return int(below), hashes[:inside].copy()


def vote(
    deltas: Deltas, cuts: Sequence[Cut], start: int, seed: int, factors: Sequence[float]
) -> int:
    place, votes = (np.uint64(start), np.uint64(seed)), np.array(factors, np.float32)
    return int(_vote(_rows(deltas), _borders(deltas, cuts), place, votes))


def agree(deltas: Deltas, cuts: Sequence[Cut], start: int, seed: int, ballot: SignBallot) -> Values:
    merged: Values = np.empty(deltas.shape[1:], np.float32)
    place = np.uint64(start), np.uint64(seed)
    votes, weights = np.array(ballot.votes, np.float32), np.array(ballot.weights, np.float32)
    factors = votes, weights, np.array(ballot.shares, np.float64)
    rule = np.int8(ballot.undecided), ballot.divide, float(ballot.cancelled), float(ballot.least)
    _agree(_rows(deltas), _borders(deltas, cuts), place, factors, rule, merged.reshape(-1))
    return merged


def _bits(values: Values) -> UInt32[ndarray, " n"]:
    return np.ascontiguousarray(values).reshape(-1).view(np.uint32)


def _rows(deltas: Deltas) -> Float32[ndarray, "K n"]:
    return np.ascontiguousarray(deltas).reshape(deltas.shape[0], -1)


def _borders(
    deltas: Deltas, cuts: Sequence[Cut]
) -> tuple[Float32[ndarray, " K"], UInt64[ndarray, " K"]]:
    """Thresholds and hashes; a threshold of -1 includes every magnitude."""
    borders = cuts or [Cut(-1.0, 0)] * deltas.shape[0]
    thresholds = np.array([cut.threshold for cut in borders], np.float32)
    return thresholds, np.array([cut.tie_cut for cut in borders], np.uint64)


@_compiled
@no_type_check
def _count_magnitudes(bits, counts):
    words = np.empty(_BLOCK, np.uint32)
    for first in range(0, bits.size, _BLOCK):
        part = bits[first : first + _BLOCK]
        for i in range(part.size):
            size = part[i] & _SIZE
            words[i] = np.uint32(np.uint32(size >> _HALF) << _NEXT) | np.uint32(
                (size & _LOW) != np.uint32(0)
            )
        for i in range(part.size):
            counts[words[i]] += 1


@_compiled
@no_type_check
def _count_within(bits, high, counts):
    flags, places = np.zeros(_BLOCK, np.uint8), np.empty(_BLOCK + 1, np.int64)
    for first in range(0, bits.size, _BLOCK):
        part = bits[first : first + _BLOCK]
        for i in range(part.size):
            flags[i] = np.uint32((part[i] & _SIZE) >> _HALF) == high
        for k in range(_flagged(flags, part.size, places)):
            counts[part[places[k]] & _LOW] += 1


@_compiled
@no_type_check
def _gather_tied(bits, key, start, seed, low, high, hashes):
    flags, places = np.zeros(_BLOCK, np.uint8), np.empty(_BLOCK + 1, np.int64)
    below, inside = 0, 0
    for first in range(0, bits.size, _BLOCK):
        part, origin = bits[first : first + _BLOCK], start + np.uint64(first)
        for i in range(part.size):
            flags[i] = (part[i] & _SIZE) == key
        for k in range(_flagged(flags, part.size, places)):
            mixed = _mix(origin + np.uint64(places[k]), seed)
            below += mixed < low
            if low <= mixed <= high:
                if inside < hashes.size:
                    hashes[inside] = mixed
                inside += 1
    return below, inside


@_compiled
@no_type_check
def _trim(deltas, threshold, cut, origin, seed, kept, flags, places):
    if cut == _NONE:
        for i in range(deltas.size):
            kept[i] = deltas[i] if abs(deltas[i]) > threshold else _ZERO
        return
    for i in range(deltas.size):
        size = abs(deltas[i])
        kept[i] = deltas[i] if size > threshold else _ZERO
        flags[i] = size == threshold
    for k in range(_flagged(flags, deltas.size, places)):
        if _mix(origin + np.uint64(places[k]), seed) < cut:
            kept[places[k]] = deltas[places[k]]


@_compiled
@no_type_check
def _elect(deltas, first, borders, place, votes, undecided, scratch, signs):
    kept, total, flags, places = scratch
    start, seed = place
    count = min(_BLOCK, deltas.shape[1] - first)
    for i in range(count):
        total[i] = 0.0
    for model in range(deltas.shape[0]):
        part, trimmed, factor = deltas[model, first : first + count], kept[model], votes[model]
        border = borders[0][model], borders[1][model]
        _trim(part, *border, start + np.uint64(first), seed, trimmed, flags, places)
        for i in range(count):
            total[i] += np.float64(np.float32(trimmed[i] * factor))
    for i in range(count):
        sign = _NEGATIVE if total[i] < 0.0 else undecided
        signs[i] = _POSITIVE if total[i] > 0.0 else sign
    return count


@_compiled
@no_type_check
def _scratch(models):
    kept, total = np.empty((models, _BLOCK), np.float32), np.empty(_BLOCK, np.float64)
    return kept, total, np.zeros(_BLOCK, np.uint8), np.empty(_BLOCK + 1, np.int64)


@_compiled
@no_type_check
def _vote(deltas, borders, place, votes):
    scratch, signs, balance = _scratch(votes.size), np.empty(_BLOCK, np.int8), 0
    for first in range(0, deltas.shape[1], _BLOCK):
        count = _elect(deltas, first, borders, place, votes, _UNDECIDED, scratch, signs)
        for i in range(count):
            balance += signs[i]
    return balance


@_compiled
@no_type_check
def _agree(deltas, borders, place, factors, rule, merged):
    (votes, weights, shares), (undecided, divide, cancelled, least) = factors, rule
    scratch, signs = _scratch(votes.size), np.empty(_BLOCK, np.int8)
    divisor = np.empty(_BLOCK, np.float64)
    for first in range(0, deltas.shape[1], _BLOCK):
        # 1. Elect the signs of a block.
        count = _elect(deltas, first, borders, place, votes, undecided, scratch, signs)
        total, kept = merged[first : first + count], scratch[0]
        # 2. Add the models that agree with them.
        for i in range(count):
            total[i], divisor[i] = _ZERO, 0.0
        for model in range(deltas.shape[0]):
            trimmed, weight, share = kept[model], weights[model], shares[model]
            for i in range(count):
                part = np.float32(trimmed[i] * weight)
                sign = np.int8(part > _ZERO) - np.int8(part < _ZERO)
                agrees = (sign == signs[i]) & (sign != 0)
                total[i] += part if agrees else _ZERO
                divisor[i] += share if agrees else 0.0
        # 3. Divide by the shares of these models.
        if divide:
            for i in range(count):
                whole = 1.0 if abs(divisor[i]) <= cancelled else divisor[i]
                whole = max(whole, least) if least != 0.0 else whole
                total[i] /= np.float32(whole)
