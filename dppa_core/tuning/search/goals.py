"""What a search is after: retention by domain, over all, or fewer parameters.

Knows scores of domains, no model and no sampler.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dppa_core.errors import InvalidValue, did_you_mean
from dppa_core.tuning.search.trial import geometric_mean

RETENTION, WORST, DENSITY = "retention", "worst", "density"


@dataclass(frozen=True, slots=True)
class TrialOutcome:
    """What one setting came to."""

    retentions: Mapping[str, float]
    """Domain -> accuracy ÷ the domain model's own."""
    density: float
    """Share of the deltas that is kept."""

    def value(self, goal: str) -> float:
        """By the name of a goal."""
        if goal == DENSITY:
            return self.density
        if goal == WORST:
            return min(self.retentions.values())
        if goal == RETENTION:
            return geometric_mean(tuple(self.retentions.values()))
        return self.retentions[goal.partition(".")[2]]


def check_goals(goals: Sequence[str], domains: Sequence[str]) -> tuple[str, ...]:
    """Names of goals, the first the one that decides.

    Raises:
        InvalidValue: none, one twice, an unknown one, or nothing but the density.
    """
    known = (RETENTION, WORST, DENSITY, *(f"{RETENTION}.{domain}" for domain in domains))
    for goal in goals:
        if goal not in known:
            raise InvalidValue(f"No objective {goal!r}. {did_you_mean(goal, known)}")
    if not goals or len(set(goals)) < len(goals):
        raise InvalidValue("Name each objective once, and at least one: retention, density, …")
    if goals[0] == DENSITY:
        raise InvalidValue(
            "density cannot be the first objective: keeping nothing would be the best. Name "
            "retention before it."
        )
    return tuple(goals)


def direction(goal: str) -> Literal["minimize", "maximize"]:
    """Which way is better, as Optuna says it."""
    return "minimize" if goal == DENSITY else "maximize"


def dominates(one: Sequence[float], other: Sequence[float], goals: Sequence[str]) -> bool:
    """Whether one outcome is at least as good everywhere, and better somewhere."""
    signs = [-1 if goal == DENSITY else 1 for goal in goals]
    gains = [sign * (a - b) for sign, a, b in zip(signs, one, other, strict=True)]
    return all(gain >= 0 for gain in gains) and any(gain > 0 for gain in gains)
