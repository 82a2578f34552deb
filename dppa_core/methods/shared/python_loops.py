"""The loops over stacked deltas that ranking and electing methods spend their time in.

Knows arrays of some rows only. Implementations give the same bytes: `plain` in numpy is the
measure; a backend may bring a compiled one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from jaxtyping import Float32, Int64, UInt64
from numpy import ndarray

from dppa_core.methods.shared.sign_election import SignBallot
from dppa_core.pruning.partition import Cut, Window

Values = Float32[ndarray, "rows columns"]
Deltas = Float32[ndarray, "K rows columns"]


@runtime_checkable
class Loops(Protocol):
    """One implementation. Counts are added up in place."""

    def count_magnitudes(self, values: Values, counts: Int64[ndarray, " words"]) -> None:
        """Count elements by the first 16 bits of their |value|.

        Args:
            values: Without NaN.
            counts: 2**17 words; of bits k those whose other bits are 0 go to word 2k, the others
                to word 2k + 1.
        """
        ...

    def count_within(self, values: Values, high: int, counts: Int64[ndarray, " low"]) -> None:
        """Count the elements whose |value| begins with the 16 bits `high`, by the other 16."""
        ...

    def gather_tied(
        self,
        values: Values,
        threshold: float,
        start: int,
        seed: int,
        window: Window,
    ) -> tuple[int, UInt64[ndarray, " n"]]:
        """Of the elements whose |value| is the threshold: hashes below the window, those in it.

        Args:
            values: Whose order is that of their flat index.
            threshold: Not 0.
            start: Flat index of the first element in its tensor.
            seed: Of the hashes.
            window: Its last hash is part of it.
        """
        ...

    def vote(
        self, deltas: Deltas, cuts: Sequence[Cut], start: int, seed: int, factors: Sequence[float]
    ) -> int:
        """The elected signs of all positions added up; 0 where nothing is elected.

        Args:
            deltas: Of all models.
            cuts: The border of each; what lies outside does not vote. Empty: all do.
            start: Flat index of the first element in its tensor.
            seed: Of the hashes that decide among elements equal to a border.
            factors: What each delta is multiplied with before it votes.
        """
        ...

    def agree(
        self, deltas: Deltas, cuts: Sequence[Cut], start: int, seed: int, ballot: SignBallot
    ) -> Values:
        """Trim as `vote` does, elect signs, and merge the deltas that agree with them."""
        ...
