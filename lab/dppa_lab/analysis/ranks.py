"""Ranks, as Spearman's correlation compares them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


def mean_ranks(values: Sequence[float]) -> Float64[ndarray, " n"]:
    """Ascending ranks from 0; equal values share their mean rank."""
    given = np.array(values, np.float64)
    below, equal = (given[:, None] > given).sum(1), (given[:, None] == given).sum(1)
    found: Float64[ndarray, " n"] = below + (equal - 1) / 2
    return found
