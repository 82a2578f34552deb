"""Adam, as torch has it, for a single matrix."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

_DECAYS, _TINY = (0.9, 0.999), 1e-8


class Adam:
    """Its moments; a step goes against a slope."""

    def __init__(self, rate: float) -> None:
        self._rate, self._steps = rate, 0
        self._mean: Float64[ndarray, ...] = np.zeros(())
        self._square: Float64[ndarray, ...] = np.zeros(())

    def step(
        self, at: Float64[ndarray, "rows columns"], slope: Float64[ndarray, "rows columns"]
    ) -> Float64[ndarray, "rows columns"]:
        """The next place."""
        self._steps += 1
        self._mean = self._mean + (1 - _DECAYS[0]) * (slope - self._mean)
        self._square = self._square + (1 - _DECAYS[1]) * (slope**2 - self._square)
        mean, spread = (
            moment / (1 - decay**self._steps)
            for moment, decay in zip((self._mean, self._square), _DECAYS, strict=True)
        )
        return np.asarray(at - self._rate * mean / (np.sqrt(spread) + _TINY))
