"""The command that scores, on tiny models: alone, side by side, against another recipe."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, recipe_hash
from tests.helpers.command import Command

pytestmark = pytest.mark.usefixtures("one_torch_thread")

RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)), DomainModel("zoo:law", (0.8,))))


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(RECIPE))
    return path


def test_one_model_gets_a_line_for_each_domain_and_task(dppa: Command) -> None:
    assert dppa("evaluate", "zoo:math", "--tasks", "math, law", "--limit", 4) == 0
    lines = dppa.out.splitlines()
    assert lines[0] == "zoo:math, test split" and not dppa.err
    domains = [line.split() for line in lines[2:] if not line.startswith(" ")]
    assert [(words[0], words[-1]) for words in domains] == [("math", "4"), ("law", "4")]


def test_a_recipe_can_be_scored_alone(dppa: Command, recipe: Path) -> None:
    options = ["--alone", "--tasks", "finance", "--split", "search", "--limit", 2, "--json"]
    assert dppa("evaluate", recipe, *options) == 0
    value = dppa.json
    assert value["target"] == recipe_hash(RECIPE) and value["split"] == "search"
    assert list(value["domains"]) == ["finance"] and value["domains"]["finance"]["n"] == 2


def test_a_recipe_stands_beside_its_models_and_two_plain_merges(
    dppa: Command, recipe: Path, tmp_path: Path
) -> None:
    second = tmp_path / "other.yaml"
    second.write_text(dump_recipe(replace(RECIPE, seed=1)))
    options = ["--against", second, "--tasks", "law,math", "--limit", 3]
    assert dppa("evaluate", recipe, *options, "--json") == 0
    value = dppa.json
    assert [row["key"] for row in value["rows"]] == [
        *("base", "zoo:math", "zoo:law", "linear", "task_arithmetic", "recipe", "against"),
    ]
    cell = value["rows"][-1]["domains"]["law"]
    assert cell["n"] == 3 and cell["ci95"][0] <= cell["accuracy"] <= cell["ci95"][1]
    assert cell["loss_ci95"][0] <= cell["loss"] <= cell["loss_ci95"][1]
    assert value["comparison"]["n"] == 6 and not value["comparison"]["seen"]
    assert dppa("evaluate", recipe, *options) == 0
    assert "No difference seen between recipe and against" in dppa.out


def test_behaviour_stands_beside_accuracy(dppa: Command, recipe: Path, tmp_path: Path) -> None:
    frame = tmp_path / "rows.csv"
    options = ["--tasks", "math,law", "--limit", 2, "--behaviour", "--frame", frame]
    assert dppa("evaluate", recipe, *options, "--json") == 0
    rows = {row["key"]: row["domains"] for row in dppa.json["rows"]}
    assert rows["base"]["math"]["behaviour"]["kl"]["value"] == 0
    assert rows["recipe"]["law"]["behaviour"]["kl"]["value"] > 0
    assert frame.read_text().splitlines()[0].count("reply_tokens,loop_share,kl_nats_per_token") == 1
    assert dppa("evaluate", recipe, *options) == 0
    heads = [
        line.split()[0] for line in dppa.out.splitlines() if line.split()[1:] == ["math", "law"]
    ]
    assert heads[-3:] == ["length", "loops", "kl"]
    assert re.search(r"base +\d\.\d\d \(\d\.\d\d-\d\.\d\d\)", dppa.out), "equal decimals"
    assert "Mean length of answers in tokens, of at most 48, with" in dppa.out
    folder = tmp_path / "merged"
    assert dppa("merge", recipe, "--out", folder, "--no-sync") == 0
    command = ["evaluate", folder, "--tasks", "law", "--limit", 2, "--behaviour", "--alone"]
    assert dppa(*command, "--json") == 0
    assert dppa.json["domains"]["law"]["behaviour"]["kl"]["value"] > 0, "its recipe names the base"
    assert dppa("evaluate", "zoo:math", "--tasks", "law", "--limit", 2, "--behaviour") == 0
    assert dppa.out.splitlines()[-1].startswith("zoo:math  ")
    assert dppa("evaluate", recipe, *options[:4], "--json") == 0
    assert "behaviour" not in dppa.json["rows"][0]["domains"]["math"]


def test_one_more_model_is_a_table_a_sentence_and_a_drawing(
    dppa: Command, recipe: Path, tmp_path: Path
) -> None:
    plot, options = tmp_path / "curve.svg", ["--alone", "--tasks", "law", "--limit", 2]
    assert dppa("evaluate", recipe, *options, "--one-more", "--plot", plot) == 0
    *lines, told = dppa.out.splitlines()
    assert told == f"{plot}: the curve, drawn"
    assert "a recipe of 3 models or more" in lines[-1]
    assert [line.split()[:4] for line in lines[-3:-1]] == [
        *(["1", "2", "of", "2"], ["2", "1", "of", "1"]),
    ]
    assert plot.read_text().startswith("<svg")
    assert dppa("evaluate", recipe, *options, "--one-more", "--json") == 0
    value = dppa.json["one_more"]
    assert value["law"] is None and [point["merges"] for point in value["points"]] == [2, 1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["zoo:math", "--tasks", "maths"], "Did you mean 'math'"),
        (["zoo:math", "--tasks", ","], "--tasks names no domain"),
        (["zoo:math", "--split", "tset"], "tset"),
        (["zoo:maht"], "Did you mean 'zoo:math'"),
        (["nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["zoo:math", "--text", "nowhere.txt"], "'nowhere.txt' cannot be read"),
        (["zoo:math", "--lm-eval", ","], "--lm-eval names no task"),
        ([""], "A recipe file or a model must be"),
    ],
)
def test_what_is_not_known_is_named(dppa: Command, arguments: list[str], message: str) -> None:
    assert dppa("evaluate", *arguments, "--limit", 1) == 1
    assert message in dppa.err and dppa.err.count("\n") == 1 and not dppa.out


def test_a_value_that_an_option_cannot_have_is_told_with_what_it_can(dppa: Command) -> None:
    for option, value, says in (
        ("--limit", "some", "must be a whole number, got 'some'"),
        ("--window", "1", "must be greater than or equal to 2, got '1'"),
    ):
        assert dppa("evaluate", "zoo:math", option, value) == 2
        assert f"Invalid value for '{option}': {says}" in dppa.err
    assert dppa("merge", "r.yaml", "--out", "out", "--format", "q") == 2
    assert "Invalid value for '--format': 'q' is not one of 'plain', 'same'" in dppa.err


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["zoo:math", "zoo:law"],
        ["zoo:math", "--against", "r.yaml"],
        ["zoo:math", "--lm-eval-tasks", "tasks"],
        ["zoo:math", "--one-more"],
        ["zoo:math", "--plot", "curve.svg"],
        ["zoo:math", "--limit", "0"],
        ["zoo:math", "--limit", "some"],
    ],
)
def test_wrong_usage_is_told_apart(dppa: Command, arguments: list[str]) -> None:
    assert dppa("evaluate", *arguments) == 2
    assert "Usage" in dppa.err and not dppa.out
