"""The findings of experiment 6d as text."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import fmean, variance

from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.evaluation.tables import in_brackets, listed, percent
from dppa_core.tasks.intervals import Interval, VariancePart, reach
from dppa_lab.experiments.paper.strength_rules import (
    PAPER,
    STRENGTHS,
    Choice,
    Facts,
    RatePoint,
    Scores,
    score_of,
)
from dppa_lab.experiments.score_table import (
    BETTER,
    compared,
    correlation,
    gap,
    mean_share,
    told,
    verdict_texts,
    verdicts,
)

Answered = Mapping[tuple[RatePoint, float], Marks]
"""(place, strength) -> marks."""


@dataclass(frozen=True, slots=True)
class StrengthMeasures:
    """All measurements of experiment 6d."""

    scores: Scores
    """Scores on the search items."""
    facts: Mapping[RatePoint, Facts]
    spreads: Mapping[tuple[str, str], tuple[float, float]]
    """Size and domain -> ‖d‖/‖W‖, and the spread of the modules' significance."""
    choices: Mapping[str, Choice]
    """Every rule's strengths, each learned without its own domain."""
    best: str
    """The rule tested: the best on search items of those that do not always return 0."""
    tested: Answered
    """Marks on test items."""

    def best_by(self, place: RatePoint, figure: int) -> float:
        """The strength with the best accuracy (0) or loss (1); the smaller one of equals."""
        return max(STRENGTHS, key=lambda one: self.scores[place][one][figure])

    def against(self, strength: float, rate: float) -> Comparison:
        """The best rule minus a fixed strength at a rate, on test items of all models."""
        choice = {p: one for p, one in self.choices[self.best].items() if p.rate == rate}
        return compared(
            {place.name: self.tested[place, one] for place, one in choice.items()},
            {place.name: self.tested[place, strength] for place in choice},
        )

    def over_sizes(self, rate: float) -> Interval | None:
        """The best rule minus strength 0, the sizes, one training each, counting as equals:
        Student's interval over them. None of a single size."""
        choice = {p: one for p, one in self.choices[self.best].items() if p.rate == rate}
        sizes = dict.fromkeys(place.size for place in choice)
        if len(sizes) < 2:
            return None
        each = [
            mean_share({p.name: self.tested[p, one] for p, one in choice.items() if p.size == size})
            - mean_share({p.name: self.tested[p, 0.0] for p in choice if p.size == size})
            for size in sizes
        ]
        value, n = fmean(each), len(each)
        half = reach([VariancePart(variance(each) / n, n - 1)])
        return Interval(value, value - half, value + half)

    def paper(self, size: str, rate: float) -> Comparison:
        """The paper's strength minus 0 at a rate, on test items of one size's domains."""
        places = [place for place in self.scores if (place.size, place.rate) == (size, rate)]
        return compared(
            {place.domain: self.tested[place, PAPER] for place in places},
            {place.domain: self.tested[place, 0.0] for place in places},
        )

    @property
    def rates(self) -> tuple[float, ...]:
        """All rates, ascending."""
        return tuple(sorted({place.rate for place in self.scores}))

    @property
    def holds(self) -> bool:
        """Whether the best rule beats strength 0 at a rate and is never worse than 0 or the
        paper's; on test items, all domains together."""
        plain = verdicts([self.against(0.0, rate) for rate in self.rates])
        paper = verdicts([self.against(PAPER, rate) for rate in self.rates])
        return max(plain) > 0 and min(plain) >= 0 and min(paper) >= 0


def finding(known: StrengthMeasures) -> str:
    """The findings, for and against the strength; the tables have the rest."""
    parts = (_best(known), _paper(known), _predictors(known), _rule(known), _end(known))
    return " ".join(parts)


def short(known: StrengthMeasures) -> str:
    """Whether a rule for the strength holds, and the effect of the paper's strength."""
    size = next(iter(known.scores)).size
    return (
        f"DP's strength {PAPER:g}, the paper's, against strength 0: {_places(known, size)}. "
        + _end(known)
    )


def _places(known: StrengthMeasures, size: str) -> str:
    found = {percent(rate): known.paper(size, rate) for rate in known.rates}
    return ", ".join(verdict_texts(BETTER, found))


def _best(known: StrengthMeasures) -> str:
    best = [known.best_by(place, 1) for place in known.scores]
    parts = [f"{one:g} in {best.count(one)}" for one in STRENGTHS if one in best]
    return (
        f"The strength with the least loss on search items, of {len(best)} cases: {listed(parts)}."
    )


def _paper(known: StrengthMeasures) -> str:
    size = next(iter(known.scores)).size
    parts = [f"{told(known.paper(size, rate))} at {percent(rate)}" for rate in known.rates]
    head = f"DP's strength {PAPER:g}, the paper's, minus strength 0, test items"
    lines = [f"{head}: {'; '.join(parts)}."]
    for size in dict.fromkeys(place.size for place in known.scores if place.size):
        lines.append(f"With the models of the size {size} it is {_places(known, size)}.")
    return " ".join(lines)


def _predictors(known: StrengthMeasures) -> str:
    """The figure with the highest rank correlation to the harm of the paper's strength."""
    places = list(known.scores)
    harm = [known.scores[place][PAPER][1] - known.scores[place][0.0][1] for place in places]
    spreads = [known.spreads[place.size, place.domain] for place in places]
    facts = [known.facts[place] for place in places]
    figures = {
        "the density": [1 - place.rate for place in places],
        "‖d‖/‖W‖": [one[0] for one in spreads],
        "the spread of significance": [one[1] for one in spreads],
        "the least density of a module": [one.least_density[PAPER] for one in facts],
        "the change of the mean module's share of d²": [
            one.module_energy[PAPER] - one.module_energy[0.0] for one in facts
        ],
    }
    found = {name: correlation(of, harm) for name, of in figures.items()}
    order = sorted(found, key=lambda name: -abs(found[name]))
    most, least = order[0], order[-1]
    return (
        f"Of {len(order)} figures of a delta and its plan, {most} goes most with what the paper's "
        f"strength does to the loss (rank correlation {found[most]:+.2f}), {least} least "
        f"({found[least]:+.2f})."
    )


def _rule(known: StrengthMeasures) -> str:
    none = [name for name, choice in known.choices.items() if not any(choice.values())]
    shares = [
        100 * score_of(known.scores, choice)[0]
        for choice in (
            known.choices[known.best],
            *(dict.fromkeys(known.scores, one) for one in (0.0, PAPER)),
        )
    ]
    against = [
        "; ".join(f"{told(known.against(one, rate))} at {percent(rate)}" for rate in known.rates)
        for one in (0.0, PAPER)
    ]
    return (
        f"Of {len(known.choices)} rules that do not see the domain they choose for, {len(none)} "
        f"{'says' if len(none) == 1 else 'say'} 0 everywhere{in_brackets(none)}. Of the "
        f"others *{known.best}* does best: {shares[0]:.1f} % of the search items, strength 0 "
        f"{shares[1]:.1f} %, {PAPER:g} {shares[2]:.1f} %. On test items, minus strength 0: "
        f"{against[0]}; minus {PAPER:g}: {against[1]}."
    )


def _end(known: StrengthMeasures) -> str:
    plain = {percent(rate): known.against(0.0, rate) for rate in known.rates}
    end = "never worse beyond chance" if known.holds else "none holds at every rate"
    rate = known.rates[-1]
    over = known.over_sizes(rate)
    lines = [
        "Against strength 0, one rate for all matrices, over items the best rule is "
        f"{', '.join(verdict_texts(BETTER, plain))}: {end}."
    ]
    if over is not None:
        lines.append(f"Over the sizes, one training each, it is {gap(over)} at {percent(rate)}.")
    return " ".join(lines)
