"""Experiment 2: the accuracy that Dynamically Partition Amplification recovers at every rate."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.charts.report import Axis, Chart, Findings
from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.evaluation.tables import Cell, Column, Row, Table, factors_text
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe
from dppa_lab.experiments.exams import CHOSEN, alone, factors_at, own_marks
from dppa_lab.experiments.paper.pruning import RATES
from dppa_lab.experiments.score_table import (
    RatedMarks,
    accuracy,
    compared,
    points,
    retained,
)
from dppa_lab.experiments.setting import Setting, Treatment
from dppa_lab.experiments.steps import Declared, Steps, all_asked

Place = tuple[float, str]
"""Rate, domain."""


@dataclass(frozen=True, slots=True)
class Recovered(RatedMarks):
    """All marks of the experiment: of DP alone, and of DPPA with the chosen factors."""

    factors: dict[Place, tuple[float, ...]]
    recipes: dict[Place, MergeRecipe]

    def alone(self, domain: str, rate: float) -> Comparison:
        """DPPA minus DP on one domain."""
        after, before = (self.marks[kind, rate, domain] for kind in ("dppa", "dp"))
        return compared({domain: after}, {domain: before})


def steps(setting: Setting) -> Steps[Findings]:
    """Choose factors on search items, then ask test items with and without the factors."""
    factors = yield from factors_at(setting, setting.subjects, RATES)
    unpruned = yield from own_marks(setting)
    alone_of = {
        (kind, rate, subject.domain): alone(setting, subject, Treatment(kind, rate), by)
        for rate in RATES
        for subject in setting.subjects
        for kind, by in (("dp", None), ("dppa", factors[rate, subject.domain]))
    }
    marks = yield from all_asked({key: question for key, (_, question) in alone_of.items()})
    recipes = {key[1:]: recipe for key, (recipe, _) in alone_of.items() if key[0] == "dppa"}
    recovered = Recovered(unpruned, marks, factors, recipes)
    return Findings((_table(setting, recovered),), (_plot(recovered),))


def _table(setting: Setting, recovered: Recovered) -> Table:
    columns = (
        Column("domain"),
        Column("pruned", "%"),
        Column("DP", "%"),
        Column("DPPA", "%"),
        Column("factors, strongest / next band", "×"),
        Column("gain", "points"),
        Column("kept of the domain model", "%"),
    )
    rows = []
    for subject in setting.subjects:
        for rate in RATES:
            place = rate, subject.domain
            before, after = (recovered.marks[kind, rate, subject.domain] for kind in ("dp", "dppa"))
            rows.append(
                Row(
                    (
                        Cell(subject.name),
                        Cell(100 * rate),
                        accuracy(before),
                        accuracy(after),
                        Cell(factors_text(recovered.factors[place])),
                        points(recovered.alone(subject.domain, rate), len(after.hits)),
                        retained(
                            {subject.domain: after},
                            {subject.domain: recovered.unpruned[subject.domain]},
                        ),
                    ),
                    dump_recipe(recovered.recipes[place]),
                )
            )
    return Table("Pruned by DP, then amplified; test items of each domain", columns, tuple(rows))


def _plot(recovered: Recovered) -> Chart:
    gains = {
        domain.rpartition(":")[2]: [points(recovered.alone(domain, rate)) for rate in RATES]
        for domain in recovered.unpruned
    }
    axes, rates = (
        (Axis("pruned", "%"), Axis("gain in accuracy", "points")),
        [100 * r for r in RATES],
    )
    return Chart.of("lines", "What amplification adds to DP", axes, rates, gains)


RECOVERY = Declared(
    key="recovery",
    number="2",
    title="Recovery by DPA",
    question="How much of what pruning cost is brought back by amplifying bands of the delta?",
    measured="DP at each rate, its kept entries split into two equal bands. Factors are chosen "
    f"on {{search}} search items a domain, {CHOSEN}. Then {{test}} test items "
    "are asked. Differences are paired by item.",
    steps=steps,
)
