"""How strong a merge is made: a sweep by the loss of right answers, then a climb by retention.

Knows strengths and what they are worth; no model and no method. The loss costs one reading of all
answers, so it can be asked often; retention wants replies, word by word.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

STEPS = 4
"""Places of the grid from one strength to its double."""
COARSE = (-8, -4, 0, 4, 8)
"""Where every sweep begins: a quarter to four times, each the double of the one before."""
FINE = (2, 1)
"""Then, on both sides of the best so far, these many places away."""
LEAST = 0.015


@dataclass(frozen=True, slots=True)
class Chosen:
    """A strength, and what it took to find it."""

    strength: float
    losses: int
    """Strengths whose loss was asked."""
    retentions: int
    """Those whose retention was asked too."""


def strength_at(place: int) -> float:
    """The strength of a place: 1 at 0, 2 at STEPS."""
    return float(f"{2 ** (place / STEPS):.4g}")


def best_strength(
    loss: Callable[[float], float], retention: Callable[[float], float], most: float
) -> Chosen:
    """The strength that retains most, the same way for whatever is rated.

    The losses of five coarse strengths are asked, of further ones while the outermost is the
    best, and of two on either side at half and at a quarter of a doubling. From the smallest loss
    retention is climbed both ways by half doublings, until it falls; between equals the smaller
    loss decides.

    Args:
        loss: Of the right answers, asked once for each strength at most; infinite where there is
            none.
        retention: Likewise.
        most: No strength is above this, nor below LEAST.
    """
    losses, marks = dict[int, float](), dict[int, tuple[float, float]]()

    def within(place: int) -> bool:
        return LEAST <= strength_at(place) <= most

    def ask_loss(place: int) -> bool:
        new = place not in losses and within(place)
        if new:
            losses[place] = loss(strength_at(place))
        return new

    def ask(place: int) -> bool:
        new = place not in marks and within(place)
        if new:
            ask_loss(place)
            marks[place] = retention(strength_at(place)), -losses[place]
        return new

    sweep(ask_loss, losses)
    ask(_smallest(losses))
    while True:
        best = max(marks, key=lambda place: (marks[place], -abs(place)))
        if not any([ask(best - FINE[0]), ask(best + FINE[0])]):
            return Chosen(strength_at(best), len(losses), len(marks))


def sweep(ask: Callable[[int], bool], losses: dict[int, float]) -> None:
    """Fill `losses` by asking places; `ask` tells whether a place was new and allowed."""
    for place in COARSE:
        ask(place)
    while (_smallest(losses) == max(losses) and ask(max(losses) + STEPS)) or (
        _smallest(losses) == min(losses) and ask(min(losses) - STEPS)
    ):
        pass
    for distance in FINE:
        middle = _smallest(losses)
        ask(middle - distance)
        ask(middle + distance)


def _smallest(losses: dict[int, float]) -> int:
    return min(losses, key=lambda place: (losses[place], abs(place)))
