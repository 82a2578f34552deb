"""Settings that are true or false, in the words of YAML 1.1 and 1.2, quoted or not."""

from dataclasses import fields

import pytest

from dppa_core.methods.registry import METHODS
from dppa_core.recipes.mergekit.import_recipe import import_mergekit
from dppa_core.recipes.mergekit.values import llama_names
from dppa_core.recipes.yaml_text import parse_recipe
from dppa_core.tuning.search.space import parse_parameters

WORDS = ["yes", "on", "true", "True", "YES", "no", "off", "false", "Off"]
SPELLED = [word for plain in WORDS for word in (plain, f"'{plain}'")]
YES_OR_NO = [
    (method.name, item.name)
    for method in METHODS
    for item in fields(method.parameters)
    if set(item.metadata.get("choices", ())) == {"yes", "no"}
]
FLAGS = [
    ("ties", "rescale"),
    ("ties", "normalize"),
    ("ties", "int8_mask"),
    ("dare_linear", "rescale"),
    ("della", "normalize"),
    ("linear", "normalize"),
    ("model_stock", "filter_wise"),
    ("nuslerp", "nuslerp_row_wise"),
    ("nuslerp", "nuslerp_flatten"),
    ("multislerp", "normalize_weights"),
]


def positive(word: str) -> bool:
    return word.strip("'").lower() in ("yes", "on", "true")


@pytest.mark.parametrize("word", SPELLED)
@pytest.mark.parametrize(("method", "name"), YES_OR_NO)
def test_every_reading_of_a_word_is_taken(method: str, name: str, word: str) -> None:
    text = f"dppa: 1\nbase: base\nmodels: [{{model: a}}, {{model: b}}]\nmethod: {method}\n"
    recipe = parse_recipe(f"{text}parameters: {{{name}: {word}}}\n")
    assert getattr(recipe.settings(), name) == ("yes" if positive(word) else "no")


@pytest.mark.parametrize("word", SPELLED)
@pytest.mark.parametrize(("method", "name"), FLAGS)
def test_flags_of_mergekit_are_read_in_every_word(method: str, name: str, word: str) -> None:
    def read(value: str) -> object:
        text = f"merge_method: {method}\nbase_model: base\nmodels: [{{model: a}}, {{model: b}}]\n"
        text += f"parameters: {{weight: 1, density: 0.5, {name}: {value}}}\n"
        return import_mergekit(text, lambda model: llama_names(2)).recipe

    assert read(word) == read("1" if positive(word) else "0")


@pytest.mark.parametrize("word", SPELLED)
def test_a_forced_row_of_a_token_is_read_in_every_word(word: str) -> None:
    ours = "dppa: 1\nbase: base\nmodels: [{model: a}, {model: b}]\nmethod: ties\nvocabulary:\n"
    ours += f"  tokens: {{t: {{source: a, force: {word}}}}}\n"
    assert parse_recipe(ours).token_rows.tokens["t"].force is positive(word)
    theirs = "merge_method: ties\nbase_model: base\nmodels: [{model: a}, {model: b}]\n"
    theirs += (
        f"parameters: {{weight: 1}}\ntokenizer: {{tokens: {{t: {{source: a, force: {word}}}}}}}\n"
    )
    assert import_mergekit(theirs).recipe.token_rows.tokens["t"].force is positive(word)


def test_a_search_reads_the_words_of_its_file() -> None:
    recipe = parse_recipe("dppa: 1\nbase: base\nmodels: [{model: a}, {model: b}]\nmethod: ties\n")
    assert parse_parameters([f"rescale={True},{False}"], recipe)[0].choices == ("yes", "no")
