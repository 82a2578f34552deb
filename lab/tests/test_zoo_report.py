"""Measured merges of the embedded models: as values, tables and a command."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from dppa_core.tasks import DOMAINS
from dppa_lab.reports.result_tables import readme_table, result_tables
from dppa_lab.zoo.joint_search import Budget
from dppa_lab.zoo.results import choosing, merge_results
from dppa_lab.zoo.results.choosing import ChosenValues
from dppa_lab.zoo.results.merge_examiner import MergeExaminer
from dppa_lab.zoo.results.merge_results import (
    ALONE,
    MethodResults,
    SearchedMerge,
    entry,
    results_json,
    searched,
)
from tests.helpers.command import Command


def _hits(right: int, domains: Sequence[str] = DOMAINS) -> dict[str, tuple[bool, ...]]:
    """The first ones of a hundred items right, in every domain."""
    return {domain: tuple(place < right for place in range(100)) for domain in domains}


def _merge(method: str, rate: float, right: int, *domains: str) -> SearchedMerge:
    merge = entry(method, rate, domains or DOMAINS)
    values = {axis.name: 2 * axis.start for axis in merge.axes()}
    plain, best = merge.recipes(), merge.recipes(tuple(values.values()))
    first = merge.domains[0]
    return SearchedMerge(
        (plain[first], _hits(30, merge.domains)),
        ChosenValues(values, 24, 6, values),
        (best[first], _hits(right, merge.domains)),
    )


def _row(method: str, alone: int, merged: int) -> MethodResults:
    domains = DOMAINS if method in ALONE else ()
    each = {domain: _merge(method, 0.9, alone, domain) for domain in domains}
    return MethodResults(method, 0.9, each, _merge(method, 0.9, merged))


@pytest.fixture
def results() -> dict[str, Any]:
    rows = (_row("magnitude", 60, 60), _row("dare", 50, 40), _row("dppa", 80, 70))
    models = {"base": _hits(2), **{domain: _hits(100) for domain in DOMAINS}}
    return results_json(models, _merge("task_arithmetic", 0.0, 90), rows, None, 60)


def test_the_tables_have_every_row_before_and_after_its_search(results: dict[str, Any]) -> None:
    text = result_tables(results)
    assert text.count("| DPPA |") == 3
    assert "30.0 → 80.0 (71.1–86.7)" in text and "| +10.0 (+6.6 to +13.4) |" in text
    assert "factors 2 / 2, coefficient 2, strength 0.16" in text
    assert readme_table(results).splitlines()[-1] == "| DPPA | – | 70 % |"


def test_json_has_every_merge_its_gain_and_what_it_is_ahead_of_magnitude(
    results: dict[str, Any],
) -> None:
    assert json.loads(json.dumps(results)) == results
    assert results["merges"][0]["method"] == "task_arithmetic"
    merged, law = results["merges"][-1]["merged"], results["merges"][-1]["alone"]["law"]
    assert merged["gain"]["value"] == pytest.approx(0.4)
    assert merged["minus"]["magnitude"]["value"] == pytest.approx(0.1)
    assert merged["minus"]["task_arithmetic"]["value"] == pytest.approx(-0.2)
    assert law["minus"]["magnitude"]["value"] == pytest.approx(0.2)
    assert law["best"]["kept"] == pytest.approx(0.8)
    assert results["models"]["base"]["math"]["accuracy"] == 0.02


def test_a_small_run_chooses_on_search_items_and_scores_test_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zoo_env: Path, one_torch_thread: None
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    monkeypatch.setattr(choosing, "BUDGET", Budget(3, 2))
    merge = searched("dppa", 0.9, ["law"], MergeExaminer(2, 2))
    assert merge.choice.tried == {"losses": 3, "retentions": 2}
    (recipe, plain), (best_recipe, best) = merge.plain, merge.best
    assert recipe == entry("dp", 0.9, ["law"]).recipes()["law"], "before its search DPPA is DP"
    assert (recipe.models[0].levels, recipe.models[0].amplification) == ((0.9,), (1.0,))
    values, model = merge.choice.values, best_recipe.models[0]
    assert model.amplification == (values["factor1"], values["factor2"])
    assert model.coefficient == values["coefficient"]
    assert {len(hits) for hits in (plain["law"], best["law"])} == {2}


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, results: dict[str, Any]) -> list[dict[str, object]]:
    """Stands in for the measuring; keeps its options."""
    options_of: list[dict[str, object]] = []

    def measure(*, say: Callable[[str], None], **options: object) -> dict[str, Any]:
        options_of.append(options)
        say("base: measured")
        return results

    monkeypatch.setattr(merge_results, "measure_results", measure)
    return options_of


def test_the_report_is_text_for_people_and_json_in_a_file(
    dppa: Command, measured: list[dict[str, object]], results: dict[str, Any], tmp_path: Path
) -> None:
    assert dppa("zoo", "report", "--limit", 5, "--out", tmp_path / "results.json") == 0
    assert "| dppa |" in dppa.out.lower() and dppa.err == "base: measured\n"
    assert json.loads((tmp_path / "results.json").read_text("utf-8")) == results
    assert measured == [{"limit": 5, "search_limit": 200, "workers": 2}]
    assert dppa("zoo", "report", "--json") == 0
    assert dppa.json == results and not dppa.err


def test_a_report_that_cannot_be_written_is_not_measured(
    dppa: Command, measured: list[dict[str, object]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")
    for name, message in {
        "nowhere/results.json": "there is no folder",
        "file/results.json": "a part of its path is a file",
        ".": "it is a folder",
        "n" * 300: "the name is too long",
    }.items():
        assert dppa("zoo", "report", "--out", tmp_path / name) == 1
        assert message in dppa.err and dppa.err.count("\n") == 1
    assert not measured and [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_fills_meanwhile_costs_the_file_not_the_text(
    dppa: Command, measured: list[dict[str, object]]
) -> None:
    assert dppa("zoo", "report", "--out", "/dev/full") == 1
    assert "/dev/full: cannot be written: the disk is full" in dppa.err and "math" in dppa.out
