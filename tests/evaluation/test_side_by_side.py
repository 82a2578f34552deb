"""Models compared with a recipe, and their marks: figures by hand."""

from dataclasses import replace

import pytest

from dppa_core.evaluation.scores import Marks
from dppa_core.evaluation.side_by_side import AGAINST, RECIPE, SideBySide, entrants
from dppa_core.evaluation.side_by_side_values import comparison_sentence
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.tasks import Item

RECIPE_OF_TWO = MergeRecipe(
    "zoo:base",
    (DomainModel("zoo:math", (0.9, 0.8), (1.2, 1.0), 0.7), DomainModel("zoo:law", (0.8,))),
    overrides={},
)
ITEMS = tuple(Item("math", "one_step", f"{n}?", "The answer is 1.") for n in range(10))


def marks(right: int, n: int = 10) -> Marks:
    return Marks((True,) * right + (False,) * (n - right), (0.5,) * n, (2,) * n)


def table(**right: tuple[int, int]) -> SideBySide:
    """Right answers in math and law, by key with _ for : ."""
    hits = {
        key.replace("_", ":", 1) if key.startswith("zoo") else key: n for key, n in right.items()
    }
    all_marks = {
        (key, domain): marks(count)
        for key, counts in hits.items()
        for domain, count in zip(("math", "law"), counts, strict=True)
    }
    who = entrants(RECIPE_OF_TWO, replace(RECIPE_OF_TWO, seed=1))
    return SideBySide("test", who, {"math": ITEMS, "law": ITEMS}, all_marks)


WHOLE = table(
    base=(1, 2), zoo_math=(8, 1), zoo_law=(0, 10), linear=(4, 4), recipe=(6, 9), against=(6, 9)
)


def test_base_models_and_plain_merges_stand_beside_a_recipe() -> None:
    sides = entrants(RECIPE_OF_TWO)
    assert [side.key for side in sides] == [
        *("base", "zoo:math", "zoo:law", "linear", "task_arithmetic", "recipe")
    ]
    linear, whole = sides[3].target, sides[4].target
    assert isinstance(linear, MergeRecipe) and isinstance(whole, MergeRecipe)
    assert (linear.method, [model.coefficient for model in linear.models]) == ("linear", [1.0, 1.0])
    assert [model.coefficient for model in whole.models] == [0.7, 1.0]
    assert [model.levels for model in whole.models] == [(0.0,), (0.0,)]
    assert [side.domains for side in sides] == [
        *((), ("math",), ("law",), ("math", "law"), ("math", "law"), ("math", "law"))
    ]


def test_retention_is_of_the_domains_own_model() -> None:
    kept = [WHOLE.retention(RECIPE, domain) for domain in ("math", "law")]
    assert [retention and retention.value for retention in kept] == pytest.approx([6 / 8, 9 / 10])
    mean = WHOLE.mean_retention(RECIPE)
    assert mean is not None and mean.value == pytest.approx((0.75 * 0.9) ** 0.5)
    assert WHOLE.mean_retention("task_arithmetic") is None  # not asked yet


def test_of_models_whose_domain_nobody_knows_the_best_is_the_own() -> None:
    who = entrants(MergeRecipe("zoo:base", (DomainModel("one"), DomainModel("two"))))
    all_marks = {("one", "math"): marks(3), ("two", "math"): marks(7)}
    assert SideBySide("test", who, {"math": ITEMS}, all_marks).own_model("math") == "two"


def test_only_domains_a_model_was_not_made_for_are_forgotten() -> None:
    lost = WHOLE.forgetting("zoo:math", "law")
    assert lost is not None and lost.value == pytest.approx(0.1)  # the base has 2 of 10, it has 1
    assert WHOLE.forgetting("zoo:math", "math") is None
    assert WHOLE.forgetting(RECIPE, "law") is None and WHOLE.forgetting("base", "law") is None


def test_equal_answers_are_no_difference_and_the_sentence_says_how_little_is_seen() -> None:
    same = WHOLE.comparison(RECIPE, AGAINST)
    assert same is not None and not same.significant
    assert (same.n, same.differs, same.p, same.visible) == (20, 0, 1.0, 0.15)
    text = comparison_sentence(same, "recipe", "against")
    assert text.startswith("No difference seen between recipe and against: +0.0 points")
    assert text.endswith("With 20 items a difference is seen from about 15.0 points on.")


def test_a_clear_difference_names_the_better_one() -> None:
    clear = WHOLE.comparison(RECIPE, "zoo:law")
    assert clear is not None and not clear.significant  # 6 more in math, 1 fewer in law: p = 0.125
    assert clear.differs == 7 and clear.p == pytest.approx(2 * (7 + 1) / 2**7)
    assert clear.visible >= abs(clear.difference.value)  # what was not found was too small
    math = WHOLE.comparison("zoo:law", RECIPE, "math")
    assert math is not None and math.significant and math.p == pytest.approx(2 / 2**6)
    assert comparison_sentence(math, "law", "recipe").startswith(
        "recipe is better than law: -60.0 points"
    )


def test_a_merge_of_forms_is_compared_with_the_whole_models() -> None:
    kept = "kept:bits(bits=1) of zoo:math on zoo:base"
    models = (DomainModel(kept, coefficient=0.5), DomainModel("zoo:law"))
    rows = entrants(MergeRecipe("zoo:base", models, method="task_arithmetic", vocabulary=kept))
    targets = {row.key: row.target for row in rows}
    assert [key for key in targets if key.startswith("zoo")] == ["zoo:math", "zoo:law"]
    assert targets["recipe"].models[0].model == kept  # type: ignore[union-attr]
    for key in ("linear", "task_arithmetic"):
        assert targets[key].models[0].model == targets[key].vocabulary == "zoo:math"  # type: ignore[union-attr]
    assert next(row for row in rows if row.key == "zoo:math").domains == ("math",)
