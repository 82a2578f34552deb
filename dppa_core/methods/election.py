"""Elect a sign for every element, and average the deltas that agree with it (TIES' last steps).

Knows arrays only. Votes and weights are added in float64: in float32 the order of the models could
decide, and weights that cancel would leave a rest to divide by.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int8
from numpy import ndarray

from dppa_core.methods.stack import Deltas, Rows

Signs: TypeAlias = Int8[ndarray, "rows columns"]

_CANCELLED = 1e-8
"""A sum of shares of both signs that is no larger is 0 but for rounding."""


def elect(deltas: Deltas, undecided: int) -> Signs:
    """The sign of the sum of all deltas.

    Args:
        deltas: Of all models, already trimmed.
        undecided: -1, 0 or 1, where the sum is 0; 0 agrees with nobody.
    """
    total = np.zeros(deltas.shape[1:], np.float64)
    for delta in deltas:
        total += delta
    signs: Signs = np.sign(total).astype(np.int8)
    if undecided:
        signs[signs == 0] = undecided
    return signs


def fuse_agreeing(
    contributions: Deltas,
    shares: Sequence[float],
    signs: Signs,
    *,
    divide: bool = True,
    least: float = 0.0,
) -> Rows:
    """The weighted mean of the deltas that have the elected sign; 0 where none has it.

    Args:
        contributions: Trimmed delta times weight, of all models.
        shares: What each adds to the divisor where it agrees: its weight, or 1 to count heads.
        signs: The elected ones.
        divide: False for the sum in place of the mean.
        least: The smallest divisor; smaller ones are raised to it.
    """
    total, divisor = np.zeros(signs.shape, np.float32), np.zeros(signs.shape, np.float64)
    for contribution, share in zip(contributions, shares, strict=True):
        agrees = (np.sign(contribution) == signs) & (signs != 0)
        total += np.where(agrees, contribution, np.float32(0))
        divisor += np.where(agrees, share, 0.0)
    if divide:
        # Without negative shares a divisor of 0 means that nobody agrees, and a small one is one.
        cancelled = _CANCELLED if min(shares, default=0.0) < 0 else 0.0
        divisor[np.abs(divisor) <= cancelled] = 1
        total /= (np.maximum(divisor, least) if least else divisor).astype(np.float32)
    result: Rows = total
    return result


def merge_agreeing(
    deltas: Deltas,
    coefficients: Sequence[float],
    *,
    weigh_first: bool,
    undecided: int,
    divide: str = "coefficients",
) -> Rows:
    """Elect signs among trimmed deltas and merge those who agree.

    A negative coefficient turns a delta around before it votes; its size is the weight.

    Args:
        deltas: Of all models.
        coefficients: One a model; one of 0 neither votes nor counts.
        weigh_first: Whether coefficients multiply before the election, as in mergekit.
        undecided: See `elect`.
        divide: The agreeing sum by their "coefficients", by their "number", or by "nothing".
    """
    weights = np.array(coefficients, np.float32)
    contributions = deltas * weights[:, None, None]
    voters = contributions if weigh_first else deltas * np.sign(weights)[:, None, None]
    shares = list(coefficients) if weigh_first else [abs(value) for value in coefficients]
    if divide == "number":
        shares = [1.0] * len(shares)
    signs = elect(voters, undecided)
    return fuse_agreeing(contributions, shares, signs, divide=divide != "nothing")
