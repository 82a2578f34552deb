"""The overview of the experiments: outcomes of DPPA, from measured merges."""

import pytest

from dppa_core.studies.experiments.overview import KEY, overview
from dppa_core.studies.experiments.page.text import page
from dppa_core.studies.experiments.values import (
    Experiment,
    ExperimentsReport,
    experiment_json,
    report_json,
    report_of,
)
from dppa_core.tasks import DOMAINS


def merge(kept: float, before: float, **minus: tuple[float, float, float]) -> dict[str, object]:
    """A merge of the results with given differences: mean, low, high."""
    named = {n: dict(zip(("value", "low", "high"), of, strict=True)) for n, of in minus.items()}
    best = {"kept": kept, "recipe": "base: zoo:base"}
    values = {"factor1": 1.1, "factor2": 2.0, "coefficient": 1.0, "strength": 0.01}
    return {"minus": named, "values": values, "best": best, "plain": {"kept": before}}


CLEAR, SLIGHT, NONE = (0.1, 0.06, 0.14), (0.03, 0.002, 0.058), (0.0, -0.01, 0.01)
BEHIND = (-0.1, -0.14, -0.06)
RESULTS = {
    "search_items": 200,
    "sizes": {"math": 0.25, "finance": 0.2, "law": 0.15},
    "merges": [
        {"method": "task_arithmetic", "rate": 0.0, "merged": merge(0.97, 0.9)},
        {
            "method": "magnitude",
            "rate": 0.9,
            "merged": merge(0.8, 0.7),
            "alone": {domain: merge(0.7, 0.6) for domain in DOMAINS},
        },
        {
            "method": "dppa",
            "rate": 0.9,
            "merged": merge(0.87, 0.75, magnitude=CLEAR, task_arithmetic=BEHIND),
            "alone": {
                "math": merge(0.8, 0.6, magnitude=SLIGHT),
                "finance": merge(0.7, 0.6, magnitude=NONE),
                "law": merge(0.6, 0.6, magnitude=BEHIND),
            },
        },
    ],
}


def hits(right: int) -> dict[str, str]:
    return dict.fromkeys(("math", "law"), "1" * right + "0" * (40 - right))


STUDY = {
    "set": {"size": "small", "regime": "plain", "seed": 1},
    "own": hits(40),
    "merges": [
        {"name": "task_arithmetic", "rate": 0.0, "budget": "whole", "hits": hits(4)},
        {"name": "magnitude", "rate": 0.9, "budget": "all", "hits": hits(30)},
        {"name": "dppa", "rate": 0.9, "budget": "all", "hits": hits(30), "values": {}},
    ],
}


@pytest.fixture
def found() -> Experiment:
    return overview(RESULTS, [STUDY])


def outcomes(found: Experiment) -> list[object]:
    assert found.findings
    return [row.cells[-1].value for table in found.findings.tables for row in table.rows]


def test_wins_ties_and_losses_are_corrected_for_all_differences(found: Experiment) -> None:
    """SLIGHT excludes 0 by itself (p = 0.036) and not among seven differences."""
    merged, other, math, finance, law = outcomes(found)
    assert merged == "loses, wins", "against task arithmetic, magnitude"
    assert other == "wins, ties"
    assert (math, finance, law) == ("undecided", "ties", "loses")
    assert "all 7 differences" in found.measured


def test_the_finding_says_what_pruning_leaves_and_what_amplification_brings_back(
    found: Experiment,
) -> None:
    assert found.findings
    said = found.findings.finding
    assert "At 90 % DP leaves 75.0 % of the models' accuracy" in said
    assert "DPPA keeps 87.0 % and magnitude pruning 80.0 %, whole deltas 97.0 %" in said
    assert "factors 1.1 / 2, coefficient 1, strength 0.01; the paper's strength is 0.08." in said
    assert "against task arithmetic: wins at 90 % in small, plain" in said
    assert "loses at 90 % in embedded, settled (-10.0 points, -14.0 to -6.0)" in said
    assert "undecided with math at 90 % (+3.0 points" in said


def test_rows_of_the_embedded_models_can_be_set_and_sizes_are_those_of_the_deltas(
    found: Experiment,
) -> None:
    assert found.findings
    several, single = found.findings.tables
    assert [row.recipe is not None for row in several.rows] == [True, False]
    assert [row.cells[1].value for row in single.rows] == [0.25, 0.2, 0.15]
    lines, points = found.findings.plots
    assert [one.name for one in points.series] == ["90 %"] and lines.series[-1].y == (87.0,)


def test_it_travels_as_json_and_stands_first_on_the_page(found: Experiment) -> None:
    setting = {"title": "T", "base": "b", "models": [], "test_items": 1, "search_items": 1}
    report = ExperimentsReport("c", "m", {}, setting, (found,))
    value = report_json(report)
    assert report_json(report_of(value)) == value
    text = page(report)
    assert text.index("When does DPPA win") < text.index("## Models, items and time")
    assert "Made by `make results`." in text and "0 answers" not in text
    assert experiment_json(found)["key"] == KEY
