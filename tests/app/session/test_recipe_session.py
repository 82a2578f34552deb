"""Recipes opened on the page: shown as the same merge, or as the nearest, with what is left out."""

import json

import pytest

from components.session.from_recipe import session_from_recipe
from components.session.nearest import nearest_session, within_controls
from components.session.presets import all_presets
from components.session.session import Session
from components.session.state import session_from_state, state_of
from dppa_core.errors import DppaError, InvalidValue
from dppa_core.recipes.yaml_text import dump_recipe, parse_recipe, recipe_hash
from tests.app.session.test_session_state import RICH

LAYERS = 6

MODEL = "{model: zoo:math, levels: [0.9, 0.8], amplification: [1.6, 1.0]}"


def recipe(models: str = f"[{MODEL}]", **lines: str) -> str:
    rest = "\n".join(f"{key}: {value}" for key, value in lines.items())
    return f"dppa: 1\nbase: zoo:base\nmodels: {models}\n{rest}\n"


def read(text: str) -> Session:
    return session_from_recipe(parse_recipe(text), LAYERS)


@pytest.mark.parametrize(
    "session",
    [*all_presets().values(), RICH],
    ids=lambda s: f"{s.method.name}-{s.rate}",
)
def test_a_recipe_of_the_page_comes_back_as_the_same_merge(session: Session) -> None:
    made = session.recipe()
    after = session_from_recipe(parse_recipe(dump_recipe(made)), LAYERS)
    assert recipe_hash(after.recipe()) == recipe_hash(made)
    assert after.overrides == session.overrides
    assert [m.curve for m in after.models] == [m.curve for m in session.active]


@pytest.mark.parametrize(
    "text",
    [
        recipe(),
        recipe(method="task_arithmetic", models="[{model: zoo:math}]"),
        recipe(method="dare", models="[{model: zoo:math, levels: [0.9]}]"),
        recipe(method="ties", prune="{method: dppa, strength: 0.2, k_layer: 4}"),
        recipe(chat_template="base"),
        recipe(chat_template="chatml"),
        recipe(chat_template="llama3-mergekit"),
        recipe(chat_template="none"),
        recipe(dtype="float32"),
        recipe(dtype="bfloat16"),
        recipe(heads="base"),
        recipe(chat_template="zoo:math"),
        recipe(overrides='{"layers.3.mlp.down_proj": {rate: 0.5}}'),
        recipe(parameters="{ties: prune, other_tensors: drop, significance: random}"),
        recipe(models="[{model: zoo:math, levels: [0.95, 0.8], amplification: [2, 1]}, "
               "{model: zoo:law, levels: [0.95, 0.8], amplification: [1, 0.5]}]"),
    ],
)  # fmt: skip
def test_recipes_from_elsewhere_that_the_page_can_show(text: str) -> None:
    assert recipe_hash(read(text).recipe()) == recipe_hash(parse_recipe(text))


def test_numbers_by_layer_become_a_curve_over_all_layers() -> None:
    session = read(recipe(models="[{model: zoo:math, coefficient: {2: 0.5}}]"))
    assert session.models[0].curve == ((0, 1.0), (1, 1.0), (2, 0.5), (3, 1.0), (5, 1.0))
    assert session.models[0].weight == {0: 1.0, 1: 1.0, 2: 0.5, 3: 1.0, 4: 1.0, 5: 1.0}


def test_equal_numbers_for_all_layers_become_one() -> None:
    numbers = ", ".join(f"{layer}: 0.3" for layer in range(6))
    session = read(recipe(models=f"[{{model: zoo:math, coefficient: {{{numbers}}}}}]"))
    (model,) = session.recipe().models
    assert model.coefficient == 0.3


def test_factors_that_differ_unlink_the_models() -> None:
    both = "[{model: zoo:math, levels: [0.8], amplification: [2]}, {model: zoo:law, levels: [0.8]}]"
    session = read(recipe(models=both))
    assert not session.linked
    assert session.factors_of("zoo:math") == (2.0,) and session.factors_of("zoo:law") == (1.0,)


def test_a_coefficient_by_part_is_kept_as_text() -> None:
    parts = "[{part: self_attn, value: {0: 0.5, 1: 3}}, {value: 0.25}]"
    text = recipe(method="task_arithmetic", models=f"[{{model: zoo:math, coefficient: {parts}}}]")
    session = read(text)
    assert session.models[0].parts == (
        '[{"part":"self_attn","value":{"0":0.5,"1":3.0}},{"value":0.25}]'
    )
    assert session.recipe() == parse_recipe(text)
    assert session_from_state(json.loads(json.dumps(state_of(session)))) == session
    assert session.models[0].decides and hash(session)


@pytest.mark.parametrize(
    "parts",
    ["x", "{}", "[]", "3", 3, '[{"part":"a","value":1}]', '[{"value":{"-1":1}}]', "[" * 9999],
)
def test_parts_that_no_recipe_has_are_refused(parts: object) -> None:
    row = {"ref": "zoo:math", "coefficient": 1.0, "parts": parts}
    with pytest.raises(DppaError):
        session_from_state({"v": 1, "base": "zoo:base", "models": [row]})


MANY = ", ".join(f"{{model: m{i}, levels: [0.9, 0.8], amplification: [1, 1]}}" for i in range(6))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (recipe(models=f"[{MANY}]"), "6 domain models"),
        (recipe(models=f"[{MODEL}, {MODEL}]"), "already"),
        (recipe(models="[{model: a, levels: [0.9]}, {model: b, levels: [0.8]}]"), "the same"),
        (recipe(models="[{model: a, levels: [0.9, 0.8, 0.7, 0.6, 0.5]}]"), "5 levels"),
        (recipe(models="[{model: a, levels: [0.995]}]"), "pruning rate"),
        (recipe(models="[{model: a, levels: [0.123456]}]"), "four digits"),
        (recipe(models="[{model: a, amplification: [9]}]"), "amplified by 9"),
        (recipe(models="[{model: a, coefficient: 3}]"), "outside of -1 to 2"),
        (recipe(models="[{model: a, coefficient: {0: 3}}]"), "outside of -1 to 2"),
        (recipe(seed="7"), "seed is 7"),
        (recipe(vocabulary="union"), "vocabulary is union"),
        (recipe(vocabulary="{pad_to_multiple_of: 8}"), "vocabulary has pad_to_multiple_of"),
        (recipe(chat_template="'{{ messages }}'"), "chat template is a text"),
        (recipe(parameters="{significance: fisher}", calibration="{tasks: [math]}"), "calibration"),
        (recipe(parameters="{k_layer: 50}"), "k_layer"),
        (recipe(method="ties", prune="dare", models="[{model: a, levels: [0.9]}]"), "dare prunes"),
        (recipe(method="ties", prune="{method: dppa, ties: prune}"), "ties: prune"),
    ],
)
def test_what_the_page_cannot_show_is_said_and_refused(text: str, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        read(text)


@pytest.mark.parametrize(
    ("text", "words", "shown"),
    [
        (recipe(models=f"[{MANY}]"), "6 domain models", ("models", 5)),
        (recipe(models="[{model: a, levels: [0.9]}, {model: b, levels: [0.8]}]"), "same", 0.9),
        (recipe(models="[{model: a, levels: [0.9, 0.8, 0.7, 0.6, 0.5]}]"), "5 levels", 0.5),
        (recipe(models="[{model: a, levels: [0.123456]}]"), "more digits", 0.1235),
        (recipe(models="[{model: a, levels: [0.8], amplification: [9]}]"), "by 9", 0.8),
        (recipe(seed="7"), "seed is 7", 0.8),
        (recipe(vocabulary="{tokens: {x: zero}, lacking: mean}"), "has lacking, tokens", 0.8),
        (recipe(chat_template="'{{ messages }}'"), "template is a text", 0.8),
        (recipe(method="ties", prune="dare", models="[{model: a, levels: [0.9]}]"), "dare", 0.8),
        (
            recipe(method="ties", models="[{model: a, parameters: {density: 0.5}}]"),
            "settings of its own",
            0.8,
        ),
    ],
)
def test_the_nearest_session_sets_what_it_can_and_lists_the_rest(
    text: str, words: str, shown: object
) -> None:
    whole = parse_recipe(text)
    session, beyond = nearest_session(whole, within_controls(whole), LAYERS)
    assert words in beyond and "dppa merge" in beyond
    if isinstance(shown, tuple):
        assert len(session.models) == shown[1]
    else:
        assert session.rate == shown


@pytest.mark.parametrize("coefficient", ["1", "[{part: mlp, value: 9}, {value: {5: 0.25}}]"])
def test_a_recipe_within_the_controls_leaves_nothing_out(coefficient: str) -> None:
    whole = parse_recipe(recipe(models=f"[{{model: zoo:math, coefficient: {coefficient}}}]"))
    session, beyond = nearest_session(whole, within_controls(whole), LAYERS)
    assert beyond == "" and recipe_hash(session.recipe()) == recipe_hash(whole)
