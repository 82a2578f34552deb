"""Adam, as torch has it, for a single matrix."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

_DECAYS, _TINY = (0.9, 0.999), 1e-8
_AT_ONCE = 1 << 15
"""Elements: five arrays of so many stay in a processor's cache, which takes a third of the time."""


class Adam:
    """Its moments; a step goes against a slope."""

    def __init__(self, rate: float) -> None:
        self._rate, self._steps = rate, 0
        self._mean: Float64[ndarray, ...] = np.zeros(())
        self._square: Float64[ndarray, ...] = np.zeros(())

    def step(
        self, at: Float64[ndarray, "rows columns"], slope: Float64[ndarray, "rows columns"]
    ) -> Float64[ndarray, "rows columns"]:
        """The next place; the slope is overwritten."""
        if not self._steps:
            self._mean, self._square = np.zeros_like(at), np.zeros_like(at)
        self._steps += 1
        moved = np.empty_like(at)
        rows = max(1, _AT_ONCE // max(1, at.shape[1]))
        for start in range(0, len(at), rows):
            part = slice(start, start + rows)
            np.subtract(at[part], self._change(part, slope[part]), out=moved[part])
        return moved

    def _change(
        self, part: slice, slope: Float64[ndarray, "rows columns"]
    ) -> Float64[ndarray, "rows columns"]:
        mean_decay, square_decay = _DECAYS
        mean, square = self._mean[part], self._square[part]
        spread = np.square(slope)
        slope -= mean
        slope *= 1 - mean_decay
        mean += slope
        spread -= square
        spread *= 1 - square_decay
        square += spread
        np.sqrt(square, out=spread)
        spread *= 1 / (1 - square_decay**self._steps) ** 0.5
        spread += _TINY
        np.divide(mean, spread, out=slope)
        slope *= self._rate / (1 - mean_decay**self._steps)
        return slope
