"""Figures of the experiments, from handmade marks."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from dppa_core.charts.report import Experiment, ExperimentsReport, Findings, report_json, report_of
from dppa_core.evaluation.analysis.curvature import Curvature, Quadratic
from dppa_core.recipes.yaml_text import MergeRecipe, dump_recipe, parse_recipe
from dppa_core.tasks.intervals import Interval
from dppa_lab.experiments.kept_questions import AdaMerged, TuningQuestion
from dppa_lab.experiments.paper.ablation import ABLATION
from dppa_lab.experiments.paper.beyond import BEYOND
from dppa_lab.experiments.paper.merges import MERGES, PAIR
from dppa_lab.experiments.paper.pruning import PRUNING
from dppa_lab.experiments.paper.recovery import RECOVERY
from dppa_lab.experiments.paper.significances import SIGNIFICANCE
from dppa_lab.experiments.paper.why.band_curvature import BandCurvature
from dppa_lab.experiments.paper.why.loss_questions import BandsQuestion, CurvatureQuestion
from dppa_lab.experiments.paper.why.one_factor import FACTORS, GAIN
from dppa_lab.experiments.paper.why.two_factors import BANDS
from dppa_lab.experiments.questions import ExamQuestion, Question
from dppa_lab.experiments.report_page import PLOTS, page, pictures_of
from dppa_lab.experiments.setting import Setting, embedded
from dppa_lab.experiments.steps import Declared
from lab.tests.helpers.followed_steps import followed, hits

N = 100
SETTING = replace(embedded(), test=N, search=8)
LAW = replace(SETTING, subjects=SETTING.subjects[2:])
"""One model is a third of the work."""
Shares = Callable[[MergeRecipe, str, str], float]
"""Recipe, domain, split -> share of right answers."""


def answer(question: Question[Any], shares: Shares) -> Any:
    if isinstance(question, TuningQuestion):
        step = 0 if question.recipe.method == "ties" else 10
        return AdaMerged(dump_recipe(question.recipe), step, 30, False)
    if isinstance(question, CurvatureQuestion):  # all on a parabola with its least at 1 + rate
        rate = question.recipe.models[0].levels[-1]
        bent = Quadratic(0.1, 0.0, 0.0, kept=1.0, crossed=rate, removed=1.0)
        return Curvature(1 - rate, bent, tuple(map(bent.at, question.factors)))
    if isinstance(question, BandsQuestion):
        return bent_bands(question)
    assert isinstance(question, ExamQuestion)
    n = SETTING.search if question.split == "search" else N
    if isinstance(question.target, str):
        return hits(round((1.0 if question.split == "search" else 0.9) * n), n)
    return hits(round(shares(question.target, question.domain, question.split) * n), n)


def bent_bands(question: BandsQuestion) -> BandCurvature:
    """Two questions of a token each, on a parabola with its least at 1 and 2; foretold 1.2, 3."""
    losses = tuple(((a - 1) ** 2 + (b - 2) ** 2,) * 2 for a, b in question.settings)
    lead = (
        Interval(0.2, 0.1, 0.3) if question.recipe.models[0].levels[-1] > 0.8 else Interval(0, 0, 0)
    )
    kept = (0.5, 0.2, 0.3), (0.5, 0.7)
    return BandCurvature(*kept, lead, (1.2, 3.0), (0.0, 0.0), (1, 1), losses)


def measured(declared: Declared, shares: Shares, setting: Setting = SETTING) -> Findings:
    """Run an experiment with such answers, and show that its values survive the file."""
    result, _ = followed(declared.steps(setting), lambda question: answer(question, shares))
    texts = ("key", "1", "title", "question", declared.measured_on(setting))
    report = ExperimentsReport("dppa", "here", {}, setting.to_json(), (Experiment(*texts, result),))
    text = json.dumps(report_json(report), allow_nan=False)
    assert report_json(report_of(json.loads(text))) == json.loads(text)
    assert all(f"]({PLOTS}/{name})" in page(report) for name in pictures_of(report))
    for table in result.tables:
        assert {len(row.cells) for row in table.rows} == {len(table.columns)}
        for row in table.rows:
            assert row.recipe is None or parse_recipe(row.recipe)
    return result


def values(findings: Findings, *first: Any, table: int = 0) -> list[Any]:
    """The cells of the row that begins so."""
    rows = findings.tables[table].rows
    (row,) = [row for row in rows if tuple(c.value for c in row.cells[: len(first)]) == first]
    return [cell.value for cell in row.cells[len(first) :]]


def method(recipe: MergeRecipe) -> str:
    """As the experiments call it."""
    amplified = any(len(model.levels) > 1 for model in recipe.models)
    return "dp" if recipe.method == "dppa" and not amplified else recipe.method


def rate(recipe: MergeRecipe) -> float:
    return recipe.models[0].levels[-1]


def test_pruning_has_the_mean_and_the_spread_of_the_draws() -> None:
    def shares(recipe: MergeRecipe, domain: str, split: str) -> float:
        if rate(recipe) == 0.9 and method(recipe) == "dare":
            drawn = (0.2, 0.4, 0.4, 0.4, 0.6)[recipe.seed]
            return drawn if domain == "law" else 0.75 + drawn / 5
        ahead = {(0.9, "dp"): 0.8, (0.9, "magnitude"): 0.6, (0.95, "dp"): 0.2}
        return ahead.get((rate(recipe), method(recipe)), 0.5)

    result = measured(PRUNING, shares)
    assert values(result, "law", 90.0) == [
        pytest.approx(60), pytest.approx(80), pytest.approx(40), pytest.approx(100 * 8 / 9)
    ]  # fmt: skip
    cells = [cell.note for row in result.tables[0].rows for cell in row.cells]
    assert "5 draws: 20.0–60.0" in cells


def test_recovery_chooses_on_search_items_and_answers_test_items() -> None:
    """By accuracy alone, without losses: the weaker band stronger than the other is the best."""

    def shares(recipe: MergeRecipe, domain: str, split: str) -> float:
        if split == "search":
            first, second = recipe.models[0].amplification
            return 0.75 if second > first else 0.5
        return 0.5 if method(recipe) == "dp" else 0.75 if rate(recipe) > 0.9 else 0.5

    result = measured(RECOVERY, shares, LAW)
    factors, gain = values(result, "law", 95.0)[2:4]
    first, second = map(float, str(factors).split(" / "))
    assert second > first and gain == pytest.approx(25)


def test_merges_are_compared_with_dppa_and_ties_is_added_up_for_adamerging() -> None:
    def shares(recipe: MergeRecipe, domain: str, split: str) -> float:
        tuned = isinstance(recipe.models[0].coefficient, dict)
        if split == "search":  # 0.85 is the best of all coefficients
            size = recipe.parameters.get("scale", recipe.models[0].coefficient)
            return 1.0 if tuned or size == 0.85 or len(recipe.models) == 1 else 0.5
        return {"dppa": 0.6, "dare": 0.3, "ties": 0.6, "task_arithmetic": 0.85}[recipe.method]

    result = measured(PAIR, shares)
    assert values(result, "DARE", 80.0)[0] == "0.85"
    gap = values(result, "task arithmetic", 0.0)
    assert gap[:3] == ["0.85", pytest.approx(85), pytest.approx(85)]
    assert gap[-3:] == [pytest.approx(25), pytest.approx(25), None], "minus DPPA, at both rates"
    assert values(result, "DARE", 90.0)[-3:-1] == [None, pytest.approx(-30)]
    assert values(result, "DARE, AdaMerging", 90.0)[-1] == pytest.approx(0)
    assert values(result, "TIES, AdaMerging", 90.0)[-1] == pytest.approx(0)
    (row,) = [row for row in result.tables[0].rows if row.cells[0].value == "TIES, AdaMerging"][1:]
    assert dict(parse_recipe(row.recipe or "").parameters)["divide"] == "nothing"
    assert not result.missing
    assert all(None not in series.low for plot in result.plots for series in plot.series)


def test_a_merge_needs_as_many_models() -> None:
    settings = [replace(SETTING, subjects=SETTING.subjects[:n]) for n in (3, 2, 1)]
    assert [bool(PAIR.wants(setting)) for setting in settings] == [False, False, True]
    assert [bool(MERGES.wants(setting)) for setting in settings] == [False, True, True]


def test_the_ablation_measures_each_half_by_itself() -> None:
    def shares(recipe: MergeRecipe, domain: str, split: str) -> float:
        dynamic, amplified = recipe.method == "dppa", len(recipe.models[0].levels) > 1
        larger = not amplified and recipe.models[0].amplification[0] > 1.2
        return 0.5 + 0.2 * amplified - 0.1 * dynamic + 0.1 * larger

    result = measured(ABLATION, shares, LAW)
    assert values(result, "DPA alone", 90.0)[0] == pytest.approx(70)
    assert values(result, "OWL-style", 90.0)[0] == pytest.approx(50)
    assert values(result, "both (DPPA)", 95.0)[-4:] == pytest.approx([10, 20, 0, -10])


def test_significances_are_compared_with_magnitude() -> None:
    def shares(recipe: MergeRecipe, domain: str, split: str) -> float:
        return {"magnitude": 0.6, "fisher": 0.6, "activation": 0.8, "random": 0.1}[
            recipe.significance
        ]

    result = measured(SIGNIFICANCE, shares)
    assert values(result, "activation", 80.0)[-1] == pytest.approx(20)
    assert values(result, "fisher", 90.0)[-1] == 0
    assert values(result, "random", 80.0) == pytest.approx([10, 10, 10, 100 / 9, -50])


def test_beyond_80_the_gain_stands_beside_what_the_plans_keep() -> None:
    def shares(recipe: MergeRecipe, domain: str, split: str) -> float:
        return 0.3 if method(recipe) == "dp" and rate(recipe) > 0.9 else 0.5

    result = measured(BEYOND, shares, LAW)
    row = values(result, 99.0)
    assert row[3] == pytest.approx(-20)
    even, dynamic, starved = row[-3:]
    assert 0 < dynamic < 100 and 0 < even < 100
    assert starved > values(result, 80.0)[-1] == 0, "0.08 leaves every matrix its share at 80 %"


def test_two_factors_are_compared_with_one_and_with_those_foretold() -> None:
    result = measured(BANDS, lambda recipe, domain, split: 0.5, LAW)
    row = values(result, "law", 90.0)
    assert row[:6] == pytest.approx([50, 20, 30, 0.5, 0.7, 0.2])
    assert row[6:9] == ["1.2 / 3", "1 / 2", 1.4], "of one factor 1.4 is nearest to 1 and 2"
    # unpruned, 1 / 1, 1.4 / 1.4, 1 / 2 and 1.2 / 3; then two minus one
    assert row[9:] == pytest.approx([0, 1, 0.16 + 0.36, 0, 0.04 + 1, -0.52])
    recipe = parse_recipe(result.tables[0].rows[1].recipe or "")
    assert recipe.models[0].amplification == (1.0, 2.0)
    assert recipe.models[0].levels == pytest.approx((0.95, 0.9))


def test_gain_has_what_a_factor_adds_and_wins_back() -> None:
    def shares(recipe: MergeRecipe, domain: str, split: str) -> float:
        amplified = recipe.models[0].amplification != (1.0,)
        return 0.5 + (0.3 if rate(recipe) == 0.95 and amplified else 0.0)

    result = measured(GAIN, shares, LAW)
    # at 80 %: the cost is 0.5 nats, the best factor by hand 1.8, of those tried 1.75
    assert values(result, "law", 80.0)[:6] == pytest.approx(
        [20.0, 0.5, 0.5, 1.8, 1.75, 0.5 + (0.75**2 - 2 * 0.75 * 0.8) / 2]
    )
    assert values(result, "law", 95.0)[-1] == pytest.approx(30)
    loss, kept_slope, removed_slope, kept, crossed, removed = values(result, "law", 80.0, table=1)
    assert (kept, crossed, removed) == pytest.approx((1, 0.8, 1))
    assert values(result, "law", 80.0, table=2)[FACTORS.index(1.0)] == pytest.approx(
        loss - removed_slope + removed / 2
    )
    assert kept_slope == 0
