"""Rules that choose DP's strength, learned without the domain they are used on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from dppa_core.pruning.pruning_parameters import PruningParameters

STRENGTHS = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
PAPER = PruningParameters().strength
PER_DENSITY = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
"""Multiples of the density to try."""
Score = tuple[float, float]
"""Accuracy and negative loss on the search items; larger is better."""


@dataclass(frozen=True, slots=True)
class RatePoint:
    """One model at one pruning rate."""

    size: str
    """Size of the models; empty for the models of all other experiments."""
    domain: str
    rate: float

    @property
    def name(self) -> str:
        """The model's name in tables."""
        domain = self.domain.rpartition(":")[2]
        return f"{domain}, {self.size}" if self.size else domain


Scores = Mapping[RatePoint, Mapping[float, Score]]
"""Place -> strength -> score."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts about a place at every strength, known without asking the model."""

    energy: Mapping[float, float]
    """Kept share of all modules' sum of d²."""
    module_energy: Mapping[float, float]
    """Mean over the modules of the kept share of their own sum of d²."""
    least_density: Mapping[float, float]
    """Smallest density of a module."""


Choice = Mapping[RatePoint, float]
"""Place -> strength."""
Rule = Callable[[Scores, Mapping[RatePoint, Facts], Sequence[RatePoint]], Choice]
"""Scores of the places it learns from, facts of all places, the places to choose for."""


def constant(
    scores: Scores, facts: Mapping[RatePoint, Facts], places: Sequence[RatePoint]
) -> Choice:
    """One strength for all places."""
    best = max(STRENGTHS, key=lambda strength: _mean(scores[place][strength] for place in scores))
    return dict.fromkeys(places, best)


def by_rate(
    scores: Scores, facts: Mapping[RatePoint, Facts], places: Sequence[RatePoint]
) -> Choice:
    """One strength per rate."""
    best: dict[RatePoint, float] = {}
    for rate in {place.rate for place in places}:
        learned = {place: score for place, score in scores.items() if place.rate == rate}
        best |= constant(learned, facts, [place for place in places if place.rate == rate])
    return {place: best[place] for place in places}


def per_density(
    scores: Scores, facts: Mapping[RatePoint, Facts], places: Sequence[RatePoint]
) -> Choice:
    """One multiple of the density 1 - p, to the nearest strength of the grid."""

    def score(multiple: float) -> Score:
        return _mean(scores[place][_nearest(multiple * (1 - place.rate))] for place in scores)

    best = max(PER_DENSITY, key=score)
    return {place: _nearest(best * (1 - place.rate)) for place in places}


def by_plan(figure: str) -> Rule:
    """The strength that keeps most of a figure of `Facts`; learns nothing."""

    def rule(
        scores: Scores, facts: Mapping[RatePoint, Facts], places: Sequence[RatePoint]
    ) -> Choice:
        kept = {place: getattr(facts[place], figure) for place in places}
        return {place: max(STRENGTHS, key=kept[place].__getitem__) for place in places}

    return rule


def no_starving(
    scores: Scores, facts: Mapping[RatePoint, Facts], places: Sequence[RatePoint]
) -> Choice:
    """The largest strength that leaves every module a learned share of the overall density."""

    def largest(place: RatePoint, share: float) -> float:
        least = share * (1 - place.rate)
        # 1e-9: at strength 0 every density equals the overall one up to rounding.
        return max(s for s in STRENGTHS if facts[place].least_density[s] >= least - 1e-9)

    shares = tuple(round(0.1 * step, 1) for step in range(11))
    best = max(
        shares, key=lambda share: _mean(scores[point][largest(point, share)] for point in scores)
    )
    return {place: largest(place, best) for place in places}


RULES: Mapping[str, Rule] = {
    "one for all": constant,
    "one a rate": by_rate,
    "a multiple of the density": per_density,
    "most kept of d²": by_plan("energy"),
    "most kept of d² in the mean module": by_plan("module_energy"),
    "no module starved": no_starving,
}


def left_out(rule: Rule, scores: Scores, facts: Mapping[RatePoint, Facts]) -> Choice:
    """The strength of every place by a rule learned only from the other domains."""
    choice: dict[RatePoint, float] = {}
    for domain in dict.fromkeys(place.domain for place in scores):
        learned = {place: score for place, score in scores.items() if place.domain != domain}
        choice |= rule(learned, facts, [place for place in scores if place.domain == domain])
    return choice


def score_of(scores: Scores, choice: Choice) -> Score:
    """Mean accuracy and negative loss of the places with the strengths of a choice."""
    return _mean(scores[place][strength] for place, strength in choice.items())


def _mean(several: Iterable[Score]) -> Score:
    rights, losses = zip(*several, strict=True)
    return sum(rights) / len(rights), sum(losses) / len(losses)


def _nearest(strength: float) -> float:
    return min(STRENGTHS, key=lambda grid: abs(grid - strength))
