"""Merges of two manners: kept shares by hand, recipes, and a small set measured by command."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from dppa_lab.reports.conflict_tables import conflict_table, two_manners
from dppa_lab.zoo.conflicts import measured_conflicts
from dppa_lab.zoo.conflicts.conflict_figures import conflict_figures
from dppa_lab.zoo.conflicts.measured_conflicts import PAIR_METHODS, RATE
from tests.helpers.command import Command


def record(seed: int, french: str, json: str, ratio: float = 2.0) -> dict[str, Any]:
    """A pair whose own models answer 4 of 5 and all 5, and none of the other's."""
    return {
        "set": {"size": "smollm2", "regime": "brief-10", "seed": seed},
        "pair": ["french", "json"],
        "search_items": 12,
        "alone": {
            "french": {"french": "11110", "json": "00000"},
            "json": {"french": "00000", "json": "11111"},
        },
        "methods": [
            {
                "title": "sum",
                "settings": 16,
                "values": {"first": 1.0, "second": ratio},
                "hits": {"french": french, "json": json},
            }
        ],
    }


def test_the_kept_share_of_the_worse_manner_is_averaged_over_seeds() -> None:
    figures = conflict_figures([record(0, "11110", "10000"), record(1, "11110", "11111", 0.25)])
    method = figures["methods"]["sum"]
    assert (figures["pairs"], figures["seeds"], figures["items"]) == (2, 2, 5)
    assert (figures["other manner"], figures["search items"], figures["settings"]) == (0, 12, 16)
    assert method["worse"]["value"] == pytest.approx((0.2 + 1) / 2)
    assert method["mean"]["value"] == pytest.approx((0.6 + 1) / 2)
    assert method["both answered"] == 1 and method["ratio"] == pytest.approx(3)
    # Student's 95 % of one degree of freedom: 12.706 standard errors of 0.4
    assert method["worse"]["high"] - 0.6 == pytest.approx(12.706 * 0.4, rel=1e-3)
    drawn = two_manners(figures)
    assert (drawn["x"], drawn["y"], drawn["low"], drawn["high"]) == (["sum"], [60], [20], [100])
    assert "| 1 of 2 |" in conflict_table(figures) and conflict_table(conflict_figures([])) == ""


def test_a_recipe_has_a_coefficient_for_each_model_and_dppa_two_factors_beside() -> None:
    whole, dppa = PAIR_METHODS[0], PAIR_METHODS[-1]
    both = whole.recipe("base", ("a", "b"), (0.7,))
    assert [model.coefficient for model in both.models] == [0.7, 0.7]
    names = [axis.name for axis in dppa.axes()]
    assert names == ["first", "second", "factor2", "strength"]
    merge = dppa.recipe("base", ("a", "b"), (0.5, 2.0, 1.5, 0.0))
    assert [model.coefficient for model in merge.models] == [0.5, 2.0]
    assert {model.amplification for model in merge.models} == {(1.0, 1.5)}
    assert merge.models[0].levels == pytest.approx((1 - (1 - RATE) / 2, RATE))
    assert merge.parameters["strength"] == 0.0 and merge.dtype == "float32"


def test_a_search_starts_from_the_best_setting_of_the_method_it_contains() -> None:
    by_model, dppa = PAIR_METHODS[1], PAIR_METHODS[-1]
    assert [axis.start for axis in by_model.axes({"both": 0.5})] == [0.5, 0.5]
    assert [axis.start for axis in dppa.axes({"first": 0.5, "second": 2.0})] == [0.5, 2, 1, 0.08]
    titles = {method.title for method in PAIR_METHODS}
    assert {method.contains for method in PAIR_METHODS if method.contains} <= titles


@pytest.mark.usefixtures("one_torch_thread")
def test_dppa_ends_no_higher_than_the_pruning_that_it_contains(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, model in {"base": "base", "french": "math", "json": "law"}.items():
        shutil.copytree(tiny_zoo / model, tmp_path / name)
    monkeypatch.setattr(measured_conflicts, "PAIR_METHODS", (PAIR_METHODS[4], PAIR_METHODS[-1]))
    monkeypatch.setattr(measured_conflicts, "SETTINGS", 2)
    monkeypatch.setattr(measured_conflicts, "SIMPLE_SETTINGS", 1)
    (pair,) = measured_conflicts.measure_conflicts(tmp_path, limit=2, search_items=2)
    magnitude, dppa = (method["loss"] for method in pair["methods"])
    assert dppa <= magnitude * (1 + 1e-6)


@pytest.mark.usefixtures("one_torch_thread")
def test_pairs_are_measured_by_command_and_not_twice(
    tiny_zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dppa: Command
) -> None:
    manners = tmp_path / "manners"
    for name, model in {"base": "base", "french": "math", "json": "law"}.items():
        shutil.copytree(tiny_zoo / model, manners / name)
    monkeypatch.setattr(measured_conflicts, "PAIR_METHODS", PAIR_METHODS[1::5])
    monkeypatch.setattr(measured_conflicts, "SETTINGS", 3)
    monkeypatch.setattr(measured_conflicts, "SIMPLE_SETTINGS", 1)
    arguments = ("zoo", "conflicts", manners, "--limit", 3, "--search-limit", 2, "--json")
    assert dppa(*arguments, "--out", tmp_path) == 0, dppa.err
    (pair,) = dppa.json["pairs"]
    assert pair["pair"] == ["french", "json"] and pair["alone"]["json"].keys() == {"french", "json"}
    for method in pair["methods"]:
        assert method["settings"] == 3 and len(method["hits"]["french"]) == 3
    monkeypatch.setattr(measured_conflicts, "measure_conflicts", pytest.fail)
    assert dppa(*arguments, "--out", tmp_path) == 0 and dppa.json["pairs"] == [pair]


def test_one_manner_alone_is_no_conflict(tiny_zoo: Path, tmp_path: Path, dppa: Command) -> None:
    for name, model in {"base": "base", "french": "math"}.items():
        shutil.copytree(tiny_zoo / model, tmp_path / "one" / name)
    assert dppa("zoo", "conflicts", tmp_path / "one", "--out", tmp_path) == 1
    assert "two of the manners french, json, letter" in dppa.err
