"""The page's experiments without a browser: reading the file, applying rows."""

import json
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from components.session.state import session_from_state
from components.views.see import experiments
from components.views.see.experiments import (
    RESULTS,
    add_experiments,
    experiments_value,
    read_results,
    row_state,
)
from dppa_core.checkpoints.sources import zoo
from dppa_core.errors import InvalidValue
from dppa_core.recipes.yaml_text import recipe_hash
from tests.helpers.results_by_hand import MERGE, write_results

ROW = {"key": "first", "table": 0, "row": 0}


def test_one_experiment_is_sent_whole_and_the_others_by_name(tmp_path: Path) -> None:
    results = read_results(write_results(tmp_path))
    value = experiments_value(results, "")
    assert [row["number"] for row in value["list"]] == ["1", "6b"]
    assert "comes first" in value["list"][1]["not_run"]
    experiment = value["shown"]
    assert [plot["kind"] for plot in experiment["plots"]] == ["lines", "bars", "heatmap"]
    assert [row["recipe"] for row in experiment["tables"][0]["rows"]] == [True, False, False]
    lines, bars, _ = (plot["places"] for plot in experiment["plots"])
    assert lines == [[None, None]], "DP is the merge of no row"
    assert bars == [[None, None], [[0, 0], None]], "DPPA at 90 % is that of the first"
    assert experiment["tables"][0]["rows"][0]["cells"][2]["low"] == 59.2
    assert value["about"]["command"] == "dppa reproduce --all --preset mine.yaml --limit 200"
    assert experiments_value(results, "last")["shown"]["tables"] == []
    with pytest.raises(InvalidValue, match="No experiment 'nobody'"):
        experiments_value(results, "nobody")


def test_a_row_about_models_that_are_elsewhere_cannot_be_set(tmp_path: Path) -> None:
    path = write_results(tmp_path)
    text = path.read_text("utf-8").replace("zoo:base", "out/nowhere/base")
    path.write_text(text, "utf-8")
    rows = experiments_value(read_results(path), "")["shown"]["tables"][0]["rows"]
    assert not any(row["recipe"] for row in rows)


def test_a_row_of_models_of_the_hub_can_be_set_and_one_that_is_not_fetched_cannot(
    tmp_path: Path,
) -> None:
    for base, can in (("hub:owner/base", True), ("zoo:not-here", False)):
        path = write_results(tmp_path)
        path.write_text(path.read_text("utf-8").replace("zoo:base", base), "utf-8")
        first, *_ = experiments_value(read_results(path), "")["shown"]["tables"][0]["rows"]
        assert first["recipe"] is can


def test_a_row_is_set_as_the_merge_that_was_asked(tmp_path: Path) -> None:
    results = read_results(write_results(tmp_path))
    session = session_from_state(row_state(results, ROW))
    assert recipe_hash(session.recipe()) == recipe_hash(MERGE)


@pytest.mark.parametrize(
    ("place", "says"),
    [
        ({"row": 1}, "seed is 3, and here it is always 0"),
        ({"row": 2}, "no merge of its own"),
        ({"row": 3}, "no row 3"),
        ({"row": -1}, "whole number from 0, got -1"),
        ({"table": "0"}, "whole number from 0, got '0'"),
        ({"key": None}, "No experiment 'None'"),
        ({"key": "last"}, "no row 0"),
    ],
)
def test_what_cannot_be_set_says_why(tmp_path: Path, place: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        row_state(read_results(write_results(tmp_path)), ROW | place)


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 99}', '{"format": 1}', None])
def test_no_result_and_a_damaged_one_say_how_to_make_them(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "experiments.json"
    if text is not None:
        path.write_text(text, "utf-8")
    with pytest.raises(InvalidValue, match="dppa reproduce"):
        read_results(path)


def test_nothing_is_read_before_the_view_asks_and_it_tells_what_fails(tmp_path: Path) -> None:
    with gr.Blocks() as blocks:
        add_experiments((tmp_path / "experiments.json",))
    look, take = (
        next(event for event in blocks.fns.values() if event.name == name)
        for name in ("on_experiment", "on_experiment_row")
    )
    (view,) = look.inputs
    assert view.value == "null"

    def reply(event: Any, request: object) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(event.fn({view: json.dumps(request)})[view])
        return answer

    assert "no results" in reply(look, {"key": ""})["refused"]
    write_results(tmp_path)
    assert reply(look, {"key": "last"})["shown"]["number"] == "6b"
    assert reply(take, ROW)["take"]["rate"] == 0.9
    assert "seed is 3" in reply(take, ROW | {"row": 1})["refused"]
    for bad in ([], 3, None):
        assert "something unreadable" in reply(look, bad)["refused"]


def test_models_are_chosen_and_those_without_results_do_not_hide_the_others(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    path = write_results(tmp_path / "other")
    path.write_text(path.read_text("utf-8").replace("By hand", "Others"), "utf-8")
    files = (write_results(tmp_path), tmp_path / "absent.json", path)
    with gr.Blocks() as blocks:
        add_experiments(files)
    look = next(event for event in blocks.fns.values() if event.name == "on_experiment")
    (view,) = look.inputs

    def reply(**request: object) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(look.fn({view: json.dumps(request)})[view])
        return answer

    value = reply(key="")
    assert value["models"] == [{"place": 0, "title": "By hand"}, {"place": 2, "title": "Others"}]
    assert value["chosen"] == 0
    value = reply(models=2, key="last")
    assert (value["chosen"], value["shown"]["key"]) == (2, "last")
    assert value["about"]["setting"]["title"] == "Others"
    assert reply(models=2, key="gone", or_first=True)["shown"]["key"] == "first"
    assert "No experiment" in reply(models=2, key="gone")["refused"]
    assert "no results at absent.json" in reply(models=1, key="")["refused"]
    assert "No models 3: there are results of 3 sets" in reply(models=3, key="")["refused"]
    for bad in (-1, True, "0"):
        assert "whole number from 0" in reply(models=bad, key="")["refused"]


@pytest.mark.parametrize("name", RESULTS)
def test_the_results_that_came_along_are_read_and_their_rows_can_be_set(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fetched = (*zoo.ZOO_MODELS, *zoo.set_names("smollm2"))
    monkeypatch.setattr(experiments, "zoo_names", lambda: fetched)
    results = read_results(name)
    rows = [
        {"key": experiment["key"], "table": t, "row": r}
        for experiment in results.experiments
        for t, table in enumerate(experiments_value(results, experiment["key"])["shown"]["tables"])
        for r, row in enumerate(table["rows"])
        if row["recipe"]
    ]
    assert len(rows) > 20 and all(row_state(results, request)["models"] for request in rows)
