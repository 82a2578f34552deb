"""Commands that run models, on tiny ones: evaluate and zoo report."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import dppa_core.zoo.report as report_module
from dppa_core.evaluate import Evaluation, domain_score
from dppa_core.recipe import DomainModel, MergeRecipe, dump_recipe, recipe_hash
from dppa_core.tasks import DOMAINS, Item
from dppa_core.zoo.report import Treated, ZooReport
from tests.command import Command

pytestmark = pytest.mark.usefixtures("one_torch_thread")

RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)),))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(RECIPE))
    return path


def test_evaluate_shows_a_line_for_each_domain_and_task(dppa: Command) -> None:
    assert dppa("evaluate", "--model", "zoo:math", "--tasks", "math, law", "--limit", 4) == 0
    lines = dppa.out.splitlines()
    assert lines[0] == "zoo:math, test split" and not dppa.err
    assert lines[1].split() == ["domain", "accuracy", "%", "95", "%", "interval", "items"]
    domains = [line.split() for line in lines[2:] if not line.startswith(" ")]
    assert [(words[0], words[-1]) for words in domains] == [("math", "4"), ("law", "4")]


def test_evaluate_merges_a_recipe_first(dppa: Command, recipe: Path) -> None:
    options = ["--tasks", "finance", "--split", "search", "--limit", 2, "--json"]
    assert dppa("evaluate", "--recipe", recipe, *options) == 0
    value = dppa.json
    assert value["target"] == recipe_hash(RECIPE) and value["split"] == "search"
    assert list(value["domains"]) == ["finance"] and value["domains"]["finance"]["n"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--model", "zoo:math", "--tasks", "maths"], "Did you mean 'math'"),
        (["--model", "zoo:math", "--tasks", ","], "--tasks names no domain"),
        (["--model", "zoo:math", "--split", "tset"], "tset"),
        (["--model", "zoo:maht"], "Did you mean 'math'"),
        (["--recipe", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
    ],
)
def test_evaluate_names_what_it_does_not_know(
    dppa: Command, arguments: list[str], message: str
) -> None:
    assert dppa("evaluate", *arguments, "--limit", 1) == 1
    assert message in dppa.err and dppa.err.count("\n") == 1 and not dppa.out


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["--model", "zoo:math", "--recipe", "r.yaml"],
        ["--model", "zoo:math", "--limit", "0"],
        ["--model", "zoo:math", "--limit", "some"],
    ],
)
def test_evaluate_wants_one_model_and_at_least_one_item(
    dppa: Command, arguments: list[str]
) -> None:
    assert dppa("evaluate", *arguments) == 2
    assert "Usage" in dppa.err and not dppa.out


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, object]]:
    """Stands in for the half hour of measuring; keeps what it was asked."""
    asked: list[dict[str, object]] = []

    def measure(*, say: Callable[[str], None], **options: object) -> ZooReport:
        asked.append(options)
        say("base: measured")
        items = [Item("math", "one_step", "?", "The answer is 1.")]
        scored = Evaluation("x", "test", {d: domain_score(items, ["1"]) for d in DOMAINS})
        alone = {d: Evaluation("x", "test", {d: scored.domains[d]}) for d in DOMAINS}
        rows = tuple(Treated(m, 0.9, {}, alone, 1.0, scored) for m in ("dare", "dppa"))
        return ZooReport(scored, dict.fromkeys(DOMAINS, scored), (1.0, scored), rows, None, 30)

    monkeypatch.setattr(report_module, "measure", measure)
    return asked


def test_the_report_is_text_for_people_and_json_in_a_file(
    dppa: Command, measured: list[dict[str, object]], tmp_path: Path
) -> None:
    assert dppa("zoo", "report", "--limit", 5, "--out", tmp_path / "results.json") == 0
    assert "| dppa |" in dppa.out.lower() and dppa.err == "base: measured\n"
    written = json.loads((tmp_path / "results.json").read_text("utf-8"))
    assert written["search_items"] == 30 and len(written["treated"]) == 2
    assert measured == [{"limit": 5, "search_limit": 30, "workers": 2}]
    assert dppa("zoo", "report", "--json") == 0
    assert dppa.json == written and not dppa.err


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
