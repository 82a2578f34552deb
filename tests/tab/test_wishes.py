"""Which merges a browser's tab knows."""

import pytest

from dppa_core.pruning.coefficients import PartCoefficient
from dppa_core.recipes.recipe import DomainModel, MergeRecipe
from dppa_core.tab.wishes import tab_wish
from tests.reference.tab_cases import RECIPES

MATH = (DomainModel("zoo:math", (0.9, 0.8), (1.6, 1.0)),)
BY_PART = (PartCoefficient("embed_tokens", 2.0), PartCoefficient(None, 1.0))


def test_a_merge_is_asked_for_with_its_numbers() -> None:
    part = {"model": "zoo:math", "levels": [0.9, 0.8], "factors": [1.6, 1.0]}
    merge = {"method": "dppa", "strength": 0.08, "others": "keep"}
    expected = merge | {"models": [part | {"coefficients": [1.0] * 6}]}
    assert tab_wish(MergeRecipe("zoo:base", MATH)) == {"merge": expected}
    assert tab_wish("zoo:math") == {"model": "zoo:math"}
    assert all(tab_wish(recipe) for recipe in RECIPES.values())


@pytest.mark.parametrize(
    "recipe",
    [
        MergeRecipe("zoo:base", MATH, parameters={"k_layer": 4}),
        MergeRecipe("zoo:base", MATH, parameters={"other_tensors": "prune"}),
        MergeRecipe("zoo:base", (DomainModel("zoo:math"),), "ties"),
        MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.5,)),), "dare", seed=1),
        MergeRecipe("zoo:base", (DomainModel("zoo:math", coefficient=BY_PART),)),
        MergeRecipe("zoo:base", (DomainModel("/models/math"),)),
        MergeRecipe("zoo:math", (DomainModel("zoo:law"),)),
        MergeRecipe("zoo:base", MATH, dtype="float32"),
    ],
)
def test_what_a_tab_does_not_know_is_asked_of_the_library(recipe: MergeRecipe) -> None:
    assert tab_wish(recipe) is None
    assert tab_wish("/models/math") is None
