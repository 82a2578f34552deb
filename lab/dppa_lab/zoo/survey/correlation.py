"""Correlations and means over deltas, with intervals by a bootstrap over their bases."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.tasks.intervals import Interval

DRAWS, DRAW_SEED = 10_000, 0
"""Draws of the bootstrap, and its seed."""
Figures = Sequence[float] | Float64[ndarray, " n"]


def correlation(x: Figures, y: Figures, bases: Sequence[str]) -> Interval | None:
    """Pearson's correlation of two figures with its 95 % interval; None without spread.

    Args:
        bases: Where each pair comes from; pairs of one base are drawn together.
    """
    one, other = np.array(x, np.float64), np.array(y, np.float64)
    return _estimate(lambda weights: _weighted(one, other, weights), bases)


def correlation_gap(
    x: Figures, instead: Figures, y: Figures, bases: Sequence[str]
) -> Interval | None:
    """The correlation of `x` with `y` minus that of `instead`, drawn together."""
    one, two, other = (np.array(of, np.float64) for of in (x, instead, y))
    return _estimate(
        lambda weights: _weighted(one, other, weights) - _weighted(two, other, weights),
        bases,
    )


def mean_gap(x: Figures, instead: Figures, bases: Sequence[str]) -> Interval | None:
    """The mean of `x` minus that of `instead`, item by item."""
    gaps = np.array(x, np.float64) - np.array(instead, np.float64)
    return _estimate(lambda weights: float(weights @ gaps / weights.sum()), bases)


def interval_values(found: Interval | None) -> dict[str, float] | None:
    """A figure and its interval, ready for JSON."""
    return None if found is None else asdict(found)


def _estimate(
    figure: Callable[[Float64[ndarray, " n"]], float], bases: Sequence[str]
) -> Interval | None:
    """A figure of weighted items and its 95 % interval over bases."""
    names = list(dict.fromkeys(bases))
    places = np.array([names.index(one) for one in bases])
    value = figure(np.ones(len(places)))
    if math.isnan(value):
        return None
    rng = np.random.default_rng(DRAW_SEED)
    drawn = [
        figure(np.bincount(drawn_bases, minlength=len(names))[places].astype(float))
        for drawn_bases in rng.integers(len(names), size=(DRAWS, len(names)))
    ]
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return Interval(value, float(low), float(high))


def _weighted(
    x: Float64[ndarray, " n"], y: Float64[ndarray, " n"], weights: Float64[ndarray, " n"]
) -> float:
    """Pearson's correlation of weighted pairs; nan without spread."""
    total = weights.sum()
    dx, dy = x - (weights @ x) / total, y - (weights @ y) / total
    spread = math.sqrt((weights @ dx**2) * (weights @ dy**2))
    return float((weights * dx) @ dy / spread) if spread else math.nan
