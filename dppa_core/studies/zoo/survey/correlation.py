"""Correlations over deltas, with intervals by a bootstrap over their bases."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    names = list(dict.fromkeys(bases))
    places = np.array([names.index(one) for one in bases])
    one, other = np.array(x, np.float64), np.array(y, np.float64)
    value = _weighted(one, other, np.ones(len(places)))
    if math.isnan(value):
        return "–"
    rng = np.random.default_rng(DRAW_SEED)
    drawn = [
        _weighted(one, other, np.bincount(drawn_bases, minlength=len(names))[places].astype(float))
        for drawn_bases in rng.integers(len(names), size=(DRAWS, len(names)))
    ]
    low, high = np.nanquantile(drawn, (0.025, 0.975))
    return f"{value:.2f} ({low:.2f} to {high:.2f})"


def _weighted(
    x: Float64[ndarray, " n"], y: Float64[ndarray, " n"], weights: Float64[ndarray, " n"]
) -> float:
    """Pearson's correlation of weighted pairs; nan without spread."""
    total = weights.sum()
    dx, dy = x - (weights @ x) / total, y - (weights @ y) / total
    spread = math.sqrt((weights @ dx**2) * (weights @ dy**2))
    return float((weights * dx) @ dy / spread) if spread else math.nan
