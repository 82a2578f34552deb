"""The joint search of a recipe: on scores by hand, after a kill, and as a command."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.errors import InvalidRecipe, InvalidValue, NonFiniteWeights
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Exam
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    Pruning,
    dump_recipe,
    load_recipe,
)
from dppa_core.tasks import DOMAINS
from dppa_core.tuning.search.axes import at_point, axes_of, given_point
from dppa_core.tuning.search.joint_sampler import JointResult
from dppa_core.tuning.search.options import SearchOptions
from dppa_core.tuning.search.results import SearchTrial
from dppa_core.tuning.search.scoring import SURE_NATS, balanced_loss
from dppa_core.tuning.search.search_loop import run_search
from tests.helpers.command import Command
from tests.helpers.scored import RECIPE, by_model, scored

pytestmark = pytest.mark.usefixtures("zoo_env")

MODEL_SCORES = {f"zoo:{domain}": scored(a=(90, 100)) for domain in DOMAINS}
WHOLE = MergeRecipe("zoo:base", tuple(DomainModel(f"zoo:{d}") for d in DOMAINS), "task_arithmetic")


def valley(recipe: MergeRecipe, domain: str) -> DomainScore:
    """Best at 0.8 / 1.2 with the coefficient 1: coefficient times factor counts in a band."""
    first, second = recipe.models[0].amplification
    coefficient = recipe.models[0].coefficient
    assert isinstance(coefficient, float)
    away = (
        math.log2(max(x, 1e-3)) for x in (first * coefficient / 0.8, second * coefficient / 1.2)
    )
    loss = 0.5 + sum(x**2 for x in away) + 0.5 * math.log2(coefficient) ** 2
    return replace(scored(a=(max(0, round(100 - 60 * (loss - 0.5))), 100)), loss=loss)


def search_jointly(
    recipe: MergeRecipe, ask: Callable[[Exam], DomainScore], **changed: object
) -> JointResult:
    control = {name: changed.pop(name) for name in ("state", "watch", "beside") if name in changed}
    options = SearchOptions(joint=True, **changed)  # type: ignore[arg-type]
    result = run_search(recipe, options, ask, **control)  # type: ignore[arg-type]
    assert isinstance(result, JointResult)
    return result


def asker() -> tuple[Callable[[Exam], DomainScore], list[Exam]]:
    return by_model(MODEL_SCORES, valley)


def merges(exams: list[Exam]) -> set[MergeRecipe]:
    return {exam.target for exam in exams if isinstance(exam.target, MergeRecipe)}


def with_factors(*factors: float, recipe: MergeRecipe = RECIPE) -> MergeRecipe:
    models = tuple(replace(model, amplification=factors) for model in recipe.models)
    return replace(recipe, models=models)


# axes


def test_the_axes_are_factors_coefficient_and_strength() -> None:
    axes = axes_of(RECIPE)
    assert [(axis.name, axis.start) for axis in axes] == [
        ("factor1", 1.0),
        ("factor2", 1.0),
        ("coefficient", 1.0),
        ("strength", 0.08),
    ]
    names = [axis.name for axis in axes_of(RECIPE, per_model=True)]
    assert names[:3] == ["factor1.math", "factor2.math", "factor1.finance"] and len(names) == 8


def test_a_point_becomes_a_recipe_with_its_values_and_nothing_else() -> None:
    merge = at_point(RECIPE, axes_of(RECIPE), (0.8, 1.2, 0.9, 0.04))
    expected = with_factors(0.8, 1.2)
    models = tuple(replace(model, coefficient=0.9) for model in expected.models)
    parameters = {**RECIPE.parameters, "strength": 0.04}
    assert merge == replace(expected, models=models, parameters=parameters)


def test_every_method_has_its_axes() -> None:
    assert [axis.name for axis in axes_of(WHOLE)] == ["coefficient"]
    ties = replace(WHOLE, method="ties")
    assert [axis.name for axis in axes_of(ties)] == ["scale"]
    assert at_point(ties, axes_of(ties), (1.5,)).parameters["scale"] == 1.5
    staged = replace(RECIPE, method="ties", parameters={}, prune=Pruning("dppa"))
    axes = axes_of(staged)
    assert [axis.name for axis in axes] == ["factor1", "factor2", "scale", "strength"]
    merge = at_point(staged, axes, (1.0, 1.0, 1.0, 0.2))
    assert merge.prune and merge.prune.parameters["strength"] == 0.2


@pytest.mark.parametrize("per_model", [False, True])
def test_where_all_tensors_are_pruned_factors_suffice_in_a_wider_range(per_model: bool) -> None:
    whole = replace(RECIPE, parameters={"other_tensors": "prune"})
    axes = axes_of(whole, per_model=per_model)
    assert not [axis.name for axis in axes if axis.name.startswith("coefficient")]
    assert [axis.high for axis in axes[:2]] == [16.0, 16.0]
    staged = replace(
        whole, method="ties", parameters={}, prune=Pruning("dppa", {"other_tensors": "prune"})
    )
    assert [axis.high for axis in axes_of(staged)[:3]] == [4.0, 4.0, 10.0]  # beside a scale


def test_unequal_coefficients_keep_their_ratio_and_those_by_layer_stay() -> None:
    models = tuple(
        DomainModel(f"zoo:{d}", coefficient=value)
        for d, value in zip(DOMAINS, (0.5, 1.0, -0.25), strict=True)
    )
    recipe = replace(WHOLE, models=models)
    (axis,) = axes_of(recipe)
    assert (axis.name, axis.start) == ("coefficients", 1.0)
    merge = at_point(recipe, (axis,), (2.0,))
    assert [model.coefficient for model in merge.models] == [1.0, 2.0, -0.5]
    layered = replace(recipe, models=(replace(models[0], coefficient={0: 0.5}), *models[1:]))
    with pytest.raises(InvalidRecipe, match="no factor, coefficient or strength to choose"):
        axes_of(layered)


def test_a_recipe_is_told_by_its_point_if_the_axes_can() -> None:
    recipe = with_factors(1.4, 0.0)
    axes = axes_of(recipe)
    assert given_point(recipe, axes) == (1.4, 0.0, 1.0, 0.08)
    first, *others = RECIPE.models
    mixed = replace(RECIPE, models=(replace(first, amplification=(2.0, 1.0)), *others))
    assert given_point(mixed, axes) == ()
    assert len(given_point(mixed, axes_of(mixed, per_model=True))) == 8
    uneven = replace(RECIPE, models=(replace(first, levels=(0.8,), amplification=(1.0,)), *others))
    with pytest.raises(InvalidRecipe, match="different numbers of partitions"):
        axes_of(uneven)


# the search


def test_it_finds_the_factors_that_fit_the_coefficient() -> None:
    ask, exams = asker()
    result = search_jointly(RECIPE, ask, limit=16)
    first, second = result.recipe.models[0].amplification
    coefficient = result.recipe.models[0].coefficient
    assert isinstance(coefficient, float)
    assert first * coefficient == pytest.approx(0.8, rel=0.08)
    assert second * coefficient == pytest.approx(1.2, rel=0.08)
    assert len(merges(exams)) == len(result.trials) <= 24
    assert {exam.split for exam in exams} == {"search"} and {exam.limit for exam in exams} == {16}
    assert {exam.domain for exam in exams} == set(DOMAINS)
    assert result.answers == 16 * 3 * len(result.trials)


def test_factors_of_one_and_the_recipe_given_are_candidates() -> None:
    recipe = with_factors(1.4, 1.0)
    ask, exams = asker()
    result = search_jointly(recipe, ask)
    assert result.trials[0].values["factor1"] == 1.0 and result.trials[1].values["factor1"] == 1.4
    assert {recipe, with_factors(1.0, 1.0)} <= merges(exams)


def test_the_best_of_all_settings_is_taken_though_its_loss_is_the_highest() -> None:
    def far_is_right(recipe: MergeRecipe, domain: str) -> DomainScore:
        coefficient = recipe.models[0].coefficient
        assert isinstance(coefficient, float)
        away = abs(math.log2(coefficient / 0.8))
        return replace(scored(a=(min(100, round(40 + 20 * away)), 100)), loss=0.5 + away**2)

    result = search_jointly(WHOLE, by_model(MODEL_SCORES, far_is_right)[0])
    kept = [trial.retention for trial in result.trials]
    assert kept[result.place] == max(kept) > kept[0]


def test_of_settings_that_keep_as_much_the_one_of_least_loss_is_taken() -> None:
    def all_right(recipe: MergeRecipe, domain: str) -> DomainScore:
        return replace(valley(recipe, domain), accuracy=1.0)

    result = search_jointly(RECIPE, by_model(MODEL_SCORES, all_right)[0])
    losses = [trial.loss for trial in result.trials if trial.loss is not None]
    assert result.trials[result.place].loss == min(losses)


def test_a_domain_that_is_answered_surely_hardly_counts_beside_one_that_is_not() -> None:
    """Twice the coefficient divides a loss of 0.0006 by 16, and raises one of 1.1 by a half."""

    def unequal(recipe: MergeRecipe, domain: str) -> DomainScore:
        coefficient = recipe.models[0].coefficient
        assert isinstance(coefficient, float)
        sure, unsure = 0.0006 * coefficient**-4, 1.1 * 1.5 ** math.log2(coefficient)
        return replace(scored(a=(50, 100)), loss=sure if domain == "math" else unsure)

    two = replace(WHOLE, models=WHOLE.models[:2])
    result = search_jointly(two, by_model(MODEL_SCORES, unequal)[0], objectives=("loss",))
    assert result.recipe.models[0].coefficient < 1  # type: ignore[operator]


def test_the_loss_of_several_domains_is_a_mean_of_logarithms_above_what_is_sure() -> None:
    assert balanced_loss([0.4]) == pytest.approx(0.4)
    assert balanced_loss([0.3, 0.3]) == pytest.approx(0.3)
    assert balanced_loss([1.1, 0.0006]) == pytest.approx(math.sqrt(1.11 * 0.0106) - 0.01)
    assert SURE_NATS == 0.01 and balanced_loss([1.1, 0.0]) > 0.09


def test_factors_by_model_are_all_tried_both_ways_however_many_there_are() -> None:
    models = tuple(replace(model, levels=(0.95, 0.9, 0.85, 0.8)) for model in WHOLE.models)
    many = replace(RECIPE, models=tuple(replace(m, amplification=4 * (1.0,)) for m in models))
    ask = by_model(MODEL_SCORES, lambda *_: replace(scored(a=(1, 2)), loss=1.0))[0]
    result = search_jointly(many, ask, per_model=True)
    assert len(result.axes) == 14 and len(result.trials) > 24
    for axis in result.axes:
        tried = [trial.values[axis.name] for trial in result.trials]
        assert min(tried) < axis.start < max(tried)


def test_no_exam_is_held_twice() -> None:
    ask, exams = asker()
    search_jointly(RECIPE, ask)
    texts = [repr(exam) for exam in exams]
    assert len(set(texts)) == len(texts)


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "state.json"
    search_jointly(RECIPE, asker()[0], state=state, trials=9)
    ask, exams = asker()
    search_jointly(RECIPE, ask, state=state, trials=12)
    assert len(merges(exams)) == 3


def test_weights_that_overflow_are_told_and_not_chosen() -> None:
    def overflowing(recipe: MergeRecipe, domain: str) -> DomainScore:
        if recipe.models[0].amplification[0] > 1:
            raise NonFiniteWeights("inf")
        return valley(recipe, domain)

    trials: list[SearchTrial] = []
    result = search_jointly(RECIPE, by_model(MODEL_SCORES, overflowing)[0], watch=trials.append)
    lost = [trial for trial in trials if trial.loss is None]
    assert lost and all(trial.retention == 0 and not trial.retentions for trial in lost)
    assert result.trials[result.place].loss is not None
    assert json.dumps(result.to_json(), allow_nan=False)


def test_exams_without_losses_are_refused() -> None:
    with pytest.raises(InvalidValue, match="needs exams with the loss"):
        search_jointly(WHOLE, by_model(MODEL_SCORES, lambda recipe, domain: scored(a=(1, 2)))[0])


# the command


def test_the_command_writes_the_recipe_and_removes_its_state(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask, exams = by_model(MODEL_SCORES | {"zoo:base": scored(a=(0, 100))}, _merged_or_alone)
    monkeypatch.setattr(Examiner, "score", lambda self, exam: ask(exam))
    recipe, out = tmp_path / "recipe.yaml", tmp_path / "found.yaml"
    recipe.write_text(dump_recipe(RECIPE))
    assert dppa("search", recipe, "--out", out, "--joint") == 0
    assert "1/24 factor1 1, factor2 1, coefficient 1, strength 0.08: loss" in dppa.err
    assert "200 search items a domain" in dppa.out and "the recipe given" in dppa.out
    assert "better than task arithmetic at coefficient 1, not searched: +" in dppa.out
    assert load_recipe(out).models[0].amplification[0] != 1.0
    assert {path.name for path in tmp_path.iterdir()} == {"recipe.yaml", "found.yaml"}
    exams.clear()
    few = "--joint", "--trials", 9, "--objective", "loss", "--limit", 16, "--test-limit", 0
    assert dppa("search", recipe, "--out", out, "--overwrite", *few, "--json") == 0
    value = dppa.json
    assert value["way"] == "joint" and value["budget"] == 9
    assert len(value["trials"]) == 9 and value["answers"] == 9 * 16 * 3
    assert value["best"]["loss"] == min(trial["loss"] for trial in value["trials"])
    assert {exam.split for exam in exams} == {"search"} and not dppa.err


@pytest.mark.parametrize("answered", [0, 1])
def test_what_a_stopped_search_says_of_its_file_is_so(
    dppa: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answered: int
) -> None:
    left = iter(range(answered))

    def stopped(self: Examiner, exam: Exam) -> DomainScore:
        if next(left, None) is None:
            raise SystemExit(130)
        return scored(a=(90, 100))

    monkeypatch.setattr(Examiner, "score", stopped)
    recipe, state = tmp_path / "recipe.yaml", tmp_path / "found.search.json"
    recipe.write_text(dump_recipe(RECIPE))
    assert dppa("search", recipe, "--out", tmp_path / "found.yaml", "--joint") == 130
    assert state.exists() == bool(answered) == (str(state) in dppa.err)
    assert ("nothing is kept" in dppa.err) != bool(answered)


def _merged_or_alone(recipe: MergeRecipe, domain: str) -> DomainScore:
    asks_factors = len(recipe.models) > 1 and recipe.method == "dppa"
    return valley(recipe, domain) if asks_factors else scored(a=(50, 100))


def test_a_file_may_name_the_way(dppa: Command, tmp_path: Path) -> None:
    recipe, space = tmp_path / "recipe.yaml", tmp_path / "space.yaml"
    recipe.write_text(dump_recipe(RECIPE))
    for text, message in (
        ("{way: joint, vary: {rate: null}}", "--joint or --vary"),
        ("{way: climb}", "way may be joint, got 'climb'"),
        ("{way: joint, objectives: density}", "the objective accuracy or loss, got density"),
    ):
        space.write_text(f"search: {text}\n")
        assert dppa("search", recipe, "--out", tmp_path / "o.yaml", "--space", space) == 1
        assert message in dppa.err


def test_joint_goes_with_no_other_way(dppa: Command, tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(dump_recipe(RECIPE))
    out = "--out", tmp_path / "o.yaml"
    assert dppa("search", recipe, *out, "--joint", "--vary", "rate=0.5:0.9") == 1
    assert "--joint or --vary" in dppa.err
    assert dppa("search", recipe, *out, "--per-model") == 1
    assert "--per-model goes with --joint" in dppa.err
