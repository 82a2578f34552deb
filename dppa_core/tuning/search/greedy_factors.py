"""The paper's greedy search for the amplification factors of one model."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from dppa_core.errors import InvalidValue

STEP = 0.1
LARGEST = 4.0


@dataclass(frozen=True, slots=True)
class Trial:
    """One setting and its score."""

    amplification: tuple[float, ...]
    score: float


@dataclass(frozen=True, slots=True)
class FactorSearch:
    """The best setting, and all trials."""

    best: Trial
    trials: tuple[Trial, ...]


def greedy_factors(
    score: Callable[[tuple[float, ...]], float], partitions: int, *, largest: float = LARGEST
) -> FactorSearch:
    """Find one amplification factor per partition (DPPA, arXiv 2403.02799).

    Start with the first band alone at factor 1. For each band: start its factor at 1, raise it by
    0.1 while the score improves, and keep the best. Unlike the authors' program this returns the
    best setting it has seen; of equal ones the first.

    Args:
        score: A setting's score, larger is better; use a held-out split, never the test split.
        partitions: Number of bands, at least 1.

    Raises:
        InvalidValue: no partition, or a score is not finite.
    """
    if partitions < 1:
        raise InvalidValue(f"partitions must be at least 1, got {partitions}.")
    trials: list[Trial] = []

    def attempt(amplification: tuple[float, ...]) -> Trial:
        found = score(amplification)
        if not math.isfinite(found):
            raise InvalidValue(
                f"The score of the factors {list(amplification)} is {found}, which cannot be "
                "compared. A domain without items, or a division by 0, is the usual cause."
            )
        trials.append(Trial(amplification, found))
        return trials[-1]

    best = Trial((0.0,) * partitions, float("-inf"))
    for band in range(partitions):
        before, after = best.amplification[:band], (0.0,) * (partitions - band - 1)
        factor, last = 1.0, attempt((*before, 1.0, *after))
        best = max((best, last), key=lambda trial: trial.score)
        while factor + STEP <= largest + 1e-9:
            factor = round(factor + STEP, 10)
            trial = attempt((*before, factor, *after))
            if trial.score <= last.score:
                break
            last, best = trial, max((best, trial), key=lambda trial: trial.score)
    return FactorSearch(best, tuple(trials))
