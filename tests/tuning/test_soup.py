"""The greedy soup: on scores by hand, on tiny models, and as a command."""

import threading
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from dppa_core.errors import Cancelled, InvalidRecipe, InvalidValue
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Evaluation
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    dump_recipe,
    load_recipe,
    recipe_hash,
)
from dppa_core.tasks import DOMAINS
from dppa_core.tasks.intervals import wilson
from dppa_core.tuning.soup import Indices, Soup, exact_mean, find_soup, greedy_soup, mean_recipe
from tests.helpers.command import Command
from tests.helpers.tiny_models import TinyLlama

pytestmark = pytest.mark.usefixtures("one_torch_thread")

MODELS = tuple(DomainModel(f"zoo:{d}", (0.9, 0.8), (1.2, 1.0), 0.5) for d in DOMAINS)
RECIPE = MergeRecipe("zoo:base", MODELS)


def cooked(table: dict[Indices, float], count: int) -> tuple[Soup, list[Indices]]:
    mixes: list[Indices] = []

    def score(mixed: Indices) -> float:
        mixes.append(mixed)
        return table[mixed]

    return greedy_soup(score, count), mixes


def test_the_best_begins_and_the_others_follow_by_their_own_scores() -> None:
    table = {(0,): 0.2, (1,): 0.6, (2,): 0.4, (1, 2): 0.7, (0, 1, 2): 0.8}
    soup, mixes = cooked(table, 3)
    assert mixes == [(0,), (1,), (2,), (1, 2), (0, 1, 2)]
    assert [step.added for step in soup.steps] == [1, 2, 0]
    assert soup.best.mixed == (0, 1, 2) and soup.best.score == 0.8
    assert soup.alone == (0.2, 0.6, 0.4)


def test_a_model_that_spoils_is_left_out_of_all_that_follows() -> None:
    table = {(0,): 0.6, (1,): 0.5, (2,): 0.4, (0, 1): 0.55, (0, 2): 0.65}
    soup, mixes = cooked(table, 3)
    assert mixes[3:] == [(0, 1), (0, 2)]
    assert [step.kept for step in soup.steps] == [True, False, True]
    assert soup.best.mixed == (0, 2)


def test_a_score_that_stays_the_same_does_not_fall() -> None:
    soup, _ = cooked({(0,): 0.6, (1,): 0.5, (0, 1): 0.6}, 2)
    assert soup.best.mixed == (0, 1)
    soup, _ = cooked({(0,): 0.6, (1,): 0.5, (0, 1): 0.6 - 1e-9}, 2)
    assert soup.best.mixed == (0,)


def test_a_later_model_is_measured_against_the_soup_and_not_the_first_model() -> None:
    table = {(0,): 0.5, (1,): 0.4, (2,): 0.3, (0, 1): 0.7, (0, 1, 2): 0.6}
    assert cooked(table, 3)[0].best.mixed == (0, 1)


def test_of_equal_models_the_first_of_the_recipe_is_tried_first() -> None:
    soup, mixes = cooked({(0,): 0.5, (1,): 0.5, (2,): 0.5, (0, 1): 0.4, (0, 2): 0.5}, 3)
    assert mixes[3:] == [(0, 1), (0, 2)] and soup.best.mixed == (0, 2)


def test_one_model_is_its_own_soup_and_scored_once() -> None:
    soup, mixes = cooked({(0,): 0.0}, 1)
    assert mixes == [(0,)] and soup.best.mixed == (0,) and len(soup.steps) == 1


def test_no_model_and_no_number_are_refused() -> None:
    with pytest.raises(InvalidValue, match="at least 1 model, got 0"):
        greedy_soup(lambda mixed: 0.0, 0)
    with pytest.raises(InvalidValue, match=r"models \[0, 1\] is nan"):
        greedy_soup(lambda mixed: float("nan") if len(mixed) > 1 else 0.5, 2)


def scored(*right: int, n: int = 10) -> Evaluation:
    domains = {
        name: DomainScore(count / n, wilson(count, n), n, {})
        for name, count in zip(DOMAINS, right, strict=False)
    }
    return Evaluation("x", "search", domains)


def test_means_of_the_same_answers_are_equal_though_rounding_tells_them_apart() -> None:
    first, second = scored(1, 2, 3), scored(3, 2, 1)
    assert first.mean != second.mean
    assert exact_mean(first) == exact_mean(second) == Fraction(1, 5)


def test_what_is_scored_is_the_plain_mean_of_the_models_on_the_search_split(
    zoo_env: Path, tiny_models: dict[str, TinyLlama]
) -> None:
    answers = {(0,): 1, (1,): 6, (2,): 4, (1, 2): 7, (0, 1, 2): 6}
    by_hash = {recipe_hash(mean_recipe(RECIPE, mixed)): mixed for mixed in answers}
    name = "model.layers.1.mlp.up_proj.weight"
    weights_of: dict[Indices, np.ndarray] = {}

    class ByHand(Examiner):
        def evaluation(self, target: Any, domains: Any, **options: Any) -> Evaluation:
            assert (domains, options["split"], options["limit"]) == (DOMAINS, "search", 2)
            mixed = by_hash[recipe_hash(target)]
            with self.pool.lend(target) as resident:
                weights_of[mixed] = (
                    resident.model.get_parameter(name).detach().float().numpy().copy()
                )
            return scored(answers[mixed])

    result = find_soup(RECIPE, limit=2, examiner=ByHand())
    assert result.recipe == MergeRecipe(
        "zoo:base", (DomainModel("zoo:finance"), DomainModel("zoo:law")), method="linear"
    )
    for mixed, weights in weights_of.items():
        # On disk they are bfloat16, and the mean is rounded to it once.
        models = [torch.tensor(tiny_models[DOMAINS[i]].arrays[name]).bfloat16() for i in mixed]
        mean = torch.stack(models).double().mean(0).numpy()
        np.testing.assert_allclose(weights, mean, rtol=2**-8, atol=1e-8)
    assert list(weights_of) == list(answers)


def test_progress_covers_all_means_and_a_stop_ends_the_search(zoo_env: Path) -> None:
    reports: list[tuple[int, int, str]] = []
    find_soup(RECIPE, ["math"], limit=2, progress=lambda *step: reports.append(step))
    counts = [step[0] for step in reports]
    assert counts == sorted(counts) and reports[-1][:2] == (10, 10)
    assert reports[-1][2] == "zoo:math + zoo:finance + zoo:law, math"
    stop, watched = threading.Event(), []

    def watch(mixed: Indices, scores: Evaluation) -> None:
        watched.append(mixed)
        stop.set()

    with pytest.raises(Cancelled):
        find_soup(RECIPE, ["math"], limit=1, stop=stop, watch=watch)
    assert watched == [(0,)]


@pytest.mark.parametrize("key", ["vocabulary", "chat_template"])
def test_a_choice_that_names_an_ingredient_is_refused(key: str) -> None:
    recipe = MergeRecipe("zoo:base", MODELS, **{key: "zoo:law"})  # type: ignore[arg-type]
    with pytest.raises(InvalidRecipe, match=f"{key}: 'zoo:law' is a model that the soup may"):
        find_soup(recipe, ["math"], limit=1)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(RECIPE))
    return path


def test_the_command_writes_the_recipe_and_shows_every_step(dppa: Command, recipe: Path) -> None:
    out = recipe.with_name("found.yaml")
    assert dppa("soup", recipe, "--out", out, "--limit", 1) == 0
    assert [line.partition(":  ")[0].rpartition(": ")[0] for line in dppa.err.splitlines()] == [
        "zoo:math",
        "zoo:finance",
        "zoo:law",
        "zoo:math + zoo:finance",
        "zoo:math + zoo:finance + zoo:law",
    ]
    lines = dppa.out.splitlines()
    assert lines[0].startswith(f"{out}: the mean of 3 of 3 models; math 0.0 %")
    assert [line.split()[0] for line in lines[2:5]] == ["zoo:math", "zoo:finance", "zoo:law"]
    assert all(line.split()[-1] == "yes" for line in lines[2:5])
    written = load_recipe(out)
    assert written.method == "linear" and [m.coefficient for m in written.models] == [1.0] * 3
    assert dppa("soup", recipe, "--out", out, "--limit", 1) == 1
    assert "found.yaml: already exists" in dppa.err and dppa.err.count("\n") == 1


def test_json_is_one_object_with_every_score(dppa: Command, recipe: Path) -> None:
    out = recipe.with_name("found.yaml")
    options = ["--limit", 1, "--tasks", "law, law", "--json"]
    assert dppa("soup", recipe, "--out", out, *options) == 0
    value = dppa.json
    assert not dppa.err and value["out"] == str(out) and value["split"] == "search"
    assert [model["models"] for model in value["alone"]] == [[m.model] for m in MODELS]
    assert [step["added"] for step in value["steps"]] == [m.model for m in MODELS]
    assert value["soup"]["models"] == [m.model for m in load_recipe(out).models]
    assert value["soup"]["domains"]["law"]["n"] == 1
    assert value["soup"]["ci95"] == value["soup"]["domains"]["law"]["ci95"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "maths"], "Did you mean 'math'"),
        (["--tasks", ","], "--tasks names no domain"),
        (["--out", "nowhere/found.yaml"], "there is no folder"),
        (["--out", "recipe.yaml"], "recipe.yaml: already exists"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(
    dppa: Command, recipe: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(recipe.parent)
    assert dppa("soup", recipe, "--out", "found.yaml", *arguments) == 1
    assert message in dppa.err and dppa.err.count("\n") == 1 and not dppa.out
    assert [path.name for path in recipe.parent.iterdir()] == ["recipe.yaml"]


def test_models_of_ones_own_need_a_domain_and_then_take_part(
    dppa: Command, zoo_env: Path, tmp_path: Path
) -> None:
    path, out = tmp_path / "own.yaml", tmp_path / "found.yaml"
    models = (DomainModel(str(zoo_env / "math")), DomainModel(str(zoo_env / "law")))
    path.write_text(dump_recipe(MergeRecipe("zoo:base", models)))
    assert dppa("soup", path, "--out", out) == 1
    assert "which questions is it to be scored on?" in dppa.err and not out.exists()
    assert dppa("soup", path, "--out", out, "--tasks", "math", "--limit", 1) == 0
    assert [model.model for model in load_recipe(out).models] == [m.model for m in models]
