"""Recipes: read, checked, written back, hashed."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.errors import InvalidRecipe
from dppa_core.pruning.coefficients import Coefficient, PartCoefficient
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    Override,
    Pruning,
    dump_recipe,
    load_recipe,
    parse_recipe,
    recipe_hash,
    short_hash,
)
from tests.helpers.random_profiles import LEVELS

TEXT = """\
dppa: 1
base: zoo:base
models:
  - model: zoo:math
    levels: [0.9, 0.8]
    amplification: [1.6, 1.0]
    coefficient: 1.0
  - model: zoo:finance
    levels: [0.8]
    amplification: [1.0]
    coefficient: {0: 0.5, 3: 1}
method: dppa
parameters: {strength: 0.08, k_layer: 3, k_module: 5, significance: magnitude, ties: exact}
overrides: {"layers.3.mlp.down_proj": {rate: 0.5}}
seed: 0
dtype: bfloat16
"""


def test_a_recipe_is_read_as_written() -> None:
    recipe = parse_recipe(TEXT)
    assert recipe.models[0] == DomainModel("zoo:math", (0.9, 0.8), (1.6, 1.0), 1.0)
    assert recipe.models[1].coefficient == {0: 0.5, 3: 1.0}
    assert recipe.overrides == {"layers.3.mlp.down_proj": Override(0.5)}
    assert recipe.parameters["k_layer"] == 3.0 and recipe.parameters["other_tensors"] == "keep"


def test_a_recipe_without_a_dtype_takes_the_bases_which_is_known_of_embedded_models() -> None:
    text = TEXT.replace("dtype: bfloat16\n", "")
    assert parse_recipe(text) == parse_recipe(TEXT)
    local = parse_recipe(text.replace("base: zoo:base", "base: models/mine"))
    assert local.dtype == "base" and parse_recipe(dump_recipe(local)) == local
    assert recipe_hash(local) != recipe_hash(replace(local, dtype="bfloat16"))


BY_LAYER = st.dictionaries(st.integers(0, 40), st.floats(-2, 2), min_size=1, max_size=4)
VALUES = st.tuples(
    LEVELS, st.lists(st.floats(0, 4), min_size=5, max_size=5), st.floats(-2, 2) | BY_LAYER
)


@given(st.lists(VALUES, min_size=1, max_size=4), st.integers(0, 2**40))
def test_a_recipe_survives_its_own_text(drawn: list[tuple], seed: int) -> None:  # type: ignore[type-arg]
    models = tuple(
        DomainModel("zoo:math", levels, tuple(factors[: len(levels)]), coefficient)
        for levels, factors, coefficient in drawn
    )
    recipe = MergeRecipe("zoo:base", models, seed=seed, dtype="float16")
    again = parse_recipe(dump_recipe(recipe))
    assert again == recipe and recipe_hash(again) == recipe_hash(recipe)


def test_the_hash_sees_values_not_their_spelling() -> None:
    recipe = parse_recipe(TEXT)
    spelled = TEXT.replace("k_layer: 3,", "k_layer: 3.0,").replace(
        "coefficient: 1.0", "coefficient: 1"
    )
    assert recipe_hash(parse_recipe(spelled)) == recipe_hash(recipe)
    assert hash(parse_recipe(spelled)) == hash(recipe)
    turned = replace(recipe, models=recipe.models[::-1])
    assert recipe_hash(turned) != recipe_hash(recipe)
    assert len(recipe_hash(recipe)) == 64 and short_hash(recipe) == recipe_hash(recipe)[:12]


def test_defaults_are_part_of_the_hash() -> None:
    short = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.9, 0.8)),))
    spelled = MergeRecipe(
        "zoo:base",
        (DomainModel("zoo:math", (0.9, 0.8), (1.0, 1.0), 1.0),),
        parameters={"strength": 0.08, "ties": "exact"},
    )
    assert short == spelled and recipe_hash(short) == recipe_hash(spelled)


def test_a_setting_newer_than_the_format_is_told_only_where_it_is_set() -> None:
    """So recipes without it keep their text and their hash."""
    recipe = parse_recipe(TEXT)
    assert recipe.settings().scaling == "largest" and "scaling" not in dump_recipe(recipe)
    spelled = parse_recipe(TEXT.replace("ties: exact", "ties: exact, scaling: largest"))
    assert spelled == recipe and recipe_hash(spelled) == recipe_hash(recipe)
    changed = parse_recipe(TEXT.replace("ties: exact", "ties: exact, scaling: mean"))
    assert recipe_hash(changed) != recipe_hash(recipe)
    assert parse_recipe(dump_recipe(changed)) == changed and changed.settings().scaling == "mean"
    prune = Pruning("dppa", {"scaling": "largest"})
    staged = replace(recipe, method="ties", parameters={}, prune=prune)
    assert "scaling" not in dump_recipe(staged)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("seed: 0", "sede: 0", "unknown key 'sede'. Did you mean 'seed'"),
        ("strength: 0.08", "strenght: 0.08", "unknown key 'strenght'. Did you mean 'strength'"),
        ("    coefficient: 1.0", "    coeficient: 1.0", r"models\[0\]: unknown key 'coeficient'"),
        ("{rate: 0.5}", "{rat: 0.5}", "layers.3.mlp.down_proj.*unknown key 'rat'"),
        ("{rate: 0.5}", "{rate: 50}", "override rate must be a number from 0 to 1, got 50"),
        ("levels: [0.8]", "levels: [80]", r"models\[1\].*got 80.*percentage"),
        ("levels: [0.8]", "levels: 0.8", "levels must be a list"),
        ("levels: [0.9, 0.8]", "levels: [0.8, 0.9]", "fall strictly"),
        ("[1.6, 1.0]", "[1.6]", "1 amplification factors.*for 2 levels"),
        ("[1.6, 1.0]", "[-1.6, 1.0]", "amplification must be a number from 0 to 100, got -1.6"),
        ("[1.6, 1.0]", "[.nan, 1.0]", "got nan"),
        ("coefficient: 1.0", "coefficient: high", "coefficient must be a number.*'high'"),
        ("coefficient: 1.0", "coefficient: 99", "from -10 to 10, got 99"),
        ("{0: 0.5, 3: 1}", "{a: 0.5}", "the key 'a'; layers count from 0"),
        ("method: dppa", "method: dpa", "No merge method 'dpa'. Did you mean 'dppa'"),
        ("method: dppa", "method: dare", "unknown key 'strength'"),
        ("strength: 0.08", "strength: 0.8", "strength must be a number from 0 to 0.5, got 0.8"),
        ("strength: 0.08", "strength: '0.08'", "strength must be a number"),
        ("ties: exact", "ties: exactly", "ties must be one of exact, prune, got 'exactly'"),
        ("dtype: bfloat16", "dtype: bf16", "dtype must be one of bfloat16.*got 'bf16'"),
        ("seed: 0", "seed: 1.5", "seed must be a whole number"),
        ("seed: 0", "seed: -1", "seed must be a whole number"),
        ("dppa: 1", "dppa: 2", "dppa must be 1, the version of the format, got 2"),
        ("base: zoo:base", "", "the key 'base' is missing"),
        ("base: zoo:base", "base: 7", "base must be a text such as zoo:math, or a folder, got 7"),
        ("base: zoo:base", "base: zoo:base\nbase: zoo:math", "'base' appears again in line 3"),
        ("models:", "models: 3\nmethods:", "unknown key 'methods'"),
        ("seed: 0", "seed: [0", "not plain YAML"),
        ("seed: 0", "seed: *anchor", "not plain YAML"),
    ],
)
def test_a_mistake_is_named_with_its_place(old: str, new: str, message: str) -> None:
    with pytest.raises(InvalidRecipe, match=message):
        parse_recipe(TEXT.replace(old, new, 1))


@pytest.mark.parametrize("text", ["", "- a\n- b", "dppa", "\x00", "&a [*a]", "{: }"])
def test_what_is_no_recipe_at_all_is_refused(text: str) -> None:
    with pytest.raises(InvalidRecipe):
        parse_recipe(text)


def test_levels_belong_to_methods() -> None:
    text = TEXT[: TEXT.index("method:")]
    with pytest.raises(InvalidRecipe, match="dare drops at random and has one level"):
        parse_recipe(text + "method: dare")
    with pytest.raises(InvalidRecipe, match="task_arithmetic has no pruning rates"):
        parse_recipe(text + "method: task_arithmetic")
    with pytest.raises(
        InvalidRecipe, match=r"`parameters: \{density: 0.2\}`.*or add `prune: dppa`"
    ):
        parse_recipe(text + "method: ties")


def test_a_file_is_named_when_it_cannot_be_read(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(InvalidRecipe, match="nowhere.yaml: cannot be read"):
        load_recipe(tmp_path / "nowhere.yaml")
    (tmp_path / "weights.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(InvalidRecipe, match="weights.yaml: not a text file"):
        load_recipe(tmp_path / "weights.yaml")
    (tmp_path / "bad.yaml").write_text(TEXT.replace("seed", "sede"))
    with pytest.raises(InvalidRecipe, match="bad.yaml: recipe: unknown key 'sede'"):
        load_recipe(tmp_path / "bad.yaml")


JUNK = st.sampled_from(
    [
        "[",
        "{",
        "&a ",
        "*a",
        "? ",
        "- ",
        ": ",
        "!!int ",
        "<<: ",
        "\t",
        "1e999",
        "2001-99-99",
        "0x",
        "~",
    ]
)


@given(st.data())
def test_a_mangled_recipe_is_read_or_refused_but_never_crashes(data: st.DataObject) -> None:
    text = TEXT
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(text)))
        stop = start + data.draw(st.integers(0, 12))
        text = text[:start] + data.draw(JUNK | st.text(max_size=6)) + text[stop:]
    try:
        parse_recipe(text)
    except InvalidRecipe as error:
        assert str(error)


@pytest.mark.parametrize(
    "text",
    [
        "{1: {rate: 0.5}, a: {rate: 0.5}}",
        "{? [a, b] : 1, ? [a, b] : 2}",
        "{a: " + "9" * 400 + "}",
        "{a: " + "9" * 5000 + "}",
        "[" * 5000,
        "{a: 2001-99-99}",
    ],
)
def test_strange_values_are_read_or_refused(text: str) -> None:
    for key in ("overrides", "parameters", "models", "seed", "base"):
        try:
            parse_recipe(f"dppa: 1\nbase: zoo:base\nmodels: [{{model: zoo:math}}]\n{key}: {text}\n")
        except InvalidRecipe as error:
            assert "\n" not in str(error)


def test_what_belongs_to_the_whole_merge_is_alike_for_all_models() -> None:
    scales: tuple[Coefficient, ...] = (
        (PartCoefficient("mlp", 0.5), PartCoefficient(None, 1.0)),
        0.5,
    )
    alike = [DomainModel(name, parameters={"scale": scales[0]}) for name in ("zoo:math", "zoo:law")]
    MergeRecipe("zoo:base", tuple(alike), "ties")
    other = DomainModel("zoo:law", parameters={"scale": scales[1]})
    with pytest.raises(InvalidRecipe, match="zoo:law.*scale is of the whole merge.*zoo:math"):
        MergeRecipe("zoo:base", (alike[0], other), "ties")
    with pytest.raises(InvalidRecipe, match="drop_smallest must be from 0 to 1, got -0.1"):
        MergeRecipe("zoo:base", tuple(alike[:1]), "breadcrumbs", {"drop_smallest": -0.1})
