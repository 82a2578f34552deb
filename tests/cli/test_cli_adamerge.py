"""`dppa adamerge` on tiny models: the recipe, the log, and one-line errors."""

import json
import threading
from pathlib import Path

import pytest

from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, load_recipe
from dppa_core.tasks import DOMAINS
from tests.helpers.command import Command

pytestmark = pytest.mark.usefixtures("one_torch_thread")

QUICK = ("--steps", 2, "--every", 1, "--batch", 1, "--prompts-each", 2, "--held-out", 2)
QUICK = (*QUICK, "--longest", 3)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    models = tuple(DomainModel(f"zoo:{domain}", (0.8,)) for domain in DOMAINS)
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(MergeRecipe("zoo:base", models)))
    return path


def test_a_recipe_with_the_coefficients_and_a_log_are_written(dppa: Command, recipe: Path) -> None:
    out = recipe.with_name("found.yaml")
    assert dppa("adamerge", recipe, "--out", out, *QUICK, "--per", "layer") == 0
    assert [line.partition(":")[0] for line in dppa.err.splitlines()] == [
        "step 0",
        "step 1",
        "step 2",
    ]
    log = json.loads(out.with_name("found.log.json").read_text("utf-8"))
    assert len(log["snapshots"]) == 3 and len(log["objectives"]) == 2
    recipe_out = load_recipe(out)
    coefficients = [list(model.coefficient.values()) for model in recipe_out.models]  # type: ignore[union-attr]
    assert coefficients == log["best"]["coefficients"] and len(coefficients[0]) == 2
    assert out.name in dppa.out and "coefficient by layer" in dppa.out
    names = {path.name for path in recipe.parent.iterdir()}
    assert names == {"recipe.yaml", "found.yaml", "found.log.json"}
    assert dppa("adamerge", recipe, "--out", out) == 1
    assert "found.yaml: already exists" in dppa.err and dppa.err.count("\n") == 1


def test_json_is_one_object_and_nothing_else(dppa: Command, recipe: Path) -> None:
    files = []
    for name in DOMAINS:
        path = recipe.with_name(f"{name}.jsonl")
        path.write_text('{"prompt": "a b c"}\n{"prompt": "what?", "answer": "that"}\n')
        files += ["--prompts", path]
    out = recipe.with_name("found.yaml")
    assert dppa("adamerge", recipe, "--out", out, *QUICK, *files, "--json") == 0
    assert not dppa.err and dppa.json["out"] == str(out)
    figures = dppa.json["best"]["domains"]["law"]
    assert figures["accuracy"] is None and figures["perplexity"] > 1 and figures["n"] == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "math,law"], "3 domain models, but there are prompts of 2 domains"),
        (["--tasks", "law,math,law"], "Two domains are called 'law'"),
        (["--tasks", "maths,law,law"], "Did you mean 'math'"),
        (["--prompts", "nowhere.jsonl"], "nowhere.jsonl: cannot be read"),
        (["--per", "tensor"], "per must be one of model, layer"),
        (["--lr", 0], "lr must be a number from 1e-06 to 1"),
        (["--project", "--start", 2], "start must lie in [0, 1]"),
        (["--log", "recipe.yaml"], "recipe.yaml: already exists"),
        (["--state", "nowhere/state"], "there is no folder"),
        (["--state", "found.yaml"], "must be three files"),
    ],
)
def test_a_mistake_is_one_line_before_any_work(
    dppa: Command, recipe: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(recipe.parent)
    assert dppa("adamerge", recipe, "--out", "found.yaml", *arguments) == 1
    assert message in dppa.err and dppa.err.count("\n") == 1 and not dppa.out
    assert [path.name for path in recipe.parent.iterdir()] == ["recipe.yaml"]


def test_methods_whose_coefficients_mean_something_else_are_named(
    dppa: Command, tmp_path: Path
) -> None:
    models = tuple(DomainModel(f"zoo:{domain}") for domain in DOMAINS)
    path = tmp_path / "ties.yaml"
    path.write_text(dump_recipe(MergeRecipe("zoo:base", models, method="ties")))
    assert dppa("adamerge", path, "--out", tmp_path / "found.yaml") == 1
    assert "ties combines deltas in another way. Allowed: dppa, magnitude" in dppa.err


def test_either_tasks_or_prompts(dppa: Command, recipe: Path) -> None:
    out = recipe.with_name("found.yaml")
    both = ["--tasks", "math", "--prompts", "x.jsonl"]
    assert dppa("adamerge", recipe, "--out", out, *both) == 2
    assert "either --tasks or --prompts" in dppa.err


def test_a_stopped_command_goes_on_where_it_was(
    dppa: Command, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import dppa_core.tuning.adamerging.adamerge as module  # noqa: PLC0415  (imports torch)

    stop, whole = threading.Event(), module.adamerge
    out, other_out = recipe.with_name("found.yaml"), recipe.with_name("other.yaml")
    assert dppa("adamerge", recipe, "--out", other_out, *QUICK) == 0

    def stopped(*arguments: object, **options: object) -> object:
        def watch(snapshot: object) -> None:
            stop.set()

        return whole(*arguments, **{**options, "watch": watch, "stop": stop})  # type: ignore[arg-type]

    monkeypatch.setattr(module, "adamerge", stopped)
    assert dppa("adamerge", recipe, "--out", out, *QUICK) == 1
    assert "found.state.json is kept" in dppa.err and not out.exists()
    monkeypatch.setattr(module, "adamerge", whole)
    assert dppa("adamerge", recipe, "--out", out, *QUICK) == 0
    assert out.read_bytes() == other_out.read_bytes()
    logs = [path.with_name(path.stem + ".log.json").read_bytes() for path in (out, other_out)]
    assert logs[0] == logs[1] and not out.with_name("found.state.json").exists()
