"""Experiment 4: what each half of DPPA does by itself."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.charts.report import Axis, Chart, Findings
from dppa_core.evaluation.tables import Cell, Column, Row, Table, factors_text
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_lab.experiments.exams import CHOSEN, alone, chosen_factors, own_marks
from dppa_lab.experiments.score_table import (
    RatedMarks,
    accuracy,
    columns_by,
    points,
    pruned,
)
from dppa_lab.experiments.setting import Setting, Treatment
from dppa_lab.experiments.steps import Declared, Steps, all_asked, together

RATES = (0.8, 0.9, 0.95)
K_LAYER = PruningParameters().k_layer
"""DP's own, so that OWL-style is DP's step from layers without the one to modules."""
Place = tuple[str, float, str]
"""Variant, rate, domain."""


@dataclass(frozen=True, slots=True)
class PruningVariant:
    """One combination of DPPA's halves."""

    key: str
    title: str
    factors: int
    """Number of factors chosen on search items, one for each band; 0 for plain pruning."""

    def treatment(self, rate: float) -> Treatment:
        """The treatment at a rate."""
        parameters = (("k_layer", K_LAYER),) if self.key == "owl" else ()
        method = {"one": "magnitude", "dpa": "magnitude", "both": "dppa"}.get(self.key, self.key)
        return Treatment(method, rate, parameters)


VARIANTS = (
    PruningVariant("magnitude", "plain magnitude", 0),
    PruningVariant("owl", "OWL-style", 0),
    PruningVariant("dp", "DP alone", 0),
    PruningVariant("one", "magnitude, one factor", 1),
    PruningVariant("dpa", "DPA alone", 2),
    PruningVariant("both", "both (DPPA)", 2),
)

COMPARED = {
    "owl": ("magnitude", "dp"),
    "dp": ("magnitude",),
    "one": ("magnitude",),
    "dpa": ("magnitude", "one"),
    "both": ("magnitude", "dp", "one", "dpa"),
}
"""Variant -> those that it is compared with."""
REFERENCES = {
    "magnitude": "plain magnitude",
    "dp": "DP alone",
    "one": "one factor",
    "dpa": "DPA alone",
}


@dataclass(frozen=True, slots=True)
class Ablated(RatedMarks):
    """All marks of the experiment."""

    factors: dict[Place, tuple[float, ...]]
    recipes: dict[Place, MergeRecipe]


def steps(setting: Setting) -> Steps[Findings]:
    """Choose the factors, then ask test items."""
    places = [
        (variant, rate, subject)
        for variant in VARIANTS
        for rate in RATES
        for subject in setting.subjects
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
    alone_of = {
        (variant.key, rate, subject.domain): alone(
            setting,
            subject,
            variant.treatment(rate),
            factors.get((variant.key, rate, subject.domain)),
        )
        for variant, rate, subject in places
    }
    unpruned = yield from own_marks(setting)
    marks = yield from all_asked({place: question for place, (_, question) in alone_of.items()})
    recipes = {place: recipe for place, (recipe, _) in alone_of.items()}
    ablated = Ablated(unpruned, marks, factors, recipes)
    return Findings((_table(setting, ablated),), (_plot(ablated),))


def _table(setting: Setting, ablated: Ablated) -> Table:
    columns = (
        *columns_by("variant", setting),
        Column("factors, strongest / next band", "×"),
        *(Column(f"minus {name}", "points") for name in REFERENCES.values()),
    )
    rows = []
    for rate in RATES:
        for variant in VARIANTS:
            marks = ablated.at(variant.key, rate)
            gaps = (_gap(ablated, variant.key, reference, rate) for reference in REFERENCES)
            told_of = [
                f"{subject.name} {factors_text(ablated.factors[variant.key, rate, subject.domain])}"
                for subject in setting.subjects
                if variant.factors
            ]
            single = len(setting.subjects) == 1
            recipe = ablated.recipes[variant.key, rate, setting.subjects[0].domain]
            rows.append(
                Row(
                    (
                        Cell(variant.title),
                        Cell(100 * rate),
                        *(accuracy(marks[subject.domain]) for subject in setting.subjects),
                        ablated.kept(variant.key, rate),
                        Cell("; ".join(told_of) or None),
                        *gaps,
                    ),
                    dump_recipe(recipe) if single else None,
                )
            )
    return Table("Each domain model alone, pruned and put back on the base", columns, tuple(rows))


def _gap(ablated: Ablated, variant: str, reference: str, rate: float) -> Cell:
    """Gain of a variant over another, if the two are compared."""
    if reference in COMPARED.get(variant, ()):
        return points(ablated.gain(variant, reference, rate))
    return Cell(None)


def _plot(ablated: Ablated) -> Chart:
    kept = {
        pruned(rate): [ablated.kept(variant.key, rate) for variant in VARIANTS] for rate in RATES
    }
    axes, titles = (
        (Axis("variant"), Axis("mean retention", "%")),
        [variant.title for variant in VARIANTS],
    )
    return Chart.of("bars", "What each half of DPPA keeps", axes, titles, kept)


ABLATION = Declared(
    key="ablation",
    number="4",
    title="The two halves by themselves",
    question="Which of DPPA's two halves helps: densities by significance (DP), or amplified bands "
    "(DPA)?",
    measured="Each domain model alone, pruned at 80, 90 and 95 %, {test} test items of its "
    "domain. Plain magnitude: one rate for all matrices. OWL-style: densities by layer alone, "
    f"with DP's strength {PruningParameters().strength:g} and outliers above {K_LAYER:g} times the "
    "mean. Magnitude, one factor: one rate for all matrices, everything kept times a factor. DPA "
    "alone: one rate for all matrices, two even bands with factors. Factors are chosen on "
    f"{{search}} search items a domain, {CHOSEN}. Differences are paired by item, the domains "
    "counting equally.",
    steps=steps,
)
