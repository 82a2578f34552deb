"""What a backend of the inner loops offers, and the values it shares with whoever calls it.

Knows arrays of one chunk, not tensors, files or methods. Every number is float32: a delta is
one subtraction, a term one multiplication, a sum one addition, never fused, in the order of the
recipe's models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt16, UInt32, UInt64
from numpy import ndarray

from dppa_core.methods.shared.python_loops import Loops

AT_ONCE = 3
"""Models that `Kernels.fuse` merges in one loop."""

KEPT = 1 << 16
"""Elements inside of their bin that are kept at most: those of tensors that are split further."""

Levels = tuple[Float32[ndarray, " _"], UInt64[ndarray, " _"], Float32[ndarray, " _"]]
"""Thresholds, cuts and weights of one model, see `Kernels.add_bands`; one level or two."""

Stored = UInt16[ndarray, " n"] | Float32[ndarray, " n"]
"""Weights as a kernel takes them: bfloat16 as it lies on disk, or float32. A pair has one kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What was counted since it was drained, in words and in the counters of a faster loop."""

    words: UInt64[ndarray, " words"] = field(default_factory=lambda: np.zeros(1 << 18, np.uint64))
    """2**40 times the count, plus the sum of the places; see `Kernels.histogram`."""
    quick: UInt32[ndarray, "keys two"] = field(
        default_factory=lambda: np.zeros((1 << 15, 2), np.uint32)
    )
    """Counts of usual |d| at the edge of their bin, in two counters each that wrap around."""
    span: UInt32[ndarray, " four"] = field(
        default_factory=lambda: np.array([0xFFFFFFFF, 0, 0xFFFFFFFF, 0], np.uint32)
    )
    """Of words counted in, that of |d| = 0 left out: the smallest index minus 1, and the largest.
    Of the quick counts: the bits of the smallest |d| minus 1, and of the largest."""
    inside: UInt32[ndarray, " some"] = field(default_factory=lambda: np.zeros(1 + KEPT, np.uint32))
    """How many |d| lie inside of their bin, and the bits of the first `KEPT` of them."""
    room: Int64[ndarray, "three words"] = field(
        default_factory=lambda: np.empty((3, 1 << 18), np.int64)
    )
    """Where a loop writes down what it drains."""


@dataclass(frozen=True, slots=True, eq=False)
class Drained:
    """What a tally held."""

    words: Int64[ndarray, " bins"]
    """Indices of words counted in, ascending."""
    counts: Int64[ndarray, " bins"]
    places: Int64[ndarray, " bins"]
    """Sums of the elements' places in their bin."""
    inside: UInt32[ndarray, " n"] | None = None
    """Bits of all |d| inside of their bin, in any order; None where they were not kept."""


@runtime_checkable
class Kernels(Protocol):
    """One implementation. Arrays called `acc` or `out`, counts and sums are written in place."""

    @property
    def stacked(self) -> Loops:
        """The loops over the deltas of all models at once."""
        ...

    def widen(self, raw: UInt16[ndarray, " n"], out: Float32[ndarray, " n"]) -> None:
        """bfloat16 to float32."""
        ...

    def narrow(self, values: Float32[ndarray, " n"], out: UInt16[ndarray, " n"]) -> None:
        """Finite float32 to bfloat16, to nearest, ties to even."""
        ...

    def largest(self, values: Float32[ndarray, " n"]) -> float:
        """The largest magnitude; infinity or NaN where there is one."""
        ...

    def add_whole(
        self, acc: Float32[ndarray, " n"], base: Stored, tuned: Stored, weight: float
    ) -> None:
        """acc += weight * (tuned - base). A term of 0 leaves even the sign of a zero alone."""
        ...

    def add_bands(
        self,
        acc: Float32[ndarray, " n"],
        base: Stored,
        tuned: Stored,
        start: int,
        seed: int,
        thresholds: Float32[ndarray, " K"],
        cuts: UInt64[ndarray, " K"],
        weights: Float32[ndarray, " K"],
    ) -> None:
        """As `add_whole`, with the weight of the first level an element is inside of, else 0.

        Args:
            start: Flat index of the chunk's first element in its tensor.
            seed: Of the order among elements equal to a threshold.
            thresholds: Falling; |d| above one is inside its level.
            cuts: Hashes below one are inside its level where |d| equals the threshold.
            weights: One per level.
        """
        ...

    def add_random(
        self,
        acc: Float32[ndarray, " n"],
        base: Stored,
        tuned: Stored,
        start: int,
        seed: int,
        cut: int,
        weight: float,
    ) -> None:
        """As `add_whole` for elements whose hash is below the cut; the others stay."""
        ...

    def score(
        self,
        base: Stored,
        tuned: Stored,
        weights: Float32[ndarray, " n"],
        out: Float32[ndarray, " n"],
    ) -> None:
        """out = weight * |tuned - base|: 0 only where both are equal.

        Where they are not, it is no less than the smallest normal number: what has no weight comes
        last, but before what never changed.
        """
        ...

    def score_random(
        self, base: Stored, tuned: Stored, start: int, seed: int, out: Float32[ndarray, " n"]
    ) -> None:
        """out = a multiple of 2**-24 in (0, 1] by the hash of each place; 0 where both are equal.

        Where |tuned - base| is not finite, out is not either.
        """
        ...

    def add_ranked(
        self,
        acc: Float32[ndarray, " n"],
        base: Stored,
        tuned: Stored,
        scores: Float32[ndarray, " n"],
        start: int,
        seed: int,
        thresholds: Float32[ndarray, " K"],
        cuts: UInt64[ndarray, " K"],
        weights: Float32[ndarray, " K"],
    ) -> None:
        """As `add_bands`, with scores in the place of |d|: what is added is still tuned - base."""
        ...

    def sum_by_bin(
        self,
        base: Stored,
        tuned: Stored,
        scores: Float32[ndarray, " n"],
        sums: Float64[ndarray, "bins two"],
    ) -> None:
        """Add |d| and d², in float64 and rising order, to the row of each score's word.

        Args:
            base: Of one side.
            tuned: Of the other; d = tuned - base.
            scores: Which bin an element belongs to, see `histogram`.
            sums: 2**18 rows.
        """
        ...

    def fuse(
        self,
        base: UInt16[ndarray, " n"],
        tuned: Sequence[UInt16[ndarray, " n"]],
        start: int,
        seed: int,
        levels: Sequence[Levels],
        out: UInt16[ndarray, " n"],
    ) -> bool:
        """Merge bfloat16 into bfloat16: `widen`, `add_bands` for each model, `narrow`.

        Args:
            base: Of any length.
            tuned: One to three models, each as long as the base.
            start: Flat index of the first element in its tensor.
            seed: Of the order among elements equal to a threshold.
            levels: Of each model.
            out: The merged weights.

        Returns:
            Whether all of them are finite; else `out` is of no use.
        """
        ...

    def histogram(self, base: Stored, tuned: Stored, tally: Tally) -> None:
        """Count |d| in bins, and sum up where in its bin it lies.

        Of the bits of |d|, the last `OPEN_BITS` are its place in a bin. An element at the lower
        edge of bin k is counted in word 2k, one inside of it in word 2k + 1.

        Args:
            base: Up to 2**24 elements in all until the tally is drained.
            tuned: Of the same size.
            tally: Counts and sums go there.
        """
        ...

    def drain(self, tally: Tally) -> Drained:
        """What was counted; the tally is empty afterwards."""
        ...

    def sum_squares(self, raw: Stored, lanes: Float64[ndarray, " L"]) -> None:
        """Add the square of element i to lane i modulo L, in float64, in rising order."""
        ...

    def split_bin(
        self, base: Stored, tuned: Stored, key: int, counts: Int64[ndarray, " low"]
    ) -> None:
        """Count the elements whose |d| begins with the bits `key`, by its last `OPEN_BITS`."""
        ...

    def gather_tied(
        self,
        base: Stored,
        tuned: Stored,
        start: int,
        seed: int,
        thresholds: Float32[ndarray, " K"],
        lows: UInt64[ndarray, " K"],
        highs: UInt64[ndarray, " K"],
        counts: Int64[ndarray, "K three"],
        hashes: UInt64[ndarray, "K room"],
    ) -> None:
        """Look at the elements equal to each threshold, and collect hashes within a window.

        Args:
            start: Flat index of the chunk's first element in its tensor.
            seed: Of the hashes.
            thresholds: Magnitudes to look for.
            lows: First hash of each window.
            highs: Last hash of each window.
            counts: Of each threshold: elements equal to it; those with a hash below the window;
                those inside of it, which may be more than there is room for.
            hashes: Those inside of the window, in the order they were found.
        """
        ...
