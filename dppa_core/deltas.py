"""What is remembered of a delta: counts and sums by magnitude, module by module.

Knows no weights: these are the values everything adaptive is computed from.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

from dppa_core.modules import Module


@dataclass(frozen=True, slots=True, eq=False)
class ModuleProfile:
    """The distribution of |d| in one tensor, d = finetuned - base in float32."""

    module: Module
    magnitudes: Float32[ndarray, " bins"]
    """Lower edge of every bin that holds something, ascending; the value itself when `exact`."""
    counts: Int64[ndarray, " bins"]
    """Elements in the bin."""
    sums: Float64[ndarray, " bins"]
    """Sum of |d| in the bin."""
    squares: Float64[ndarray, " bins"]
    """Sum of d² in the bin."""
    exact: bool
    """Whether a bin is one distinct |d|; otherwise it is one value of the top 16 bits of |d|."""
    base_square: float
    """Sum of squares of the base's weights, to compare the delta with."""
    below: Int64[ndarray, " edges"] = field(init=False)
    """Elements in the bins before each bin, and all of them at the end."""
    energy_from: Float64[ndarray, " edges"] = field(init=False)
    """Sum of d² from each bin on, and 0 at the end."""

    def __post_init__(self) -> None:
        below = np.concatenate([[0], np.cumsum(self.counts)]).astype(np.int64)
        energy = np.concatenate([np.cumsum(self.squares[::-1])[::-1], [0.0]])
        object.__setattr__(self, "below", below)
        object.__setattr__(self, "energy_from", energy)

    @property
    def numel(self) -> int:
        """Elements of the tensor."""
        return int(self.below[-1])

    @property
    def mean(self) -> float:
        """Mean of |d|."""
        return float(self.sums.sum()) / self.numel

    @property
    def delta_square(self) -> float:
        """Sum of d²."""
        return float(self.energy_from[0])

    @property
    def nonzero(self) -> int:
        """Elements that differ from the base: no more than these can be kept."""
        zeros = int(self.counts[0]) if self.counts.size and self.magnitudes[0] == 0 else 0
        return self.numel - zeros

    def count_above(self, magnitude: float) -> int:
        """Elements with |d| > magnitude; by lower bin edges where not `exact`."""
        edge = floor_to_float32(magnitude)
        first = int(np.searchsorted(self.magnitudes, edge, side="right"))
        return self.numel - int(self.below[first])


@dataclass(frozen=True, slots=True, eq=False)
class DeltaProfile:
    """The profile of a pair: a base and one domain model."""

    base: str
    finetuned: str
    modules: tuple[ModuleProfile, ...]
    other_tensors: int
    """Elements outside the modules: embeddings, LM head, norms, biases."""


def floor_to_float32(value: float) -> np.float32:
    """The largest float32 that is not above `value`: |d| > value asks the same of it."""
    rounded = np.float32(value)
    return np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > value else rounded
