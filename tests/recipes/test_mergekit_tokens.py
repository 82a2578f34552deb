"""Whose tokens, rows and chat template a merge has, in mergekit's recipes and ours."""

from typing import Any

import pytest
import yaml

from dppa_core.checkpoints.vocabulary.chat_templates import FORMATS
from dppa_core.checkpoints.vocabulary.token_rows import TokenRow, TokenRows
from dppa_core.errors import InvalidRecipe
from dppa_core.recipes.mergekit.exporting.export import Exported, export_mergekit
from dppa_core.recipes.mergekit.import_recipe import Imported, import_mergekit
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, dump_recipe, parse_recipe

LITERAL = "{% for m in messages %}{{ m['content'] }}\n{% endfor %}\n"
TOKENS = {
    "<a>": TokenRow("./math", force=True),
    "<b>": TokenRow("zero"),
    "<c>": TokenRow("base", token="</s>"),
    "<d>": TokenRow("./law", token_id=7),
}


def imported(
    rest: str, method: str = "task_arithmetic", base: str = "base_model: base"
) -> Imported:
    listed = "models: [{model: ./math}, {model: ./law}]\nparameters: {weight: 1}"
    return import_mergekit(f"merge_method: {method}\n{base}\n{listed}\ndtype: float32\n{rest}\n")


def exported(**settings: Any) -> Exported:
    models = (DomainModel("./math"), DomainModel("./law"))
    recipe = MergeRecipe("base", models, "task_arithmetic", dtype="float32", **settings)
    return export_mergekit(recipe)


@pytest.mark.parametrize("key", ["tokenizer_source: {}", "tokenizer: {{source: {}}}"])
@pytest.mark.parametrize("source", ["base", "union", "./math"])
def test_a_tokenizer_s_source_has_the_rows_of_its_tokens(key: str, source: str) -> None:
    read = imported(key.format(source))
    assert read.recipe.vocabulary == source and not read.notes
    assert read.recipe.token_rows == TokenRows(pad_to_multiple_of=1)
    assert parse_recipe(dump_recipe(read.recipe)) == read.recipe
    back = export_mergekit(read.recipe)
    assert yaml.safe_load(back.text)["tokenizer_source"] == source and not back.notes
    assert imported("").recipe.keeps_vocabulary
    assert imported("tokenizer: {}").recipe.vocabulary == "union"


def test_rows_of_single_tokens_come_and_go() -> None:
    text = """
tokenizer:
  source: ./math
  pad_to_multiple_of: 64
  tokens:
    "<a>": {source: ./math, force: true}
    "<b>": {source: {kind: zero}}
    "<c>": {source: {kind: model_token, model: base, token: "</s>"}}
    "<d>": {source: {kind: model_token, model: {model: {path: ./law}}, token_id: 7}}
    "<e>": {}
"""
    read = imported(text)
    assert read.recipe.token_rows == TokenRows(TOKENS, 64)
    (note,) = read.notes
    assert "'<e>' has no source" in note
    assert parse_recipe(dump_recipe(read.recipe)) == read.recipe
    back = yaml.safe_load(export_mergekit(read.recipe).text)["tokenizer"]
    expected = yaml.safe_load(text)["tokenizer"]
    del expected["tokens"]["<e>"]
    expected["tokens"]["<d>"]["source"]["model"] = "./law"
    assert back == expected
    assert imported('tokenizer: {tokens: {"<b>": {source: zero}}}').recipe.token_rows.tokens == {
        "<b>": TokenRow("zero")
    }


def test_without_a_base_missing_rows_are_a_mean() -> None:
    read = imported("tokenizer_source: union", "linear", "")
    assert read.recipe.token_rows == TokenRows(pad_to_multiple_of=1, lacking="mean")
    assert "no base_model" in read.notes[0]
    back = export_mergekit(read.recipe)
    assert yaml.safe_load(back.text)["tokenizer_source"] == "union" and not back.notes
    owned = imported("tokenizer_source: base", "linear", "").recipe
    assert yaml.safe_load(export_mergekit(owned).text)["tokenizer_source"] == "./math"


def test_what_mergekit_has_otherwise_is_said() -> None:
    assert "rows without a token" in " ".join(exported(vocabulary="union").notes)
    mean = exported(token_rows=TokenRows(pad_to_multiple_of=1, lacking="mean"))
    assert "row of a token that some models lack is the base's" in " ".join(mean.notes)
    for template in ("none", "./law", "{x}"):
        assert "template of the tokenizer's model" in exported(chat_template=template).notes[-1]
    left_out = imported("tokenizer_source: else").notes
    assert "'else' is left out" in left_out[0] and "not on this disk" in left_out[0]
    ignored = imported("tokenizer: {source: base, pad: 64}").notes
    assert "Ignored by mergekit too: pad" in ignored[0]


def test_a_tokenizer_of_a_model_that_is_not_merged_is_taken_if_it_is_here() -> None:
    text = "merge_method: linear\nmodels: [{model: ./a, parameters: {weight: 1}}]\n"
    here = {"else": ("lm_head.weight",)}
    read = import_mergekit(f"{text}tokenizer_source: else\n", lambda name: here.get(name, ()))
    assert read.recipe.vocabulary == "./else" and not any("left out" in n for n in read.notes)
    assert parse_recipe(dump_recipe(read.recipe)) == read.recipe
    assert yaml.safe_load(export_mergekit(read.recipe).text)["tokenizer_source"] == "./else"


def test_a_union_over_a_stack_says_which_tokens_the_stack_has() -> None:
    text = """
merge_method: passthrough
slices: [{sources: [{model: a, layer_range: [0, 1]}]}, {sources: [{model: b, layer_range: [1, 2]}]}]
base_model: a
tokenizer_source: """
    said = {source: import_mergekit(text + source).notes for source in ("base", "union")}
    assert not any("first model" in note for note in said["base"])
    assert any("tokens of its first model" in note for note in said["union"])


def test_a_folder_named_as_a_word_of_mergekit_is_written_as_a_path() -> None:
    model = DomainModel("stack:base[0:1],./math[0:1]")
    recipe = MergeRecipe(model.model, (model,), "passthrough", token_rows=TokenRows({}, 1))
    assert yaml.safe_load(export_mergekit(recipe).text)["tokenizer_source"] == "./base"


def test_all_wrong_tokens_are_named_at_once() -> None:
    text = """
tokenizer:
  pad_to_multiple_of: 99999999
  tokens: {a: {source: other}, b: [], c: {source: {kind: model_token, model: base}}}
"""
    with pytest.raises(InvalidRecipe) as error:
        imported(text)
    for part in ("'other' is none of the recipe's models (./math, ./law, base)", "'b' must be a"):
        assert part in str(error.value)
    assert "one of 'token' and 'token_id'" in str(error.value)
    assert "pad_to_multiple_of must be 1 to 65536" in str(error.value)
    with pytest.raises(InvalidRecipe, match="pad_to_multiple_of must be a whole number, got 'x'"):
        imported("tokenizer: {pad_to_multiple_of: x}")
    with pytest.raises(InvalidRecipe, match="tokens must map tokens to sources"):
        imported("tokenizer: {tokens: [a]}")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        *((name, name) for name in FORMATS if not name.startswith("llama3")),
        ("llama3", "llama3-mergekit"),
        ("auto", "common"),
        (LITERAL, LITERAL),
    ],
)
def test_every_template_of_mergekit_comes_and_goes(theirs: str, ours: str) -> None:
    read = imported(yaml.safe_dump({"chat_template": theirs}))
    assert read.recipe.chat_template == ours and not read.notes
    assert parse_recipe(dump_recipe(read.recipe)) == read.recipe
    back = export_mergekit(read.recipe)
    assert yaml.safe_load(back.text)["chat_template"] == theirs and not back.notes


def test_a_template_that_no_key_names_is_the_tokenizer_s_own() -> None:
    assert imported("").recipe.chat_template == "auto"
    assert imported("tokenizer_source: union").recipe.chat_template == "auto"
    owned = imported("tokenizer_source: ./law").recipe
    assert owned.chat_template == "./law"
    assert "chat_template" not in export_mergekit(owned).text
    assert imported("chat_template: none").recipe.chat_template == "none"
    assert imported("chat_template: ./math").recipe.chat_template == "./math"
    assert "'chatmll' is left out" in imported("chat_template: chatmll").notes[0]
    assert exported(chat_template="llama3").text.count("start_header_id") > 1  # Llama 3's own


@pytest.mark.parametrize(
    ("vocabulary", "message"),
    [
        ("{source: else}", "vocabulary must be base, union"),
        ("{rows: 7}", "unknown key"),
        ("{pad_to_multiple_of: 0}", "pad_to_multiple_of must be 1 to 65536"),
        ("{pad_to_multiple_of: 8.0}", "must be a whole number, got 8.0"),
        ("{lacking: zero}", "lacking must be base or mean"),
        ("{tokens: {1: base}}", "tokens must map tokens to sources"),
        ("{tokens: {x: ./else}}", "'x': source must be base, zero, or one of the models"),
        ("{tokens: {x: {}}}", "'x': source must be base, zero, or a model, got ''"),
        ("{tokens: {x: {source: base, token: a, token_id: 1}}}", "name the row by one of them"),
        ("{tokens: {x: {source: zero, token: a}}}", "source zero has no token"),
        ("{tokens: {x: {source: base, token_id: -1}}}", "token_id must be a row from 0"),
        ("{tokens: {x: {source: base, token_id: true}}}", "token_id must be a whole number"),
        ("{tokens: {x: {source: base, force: 1}}}", "force must be true or false"),
    ],
)
def test_wrong_rows_of_a_recipe_are_refused(vocabulary: str, message: str) -> None:
    text = f"dppa: 1\nbase: zoo:base\nmodels: [{{model: zoo:math}}]\nvocabulary: {vocabulary}\n"
    with pytest.raises(InvalidRecipe, match=message):
        parse_recipe(text)


def test_a_source_may_be_an_index_or_stand_alone() -> None:
    text = "dppa: 1\nbase: zoo:base\nmodels: [{model: zoo:math}]\n"
    rows = "vocabulary: {tokens: {a: 0, b: {source: 0}, c: zoo:base, d: zero}}\n"
    tokens = parse_recipe(text + rows).token_rows.tokens
    assert [row.source for row in tokens.values()] == ["zoo:math", "zoo:math", "base", "zero"]
