"""Experiment 5: scores that rank the entries of a delta."""

from __future__ import annotations

from dataclasses import replace

from dppa_core.charts.report import Axis, Chart, Findings
from dppa_core.evaluation.tables import Cell, Column, Row, Table
from dppa_core.recipes.calibration import Calibration
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_lab.experiments.exams import alone, exam, own_marks
from dppa_lab.experiments.score_table import (
    RatedMarks,
    accuracy,
    columns_by,
    points,
    pruned,
)
from dppa_lab.experiments.setting import HARNESS, Setting, Subject, Treatment
from dppa_lab.experiments.steps import Declared, Steps, all_asked

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
    treatment = Treatment("dppa", rate, (("significance", "magnitude"),))
    recipe, _ = alone(setting, subject, treatment)
    models = recipe.models
    if kind in ("fisher", "activation") and not subject.model.startswith("zoo:"):
        models = tuple(
            replace(model, calibration=Calibration((subject.domain,))) for model in models
        )
    return replace(recipe, models=models, parameters={**recipe.parameters, "significance": kind})


def _table(setting: Setting, rated: RatedMarks) -> Table:
    columns = (*columns_by("significance", setting), Column("minus magnitude", "points"))
    rows = []
    for rate in RATES:
        for kind in KINDS:
            marks, gap = rated.at(kind, rate), Cell(None)
            if kind != "magnitude":
                gap = points(rated.gain(kind, "magnitude", rate))
            scores = [accuracy(marks[subject.domain]) for subject in setting.subjects]
            first = Cell(kind), Cell(100 * rate)
            rows.append(Row((*first, *scores, rated.kept(kind, rate), gap)))
    return Table("Each domain model alone, pruned by DP", columns, tuple(rows))


def _plot(rated: RatedMarks) -> Chart:
    kept = {pruned(rate): [rated.kept(kind, rate) for kind in KINDS] for rate in RATES}
    axes = Axis("significance"), Axis("mean retention", "%")
    return Chart.of("bars", "What is kept by what ranks the entries", axes, KINDS, kept)


def _wants(setting: Setting) -> str:
    if any(subject.domain.startswith(HARNESS) for subject in setting.subjects):
        return (
            "fisher and activation read texts of each domain; for tasks of lm-evaluation-harness "
            "none are known"
        )
    return ""


SIGNIFICANCE = Declared(
    key="significance",
    number="5",
    title="What ranks the entries of a delta",
    question="Is the magnitude |d| the right significance, or do Fisher information and "
    "activations know better?",
    measured="Each domain model alone, pruned by DP at 80 and 90 % with each score in the place "
    "of |d|, and {test} test items of its domain. Fisher and activation are measured on 4096 "
    "tokens of questions of the domain's train split. Random is the control: a "
    "fixed pseudo-random order of its own for each tensor. "
    "Differences are paired by item, the domains counting equally.",
    steps=steps,
    wants=_wants,
)
