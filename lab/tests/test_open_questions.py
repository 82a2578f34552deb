"""One delta under every method: at every size of the offset, and of the model."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dppa_core.evaluation.scores import Marks
from dppa_core.recipes.yaml_text import MergeRecipe
from dppa_core.tasks import DOMAINS
from dppa_lab.experiments.paper.contest import DRAWS, against_magnitude, contest
from dppa_lab.experiments.paper.sizes import MODEL_SIZES, trained_alike
from dppa_lab.experiments.presets import trained
from dppa_lab.experiments.questions import ExamQuestion
from dppa_lab.zoo.spec import SIZES
from lab.tests.helpers.followed_steps import SETTING, followed, hits

RIGHT = {"task_arithmetic": 20, "magnitude": 16, "dare": 8, "dppa": 12}


def by_method(question: ExamQuestion) -> Marks:
    """Unpruned 20 of 20, magnitude 16, DP and DPPA 12, DARE 8; half as many search items."""
    n = 20 if question.split == "test" else 12
    target = question.target
    right = RIGHT[target.method] if isinstance(target, MergeRecipe) else 20
    return hits(right * n // 20, n)


def test_a_scaled_delta_is_a_merge_with_that_coefficient_and_its_unpruned_one_too() -> None:
    scaled, questions = followed(contest(SETTING, SETTING.subjects[0], 0.9, 0.5), by_method)
    recipes = [question.target for question in questions]
    assert {model.coefficient for recipe in recipes for model in recipe.models} == {0.5}
    assert {recipe.models[0].model for recipe in recipes} == {SETTING.subjects[0].model}
    whole = [recipe for recipe in recipes if recipe.method == "task_arithmetic"]
    assert {recipe.models[0].levels for recipe in whole} == {(0.0,)}
    assert sum(scaled.unpruned.hits) == 20
    assert [sum(draw.hits) for draw in scaled.marks["dare"].marks] == [8] * DRAWS
    assert len({recipe.seed for recipe in recipes if recipe.method == "dare"}) == DRAWS


def test_at_scale_one_the_unpruned_model_is_the_domain_model() -> None:
    _, questions = followed(contest(SETTING, SETTING.subjects[1], 0.9), by_method)
    targets = {question.target for question in questions}
    assert {t for t in targets if not isinstance(t, MergeRecipe)} == {SETTING.subjects[1].model}


def test_methods_are_compared_with_magnitude_item_by_item() -> None:
    math, _ = followed(contest(SETTING, SETTING.subjects[0], 0.9), by_method)
    several = {"math": math}
    assert against_magnitude(several, "dppa").value == pytest.approx(-20)
    drawn = against_magnitude(several, "dare")
    assert drawn.value == pytest.approx(-40) and drawn.low < drawn.value < drawn.high < 0


def test_sizes_are_those_whose_four_models_are_there(tmp_path: Path) -> None:
    assert trained(tmp_path, 20, 12) == ()
    for name in ("medium", "small"):
        for model in ("base", *DOMAINS):
            (tmp_path / name / model).mkdir(parents=True)
            (tmp_path / name / model / "config.json").write_text(json.dumps({}))
    (tmp_path / "medium" / "law" / "config.json").unlink()
    (setting,) = trained(tmp_path, 20, 12)
    assert (setting.title, setting.domains) == ("small", DOMAINS)


def test_without_other_sizes_the_experiment_says_how_to_make_them() -> None:
    why = MODEL_SIZES.wants(SETTING)
    assert "dppa zoo train --size" in why
    assert "small (about" in why


def test_a_larger_model_gains_more_where_magnitude_loses_more() -> None:
    subjects = tuple(replace(s, model=f"s:{s.domain}") for s in SETTING.subjects)
    setting = replace(SETTING, sizes=(replace(SETTING, title="small", subjects=subjects),))

    def answer(question: ExamQuestion) -> Marks:
        target = question.target
        if isinstance(target, MergeRecipe) and question.split == "test":
            if target.method == "magnitude" and target.models[0].model.startswith("s:"):
                return hits(2, 20)
        return by_method(question)

    findings, _ = followed(MODEL_SIZES.steps(setting), answer)
    sizes = findings.tables[0]
    assert [row.cells[0].value for row in sizes.rows] == ["small", "embedded"]
    assert sizes.rows[0].cells[1].value == 0.6
    together = findings.tables[1].rows
    assert [round(float(row.cells[-1].value or 0)) for row in together] == [50, -20, 50, -20]


def test_sizes_are_compared_with_those_that_learned_from_as_many_texts() -> None:
    assert list(trained_alike(SIZES)) == ["small", "medium", "embedded-short", "large"]
    two = {name: SIZES[name] for name in ("small", "embedded")}
    assert trained_alike(two) == two


def test_a_delta_too_small_to_answer_anything_keeps_factors_of_one() -> None:
    def answer(question: ExamQuestion) -> Marks:
        return hits(0, 12) if question.split == "search" else by_method(question)

    scaled, _ = followed(contest(SETTING, SETTING.subjects[0], 0.9, 0.25), answer)
    assert scaled.factors == (1.0, 1.0)
    assert sum(scaled.sole_marks("dppa").hits) == 12
