"""Merging coefficients of tensors: by hand, and short forms of any assignment."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.errors import IncompatibleCheckpoints, InvalidRecipe
from dppa_core.pruning.coefficients import (
    Coefficient,
    PartCoefficient,
    check_names,
    checked_coefficient,
    coefficient_from,
    coefficient_of,
    plain_coefficient,
)
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    dump_recipe,
    parse_recipe,
    recipe_hash,
)
from tests.helpers.tiny_models import Shape

LLAMA = tuple(Shape(layers=3).tensors())
QUERY, DOWN = "model.layers.1.self_attn.q_proj.weight", "model.layers.1.mlp.down_proj.weight"
EMBEDDING, NORM = "model.embed_tokens.weight", "model.norm.weight"
PARTS = (
    PartCoefficient("q_proj", 2.0),
    PartCoefficient("self_attn", {0: 0.5, 1: 0.25}),
    PartCoefficient("mlp.down_proj", 3.0),
    PartCoefficient("norm", -1.0),
    PartCoefficient(None, 0.75),
)


@pytest.mark.parametrize(
    ("coefficient", "tensor", "expected"),
    [
        (0.5, DOWN, 0.5),
        ({1: 0.25}, DOWN, 0.25),
        ({0: 0.25}, DOWN, 1.0),
        ({0: 0.25, 2: 0.5}, EMBEDDING, (0.25 + 1 + 0.5) / 3),
        (PARTS, QUERY, 2.0),
        (PARTS, QUERY.replace("q_proj", "k_proj"), 0.25),
        (PARTS, DOWN, 3.0),
        (PARTS, DOWN.replace("down", "up"), 0.75),
        (PARTS, NORM, -1.0),
        (PARTS, "model.layers.1.input_layernorm.weight", 0.75),  # a word, not a piece of one
        (PARTS, EMBEDDING, 0.75),
    ],
)
def test_the_coefficient_of_a_tensor(
    coefficient: Coefficient, tensor: str, expected: float
) -> None:
    assert coefficient_of(coefficient, tensor, 3) == expected


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "list 1 to 1000 parts"),
        ([{"part": "mlp", "value": 1}], "the last, and no other, is for all the rest"),
        ([{"value": 1}, {"value": 2}], "the last, and no other, is for all the rest"),
        ([{"value": 1}, {"part": "mlp", "value": 2}], "the last, and no other"),
        ([{"part": "mlp"}, {"value": 1}], "coefficient 1 must be {part: NAME, value: NUMBER}"),
        ([{"part": "", "value": 1}, {"value": 1}], "whole words of a tensor's name"),
        ([{"part": ".mlp", "value": 1}, {"value": 1}], "whole words of a tensor's name"),
        ([{"part": 3, "value": 1}, {"value": 1}], "whole words of a tensor's name"),
        (
            [{"part": "mlp", "value": 11}, {"value": 1}],
            "coefficient 1 must be a number from",
        ),
        ([{"part": "mlp", "value": {"0": 1}}, {"value": 1}], "maps layer indices to numbers"),
        ([{"part": "mlp", "wert": 1, "value": 1}, {"value": 1}], "unknown key 'wert'"),
        ([0.5, 0.5], "must be {part: NAME, value: NUMBER}"),
        ("0.5", "coefficient must"),
    ],
)
def test_what_is_no_coefficient_is_named(value: object, message: str) -> None:
    with pytest.raises(InvalidRecipe, match=re.escape(message)):
        checked_coefficient("model 'a'", value)


def test_a_layer_or_part_the_base_lacks_is_named() -> None:
    check_names("model 'a'", PARTS, LLAMA)
    with pytest.raises(IncompatibleCheckpoints, match="layer 3, the base has layers 0 to 2"):
        check_names(
            "model 'a'", (PartCoefficient("mlp", {3: 1.0}), PartCoefficient(None, 1.0)), LLAMA
        )
    with pytest.raises(IncompatibleCheckpoints, match="part 'mpl', which no tensor"):
        check_names("model 'a'", (PartCoefficient("mpl", 1.0), PartCoefficient(None, 1.0)), LLAMA)


def test_parts_survive_the_recipe_file_in_their_order() -> None:
    recipe = MergeRecipe("zoo:base", (DomainModel("zoo:math", coefficient=PARTS),))
    back = parse_recipe(dump_recipe(recipe))
    assert back == recipe and recipe_hash(back) == recipe_hash(recipe)
    assert back.models[0].coefficient == PARTS and hash(back) == hash(recipe)
    turned = DomainModel("zoo:math", coefficient=(PARTS[1], PARTS[0], *PARTS[2:]))
    assert recipe_hash(MergeRecipe("zoo:base", (turned,))) != recipe_hash(recipe)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=len(LLAMA), max_size=len(LLAMA)))
def test_any_numbers_for_tensors_can_be_said(numbers: list[float]) -> None:
    given_numbers = dict(zip(LLAMA, numbers, strict=True))
    parsed = checked_coefficient("model 'a'", plain_coefficient(coefficient_from(given_numbers)))
    assert {name: coefficient_of(parsed, name, 3) for name in LLAMA} == given_numbers


def test_a_part_of_every_expert_is_one_part() -> None:
    experts = [f"model.layers.{i}.moe.experts.{e}" for i in (0, 1) for e in (0, 1)]
    numbers = {f"{expert}.w{w}.weight": 1 / w for expert in experts for w in (1, 2)}
    assert coefficient_from(numbers) in (
        (PartCoefficient("w1", 1.0), PartCoefficient(None, 0.5)),
        (PartCoefficient("w2", 0.5), PartCoefficient(None, 1.0)),
    )


@pytest.mark.parametrize("coefficient", [0.5, {0: 0.5, 1: 0.25, 2: 1.0}, PARTS])
def test_what_can_be_said_shortly_is(coefficient: Coefficient) -> None:
    numbers = {name: coefficient_of(coefficient, name, 3) for name in LLAMA}
    shortest = coefficient_from(numbers)
    assert len(str(shortest)) <= len(str(coefficient)) + 20
