"""What one more model brings: the law, the merges it is fitted to, and the words for them."""

from dataclasses import replace

import pytest

from dppa_core.cli.evaluation_text import evaluated_text
from dppa_core.evaluation.analysis.one_more import (
    MAX_MERGES,
    LossCurve,
    fitted_law,
    loss_curve,
    subsets,
)
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.side_by_side import with_models
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

MODELS = tuple(DomainModel(f"zoo:{name}") for name in ("math", "finance", "law"))
RECIPE = MergeRecipe("zoo:base", MODELS, "task_arithmetic")


def curve(*means: float) -> LossCurve:
    return LossCurve(tuple((mean,) for mean in means))


@pytest.mark.parametrize("law", [(1.0, 2.0, 0.5), (0.3, 1.0, 0.0), (2.0, 6.0, 7.25)])
@pytest.mark.parametrize("count", [3, 4, 9])
def test_exact_points_give_the_law_back(law: tuple[float, float, float], count: int) -> None:
    floor, a, b = law
    fitted = fitted_law([floor + a / (k + b) for k in range(1, count + 1)])
    assert (fitted.floor, fitted.a, fitted.b) == pytest.approx(law, rel=1e-3, abs=1e-3)


def test_a_mean_of_more_models_weighs_more() -> None:
    # Without an offset x is 1, 1/2, 1/3. With weights 1, 2, 3 the means of x and of the losses are
    # 1/2 and 11/12; the slope is (5/24) / (1/12) = 5/2, and the floor 11/12 - 5/4 < 0. Through 0
    # it is the sum of w·x·loss over that of w·x²: (2 + 1 + 1/2) / (1 + 1/2 + 1/3) = 21/11.
    fitted = fitted_law([2.0, 1.0, 0.5])
    assert (fitted.floor, fitted.a, fitted.b) == (0.0, pytest.approx(21 / 11), 0.0)


def test_one_more_model_brings_the_next_step_of_the_law() -> None:
    told = curve(2.0, 1.5, 1 + 1 / 3)  # 1 + 1 / k
    assert told.gain == pytest.approx(1 / 3 - 1 / 4) and told.explained == pytest.approx(1)
    assert "expected to lower the loss by 0.0833 to 1.25 nats" in told.sentence()
    assert "an extrapolation" in told.sentence() and "three points fix three" in told.sentence()
    value = told.to_json()
    assert "floor + a / (k + b)" in evaluated_text({"one_more": value})
    assert value["one_more"] == {"models": 4, "loss": pytest.approx(1.25), "gain": told.gain}
    assert "three points" not in curve(2.0, 1.5, 1 + 1 / 3, 1.25).sentence()
    assert [series.name for series in told.chart().series][1] == "fit, and one more"


@pytest.mark.parametrize(
    ("means", "words"),
    [
        ((1.0, 0.5), "takes a recipe of 3 models or more"),
        ((1.0,), "takes a recipe of 3 models or more"),
        ((2.0, 2.0, 2.0), "does not fall with more models (2 with one, 2 with 3)"),
        ((0.1, 0.1, 0.1, 0.1), "does not fall with more models"),
        ((1.0, 2.0, 3.0), "does not fall with more models (1 with one, 3 with 3)"),
        (
            (3.0, 2.0, 1.0),
            "its fit is shown from 95 % on. The last model brings too much",
        ),
        ((3.73, 1.71, 0.04), "The law explains 69 % of how the loss falls"),
    ],
)
def test_a_curve_that_the_law_does_not_describe_has_no_forecast(
    means: tuple[float, ...], words: str
) -> None:
    told = curve(*means)
    assert words in told.sentence() and told.gain is None
    assert told.to_json()["one_more"] is None and len(told.chart().series) == 1
    assert "floor + a" not in evaluated_text({"one_more": told.to_json()})
    assert told.law is None or min(told.law.floor, told.law.a, told.law.b) >= 0


def test_a_step_that_is_too_steep_is_not_laid_to_domains() -> None:
    assert "too little for a forecast" in curve(3.0, 1.0, 1.0, 1.0).sentence()
    assert "domain" not in curve(3.0, 1.0, 1.0, 1.0).sentence()


def test_few_merges_are_all_made_and_of_many_some_are_drawn() -> None:
    assert subsets(3, 2) == [(0, 1), (0, 2), (1, 2)]
    assert len(subsets(5, 2)) == len(set(subsets(5, 2))) == 10
    drawn = subsets(30, 15)
    assert drawn == subsets(30, 15) and len(set(drawn)) == MAX_MERGES
    assert all(len(set(subset)) == 15 and max(subset) < 30 for subset in drawn)


def test_a_merge_of_some_models_names_no_other() -> None:
    recipe = replace(RECIPE, vocabulary="zoo:law", chat_template="zoo:math", seed=3)
    part = with_models(recipe, recipe.models[:2])
    assert part == replace(recipe, models=MODELS[:2], vocabulary="base")
    assert with_models(recipe, MODELS[2:]).chat_template == "auto"
    emr = replace(RECIPE, method="emr", parameters={"domain": "zoo:law"})
    assert with_models(emr, MODELS[1:]).parameters == emr.parameters
    assert with_models(emr, MODELS[:2]).parameters["domain"] == "zoo:math"


@pytest.mark.usefixtures("zoo_env", "one_torch_thread")
def test_losses_are_means_over_the_domains_of_every_merge() -> None:
    examiner = Examiner()
    told = loss_curve(examiner, RECIPE, ("math", "law"), limit=2)
    assert [len(merges) for merges in told.losses] == [3, 3, 1]
    pair = replace(RECIPE, models=(MODELS[0], MODELS[2]))
    scores = examiner.evaluation(pair, ("math", "law"), limit=2).domains
    losses = [score.loss or 0.0 for score in scores.values()]
    assert told.losses[1][1] == pytest.approx(sum(losses) / 2)
    assert told == loss_curve(Examiner(), RECIPE, ("math", "law"), limit=2)


@pytest.mark.usefixtures("zoo_env", "one_torch_thread")
def test_a_text_is_measured_where_there_are_no_questions() -> None:
    told = loss_curve(Examiner(), replace(RECIPE, models=MODELS[:2]), (), "A text to read. " * 8)
    assert [len(merges) for merges in told.losses] == [2, 1] and told.law is None
