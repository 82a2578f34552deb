"""Rows that a recipe sets: from another token or model, zeros, means, and padding."""

import json
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.vocabulary.token_rows import TokenRow, TokenRows
from dppa_core.errors import IncompatibleCheckpoints, InvalidRecipe
from dppa_core.merging.inputs import measured_from, open_models, renamed
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.to_pack import pack_models
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash
from tests.helpers.tiny_models import Shape, random_llama
from tests.helpers.vocabularies import SMALL, VOCABULARY_TENSORS, save_words, with_rows

UNTIED = Shape(**{**{k: getattr(SMALL, k) for k in SMALL.__dataclass_fields__}, "tied": False})


def model(folder: Path, words: str, *values: float, dtype: str = "F32", added: str = "") -> str:
    """A model whose tokens have rows of these values in the embedding, and ten times them in the
    head."""
    rows = np.repeat(np.array(values, np.float32)[:, None], 4, axis=1)
    tensors = {
        name: rows * factor for name, factor in zip(VOCABULARY_TENSORS, (1, 10), strict=True)
    }
    save_words(with_rows(random_llama(0, UNTIED), tensors), folder, words, added, dtype)
    return str(folder)


@pytest.fixture
def models(tmp_path: Path) -> tuple[str, str, str]:
    """A base with a b c and a row of padding; a model with b a X; one with a X Y."""
    return (
        model(tmp_path / "base", "abc", 1, 2, 3, 100),
        model(tmp_path / "math", "ba", 20, 10, 9, added="X"),
        model(tmp_path / "law", "a", 1000, 2000, 3000, added="XY"),
    )


def recipe(
    models: tuple[str, ...], vocabulary: str = "base", weight: float = 0.5, **rows: object
) -> MergeRecipe:
    tuned = tuple(DomainModel(name, coefficient=weight) for name in models[1:])
    rules = TokenRows(**rows)  # type: ignore[arg-type]
    return MergeRecipe(
        models[0],
        tuned,
        "task_arithmetic",
        dtype="float32",
        vocabulary=vocabulary,
        token_rows=rules,
    )


def merged(merge_recipe: MergeRecipe) -> list[float]:
    """The first column of the merged embedding; the head must be ten times it."""
    merger, columns = open_merger(merge_recipe), []
    for name in VOCABULARY_TENSORS:
        code, shape, raw = merger.tensor(name)
        columns.append(to_float32(raw, code).reshape(shape)[:, 0])
    np.testing.assert_allclose(columns[1], 10 * columns[0], rtol=1e-6)
    return [round(float(x), 3) for x in columns[0]]


# a: 1 + (10 - 1) / 2 + (1000 - 1) / 2; b: 2 + (20 - 2) / 2; c: 3, as only the base has it
A, B, C = 505.0, 11.0, 3.0


def test_a_row_comes_from_another_token_in_models_that_lack_it(
    models: tuple[str, str, str],
) -> None:
    _, math, law = models
    assert merged(recipe(models)) == [A, B, C, 100]
    tokens = {"c": TokenRow(math, token="X")}  # math and law lack c: their row is 9, the base's 3
    assert merged(recipe(models, tokens=tokens))[2] == 3 + (9 - 3) / 2 + (9 - 3) / 2
    tokens = {"c": TokenRow(law, token_id=2, force=True)}
    assert merged(recipe(models, tokens=tokens))[2] == 3000
    tokens = {"b": TokenRow("zero"), "c": TokenRow("zero", force=True)}
    assert merged(recipe(models, tokens=tokens))[1:3] == [2 + (20 - 2) / 2 + (0 - 2) / 2, 0]
    assert merged(recipe(models, tokens={"a": TokenRow("base", token="none")})) == [A, B, C, 100]


def test_a_row_of_padding_may_be_named_by_its_number(models: tuple[str, str, str]) -> None:
    tokens = {"a": TokenRow("base", token_id=3, force=True)}
    assert merged(recipe(models, tokens=tokens)) == [100, B, C, 100]


def test_a_token_that_no_tokenizer_has_is_added(
    models: tuple[str, str, str], tmp_path: Path
) -> None:
    tokens = {"<new>": TokenRow(models[1], token="X"), "<void>": TokenRow("zero")}
    chosen = recipe(models, vocabulary="union", tokens=tokens)
    union = [A, B, C, *merged(recipe(models, vocabulary="union"))[3:]]
    assert merged(chosen) == [*union, 9, 0]
    out = tmp_path / "out"
    report = merge_to_folder(chosen, out, sync=False)
    assert report.tokenizer == f"union (4 tokens added to {models[0]})"
    assert json.loads((out / "config.json").read_text())["vocab_size"] == 7
    assert SafetensorsCheckpoint(out).shape("lm_head.weight") == (7, 4)
    tokenizer = Tokenizer.from_file(str(out / "tokenizer.json"))
    assert tokenizer.encode("a<new>").ids == [0, 5]
    entries = {e["content"]: e["special"] for e in json.loads(tokenizer.to_str())["added_tokens"]}
    assert entries == {"X": True, "Y": True, "<new>": False, "<void>": False}
    plain = open_merger(recipe(models, tokens=tokens)).inputs.companions()
    assert plain.origins.tokenizer == f"2 tokens added to {models[0]}"


def test_rows_behind_the_tokens_are_their_mean(models: tuple[str, str, str]) -> None:
    assert merged(recipe(models, pad_to_multiple_of=1)) == [A, B, C]  # no padding
    mean = (A + B + C) / 3
    assert merged(recipe(models, pad_to_multiple_of=5)) == [A, B, C, round(mean, 3), round(mean, 3)]
    assert merged(recipe(models, pad_to_multiple_of=3)) == [A, B, C]
    assert open_merger(recipe(models, pad_to_multiple_of=8)).inputs.companions().config[
        "vocab_size"
    ] == 8  # fmt: skip


@pytest.mark.parametrize("pairs", [["a b", "b c"], [["a", "b"], ["b", "c"]]])
def test_tokens_of_the_base_without_a_row_are_taken_out(tmp_path: Path, pairs: object) -> None:
    base, math = (model(tmp_path / name, "abcd", 1, 2, 3) for name in ("base", "math"))
    path = Path(base) / "tokenizer.json"
    value = json.loads(path.read_text())
    vocab = {"a": 0, "b": 1, "ab": 2, "bc": 3}
    value["model"] = {"type": "BPE", "vocab": vocab, "merges": pairs, "unk_token": "a"}
    value["added_tokens"] = [{"id": 4, "content": "X"}]
    path.write_text(json.dumps(value))
    (Path(base) / "added_tokens.json").write_text('{"X": 4}')
    settings = {"added_tokens_decoder": {"4": {"content": "X"}, "0": {"content": "a"}}}
    (Path(base) / "tokenizer_config.json").write_text(json.dumps(settings))
    merger = open_merger(recipe((base, math), pad_to_multiple_of=1))
    files = {n: json.loads(c) for n, c in merger.inputs.companions().files.items() if "json" in n}
    assert files["tokenizer.json"]["model"]["vocab"] == {"a": 0, "b": 1, "ab": 2}
    assert files["tokenizer.json"]["model"]["merges"] == pairs[:1]  # type: ignore[index]
    assert not files["tokenizer.json"]["added_tokens"] and files["added_tokens.json"] == {}
    assert list(files["tokenizer_config.json"]["added_tokens_decoder"]) == ["0"]
    assert merged(merger.recipe)[2] == 3 and merger.inputs.companions().changed
    (note,) = [n for n in merger.inputs.alignment.notes if n.startswith("the base")]
    assert "2 tokens are left out ('bc', 'X')" in note
    assert "X" in json.loads(open_merger(recipe((base, math))).inputs.companions().files[
        "tokenizer.json"])["added_tokens"][0]["content"]  # fmt: skip


def test_a_missing_row_may_be_the_mean_of_the_models_that_have_it(
    models: tuple[str, str, str], tmp_path: Path
) -> None:
    third = model(tmp_path / "third", "bc", 6, 7)
    four = (*models, third)
    # a is missing in the third: the base's 1, or the mean of 10 and 1000
    assert merged(recipe(four))[0] == 1 + (10 - 1) / 2 + (1000 - 1) / 2
    assert merged(recipe(four, lacking="mean"))[0] == 1 + (10 - 1 + 1000 - 1 + 505 - 1) / 2
    # c: only the third has it beside the base
    assert merged(recipe(four, lacking="mean"))[2] == 3 + 3 * (7 - 3) / 2


def test_rows_that_are_set_have_no_delta_whatever_the_dtypes(tmp_path: Path) -> None:
    base = model(tmp_path / "base", "abc", 1, 2, 3, dtype="BF16")
    math = model(tmp_path / "math", "ab", 1.001, 7, dtype="F32")
    chosen = recipe((base, math), tokens={"c": TokenRow(math, token="a", force=True)})
    assert merged(chosen)[2] == pytest.approx(1.001)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (TokenRow("base"), "'X': source base has no row for the token 'X'; 2 of the 3 models"),
        (TokenRow("base", token="Q"), "no row for the token 'Q'; 0 of the 3 models have one"),
        (TokenRow("base", token_id=4), "token_id 4 is beyond its 4 rows"),
    ],
)
def test_a_row_that_nobody_has_is_refused(
    models: tuple[str, str, str], row: TokenRow, message: str
) -> None:
    with pytest.raises(IncompatibleCheckpoints, match=message):
        open_merger(recipe(models, vocabulary="union", tokens={"X": row}))


def test_rows_need_the_base_s_tokenizer(models: tuple[str, str, str]) -> None:
    (Path(models[0]) / "tokenizer.json").unlink()
    for name in models[1:]:
        (Path(name) / "tokenizer.json").unlink()
    same = (models[0], models[0])
    with pytest.raises(IncompatibleCheckpoints, match="vocabulary: the base has no embedd"):
        open_merger(recipe(same, pad_to_multiple_of=8))


def test_rules_are_part_of_the_recipe_and_of_what_is_measured(
    models: tuple[str, str, str], tmp_path: Path
) -> None:
    plain = recipe(models)
    chosen = recipe(models, tokens={"c": TokenRow(models[1], token="X")})
    assert plain.keeps_vocabulary and not chosen.keeps_vocabulary
    assert recipe_hash(plain) != recipe_hash(chosen) and hash(plain) != hash(chosen)
    opened = open_models(plain)[1]
    assert measured_from(plain, opened) != measured_from(chosen, opened)
    moved = renamed(chosen, {models[1]: "./elsewhere"})
    assert moved.token_rows.tokens["c"].source == "./elsewhere"
    with pytest.raises(InvalidRecipe, match="its vocabulary is the base's|row by row"):
        pack_models(chosen, tmp_path / "packs")
