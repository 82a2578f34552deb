"""Invalid recipes: one clear line each; valid ones have one meaning only."""

import os
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dppa_core.errors import InvalidRecipe
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    Override,
    dump_recipe,
    load_recipe,
    parse_recipe,
    recipe_hash,
)
from tests.helpers.cases import examples

HEAD = "dppa: 1\nbase: zoo:base\n"
TEXT = HEAD + "models: [{model: zoo:math}]\n"
LONG = "x" * 50_000


def refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRecipe, match=message) as caught:
        parse_recipe(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "!!python/object/apply:os.system ['touch /tmp/dppa-tag']",
            r"a tag .*os.system\) in line 4",
        ),
        ("!!python/name:os.system ''", "a tag"),
        ("!foo 3", "a tag .!foo. in line 4; leave it out"),
        ("! 3", "a tag"),
        ("!!bool perhaps", "a tag"),
        ("!!timestamp never", "a tag"),
        ("!!int 3", "a tag"),
        ("*name", "an alias .*in line 4"),
        ("9" * 5000, "a number of 5000 digits in line 4"),
        ("0x_", "not plain YAML: invalid literal"),
        ("1.0e+400", "from 0 to 2..64 - 1, got inf"),
        (".nan", "got nan"),
        ("2001-99-99", "got '2001-99-99'"),
        (str(2**64), "got 18446744073709551616"),
        ("true", "got True"),
        ("[" * 5000, "more than 20 levels in line 4"),
        ("{a: " * 5000, "more than 20 levels in line 4"),
        (LONG, "xx…xx"),
        ("3\n---\n" + TEXT, "another document in line 5"),
    ],
)
def test_a_seed_that_is_none(text: str, message: str) -> None:
    refused(f"{TEXT}seed: {text}\n", message)
    assert not Path("/tmp/dppa-tag").exists()


@pytest.mark.parametrize("key", ["parameters", "overrides"])
@pytest.mark.parametrize("value", ["", "null", "[]", "0", "''", "false", "3", "[a]"])
def test_what_is_no_mapping_is_refused_even_where_it_is_empty(key: str, value: str) -> None:
    refused(f"{TEXT}{key}: {value}\n", f"{key} must.*got")
    assert parse_recipe(f"{TEXT}{key}: {{}}\n") == parse_recipe(TEXT)


@pytest.mark.parametrize("key", ["method", "dtype"])
@pytest.mark.parametrize("value", ["", "null", "[]", "0", "false", "{}"])
def test_a_name_that_is_no_text(key: str, value: str) -> None:
    refused(f"{TEXT}{key}: {value}\n", f"{key} must be a text such as")


@pytest.mark.parametrize("version", ["true", "1.0", "'1'", "null", "2", "[1]"])
def test_a_version_that_is_not_1(version: str) -> None:
    refused(TEXT.replace("dppa: 1", f"dppa: {version}"), "dppa must be 1, the version")


def test_merge_keys_are_refused_wherever_they_stand() -> None:
    refused(TEXT + "<<: {seed: 3}\n", "a merge key .<<. in line 4; write the keys out")
    refused(HEAD + "models: [{<<: {model: zoo:math}}]\n", "a merge key")
    refused(TEXT + "overrides: {a: {<<: {rate: 0.5}}}\n", "a merge key")


@pytest.mark.parametrize(
    ("keys", "key"),
    [("1: 0.5, 0x1: 0.7", "1"), ("1: 0.5, 1.0: 0.7", "1.0"), ("true: 0.5, 1: 0.7", "1")],
)
def test_keys_that_are_equal_are_the_same_key(keys: str, key: str) -> None:
    text = f"{HEAD}models: [{{model: zoo:math, coefficient: {{{keys}}}}}]\n"
    refused(text, f"the key {key} appears again in line 3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("? [a, b]\n: {rate: 0.5}", "a key that is neither text nor number"),
        ("? {a: b}\n: {rate: 0.5}", "a key that is neither text nor number"),
        ("3: {rate: 0.5}", "a module name is a text, got 3"),
        ("null: {rate: 0.5}", "a key that is neither text nor number"),
        ("a: {rate: true}", "rate must be a number from 0 to 1, got True"),
        ("a: {rate: .nan}", "got nan"),
        ("a: {rate: -.inf}", "got -inf"),
        ("a: 0.5", "'a' must be {rate: NUMBER}, got 0.5"),
        ("a: {}", "got None"),
    ],
)
def test_an_override_that_is_none(text: str, message: str) -> None:
    refused(f"{TEXT}overrides:\n  " + text.replace("\n", "\n  ") + "\n", message)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("base", f"'{LONG}'", "base has 50000 characters; no path has more than 4096"),
        ("base", '"a\\0b"', r"base holds a character that cannot be printed: 'a\\x00b'"),
        ("base", '"a\\nb"', "cannot be printed"),
        ("base", "7", "base must be a text such as zoo:math, or a folder, got 7"),
        ("base", "' '", "base must be a text"),
        ("models", LONG, "models must be a list, got 'xx"),
        ("models", f"[{LONG}]", r"models\[0\] must be a mapping.*'xx"),
        ("models", f"[{{model: {LONG}}}]", "model has 50000 characters"),
        ("models", "[{model: 3}]", "model must be a text such as zoo:math, or a folder, got 3"),
        ("models", "[]", "models is empty"),
        ("method", LONG, "No merge method 'xx.*…"),
        ("dtype", LONG, "dtype must be one of .*…"),
        ("parameters", f"{{ties: {LONG}}}", "ties must be one of .*…"),
        ("parameters", f"{{? {LONG}\n: 3}}", "unknown key 'xx.*…"),
        ("metod", "dppa", "unknown key 'metod'. Did you mean 'method'"),
    ],
)
def test_a_value_from_outside_is_shown_shortened(key: str, value: str, message: str) -> None:
    lines = [line for line in TEXT.splitlines() if not line.startswith(f"{key}:")]
    refused("\n".join([*lines, f"{key}: {value}"]) + "\n", message)


@pytest.mark.parametrize("key", ["levels", "amplification", "coefficient"])
@pytest.mark.parametrize("value", ["", "[]", "''", "false", "[.nan]", "[.inf]", "[true]", "['1']"])
def test_numbers_of_a_model_that_are_none(key: str, value: str) -> None:
    refused(f"{HEAD}models:\n  - model: zoo:math\n    {key}: {value}\n", "must be|factors")


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"dppa: 1 # \xe9")
    (tmp_path / "utf16").write_bytes(TEXT.encode("utf-16"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with (tmp_path / "weights").open("wb") as file:
        file.truncate(1 << 30)
    for name, message in (
        ("latin", "latin: not a text file"),
        ("utf16", "utf16: not a text file"),
        ("loop", "loop: cannot be read .*symbolic links"),
        ("weights", "weights: The file is larger than 400000 bytes"),
        ("", "cannot be read .not a regular file, but a folder"),
        ("a\0b", r"a\\x00b: cannot be read .embedded null byte"),
        ("x" * 5000, "xx…xx.*: cannot be read .File name too long"),
    ):
        with pytest.raises(InvalidRecipe, match=message) as caught:
            load_recipe(tmp_path / name)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 700


def test_a_recipe_may_come_through_a_pipe_and_begin_with_a_byte_order_mark() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"\xef\xbb\xbf" + TEXT.encode())
    os.close(writing)
    assert load_recipe(f"/dev/fd/{reading}") == parse_recipe(TEXT)
    os.close(reading)


def test_the_hash_does_not_see_how_numbers_are_written() -> None:
    def recipe(zero: float, unit: float) -> MergeRecipe:
        model = DomainModel(" zoo:math ", (0.5, zero), (unit, zero), {1: zero})
        rates = {"a": Override(zero)}
        return MergeRecipe("zoo:base", (model,), "dppa", {"k_layer": unit}, rates)

    assert len({recipe_hash(recipe(zero, 1)) for zero in (0, 0.0, -0.0)}) == 1
    assert len({recipe_hash(recipe(0, unit)) for unit in (1, 1.0)}) == 1
    assert recipe(-0.0, 1).models[0].model == "zoo:math"
    signed, plain = (
        parse_recipe(f"{HEAD}models: [{{model: zoo:math, coefficient: {number}}}]\n")
        for number in ("-0.0", "0")
    )
    assert recipe_hash(signed) == recipe_hash(plain) and dump_recipe(signed) == dump_recipe(plain)


WORDS = st.sampled_from(
    "dppa base models model levels amplification coefficient method parameters overrides seed "
    "dtype rate zoo:base zoo:math bfloat16 magnitude strength ties exact k_layer 1 0.5".split()
)
SCALARS = (
    WORDS
    | st.text(max_size=5)
    | st.integers(-2, 3)
    | st.integers()
    | st.floats()
    | st.booleans()
    | st.none()
    | st.binary(max_size=3)
    | st.dates()
)
KEYS = WORDS | st.integers(-1, 3) | st.floats() | st.booleans() | st.none() | st.text(max_size=3)
TREES = st.recursive(
    SCALARS, lambda t: st.lists(t, max_size=3) | st.dictionaries(KEYS, t, max_size=3), max_leaves=8
)
MODELS = st.fixed_dictionaries(
    {"model": WORDS},
    optional={"levels": TREES, "amplification": TREES, "coefficient": TREES},
)
RECIPES = st.fixed_dictionaries(
    {"dppa": st.just(1), "base": st.just("zoo:base"), "models": st.lists(MODELS, max_size=2)},
    optional={
        "method": WORDS,
        "parameters": TREES,
        "overrides": TREES,
        "seed": TREES,
        "dtype": WORDS,
    },
)


@settings(max_examples=examples(300))
@given(RECIPES | TREES | st.dictionaries(WORDS, TREES), st.booleans())
def test_any_tree_is_a_recipe_or_refused_in_one_line(tree: object, flow: bool) -> None:
    text = yaml.dump(tree, default_flow_style=flow, allow_unicode=True)
    try:
        recipe = parse_recipe(text)
    except InvalidRecipe as error:
        assert "\n" not in str(error) and len(str(error)) < 700
    else:
        again = parse_recipe(dump_recipe(recipe))
        assert again == recipe and recipe_hash(again) == recipe_hash(recipe)
