"""The measured facts behind advice on domain models. Shares are fractions."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.charts.tables import percent_text
from dppa_core.tasks.intervals import Interval
from dppa_core.tuning.search.axes import FACTOR_BOUNDS

PROBE_RATE = 0.9
"""Rate of the DARE probe. DPPA (arXiv 2403.02799), open question 3: where DARE at 90 % keeps less
than 90 % of a domain model's performance, DPPA is the method to try."""
PROBE_DRAWS = 3
"""Draws of DARE, seeds 0 to 2. One is not enough: on the math model two draws keep 75 % and 22 %
of the same answers (docs/evaluation.md)."""
PROBE_KEEPS = 0.9
"""Retention from which the probe calls deltas small; from the same sentence of the paper."""
SMALL_RANGE = 0.002
"""Largest |d| of small deltas: the range of supervised fine-tuning in which DARE drops 90 % without
loss (arXiv 2311.03099, abstract), for weights of models with 7 to 70 billion parameters."""
FORECAST_RATES = (0.8, 0.9, 0.95)
"""Rates at which the survey's rule foretells what magnitude keeps."""
TOLERANCE = 1e-9  # factors and rates are decimal numbers


@dataclass(frozen=True, slots=True)
class ProfileFacts:
    """Figures of a model's profile, over all entries of its modules."""

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
    foretold: tuple[tuple[float, float], ...] = ()
    """Pruning rate, and the retention that the survey's rule foretells for magnitude there; empty
    for a delta of a size that the rule was not fitted to."""


@dataclass(frozen=True, slots=True)
class ProbeFacts:
    """DARE at 90 % on one model, scored on the search items of its domain; accuracies."""

    domain: str
    n: int
    base: float
    own: float
    draws: tuple[Interval, ...]
    """Retention of each draw of DARE; empty if the domain model answers nothing right."""
    magnitude: Interval | None = None
    """Retention pruned by magnitude at the same rate; None if the model answers nothing right."""

    @property
    def tells(self) -> bool:
        """True if the probe is conclusive: not if the base alone would keep enough."""
        return bool(self.draws) and self.base < PROBE_KEEPS * self.own

    @property
    def retention(self) -> float:
        """Mean of the draws; needs at least one."""
        return sum(draw.value for draw in self.draws) / len(self.draws)

    @property
    def split(self) -> bool:
        """True if draws lie on both sides of `PROBE_KEEPS`."""
        return len({enough(draw.value) for draw in self.draws}) > 1


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Factors one step away from the given ones, with their retention."""

    factors: tuple[float, ...]
    retention: float
    p: float
    """p of the exact sign test against the given factors, item by item."""


@dataclass(frozen=True, slots=True)
class TreatedFacts:
    """The effect of a DPPA recipe on one model; retention on search items."""

    rate: float
    factors: tuple[float, ...]
    alone: Interval | None = None
    """Retention of its treated delta alone on the base; None if not measured."""
    merged: Interval | None = None
    """Retention of its domain in the whole merge; None if not measured."""
    neighbours: tuple[Neighbour, ...] | None = None
    """None if not measured."""
    foretold: float | None = None
    """Forecast of the survey's rule for magnitude at this rate; None if it foretells nothing."""
    bound: float = FACTOR_BOUNDS[1]
    """The largest factor that a joint search of the recipe tries. The summary of the paper used
    here gives no range."""


@dataclass(frozen=True, slots=True)
class DomainModelFacts:
    """All facts about one domain model."""

    model: str
    profile: ProfileFacts
    probe: ProbeFacts | None = None
    """None if the domain is unknown."""
    treated: TreatedFacts | None = None
    """None without a recipe that prunes by DPPA."""


def interval_text(share: Interval) -> str:
    """A share with its 95 % interval, in per cent."""
    return percent_text(share.value, share.ends, "–", " %")


def enough(retention: float) -> bool:
    """Return True if a retention reaches `PROBE_KEEPS`."""
    return retention >= PROBE_KEEPS - TOLERANCE
