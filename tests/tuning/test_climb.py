"""The paper's climb over a recipe: on scores by hand, after a kill, and as a command."""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.errors import InvalidRecipe, InvalidValue
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Exam, TaskScore
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, load_recipe
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.search.climb import LARGEST_FACTOR, ClimbResult, climb_steps
from dppa_core.tuning.search.options import SearchOptions
from dppa_core.tuning.search.scoring import Ask, density_of, domains_for, retentions, task_score
from dppa_core.tuning.search.search_loop import run_search
from dppa_core.tuning.search.verdict import claim_sentence, verdicts
from tests.helpers.command import Command
from tests.helpers.scored import RECIPE, asked_points, by_model, factors_of, scored

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")

MODEL_SCORES = {f"zoo:{domain}": scored(a=(8, 8), b=(4, 8)) for domain in DOMAINS}


def peaked(recipe: MergeRecipe, domain: str) -> DomainScore:
    """Best at 1.2 / 1.1, a little worse away from it."""
    first, second = factors_of(recipe)
    away = round(10 * (abs(first - 1.2) + abs(second - 1.1)))
    return scored(a=(8, 8), b=(max(0, 16 - away), 32))


def climb(recipe: MergeRecipe, ask: Ask, *, limit: int = 0, **control: object) -> ClimbResult:
    result = run_search(recipe, SearchOptions(limit=limit), ask, **control)  # type: ignore[arg-type]
    assert isinstance(result, ClimbResult)
    return result


def test_it_climbs_band_by_band_to_the_peak_in_whole_tenths() -> None:
    peak = (1.3, 1.2)
    points = asked_points(
        climb_steps(2), lambda a: -sum(abs(x - y) for x, y in zip(a, peak, strict=True))
    )
    assert points[:5] == [(1.0, 0.0), (1.1, 0.0), (1.2, 0.0), (1.3, 0.0), (1.4, 0.0)]
    assert points[5:] == [(1.3, 1.0), (1.3, 1.1), (1.3, 1.2), (1.3, 1.3)]


def test_a_band_that_only_harms_stays_at_zero_in_the_next() -> None:
    points = asked_points(climb_steps(3), lambda a: a[0] * (a[0] <= 1.1) - a[1] - a[2])
    assert points[0] == (1.0, 0.0, 0.0) and points[-1] == (1.1, 0.0, 1.1)


def test_of_equal_settings_the_first_goes_on() -> None:
    points = asked_points(climb_steps(2), lambda a: 0.5)
    assert points == [(1.0, 0.0), (1.1, 0.0), (1.0, 1.0), (1.0, 1.1)]


def test_no_factor_is_larger_than_the_largest() -> None:
    points = asked_points(climb_steps(1), sum)
    assert points[-1] == (LARGEST_FACTOR,) and len(points) == 31


def test_the_best_of_a_climb_is_never_below_another_of_its_trials() -> None:
    first, *others = RECIPE.models
    scores = iter([4, 7, 6, 2, 1])
    ask, _ = by_model(MODEL_SCORES, lambda recipe, domain: scored(a=(next(scores), 8), b=(4, 8)))
    (search,) = climb(replace(RECIPE, models=(first,)), ask).searches
    assert search.best.goals == max(trial.goals for trial in search.trials)
    assert search.best.amplification == (1.1, 0.0)


def test_a_score_that_is_no_number_is_refused_with_its_setting() -> None:
    def broken(recipe: MergeRecipe, domain: str) -> DomainScore:
        parts = {name: TaskScore(math.nan, 8) for name in ("a", "b")}
        return replace(scored(a=(8, 8), b=(4, 8)), tasks=parts)

    with pytest.raises(InvalidValue, match=r"factors \[1.0, 0.0\] is nan"):
        climb(RECIPE, by_model(MODEL_SCORES, broken)[0])


def test_every_model_climbs_alone_on_its_own_domain() -> None:
    asks, exams = by_model(MODEL_SCORES, peaked)
    result = climb(RECIPE, asks, limit=16)
    assert [s.best.amplification for s in result.searches] == [(1.2, 1.1)] * 3
    assert all(model.amplification == (1.2, 1.1) for model in result.recipe.models)
    merges = [exam for exam in exams if isinstance(exam.target, MergeRecipe)]
    assert {(exam.target.models[0].model, exam.domain) for exam in merges} == {
        (f"zoo:{domain}", domain) for domain in DOMAINS
    }
    assert {exam.split for exam in exams} == {"search"} and {exam.limit for exam in exams} == {16}


def test_coefficients_stay_and_are_not_searched_with() -> None:
    weighed = replace(RECIPE, models=tuple(replace(m, coefficient=0.4) for m in RECIPE.models))
    asks, exams = by_model(MODEL_SCORES, peaked)
    result = climb(weighed, asks)
    tried = [exam.target for exam in exams if isinstance(exam.target, MergeRecipe)]
    assert {model.coefficient for recipe in tried for model in recipe.models} == {1.0}
    assert {model.coefficient for model in result.recipe.models} == {0.4}


def test_the_score_is_the_geometric_mean_over_the_tasks() -> None:
    model_score = scored(a=(8, 8), b=(4, 8))
    assert task_score(scored(a=(4, 8), b=(4, 8)), model_score, "m") == pytest.approx(0.5**0.5)
    assert task_score(scored(a=(0, 8), b=(8, 8)), model_score, "m") == 0
    with pytest.raises(InvalidValue, match="m itself answers none of the 8 .* kind b"):
        task_score(model_score, scored(a=(8, 8), b=(0, 8)), "m")
    with pytest.raises(InvalidValue, match="nothing to retain"):
        retentions({"law": model_score}, {"law": scored(a=(0, 8))})


def test_a_method_without_partitions_has_nothing_to_climb() -> None:
    models = tuple(DomainModel(f"zoo:{domain}") for domain in DOMAINS)
    with pytest.raises(InvalidRecipe, match="ties: it has no partitions"):
        climb(MergeRecipe("zoo:base", models, method="ties"), by_model(MODEL_SCORES, peaked)[0])


def test_models_of_one_s_own_need_a_domain_each() -> None:
    recipe = replace(RECIPE, models=(DomainModel("mine", (0.8,)),))
    with pytest.raises(InvalidValue, match="'mine': which questions"):
        domains_for(recipe)
    assert domains_for(recipe, ["law"]) == ("law",)
    with pytest.raises(InvalidValue, match="1 domain models and --tasks names 2"):
        domains_for(recipe, ["law", "math"])


def test_kept_is_told_before_the_merge_and_a_band_at_zero_is_not_kept() -> None:
    assert density_of(RECIPE) == pytest.approx(0.2, abs=1e-3)
    silent = tuple(replace(m, amplification=(1.0, 0.0)) for m in RECIPE.models)
    assert density_of(replace(RECIPE, models=silent)) == pytest.approx(0.1, abs=1e-3)
    whole = tuple(DomainModel(f"zoo:{domain}") for domain in DOMAINS)
    assert density_of(MergeRecipe("zoo:base", whole, method="task_arithmetic")) == 1
    dense = MergeRecipe("zoo:base", whole, method="ties", parameters={"density": 0.3})
    assert density_of(dense) == pytest.approx(0.3)
    drawn = tuple(DomainModel(f"zoo:{domain}", (0.75,)) for domain in DOMAINS)
    assert density_of(MergeRecipe("zoo:base", drawn, method="dare")) == pytest.approx(0.25)


def test_the_claim_is_told_as_it_came_out() -> None:
    single = replace(RECIPE, models=RECIPE.models[:1])
    scores = {"zoo:math": scored(a=(90, 100)), "zoo:base": scored(a=(1, 100))}
    for right, words in (
        (88, "is, by the intervals, reached in math 97.8%"),
        (80, "is, by the intervals, open in math 88.9%"),
        (50, "is, by the intervals, not reached in math 55.6%"),
    ):
        asks, exams = by_model(scores, lambda _r, _d, right=right: scored(a=(right, 100)))
        (verdict,) = verdicts(single, ["math"], asks)
        assert words in claim_sentence([verdict])
        assert {exam.split for exam in exams} == {"test"} and verdict.merged == verdict.alone
    dense = replace(verdict, density=0.4)
    assert "fewer parameters than were kept: math 40%" in claim_sentence([dense])
    assert json.dumps(verdict.to_json(), allow_nan=False)


def test_a_trial_is_an_evaluation_of_the_merge_in_memory_and_writes_no_file() -> None:
    asks, cached = Examiner(keep=False).score, Path(os.environ["DPPA_CACHE"])
    score = asks(Exam(RECIPE, "law", limit=4))
    assert score.n == 4 and set(score.tasks)

    def contents() -> dict[Path, bytes]:
        return {path: path.read_bytes() for path in cached.rglob("*") if path.is_file()}

    before = contents()
    louder = tuple(replace(model, amplification=(1.5, 1.0)) for model in RECIPE.models)
    asks(Exam(replace(RECIPE, models=louder), "law", limit=4))
    assert score == asks(Exam(RECIPE, "law", limit=4))
    assert contents() == before


def test_the_command_writes_the_recipe_and_removes_its_state(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = {f"zoo:{domain}": scored(a=(8, 8), b=(16, 32)) for domain in DOMAINS}
    base = {"zoo:base": scored(a=(0, 8), b=(0, 32))}
    asks, exams = by_model(models | base, peaked_or_merged)
    monkeypatch.setattr(Examiner, "score", lambda self, exam: asks(exam))
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "found.yaml"
    recipe.write_text(dump_recipe(RECIPE))
    assert dppa("search", recipe, "--out", out, "--limit", 16) == 0
    assert "zoo:math 1.2 / 1.1: 1.000" in dppa.err
    assert load_recipe(out).models[0].amplification == (1.2, 1.1)
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml", "found.yaml"}
    assert "by the intervals, reached in math 100.0%" in dppa.out
    assert "No difference seen between what was found and the recipe given" in dppa.out
    assert dppa("search", recipe, "--out", out) == 1 and "already exists" in dppa.err
    exams.clear()
    assert dppa("search", recipe, "--out", out, "--overwrite", "--test-limit", 0, "--json") == 0
    assert dppa.json["test"] == [] and {exam.split for exam in exams} == {"search"}
    assert dppa.json["models"][0]["factors"] == [1.2, 1.1] and not dppa.err
    assert dppa("search", recipe, "--out", tmp_path / "b.yaml", "--state", recipe) == 1
    assert "must be three files" in dppa.err


def peaked_or_merged(recipe: MergeRecipe, domain: str) -> DomainScore:
    return peaked(recipe, domain) if len(recipe.models) == 1 else scored(a=(8, 8), b=(12, 32))
