"""What is done to the delta of one tensor, with its numbers worked out: chunk by chunk.

Knows kernels and chunks, not methods nor where tensors lie.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, UInt64
from numpy import ndarray

from dppa_core.kernels.protocol import Kernels, Stored
from dppa_core.profiling.significance import Scoring

Chunk = Float32[ndarray, " n"]


@runtime_checkable
class Action(Protocol):
    """A treatment with its numbers worked out for one tensor."""

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        """Add the treated delta of one chunk, whose first element has the flat index `start`."""
        ...

    def bands(self) -> Bands | None:
        """The same as levels of |d|; None where it is something else."""
        ...


@dataclass(frozen=True, slots=True)
class WholeDelta:
    """All of it, times a weight."""

    weight: float

    def bands(self) -> Bands:
        return Bands(0, _ALL, _NO_CUT, np.array([self.weight], np.float32))

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        kernels.add_whole(acc, base, tuned, self.weight)


_ALL, _NO_CUT = np.array([-1], np.float32), np.zeros(1, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """Nested levels of |d| in one tensor, and the weight of each; see `Kernels.add_bands`."""

    seed: int
    thresholds: Float32[ndarray, " K"]
    cuts: UInt64[ndarray, " K"]
    weights: Float32[ndarray, " K"]

    def bands(self) -> Bands:
        return self

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        kernels.add_bands(
            acc, base, tuned, start, self.seed, self.thresholds, self.cuts, self.weights
        )


@dataclass(frozen=True, slots=True, eq=False)
class RankedBands:
    """Levels of a score; what is added is still the delta."""

    ranked: Bands
    scoring: Scoring

    def bands(self) -> None:
        return None

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        scores, bands = np.empty(acc.size, np.float32), self.ranked
        self.scoring.score(kernels, base, tuned, start, scores)
        cut = bands.thresholds, bands.cuts, bands.weights
        kernels.add_ranked(acc, base, tuned, scores, start, bands.seed, *cut)


@dataclass(frozen=True, slots=True)
class RandomDelta:
    """What a random draw keeps, times a weight."""

    seed: int
    cut: int
    weight: float

    def bands(self) -> None:
        return None

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        kernels.add_random(acc, base, tuned, start, self.seed, self.cut, self.weight)
