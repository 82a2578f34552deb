"""What experiment 6d found, in words. Pure: scores, facts and marks in, text out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dppa_core.evaluate_rows import Comparison
from dppa_core.experiments.ranks import correlation
from dppa_core.experiments.scores import compared
from dppa_core.experiments.strength_rules import (
    PAPER,
    STRENGTHS,
    Cell,
    Choice,
    Facts,
    Scores,
    score_of,
)
from dppa_core.experiments.words import listed, percent, told, verdict
from dppa_core.marks import Marks


@dataclass(frozen=True, slots=True)
class Known:
    """All that was measured."""

    mapped: Mapping[tuple[str, float, float], Marks]
    """Search items by domain, rate and strength."""
    scores: Scores
    """Of them."""
    facts: Mapping[Cell, Facts]
    spreads: Mapping[str, tuple[float, float]]
    """Domain -> ‖d‖/‖W‖, and the spread of the modules' significance."""
    choices: Mapping[str, Choice]
    """Every rule's strengths, learned without the domain they are for."""
    best: str
    """The rule that was asked test items: the best one on search items that not always says 0."""
    tested: Mapping[tuple[str, float, float], Marks]
    """Test items by domain, rate and strength."""

    def best_by(self, cell: Cell, figure: int) -> float:
        """The strength with the best accuracy (0) or loss (1); the smaller one of equals."""
        return max(STRENGTHS, key=lambda one: self.scores[cell][one][figure])

    def against(self, strength: float, rate: float) -> Comparison:
        """The best rule minus a fixed strength at a rate, on test items of all domains."""
        choice = {cell[0]: one for cell, one in self.choices[self.best].items() if cell[1] == rate}
        return compared(
            {domain: self.tested[domain, rate, one] for domain, one in choice.items()},
            {domain: self.tested[domain, rate, strength] for domain in choice},
        )

    def harmless(self, rate: float) -> float:
        """The largest strength up to which no loss against 0 was seen, search items of all."""
        domains = [domain for domain, at in self.scores if at == rate]
        plain = {domain: self.mapped[domain, rate, 0.0] for domain in domains}
        largest = 0.0
        for one in STRENGTHS[1:]:
            if verdict(compared({d: self.mapped[d, rate, one] for d in domains}, plain)) < 0:
                break
            largest = one
        return largest

    def paper(self, rate: float) -> Comparison:
        """The paper's strength minus none at a rate, on test items of all domains."""
        domains = [domain for domain, at in self.scores if at == rate]
        return compared(
            {domain: self.tested[domain, rate, PAPER] for domain in domains},
            {domain: self.tested[domain, rate, 0.0] for domain in domains},
        )

    @property
    def rates(self) -> tuple[float, ...]:
        """All, rising."""
        return tuple(sorted({rate for _, rate in self.scores}))

    @property
    def holds(self) -> bool:
        """Whether the best rule is better than strength 0 somewhere and worse nowhere, and never
        worse than the paper's; on test items, all domains together."""
        plain = [verdict(self.against(0.0, rate)) for rate in self.rates]
        paper = [verdict(self.against(PAPER, rate)) for rate in self.rates]
        return max(plain) > 0 and min(plain) >= 0 and min(paper) >= 0


def finding(known: Known) -> str:
    """What was seen, for and against the strength."""
    return " ".join((_best(known), _paper(known), _predictors(known), _rule(known), _end(known)))


def _best(known: Known) -> str:
    counts = []
    for figure, name in enumerate(("accuracy", "loss")):
        best = [known.best_by(cell, figure) for cell in known.scores]
        parts = [f"{one:g} in {best.count(one)}" for one in STRENGTHS if one in best]
        counts.append(f"by {name} {listed(parts)}")
    return f"The best strength on search items, of {len(known.scores)} cells: {'; '.join(counts)}."


def _paper(known: Known) -> str:
    parts = [f"{told(known.paper(rate))} at {percent(rate)}" for rate in known.rates]
    largest = [f"{known.harmless(rate):g} at {percent(rate)}" for rate in known.rates]
    return (
        f"The paper's {PAPER:g} minus none, test items of all domains: {listed(parts)}. Search "
        f"items of all domains show no loss up to {listed(largest)}."
    )


def _predictors(known: Known) -> str:
    cells = list(known.scores)
    best = [known.best_by(cell, 1) for cell in cells]
    harm = [known.scores[cell][PAPER][1] - known.scores[cell][0.0][1] for cell in cells]
    figures = {
        "the density": [1 - rate for _, rate in cells],
        "‖d‖/‖W‖": [known.spreads[domain][0] for domain, _ in cells],
        "the spread of significance": [known.spreads[domain][1] for domain, _ in cells],
        "the least density of a module": [known.facts[cell].least_density[PAPER] for cell in cells],
        "the change of the mean module's share of d²": [
            known.facts[cell].module_energy[PAPER] - known.facts[cell].module_energy[0.0]
            for cell in cells
        ],
    }
    harms = [f"{name} {correlation(of, harm):+.2f}" for name, of in figures.items()]
    bests = [f"{correlation(of, best):+.2f}" for of in figures.values()]
    return (
        f"What the paper's strength does to the loss goes with (rank correlation) {listed(harms)}; "
        f"the best strength by loss with the same figures {listed(bests)}."
    )


def _rule(known: Known) -> str:
    none = [name for name, choice in known.choices.items() if not any(choice.values())]
    shares = [
        100 * score_of(known.scores, choice)[0]
        for choice in (
            known.choices[known.best],
            *(dict.fromkeys(known.scores, one) for one in (0.0, PAPER)),
        )
    ]
    strengths = [f"{one:g}" for one in sorted(set(known.choices[known.best].values()))]
    against = [
        "; ".join(f"{told(known.against(one, rate))} at {percent(rate)}" for rate in known.rates)
        for one in (0.0, PAPER)
    ]
    return (
        f"Of {len(known.choices)} rules that do not see the domain they choose for, {len(none)} "
        f"choose strength 0 everywhere{_listed_in_brackets(none)}. Of the others *{known.best}* "
        f"does best, with {listed(strengths)}: {shares[0]:.1f} % of the search items, strength 0 "
        f"{shares[1]:.1f} %, {PAPER:g} {shares[2]:.1f} %. On test items it is, against 0: "
        f"{against[0]}; against {PAPER:g}: {against[1]}."
    )


def _listed_in_brackets(names: list[str]) -> str:
    return f" ({listed(names)})" if names else ""


def _end(known: Known) -> str:
    if known.holds:
        return "So a rule that chooses the strength holds on the test items."
    return (
        "So no rule held on the test items against the simplest: strength 0, one rate for all "
        "matrices."
    )
