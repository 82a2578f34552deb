"""The rules of one election of signs: who votes with what, and how those who agree are merged.

Knows numbers only.
"""

from __future__ import annotations

from dataclasses import dataclass

_CANCELLED = 1e-8
"""A sum of shares of both signs that is no larger is 0 but for rounding."""


@dataclass(frozen=True, slots=True)
class SignBallot:
    """The same for every position of a tensor; one number for each model."""

    votes: tuple[float, ...]
    """What a delta is multiplied with before it votes; float32."""
    weights: tuple[float, ...]
    """What it is multiplied with where it is merged; float32."""
    shares: tuple[float, ...]
    """What it adds to the divisor where it agrees: its weight, or 1 to count heads."""
    undecided: int
    """-1, 0 or 1: the sign where the sum of votes is 0; 0 agrees with nobody."""
    divide: bool = True
    """False for the sum in place of the mean."""
    least: float = 0.0
    """The smallest divisor; smaller ones are raised to it."""

    @property
    def cancelled(self) -> float:
        """Divisors of this size or less stand for nobody; they become 1."""
        # Without negative shares a divisor of 0 means that nobody agrees, and a small one is one.
        return _CANCELLED if min(self.shares, default=0.0) < 0 else 0.0


def ballot_of(
    coefficients: tuple[float, ...],
    *,
    weigh_first: bool,
    undecided: int,
    divide: str = "coefficients",
) -> SignBallot:
    """The election of TIES.

    A negative coefficient turns a delta around before it votes; its size is the weight.

    Args:
        coefficients: One a model; one of 0 neither votes nor counts.
        weigh_first: Whether coefficients multiply before the election, as in mergekit.
        undecided: See `SignBallot`.
        divide: The agreeing sum by their "coefficients", by their "number", or by "nothing".
    """
    turned = tuple(float((value > 0) - (value < 0)) for value in coefficients)
    shares = coefficients if weigh_first else tuple(abs(value) for value in coefficients)
    if divide == "number":
        shares = (1.0,) * len(shares)
    votes = coefficients if weigh_first else turned
    return SignBallot(votes, coefficients, shares, undecided, divide != "nothing")
