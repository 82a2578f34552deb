"""The interface of a backend of the inner loops, and the values it exchanges with callers.

Every number is float32: a delta is one subtraction, a term one multiplication, a sum one addition,
never fused, in the order of the recipe's models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt16, UInt32, UInt64
from numpy import ndarray

from dppa_core.methods.shared.python_loops import Loops

MAX_FUSED_MODELS = 3
"""Most models that `Kernels.fuse` merges in one loop."""

MAX_KEPT_INSIDE = 1 << 16
"""Most elements inside their bin that are kept, for tensors that are split further."""

Values = Float32[ndarray, " n"]
Raw = UInt16[ndarray, " n"]
"""Stored bfloat16."""

Bands = tuple[Float32[ndarray, " _"], UInt64[ndarray, " _"], Float32[ndarray, " _"]]
"""Thresholds, cuts and weights of one model, see `Kernels.add_bands`."""

Windows = tuple[Float32[ndarray, " K"], UInt64[ndarray, " K"], UInt64[ndarray, " K"]]
"""Thresholds, and the first and the last hash of the window of each."""

Tied = tuple[Int64[ndarray, "K three"], UInt64[ndarray, "K room"]]
"""Counts and hashes of the elements equal to each threshold, see `Kernels.gather_tied`."""

Stored = UInt16[ndarray, " n"] | Float32[ndarray, " n"]
"""Weights for a kernel: stored bfloat16, or float32. Both sides of a pair have one kind."""


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """Counts since the last `drain`, in words and in the counters of a faster loop."""

    words: UInt64[ndarray, " words"] = field(default_factory=lambda: np.zeros(1 << 18, np.uint64))
    """2**40 times the count, plus the sum of the places; see `Kernels.histogram`."""
    quick: UInt32[ndarray, "keys two"] = field(
        default_factory=lambda: np.zeros((1 << 15, 2), np.uint32)
    )
    """Counts of usual |d| at the edge of their bin, in two wrapping counters each."""
    span: UInt32[ndarray, " four"] = field(
        default_factory=lambda: np.array([0xFFFFFFFF, 0, 0xFFFFFFFF, 0], np.uint32)
    )
    """Words in use, without that of |d| = 0: the smallest index minus 1, and the largest. Quick
    counts: the bits of the smallest |d| minus 1, and of the largest."""
    inside: UInt32[ndarray, " some"] = field(
        default_factory=lambda: np.zeros(1 + MAX_KEPT_INSIDE, np.uint32)
    )
    """Number of |d| inside their bin, and the bits of the first `MAX_KEPT_INSIDE` of them."""
    room: Int64[ndarray, "three words"] = field(
        default_factory=lambda: np.empty((3, 1 << 18), np.int64)
    )
    """Output arrays of a drain."""


@dataclass(frozen=True, slots=True, eq=False)
class Drained:
    """The counts of a drained tally."""

    words: Int64[ndarray, " bins"]
    """Indices of words in use, ascending."""
    counts: Int64[ndarray, " bins"]
    places: Int64[ndarray, " bins"]
    """Sums of the elements' places in their bin."""
    inside: UInt32[ndarray, " n"] | None = None
    """Bits of all |d| inside their bin, in any order; None if not kept."""


@runtime_checkable
class Kernels(Protocol):
    """One implementation. Arrays called `acc` or `out`, counts and sums are written in place."""

    @property
    def stacked(self) -> Loops:
        """The loops over the deltas of all models at once."""

    def widen(self, raw: Raw, out: Values) -> None:
        """bfloat16 to float32."""

    def narrow(self, values: Values, out: Raw) -> None:
        """Finite float32 to bfloat16, to nearest, ties to even."""

    def largest(self, values: Values) -> float:
        """The largest magnitude; infinity or NaN if there is one."""

    def add_whole(self, acc: Values, base: Stored, tuned: Stored, weight: float) -> None:
        """acc += weight * (tuned - base). A term of 0 keeps even the sign of a zero."""

    def add_bands(
        self, acc: Values, base: Stored, tuned: Stored, start: int, seed: int, bands: Bands
    ) -> None:
        """As `add_whole`, with the weight of the first band that contains an element, else 0.

        Args:
            start: Flat index of the chunk's first element in its tensor.
            seed: Seed of the order among elements equal to a threshold.
            bands: Thresholds, falling: |d| above one is inside its band. Cuts: an element whose
                |d| equals the threshold is inside if its hash is below the cut. Weights.
        """

    def add_random(
        self,
        acc: Values,
        base: Stored,
        tuned: Stored,
        start: int,
        seed: int,
        cut: int,
        weight: float,
    ) -> None:
        """As `add_whole` for elements whose hash is below the cut; others stay unchanged."""

    def score(self, base: Stored, tuned: Stored, weights: Values, out: Values) -> None:
        """out = weight * |tuned - base|; 0 only if both are equal.

        Otherwise it is at least the smallest normal number: an element without weight ranks last,
        but before unchanged ones.
        """

    def score_random(self, base: Stored, tuned: Stored, start: int, seed: int, out: Values) -> None:
        """out = a multiple of 2**-24 in (0, 1] by the hash of each place; 0 if both are equal.

        If |tuned - base| is not finite, out is not finite either.
        """

    def add_ranked(
        self,
        acc: Values,
        base: Stored,
        tuned: Stored,
        scores: Values,
        start: int,
        seed: int,
        bands: Bands,
    ) -> None:
        """As `add_bands`, ranked by scores instead of |d|; the sum is still of tuned - base."""

    def sum_by_bin(
        self, base: Stored, tuned: Stored, scores: Values, sums: Float64[ndarray, "bins two"]
    ) -> None:
        """Add |d| and d², in float64 and rising order, to the row of each score's word.

        Args:
            scores: They select the bin of an element, see `histogram`.
            sums: 2**18 rows.
        """

    def fuse(
        self,
        base: Raw,
        tuned: Sequence[Raw],
        start: int,
        seed: int,
        bands: Sequence[Bands],
        out: Raw,
    ) -> bool:
        """Merge bfloat16 into bfloat16: `widen`, `add_bands` for each model, `narrow`.

        Args:
            tuned: One to three models, each as long as the base.
            bands: Of each model; one or two.

        Returns:
            True if all of them are finite; if not, `out` is invalid.
        """

    def histogram(self, base: Stored, tuned: Stored, tally: Tally) -> None:
        """Count |d| in bins, and sum the places within the bins.

        The last `OPEN_BITS` bits of |d| are its place in the bin. An element at the lower edge of
        bin k counts in word 2k, one inside in word 2k + 1.

        Args:
            base: At most 2**24 elements in total between drains.
        """

    def drain(self, tally: Tally) -> Drained:
        """The counts; empties the tally."""

    def sum_squares(self, raw: Stored, lanes: Float64[ndarray, " L"]) -> None:
        """Add the square of element i to lane i modulo L, in float64, in rising order."""

    def split_bin(
        self, base: Stored, tuned: Stored, key: int, counts: Int64[ndarray, " low"]
    ) -> None:
        """Count the elements whose |d| begins with the bits `key`, by its last `OPEN_BITS` bits."""

    def gather_tied(
        self, base: Stored, tuned: Stored, start: int, seed: int, windows: Windows, tied: Tied
    ) -> None:
        """Count the elements equal to each threshold, and collect their hashes within a window.

        Args:
            tied: For each threshold, counts: elements equal to it, those with a hash below the
                window, and those inside it, which may exceed the room. And the hashes inside the
                window, in the order of elements.
        """
