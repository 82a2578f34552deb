"""Correlations and means over deltas, with intervals by a bootstrap over their bases."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

DRAWS, DRAW_SEED = 10_000, 0
"""Draws of the bootstrap, and its seed."""
Figures = Sequence[float] | Float64[ndarray, " n"]


def correlation(x: Figures, y: Figures, bases: Sequence[str]) -> str:
    """Pearson's correlation of two figures with its 95 % interval, as text.

    Args:
        bases: Where each pair comes from; pairs of one base are drawn together.
    """
    one, other = np.array(x, np.float64), np.array(y, np.float64)
    return _estimate(lambda weights: _weighted(one, other, weights), bases, ".2f")


def correlation_gap(x: Figures, instead: Figures, y: Figures, bases: Sequence[str]) -> str:
    """The correlation of `x` with `y` minus that of `instead`, drawn together, as text."""
    one, two, other = (np.array(of, np.float64) for of in (x, instead, y))
    return _estimate(
        lambda weights: _weighted(one, other, weights) - _weighted(two, other, weights),
        bases,
        "+.2f",
    )


def mean_gap(x: Figures, instead: Figures, bases: Sequence[str]) -> str:
    """The mean of `x` minus that of `instead`, item by item, as text."""
    gaps = np.array(x, np.float64) - np.array(instead, np.float64)
    return _estimate(lambda weights: float(weights @ gaps / weights.sum()), bases, "+.1f")


def _estimate(
    figure: Callable[[Float64[ndarray, " n"]], float], bases: Sequence[str], form: str
) -> str:
    """A figure of weighted items and its 95 % interval over bases; a dash if it has none."""
    names = list(dict.fromkeys(bases))
    places = np.array([names.index(one) for one in bases])
    value = figure(np.ones(len(places)))
    if math.isnan(value):
        return "–"
    rng = np.random.default_rng(DRAW_SEED)
    drawn = [
        figure(np.bincount(drawn_bases, minlength=len(names))[places].astype(float))
        for drawn_bases in rng.integers(len(names), size=(DRAWS, len(names)))
    ]
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return f"{value:{form}} ({low:{form}} to {high:{form}})"


def _weighted(
    x: Float64[ndarray, " n"], y: Float64[ndarray, " n"], weights: Float64[ndarray, " n"]
) -> float:
    """Pearson's correlation of weighted pairs; nan without spread."""
    total = weights.sum()
    dx, dy = x - (weights @ x) / total, y - (weights @ y) / total
    spread = math.sqrt((weights @ dx**2) * (weights @ dy**2))
    return float((weights * dx) @ dy / spread) if spread else math.nan
