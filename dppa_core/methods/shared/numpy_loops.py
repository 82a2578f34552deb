"""The loops over stacked deltas in numpy: the short reference of compiled ones. See `Loops`.

Votes and weights are added in float64: float32 sums could depend on the order of the models, and
weights that cancel would leave a nonzero divisor.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32, Int8, Int64, UInt32, UInt64
from numpy import ndarray

from dppa_core.methods.shared.sign_election import SignBallot
from dppa_core.pruning.tie_breaking import Cut, Window, mix

Values = Float32[ndarray, "rows columns"]
Deltas = Float32[ndarray, "K rows columns"]
Signs = Int8[ndarray, "rows columns"]

_HALF = np.uint32(16)
_LOW = np.uint32(0xFFFF)


def count_magnitudes(values: Values, counts: Int64[ndarray, " words"]) -> None:
    bits = _magnitudes(values)
    words = (bits >> _HALF) * np.uint32(2) + ((bits & _LOW) != 0)
    counts += np.bincount(words.astype(np.intp), minlength=counts.size)


def count_within(values: Values, high: int, counts: Int64[ndarray, " low"]) -> None:
    bits = _magnitudes(values)
    inside = bits[(bits >> _HALF) == np.uint32(high)] & _LOW
    counts += np.bincount(inside.astype(np.intp), minlength=counts.size)


def gather_tied(
    values: Values, threshold: float, start: int, seed: int, window: Window
) -> tuple[int, UInt64[ndarray, " n"]]:
    tied = np.flatnonzero(np.abs(values) == np.float32(threshold))
    hashes = mix(tied.astype(np.uint64) + np.uint64(start), seed)
    below = hashes < np.uint64(window.low)
    return int(np.count_nonzero(below)), hashes[~below & (hashes <= np.uint64(window.high))]


def inside(values: Values, cut: Cut, start: int, seed: int) -> Bool[ndarray, "rows columns"]:
    """True for elements inside a border; the hashes decide those equal to it."""
    threshold = np.float32(cut.threshold)
    within: Bool[ndarray, "rows columns"] = values > threshold
    if cut.tie_cut:
        tied = np.flatnonzero(values == threshold)
        hashes = mix(tied.astype(np.uint64) + np.uint64(start), seed)
        within.reshape(-1)[tied[hashes < np.uint64(cut.tie_cut)]] = True
    return within


def elect(deltas: Deltas, undecided: int) -> Signs:
    """The sign of the sum of all deltas; `undecided` (-1, 0 or 1) for a sum of 0."""
    total = np.zeros(deltas.shape[1:], np.float64)
    for delta in deltas:
        total += delta
    signs: Signs = np.sign(total).astype(np.int8)
    if undecided:
        signs[signs == 0] = undecided
    return signs


def vote(
    deltas: Deltas, cuts: Sequence[Cut], start: int, seed: int, factors: Sequence[float]
) -> int:
    signs = elect(times(_trimmed(deltas, cuts, start, seed), factors), 0)
    return int(signs.sum(dtype=np.int64))


def agree(deltas: Deltas, cuts: Sequence[Cut], start: int, seed: int, ballot: SignBallot) -> Values:
    left = _trimmed(deltas, cuts, start, seed)
    signs = elect(times(left, ballot.votes), ballot.undecided)
    total, divisor = np.zeros(signs.shape, np.float32), np.zeros(signs.shape, np.float64)
    for contribution, share in zip(times(left, ballot.weights), ballot.shares, strict=True):
        agrees = (np.sign(contribution) == signs) & (signs != 0)
        total += np.where(agrees, contribution, np.float32(0))
        divisor += np.where(agrees, share, 0.0)
    if ballot.divide:
        divisor[np.abs(divisor) <= ballot.cancelled] = 1
        raised = np.maximum(divisor, ballot.least) if ballot.least else divisor
        total /= raised.astype(np.float32)
    return total


def _magnitudes(values: Values) -> UInt32[ndarray, " n"]:
    return np.asarray(np.abs(values).ravel().view(np.uint32))


def _trimmed(deltas: Deltas, cuts: Sequence[Cut], start: int, seed: int) -> Deltas:
    """The deltas with everything outside the borders set to 0."""
    if not cuts:
        return deltas
    kept = [
        np.where(inside(np.abs(delta), cut, start, seed), delta, np.float32(0))
        for delta, cut in zip(deltas, cuts, strict=True)
    ]
    return np.stack(kept)


def times(deltas: Deltas, factors: Sequence[float]) -> Deltas:
    """Every delta times its factor."""
    return deltas * np.array(factors, np.float32)[:, None, None]
