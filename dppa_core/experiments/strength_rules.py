"""Rules that choose DP's strength, and how one learns them without the domain it is used on.

Pure: scores and facts of cells in, strengths out. A cell is one domain at one pruning rate.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

STRENGTHS = (0.0, 0.02, 0.04, 0.06, 0.08, 0.1)
PAPER = 0.08
PER_DENSITY = (0.0, 0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)
"""Tried multiples of the density."""
Cell = tuple[str, float]
"""Domain, rate."""
Score = tuple[float, float]
"""Accuracy and negative loss on the search items; larger is better."""
Scores = Mapping[Cell, Mapping[float, Score]]
"""Of every strength."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a cell without asking the model, at every strength."""

    energy: Mapping[float, float]
    """Share of all modules' sum of d² that is kept."""
    module_energy: Mapping[float, float]
    """Mean over the modules of the share of their own sum of d² that is kept."""
    least_density: Mapping[float, float]
    """Of any module."""


Choice = Mapping[Cell, float]
"""The strength of every cell."""
Rule = Callable[[Scores, Mapping[Cell, Facts], Sequence[Cell]], Choice]
"""Scores of the cells it learns from, facts of all cells, the cells to choose for."""


def constant(scores: Scores, facts: Mapping[Cell, Facts], cells: Sequence[Cell]) -> Choice:
    """One strength for all."""
    best = max(STRENGTHS, key=lambda one: _mean(scores[cell][one] for cell in scores))
    return dict.fromkeys(cells, best)


def by_rate(scores: Scores, facts: Mapping[Cell, Facts], cells: Sequence[Cell]) -> Choice:
    """One for every rate."""
    return {
        (domain, rate): max(
            STRENGTHS,
            key=lambda one, rate=rate: _mean(  # type: ignore[misc]
                scores[cell][one] for cell in scores if cell[1] == rate
            ),
        )
        for domain, rate in cells
    }


def per_density(scores: Scores, facts: Mapping[Cell, Facts], cells: Sequence[Cell]) -> Choice:
    """One multiple of the density 1 - p, to the nearest strength of the grid."""

    def score(multiple: float) -> Score:
        return _mean(scores[cell][_nearest(multiple * (1 - cell[1]))] for cell in scores)

    best = max(PER_DENSITY, key=score)
    return {cell: _nearest(best * (1 - cell[1])) for cell in cells}


def most_energy(scores: Scores, facts: Mapping[Cell, Facts], cells: Sequence[Cell]) -> Choice:
    """The one that keeps most of the sum of d²; learns nothing."""
    return {cell: _largest(facts[cell].energy) for cell in cells}


def most_module_energy(
    scores: Scores, facts: Mapping[Cell, Facts], cells: Sequence[Cell]
) -> Choice:
    """The one that keeps most of the modules' own sums of d², on average; learns nothing."""
    return {cell: _largest(facts[cell].module_energy) for cell in cells}


def no_starving(scores: Scores, facts: Mapping[Cell, Facts], cells: Sequence[Cell]) -> Choice:
    """The largest that leaves every module a share of the overall density, the share learned."""

    def chosen(cell: Cell, share: float) -> float:
        least = share * (1 - cell[1])
        # 1e-9: at strength 0 every density is the overall one, up to its rounding.
        return max(s for s in STRENGTHS if facts[cell].least_density[s] >= least - 1e-9)

    shares = tuple(round(0.1 * step, 1) for step in range(11))
    best = max(shares, key=lambda one: _mean(scores[c][chosen(c, one)] for c in scores))
    return {cell: chosen(cell, best) for cell in cells}


RULES: Mapping[str, Rule] = {
    "one for all": constant,
    "one a rate": by_rate,
    "a multiple of the density": per_density,
    "most kept of d²": most_energy,
    "most kept of d² in the mean module": most_module_energy,
    "no module starved": no_starving,
}


def left_out(rule: Rule, scores: Scores, facts: Mapping[Cell, Facts]) -> Choice:
    """The strength of every cell by a rule that learned from the other domains alone."""
    chosen: dict[Cell, float] = {}
    for domain in dict.fromkeys(domain for domain, _ in scores):
        learned = {cell: of for cell, of in scores.items() if cell[0] != domain}
        chosen |= rule(learned, facts, [cell for cell in scores if cell[0] == domain])
    return chosen


def score_of(scores: Scores, choice: Choice) -> Score:
    """Mean accuracy and negative loss of the cells with the strengths of a choice."""
    return _mean(scores[cell][strength] for cell, strength in choice.items())


def _mean(several: Iterable[Score]) -> Score:
    each = list(several)
    return sum(one[0] for one in each) / len(each), sum(one[1] for one in each) / len(each)


def _nearest(strength: float) -> float:
    return min(STRENGTHS, key=lambda one: abs(one - strength))


def _largest(of: Mapping[float, float]) -> float:
    return max(STRENGTHS, key=lambda one: of[one])
