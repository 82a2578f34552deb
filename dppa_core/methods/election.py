"""Elect a sign for every element, and average the deltas that agree with it (TIES' last steps).

Knows arrays only. Votes are added in float64: in float32 the order of the models could decide.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Int8
from numpy import ndarray

from dppa_core.methods.stack import Deltas, Rows

Signs: TypeAlias = Int8[ndarray, "rows columns"]


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
    contributions: Deltas, shares: Sequence[float], signs: Signs, *, divide: bool = True
) -> Rows:
    """The weighted mean of the deltas that have the elected sign; 0 where none has it.

    Args:
        contributions: Trimmed delta times weight, of all models.
        shares: What each adds to the divisor where it agrees: its weight, or 1 to count heads.
        signs: The elected ones.
        divide: False for the sum in place of the mean.
    """
    total, divisor = np.zeros((2, *signs.shape), np.float32)
    for contribution, share in zip(contributions, shares, strict=True):
        agrees = (np.sign(contribution) == signs) & (signs != 0)
        total += np.where(agrees, contribution, np.float32(0))
        divisor += np.where(agrees, np.float32(share), np.float32(0))
    if divide:
        divisor[np.abs(divisor) < np.float32(1e-8)] = 1  # nobody agrees, or weights that cancel
        total /= divisor
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
    shares = weights if weigh_first else np.abs(weights)
    if divide == "number":
        shares = np.ones_like(weights)
    signs = elect(voters, undecided)
    return fuse_agreeing(contributions, shares.tolist(), signs, divide=divide != "nothing")
