"""The rules of an election of signs: votes, and the merge of agreeing deltas."""

from __future__ import annotations

from dataclasses import dataclass

_CANCELLED = 1e-8
"""A sum of shares of both signs up to this size is 0 except for rounding."""


@dataclass(frozen=True, slots=True)
class SignBallot:
    """One number for each model; the same for every position of a tensor."""

    votes: tuple[float, ...]
    """Factor of each delta before the vote; float32."""
    weights: tuple[float, ...]
    """Factor of each delta in the merge; float32."""
    shares: tuple[float, ...]
    """Its addition to the divisor if it agrees: its weight, or 1 to count models."""
    undecided: int
    """The sign of a zero sum of votes: -1, 0 or 1; no delta agrees with 0."""
    divide: bool = True
    """False for the sum instead of the mean."""
    least: float = 0.0
    """The smallest divisor; smaller ones are raised to it."""

    @property
    def cancelled(self) -> float:
        """Divisors up to this size mean that no delta agrees; they become 1."""
        # Without negative shares a divisor of 0 means no agreement, and a small one is valid.
        return _CANCELLED if min(self.shares, default=0.0) < 0 else 0.0


def ballot_of(
    coefficients: tuple[float, ...],
    *,
    weigh_first: bool,
    undecided: int,
    divide: str = "coefficients",
) -> SignBallot:
    """The election of TIES.

    A negative coefficient negates a delta before the vote; its size is the weight.

    Args:
        coefficients: One per model; a model with 0 neither votes nor counts.
        weigh_first: Coefficients multiply before the election, as in mergekit.
        divide: Divide the agreeing sum by their "coefficients", by their "number", or by "nothing".
    """
    turned = tuple(float((value > 0) - (value < 0)) for value in coefficients)
    shares = coefficients if weigh_first else tuple(abs(value) for value in coefficients)
    if divide == "number":
        shares = (1.0,) * len(shares)
    votes = coefficients if weigh_first else turned
    return SignBallot(votes, coefficients, shares, undecided, divide != "nothing")
