"""Spearman's rank correlation. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


def correlation(x: Sequence[float], y: Sequence[float]) -> float:
    """Spearman's rank correlation, in [-1, 1]; 0 where one of them is constant."""
    ranks = np.stack([_ranks(x), _ranks(y)])
    if ranks.std(1).min() == 0:
        return 0.0
    return float(np.corrcoef(ranks)[0, 1])


def _ranks(values: Sequence[float]) -> Float64[ndarray, " n"]:
    """Places in ascending order; equal values share the mean of theirs."""
    given = np.array(values, np.float64)
    below, equal = (given[:, None] > given).sum(1), (given[:, None] == given).sum(1)
    found: Float64[ndarray, " n"] = below + (equal - 1) / 2
    return found
