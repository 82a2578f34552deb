"""The overview of the experiments: outcomes of DPPA, from measured merges."""

from typing import Any

import pytest

from dppa_core.charts.plots import Chart, Heatmap
from dppa_core.charts.report import Experiment
from dppa_core.checkpoints.sources.zoo import APART
from dppa_core.recipes.yaml_text import parse_recipe
from dppa_core.tasks import DOMAINS
from dppa_lab.experiments.overview import overview
from dppa_lab.experiments.overview_merges import of_studies
from dppa_lab.zoo.regimes import BETWEEN
from dppa_lab.zoo.study.merges import key_of


def merge(kept: float, before: float, **minus: tuple[float, float, float]) -> dict[str, object]:
    """A merge of the results with given differences: mean, low, high."""
    named = {n: dict(zip(("value", "low", "high"), ends, strict=True)) for n, ends in minus.items()}
    best = {"kept": kept, "recipe": "base: zoo:base"}
    values = {"factor1": 1.1, "factor2": 2.0, "coefficient": 1.0, "strength": 0.01}
    return {"minus": named, "values": values, "best": best, "plain": {"kept": before}}


CLEAR, SLIGHT, NONE = (0.1, 0.06, 0.14), (0.03, 0.002, 0.058), (0.0, -0.01, 0.01)
BEHIND = (-0.1, -0.14, -0.06)
RESULTS: dict[str, Any] = {
    "search_items": 200,
    "models": {"base": {"math": {"n": 400}, "law": {"n": 600}}},
    "sizes": {"math": 0.25, "finance": 0.2, "law": 0.15},
    "merges": [
        {"method": "task_arithmetic", "rate": 0.0, "merged": merge(0.97, 0.9)},
        {
            "method": "magnitude",
            "rate": 0.9,
            "merged": merge(0.8, 0.7),
            "alone": {domain: merge(0.7, 0.6) for domain in DOMAINS},
        },
        {"method": "dp", "rate": 0.9, "merged": merge(0.79, 0.6)},
        {
            "method": "dppa",
            "rate": 0.9,
            "merged": merge(
                *(0.87, 0.6),
                magnitude=CLEAR,
                magnitude_as_pruned=CLEAR,
                task_arithmetic=BEHIND,
            ),
            "alone": {
                "math": merge(0.8, 0.6, magnitude=SLIGHT, magnitude_as_pruned=NONE),
                "finance": merge(0.7, 0.6, magnitude=NONE, magnitude_as_pruned=NONE),
                "law": merge(0.6, 0.6, magnitude=BEHIND, magnitude_as_pruned=NONE),
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
        *(
            {"name": name, "rate": rate, "budget": "all", "hits": hits(right), "values": {}}
            for rate, right in ((0.8, 35), (0.9, 30))
            for name in ("magnitude", "dp", "dppa")
        ),
        {"name": "dppa", "rate": 0.9, "budget": "modules", "hits": hits(1), "values": {}},
    ],
}


@pytest.fixture
def experiment() -> Experiment:
    return overview(RESULTS, [STUDY])


def outcomes(experiment: Experiment) -> list[object]:
    assert experiment.findings
    return [
        row.cells[[column.title for column in table.columns].index("outcomes")].value
        for table in experiment.findings.tables
        for row in table.rows
    ]


def test_wins_ties_and_losses_are_corrected_for_all_differences(experiment: Experiment) -> None:
    """SLIGHT excludes 0 by itself (p = 0.036) and not among nine differences."""
    merged, *alone = outcomes(experiment)
    assert merged == "loses, wins", "task arithmetic, magnitude"
    assert alone[:2] == ["few seeds: no claim"] * 2
    assert alone[2:] == ["ties, undecided", "ties, ties", "ties, loses"]
    assert (
        "all 9 differences" in experiment.measured and "all 1,000 test items" in experiment.measured
    )


def test_a_set_of_one_seed_is_shown_at_every_rate_and_changes_no_outcome(
    experiment: Experiment,
) -> None:
    assert experiment.findings
    rows = experiment.findings.tables[0].rows[1:]
    assert [[cell.value for cell in row.cells[:2]] for row in rows] == [
        ["small, apart, second training", 80.0],
        ["small, apart, second training", 90.0],
    ]
    assert outcomes(overview(RESULTS, [])) == [
        outcome for outcome in outcomes(experiment) if outcome != "few seeds: no claim"
    ]


def test_a_set_whose_merges_keep_less_than_one_of_its_models_says_so() -> None:
    low = [{**row, "hits": hits(8)} for row in STUDY["merges"]]
    findings = overview(RESULTS, [{**STUDY, "merges": low}]).findings
    assert findings and isinstance(findings.plots[0], Heatmap)
    row = findings.plots[0].rows.index("small, apart, second training")
    assert findings.plots[0].marks[row] == ("×", "×"), "8 of 40, and one of two domains is a half"


def measured(seed: int, dppa: int) -> dict[str, Any]:
    """A settled set measured at 95 %."""
    rights = {"magnitude": 20, "dp": 20, "dpa": 30, "dppa": dppa, "reversed": 10}
    merges = [
        {"key": f"{name}-95-all", "name": name, "rate": 0.95, "budget": "all", "values": {}}
        | {"hits": hits(right)}
        for name, right in rights.items()
    ]
    whole = {**STUDY["merges"][0], "key": "task_arithmetic-0-whole"}
    kind = {"size": "small", "regime": "settled", "seed": seed}
    return {"set": kind, "own": hits(40), "merges": [whole, *merges]}


def test_sets_of_the_confirmation_change_no_table_or_plot() -> None:
    old = [measured(seed, 20 + seed) for seed in (1, 2, 3)]
    new = [measured(seed, 38) for seed in (6, 7, 8)]
    assert overview(RESULTS, [*old, *new]).findings == overview(RESULTS, old).findings


def test_sets_of_three_seeds_are_one_row_a_rate_with_the_outcomes_of_the_study() -> None:
    experiment = overview(RESULTS, [measured(seed, 38 + seed % 2) for seed in (1, 2, 3)])
    assert experiment.findings
    row = experiment.findings.tables[0].rows[1]
    assert [cell.value for cell in row.cells[:2]] == ["small, together, 3 trainings", 95.0]
    assert outcomes(experiment)[1] == "wins, wins", "task arithmetic keeps 4 of 40, magnitude 20"
    low = [measured(seed, 12) for seed in (1, 2, 3)]
    for study in low:
        for row in study["merges"]:
            row["hits"] = hits(12 if row["name"] in {"dppa", "magnitude"} else 4)
    assert outcomes(overview(RESULTS, low))[1] == "too low, too low", "12 of 40, below a half"


def test_rows_of_the_embedded_models_can_be_set_and_sizes_are_those_of_the_deltas(
    experiment: Experiment,
) -> None:
    assert experiment.findings
    several, single = experiment.findings.tables
    assert [row.recipe is not None for row in several.rows] == [True, False, False]
    assert [row.cells[1].value for row in single.rows] == [0.25, 0.2, 0.15]
    lines = experiment.findings.plots[-1]
    assert isinstance(lines, Chart) and lines.series[-1].y == (87.0,)


def test_the_first_figure_marks_who_wins_at_each_rate_in_each_set(experiment: Experiment) -> None:
    assert experiment.findings
    magnitude, whole = experiment.findings.plots[:2]
    assert isinstance(magnitude, Heatmap) and isinstance(whole, Heatmap)
    assert magnitude.columns == ("80 %", "90 %")
    cells = dict(
        zip(magnitude.rows, zip(magnitude.cells, magnitude.marks, strict=True), strict=True)
    )
    assert cells["embedded, together"] == ((None, 10.0), ("", "▲"))
    assert cells["small, apart, second training"] == ((0.0, 0.0), ("", "")), "one seed: no mark"
    assert cells["law alone, 0.15"] == ((None, -10.0), ("", "▼"))
    assert whole.rows == ("embedded, together", "small, apart, second training")
    places = dict(zip(magnitude.rows, magnitude.places, strict=True))
    assert places["embedded, together"] == (None, (0, 0))
    assert places["law alone, 0.15"] == (None, (1, 2))


@pytest.mark.parametrize(("as_pruned", "mark"), [(0.75, "△"), (0.65, "▲")])
def test_a_win_against_a_search_that_did_harm_has_a_mark_of_its_own(
    as_pruned: float, mark: str
) -> None:
    """Against magnitude as pruned nothing is clear; its search did harm if it kept more so."""
    _, magnitude, _, dppa = RESULTS["merges"]
    pruned = {**magnitude["alone"], "math": merge(0.7, as_pruned)}
    ours = merge(0.8, 0.6, magnitude=CLEAR, magnitude_as_pruned=NONE)
    rows = [
        *(RESULTS["merges"][0], {**magnitude, "alone": pruned}, RESULTS["merges"][2]),
        {**dppa, "alone": {**dppa["alone"], "math": ours}},
    ]
    findings = overview({**RESULTS, "merges": rows}, []).findings
    assert findings and isinstance(findings.plots[0], Heatmap)
    marks = dict(zip(findings.plots[0].rows, findings.plots[0].marks, strict=True))
    assert marks["math alone, 0.25"] == (mark,) and marks["embedded, together"] == ("▲",)


def test_a_merge_of_models_that_came_along_has_its_recipe() -> None:
    values = {"factor1": 1.5, "factor2": 2.5, "coefficient": 0.9, "strength": 0.02}
    rows = [
        {**row, "values": values, "key": key_of(row["name"], row["rate"], row["budget"])}
        for row in STUDY["merges"]
    ]
    kind = {"size": "embedded", "regime": BETWEEN}
    sets = [{**STUDY, "set": {**kind, "seed": seed}, "merges": rows} for seed in (1, 2)]
    (first, second) = (of_studies([study])[-1].recipe for study in sets)
    assert first and second is None, "only seed 1 came along"
    recipe = parse_recipe(first)
    assert [model.model for model in recipe.models] == [f"zoo:{name}" for name in APART]
    assert recipe.models[0].levels == (0.95, 0.9)
    assert recipe.models[0].amplification == (1.5, 2.5)
    assert recipe.settings().other_tensors == "prune", "the rate counts all entries"
