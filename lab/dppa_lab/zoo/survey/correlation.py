"""Correlations and means over deltas, with 95 % intervals by a bootstrap over their bases.

Each function returns a figure and its interval, ready for JSON; None without spread. `bases` says
where each item comes from: items of one base are drawn together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

DRAWS, DRAW_SEED = 10_000, 0
"""Draws of the bootstrap, and its seed."""
Vector = Float64[ndarray, " n"]
Figures = Sequence[float] | Float64[ndarray, " n"]
Estimate = dict[str, float] | None
"""value, low and high."""


def correlation(x: Figures, y: Figures, bases: Sequence[str]) -> Estimate:
    """Pearson's correlation of two figures."""
    first, second = np.array(x, np.float64), np.array(y, np.float64)
    return _estimate(lambda weights: _weighted(first, second, weights), bases)


def correlation_gap(x: Figures, instead: Figures, y: Figures, bases: Sequence[str]) -> Estimate:
    """The correlation of `x` with `y` minus that of `instead`, drawn together."""
    first, rival, second = (np.array(values, np.float64) for values in (x, instead, y))
    return _estimate(
        lambda weights: _weighted(first, second, weights) - _weighted(rival, second, weights), bases
    )


def mean_gap(x: Figures, instead: Figures, bases: Sequence[str]) -> Estimate:
    """The mean of `x` minus that of `instead`, item by item."""
    gaps = np.array(x, np.float64) - np.array(instead, np.float64)
    return _estimate(lambda weights: float(weights @ gaps / weights.sum()), bases)


def mean_ranks(values: Figures) -> Float64[ndarray, " n"]:
    """Ascending ranks from 0; equal values share their mean rank."""
    row = np.array(values, np.float64)
    below, equal = (row[:, None] > row).sum(1), (row[:, None] == row).sum(1)
    return np.asarray(below + (equal - 1) / 2)


def _estimate(figure: Callable[[Vector], float], bases: Sequence[str]) -> Estimate:
    """A figure of weighted items and its interval over bases."""
    names = list(dict.fromkeys(bases))
    places = np.array([names.index(base) for base in bases])
    value = figure(np.ones(len(places)))
    if math.isnan(value):
        return None
    rng = np.random.default_rng(DRAW_SEED)
    drawn = [
        figure(np.bincount(drawn_bases, minlength=len(names))[places].astype(float))
        for drawn_bases in rng.integers(len(names), size=(DRAWS, len(names)))
    ]
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return {"value": value, "low": float(low), "high": float(high)}


def _weighted(x: Vector, y: Vector, weights: Vector) -> float:
    """Pearson's correlation of weighted pairs; nan without spread."""
    total = weights.sum()
    dx, dy = x - (weights @ x) / total, y - (weights @ y) / total
    spread = math.sqrt((weights @ dx**2) * (weights @ dy**2))
    return float((weights * dx) @ dy / spread) if spread else math.nan
