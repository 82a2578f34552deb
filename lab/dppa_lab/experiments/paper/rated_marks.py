"""Each domain model alone, pruned in several variants at several rates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from dppa_core.charts.tables import Cell
from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_lab.experiments.exams import Factors, alone, chosen_factors, own_marks
from dppa_lab.experiments.score_table import accuracy, compared, retained
from dppa_lab.experiments.setting import Setting, Treatment
from dppa_lab.experiments.steps import Steps, all_asked, together

Place = tuple[str, float, str]
"""Variant, rate, domain."""


@dataclass(frozen=True, slots=True)
class PruningVariant:
    """One way to prune."""

    key: str
    title: str
    method: str
    factors: int = 0
    """Number of factors chosen on search items, one for each band; 0 for plain pruning."""
    parameters: tuple[tuple[str, Any], ...] = ()

    def treatment(self, rate: float) -> Treatment:
        """The treatment at a rate."""
        return Treatment(self.method, rate, self.parameters)


@dataclass(frozen=True, slots=True)
class RatedMarks:
    """Marks of every domain model on its own domain, and of its pruned variants."""

    unpruned: dict[str, Marks]
    marks: dict[Place, Marks]
    factors: dict[Place, Factors] = field(default_factory=dict)
    recipes: dict[Place, MergeRecipe] = field(default_factory=dict)

    def at(self, variant: str, rate: float) -> dict[str, Marks]:
        """Domain -> marks."""
        return {domain: self.marks[variant, rate, domain] for domain in self.unpruned}

    def kept(self, variant: str, rate: float) -> Cell:
        """Retention over all domains."""
        return retained(self.at(variant, rate), self.unpruned)

    def cells(self, variant: str, rate: float) -> list[Cell]:
        """The accuracy of each domain, and the retention over all."""
        marks = self.at(variant, rate).values()
        return [*map(accuracy, marks), self.kept(variant, rate)]

    def gain(self, variant: str, reference: str, rate: float) -> Comparison:
        """One variant against another, over all domains."""
        return compared(self.at(variant, rate), self.at(reference, rate))


def rated_marks(
    setting: Setting, variants: Sequence[PruningVariant], rates: Sequence[float]
) -> Steps[RatedMarks]:
    """Choose the factors of the variants that have some, then ask test items."""
    places = [
        (v, rate, subject) for v in variants for rate in rates for subject in setting.subjects
    ]
    factors = yield from together(
        {
            (variant.key, rate, subject.domain): chosen_factors(
                setting, subject, variant.treatment(rate), bands=variant.factors
            )
            for variant, rate, subject in places
            if variant.factors
        }
    )
    pruned = {
        (key := (variant.key, rate, subject.domain)): alone(
            setting, subject, variant.treatment(rate), factors.get(key)
        )
        for variant, rate, subject in places
    }
    unpruned = yield from own_marks(setting)
    marks = yield from all_asked({place: question for place, (_, question) in pruned.items()})
    recipes = {place: recipe for place, (recipe, _) in pruned.items()}
    return RatedMarks(unpruned, marks, factors, recipes)
