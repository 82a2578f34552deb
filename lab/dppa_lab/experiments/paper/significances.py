"""Experiment 5: scores that rank the entries of a delta."""

from __future__ import annotations

from dataclasses import replace

from dppa_core.charts.plots import Axis, Chart
from dppa_core.charts.report import Findings
from dppa_core.charts.tables import Cell, Table
from dppa_core.recipes.calibration import Calibration
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_lab.experiments.exams import alone, exam, own_marks
from dppa_lab.experiments.paper.rated_marks import RatedMarks
from dppa_lab.experiments.score_table import points, pruned, row, table
from dppa_lab.experiments.setting import Setting, Subject, Treatment
from dppa_lab.experiments.steps import Steps, all_asked, declared, no_harness

RATES = (0.8, 0.9)
KINDS = ("magnitude", "fisher", "activation", "random")


def steps(setting: Setting) -> Steps[Findings]:
    """Ask everything, then report."""
    unpruned = yield from own_marks(setting)
    marks = yield from all_asked(
        {
            (kind, rate, subject.domain): exam(
                setting, _recipe(setting, subject, kind, rate), subject.domain
            )
            for kind in KINDS
            for rate in RATES
            for subject in setting.subjects
        }
    )
    rated = RatedMarks(unpruned, marks)
    return Findings((_table(setting, rated),), (_plot(rated),))


def _recipe(setting: Setting, subject: Subject, kind: str, rate: float) -> MergeRecipe:
    recipe, _ = alone(setting, subject, Treatment("dppa", rate))
    models = recipe.models
    if kind in ("fisher", "activation") and not subject.model.startswith("zoo:"):
        text = Calibration((subject.domain,))
        models = tuple(replace(model, calibration=text) for model in models)
    return replace(recipe, models=models, parameters={"significance": kind})


def _table(setting: Setting, rated: RatedMarks) -> Table:
    domains = (f"{subject.name}|%" for subject in setting.subjects)
    columns = ("significance", "pruned|%", *domains, "mean retention|%", "minus magnitude|points")
    rows = []
    for rate in RATES:
        for kind in KINDS:
            plain = kind == "magnitude"
            gap = Cell(None) if plain else points(rated.gain(kind, "magnitude", rate))
            rows.append(row(kind, 100 * rate, *rated.cells(kind, rate), gap))
    return table("Each domain model alone, pruned by DP", columns, rows)


def _plot(rated: RatedMarks) -> Chart:
    kept = {pruned(rate): [rated.kept(kind, rate) for kind in KINDS] for rate in RATES}
    axes = Axis("significance"), Axis("mean retention", "%")
    return Chart.of("bars", "What is kept by what ranks the entries", axes, KINDS, kept)


SIGNIFICANCE = declared(
    "significance",
    steps,
    no_harness(
        "fisher and activation read texts of each domain; for tasks of lm-evaluation-harness none "
        "are known"
    ),
)
