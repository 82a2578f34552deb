"""Adam, as torch has it, for a single matrix."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from numpy import ndarray

_DECAYS, _TINY = (0.9, 0.999), 1e-8
_AT_ONCE = 1 << 15
"""Elements: the arrays of so many stay in a processor's cache, which halves the time."""
Values = Float[ndarray, "rows columns"]


class Adam:
    """Its moments, of the matrix's dtype; a step goes against a slope."""

    def __init__(self, rate: float) -> None:
        self._rate, self._steps = rate, 0
        # Moments divided by 1 - decay: sums of slopes and of their squares, each times its decay.
        self._slopes: Float[ndarray, ...] = np.zeros(())
        self._squares: Float[ndarray, ...] = np.zeros(())

    def step(self, at: Values, slope: Values) -> Values:
        """The next place; the slope is overwritten."""
        if not self._steps:
            self._slopes, self._squares = np.zeros_like(at), np.zeros_like(at)
        self._steps += 1
        moved = np.empty_like(at)
        rows = max(1, _AT_ONCE // max(1, at.shape[1]))
        for start in range(0, len(at), rows):
            part = slice(start, start + rows)
            np.subtract(at[part], self._change(part, slope[part]), out=moved[part])
        return moved

    def _change(self, part: slice, slope: Values) -> Values:
        slopes, squares = self._slopes[part], self._squares[part]
        slopes *= _DECAYS[0]
        slopes += slope
        np.square(slope, out=slope)
        squares *= _DECAYS[1]
        squares += slope
        mean, square = ((1 - decay) / (1 - decay**self._steps) for decay in _DECAYS)
        change = np.sqrt(squares)
        change += _TINY / square**0.5
        np.divide(slopes, change, out=change)
        change *= self._rate * mean / square**0.5
        return np.asarray(change)
