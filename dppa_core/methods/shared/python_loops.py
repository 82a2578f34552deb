"""The interface of the loops over stacked deltas.

All implementations give the same bytes: numpy's is the reference, and a backend may have a compiled
one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float32, Int64, UInt64
from numpy import ndarray

from dppa_core.methods.shared.sign_election import SignBallot
from dppa_core.pruning.tie_breaking import Cut, Window

Values = Float32[ndarray, "rows columns"]
Deltas = Float32[ndarray, "K rows columns"]


@runtime_checkable
class Loops(Protocol):
    """An implementation. Counts are added in place."""

    def count_magnitudes(self, values: Values, counts: Int64[ndarray, " words"]) -> None:
        """Count elements by the first 16 bits of their |value|.

        Args:
            values: Values without NaN.
            counts: 2**17 words; elements with first bits k count in word 2k if their other bits are
                0, else in word 2k + 1.
        """

    def count_within(self, values: Values, high: int, counts: Int64[ndarray, " low"]) -> None:
        """Count the elements whose |value| begins with the 16 bits `high`, by the other 16."""

    def gather_tied(
        self, values: Values, threshold: float, start: int, seed: int, window: Window
    ) -> tuple[int, UInt64[ndarray, " n"]]:
        """For elements whose |value| is the threshold: the hashes below and in the window.

        Args:
            values: Values in the order of their flat index.
            threshold: Not 0.
            start: Flat index of the first element in its tensor.
            window: A window that includes its last hash.
        """

    def vote(
        self, deltas: Deltas, cuts: Sequence[Cut], start: int, seed: int, factors: Sequence[float]
    ) -> int:
        """The sum of the elected signs of all positions; a tie counts 0.

        Args:
            cuts: The border of each; elements outside do not vote. Empty: all vote.
            factors: Factor of each delta before the vote.
        """

    def agree(
        self, deltas: Deltas, cuts: Sequence[Cut], start: int, seed: int, ballot: SignBallot
    ) -> Values:
        """Trim as `vote` does, elect signs, and merge the deltas that agree with them."""
