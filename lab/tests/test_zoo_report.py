"""The results page agrees with the measured report."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import Interval
from dppa_core.tuning.search.joint import Budget
from dppa_lab.reports.result_tables import readme_table, result_tables
from dppa_lab.zoo.build import model_card
from dppa_lab.zoo.results import choosing
from dppa_lab.zoo.results.choosing import ChosenValues
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.results.retained import retained, scores, sides
from dppa_lab.zoo.results.scores import (
    ALONE,
    MethodScores,
    ScoredMerge,
    SearchedMerge,
    ZooReport,
    as_json,
    entry,
    searched,
)


def _hits(right: int, domains: Sequence[str] = DOMAINS) -> dict[str, tuple[bool, ...]]:
    """The first ones of a hundred items right, in every domain."""
    return {domain: tuple(place < right for place in range(100)) for domain in domains}


def _merge(method: str, rate: float, right: int, before: int = 30, *domains: str) -> SearchedMerge:
    of = entry(method, rate, domains or DOMAINS)
    values = {axis.name: 2 * axis.start for axis in of.axes()}
    plain, best = of.recipes(), of.recipes(tuple(values.values()))
    return SearchedMerge(
        ScoredMerge(plain[of.domains[0]], _hits(before, of.domains)),
        ChosenValues(values, 24, 6, values),
        ScoredMerge(best[of.domains[0]], _hits(right, of.domains)),
    )


def _row(method: str, alone: int, merged: int, rate: float = 0.9, before: int = 30) -> MethodScores:
    domains = DOMAINS if method in ALONE else ()
    each = {domain: _merge(method, rate, alone, before, domain) for domain in domains}
    return MethodScores(method, rate, each, _merge(method, rate, merged))


@pytest.fixture
def report() -> ZooReport:
    rows = (_row("magnitude", 60, 60), _row("dare", 50, 40), _row("dppa", 80, 70))
    models = {"base": _hits(2), **{domain: _hits(100) for domain in DOMAINS}}
    return ZooReport(models, _merge("task_arithmetic", 0.0, 90), rows, None, 60)


def test_the_tables_have_every_row_before_and_after_its_search(report: ZooReport) -> None:
    values = as_json(report)
    text = result_tables(values)
    assert text.count("| DPPA |") == 3
    assert "30.0 → 80.0 (71.1–86.7)" in text and "| +10.0 (+6.6 to +13.4) |" in text
    assert "factors 2 / 2, coefficient 2, strength 0.16" in text
    assert readme_table(values).splitlines()[-1] == "| DPPA | – | 70 % |"


def test_json_has_every_merge_its_gain_and_what_it_is_ahead_of_magnitude(report: ZooReport) -> None:
    value = json.loads(json.dumps(as_json(report)))
    assert [row["method"] for row in value["merges"]][0] == "task_arithmetic"
    ours = value["merges"][-1]
    assert ours["merged"]["gain"]["value"] == pytest.approx(0.4)
    assert ours["merged"]["minus"]["magnitude"]["value"] == pytest.approx(0.1)
    assert ours["merged"]["minus"]["task_arithmetic"]["value"] == pytest.approx(-0.2)
    assert ours["alone"]["law"]["minus"]["magnitude"]["value"] == pytest.approx(0.2)
    assert ours["alone"]["law"]["best"]["kept"] == pytest.approx(0.8)
    assert value["models"]["base"]["math"]["accuracy"] == 0.02


def test_retained_is_the_mean_of_the_ratios() -> None:
    own = {"math": 1.0, "finance": 0.5, "law": 0.8}
    found = scores({"math": (True, False), "finance": (True, True), "law": (False, False)})
    assert retained(found, own) == pytest.approx((0.5 + 2 + 0) / 3)


def test_differences_are_told_from_chance_as_holm_corrects_them() -> None:
    clear, slight, none = (
        Interval(0.1, 0.05, 0.15),
        Interval(-0.02, -0.038, -0.002),
        Interval(0, 0, 0),
    )
    assert sides([slight]) == (-1,)
    assert sides([clear, slight, none]) == (1, 0, 0)


def test_before_its_search_dppa_is_dp() -> None:
    (model,) = entry("dp", 0.8, ["math"]).recipes()["math"].models
    assert (model.levels, model.amplification) == ((0.8,), (1.0,))
    (model,) = entry("dppa", 0.8, ["math"]).recipes()["math"].models
    assert (model.levels, model.amplification) == ((0.9, 0.8), (1.0, 1.0))


def test_a_small_run_chooses_on_search_items_and_scores_test_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoo_env: Path, one_torch_thread: None
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    monkeypatch.setattr(choosing, "BUDGET", Budget(3, 2))
    found = searched("dppa", 0.9, ["law"], MergeExaminer(2, 2))
    assert (found.chosen.losses, found.chosen.retentions) == (3, 2)
    assert found.plain.recipe == entry("dp", 0.9, ["law"]).recipes()["law"]
    values, model = found.chosen.values, found.best.recipe.models[0]
    assert model.amplification == (values["factor1"], values["factor2"])
    assert model.coefficient == values["coefficient"]
    assert {len(hits) for hits in (found.plain.hits["law"], found.best.hits["law"])} == {2}


def test_a_card_states_licence_training_and_scores() -> None:
    card = model_card(
        {
            "stages": [
                {
                    "name": "law",
                    "steps": 700,
                    "batch": 64,
                    "learning_rate": 1e-3,
                    "replay": 0.3,
                    "pull": 5.0,
                    "scales": [1.0, 1.0],
                    "seed": 0,
                },
                {
                    "name": "law",
                    "steps": 500,
                    "batch": 64,
                    "learning_rate": 7e-4,
                    "replay": 0.4,
                    "pull": 15.0,
                    "scales": [0.4, 1.2],
                    "seed": 1,
                    "company": 0.5,
                },
            ],
            "architecture": {
                "layers": 6,
                "hidden": 256,
                "feed_forward": 512,
                "heads": 4,
                "vocabulary": 1024,
            },
            "search_accuracy": {"law": 0.951},
        }
    )
    assert card.startswith("---\nlicense: apache-2.0\n")
    assert "700 steps of 64 texts" in card
    assert "deltas beside it in 50 % of the steps" in card
    assert "random scale from 0.4 to 1.2" in card
    assert "| law | 95 % |" in card
