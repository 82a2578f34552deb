"""Experiment 1: DP, magnitude and DARE at several rates, each domain by itself."""

from __future__ import annotations

from dataclasses import dataclass

from dppa_core.charts.report import Axis, Chart, Findings
from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.tables import Cell, Column, Row, Table, capital
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.recipes.yaml_text import dump_recipe
from dppa_lab.experiments.exams import alone, own_marks
from dppa_lab.experiments.score_table import (
    Draws,
    accuracy,
    share,
)
from dppa_lab.experiments.setting import Setting, Treatment
from dppa_lab.experiments.steps import Declared, Steps, all_asked

RATES = (0.1, 0.5, 0.8, 0.9, 0.95)
DRAWS = 5
TITLES = {"magnitude": "magnitude", "dp": "DP", "dare": "DARE"}
Key = tuple[str, float, str]
"""Method, rate, domain."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """All marks of the experiment."""

    unpruned: dict[str, Marks]
    marks: dict[Key, Draws]
    """One draw for deterministic methods."""


def steps(setting: Setting) -> Steps[Findings]:
    """Ask everything, then report."""
    unpruned = yield from own_marks(setting)
    questions = {
        (method, rate, subject.domain, seed): alone(
            setting, subject, Treatment(method, rate, seed=seed)
        )[1]
        for rate in RATES
        for subject in setting.subjects
        for method in TITLES
        for seed in range(DRAWS if method == "dare" else 1)
    }
    answers = yield from all_asked(questions)
    grouped: dict[Key, tuple[Marks, ...]] = {}
    for (method, rate, domain, _), marks in answers.items():
        key = method, rate, domain
        grouped[key] = (*grouped.get(key, ()), marks)
    pruned = Pruned(unpruned, {key: Draws(marks) for key, marks in grouped.items()})
    plots = tuple(_plot(pruned, domain) for domain in setting.domains)
    return Findings((_table(setting, pruned),), plots)


def _table(setting: Setting, pruned: Pruned) -> Table:
    columns = (
        Column("domain"),
        Column("pruned", "%"),
        *(Column(title, "%") for title in TITLES.values()),
        Column("DP kept of the domain model", "%"),
    )
    rows = []
    for subject in setting.subjects:
        rows.append(
            Row(
                (
                    Cell(subject.name),
                    Cell(0.0),
                    *([accuracy(pruned.unpruned[subject.domain])] * 3),
                    Cell(100.0),
                )
            )
        )
        for rate in RATES:
            recipe, _ = alone(setting, subject, Treatment("dp", rate))
            marks = [pruned.marks[method, rate, subject.domain] for method in TITLES]
            cells = [draws.cell() for draws in marks]
            unpruned = share(pruned.unpruned[subject.domain])
            kept = (
                100 * pruned.marks["dp", rate, subject.domain].mean / unpruned if unpruned else None
            )
            first = Cell(subject.name), Cell(100 * rate)
            rows.append(Row((*first, *cells, Cell(kept)), dump_recipe(recipe)))
    return Table("Accuracy of each domain on its own test items", columns, tuple(rows))


def _plot(pruned: Pruned, domain: str) -> Chart:
    whole = accuracy(pruned.unpruned[domain])
    cells = {
        title: [whole, *(pruned.marks[method, rate, domain].cell() for rate in RATES)]
        for method, title in TITLES.items()
    }
    axes = Axis("pruned", "%"), Axis("accuracy", "%")
    title = f"{capital(domain.rpartition(':')[2])}: what pruning costs"
    return Chart.of("lines", title, axes, [100 * rate for rate in (0.0, *RATES)], cells)


PRUNING = Declared(
    key="pruning",
    number="1",
    title="DP, magnitude and DARE at rising rates",
    question="Does DP (Dynamically Pruning) keep more of a model than plain magnitude or DARE?",
    measured="Each domain model's delta is pruned and put back on the base alone, the whole delta "
    "of embeddings and norms with it, and asked {test} test items of its domain. DP at the paper's "
    f"strength {PruningParameters().strength:g}, magnitude at one rate for all matrices, DARE "
    f"{DRAWS} times with other seeds. Differences are paired by item, the domains counting "
    "equally.",
    steps=steps,
)
