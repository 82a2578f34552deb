"""The figures that advice about domain models rests on.

Knows no model: these are values, made by `advice_run` or by hand. Shares are fractions.
"""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.evaluation.tables import percent_text
from dppa_core.tasks.intervals import Interval

PROBE_RATE = 0.9
"""Rate of the DARE probe. DPPA (arXiv 2403.02799), open question 3: where DARE at 90 % keeps less
than 90 % of a domain model's performance, DPPA is the method to try."""
PROBE_DRAWS = 3
"""Draws of DARE, the seeds 0 to 2: one is not enough. Of the math model two keep 75 % and 22 %
of the same answers (docs/evaluation.md)."""
PROBE_KEEPS = 0.9
"""Retention from which the probe calls deltas small; the same sentence of the paper."""
SMALL_RANGE = 0.002
"""|d| within which deltas are small: the range of supervised fine-tuning in which DARE drops 90 %
without loss (arXiv 2311.03099, abstract). In units of the weights of 7 to 70 billion parameters."""
CLOSE = 1e-9  # factors and rates are decimal numbers


@dataclass(frozen=True, slots=True)
class ProfileFacts:
    """What the profile of a pair says, over all entries of modules."""

    relative_change: float
    """‖d‖/‖W‖."""
    mean_magnitude: float
    """Mean |d|, in units of the weights."""
    outside: float
    """Share of entries with |d| above `SMALL_RANGE`."""
    zeros: float
    """Share of entries with d = 0."""
    significance: tuple[float, float, float]
    """Least, mean and largest over the modules: share of |d| above five times the module's mean."""


@dataclass(frozen=True, slots=True)
class ProbeFacts:
    """DARE at 90 % on one model, asked the search items of its domain; accuracies."""

    domain: str
    n: int
    base: float
    own: float
    """Of the domain model."""
    draws: tuple[Interval, ...]
    """Retention of each draw of DARE; none where the domain model has no item right."""

    @property
    def tells(self) -> bool:
        """Whether the probe can tell: not where the base alone would keep enough."""
        return bool(self.draws) and self.base < PROBE_KEEPS * self.own

    @property
    def retention(self) -> float:
        """Mean of the draws, of which there must be one."""
        return sum(one.value for one in self.draws) / len(self.draws)

    @property
    def split(self) -> bool:
        """Whether draws lie on both sides of what the paper asks for."""
        return len({enough(one.value) for one in self.draws}) > 1


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A setting of the factors one step away."""

    factors: tuple[float, ...]
    retention: float
    p: float
    """Of the exact sign test against the given factors, item by item."""


@dataclass(frozen=True, slots=True)
class TreatedFacts:
    """What a recipe by DPPA does to one model; retention by search items."""

    rate: float
    factors: tuple[float, ...]
    alone: Interval | None = None
    """Retention of its treated delta alone on the base; None where it was not asked."""
    merged: Interval | None = None
    """Retention of its domain in the whole merge; None where it was not asked."""
    neighbours: tuple[Neighbour, ...] | None = None
    """None where they were not asked."""


@dataclass(frozen=True, slots=True)
class DomainModelFacts:
    """All that is known of one domain model."""

    model: str
    profile: ProfileFacts
    probe: ProbeFacts | None = None
    """None where the domain is not known."""
    treated: TreatedFacts | None = None
    """None without a recipe that prunes by DPPA."""


def interval_text(one: Interval) -> str:
    """A share with its 95 % interval, in per cent."""
    return percent_text(one.value, one.ends, "–", " %")


def enough(retention: float) -> bool:
    """Whether the paper's rule of thumb calls it kept."""
    return retention >= PROBE_KEEPS - CLOSE
