"""Rows of embedding and head are matched by token text, never by token number."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer

from dppa_core.checkpoints.aligned_checkpoint import AlignedCheckpoint
from dppa_core.checkpoints.checkpoint import SafetensorsCheckpoint
from dppa_core.checkpoints.vocabulary import alignment
from dppa_core.checkpoints.vocabulary.tokenizer_files import tokenizer_folder
from dppa_core.errors import IncompatibleCheckpoints, InvalidRecipe, NotAllowed
from dppa_core.merging.merger import open_merger
from dppa_core.merging.to_folder import MergeReport, merge_to_folder
from dppa_core.profiling.profile import cached_profile
from dppa_core.pruning.floats import to_float32
from dppa_core.recipes.yaml_text import (
    DomainModel,
    MergeRecipe,
    dump_recipe,
    parse_recipe,
    recipe_hash,
    short_hash,
)
from tests.helpers.tiny_models import Shape, TinyLlama, random_llama, tuned_llama
from tests.helpers.vocabularies import SMALL, save_words, shuffled, with_rows, write_words

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
BASE = random_llama(0, SMALL)


def rows(*values: float) -> np.ndarray:
    """One row for each value, filled with it."""
    return np.repeat(np.array(values, np.float32)[:, None], 4, axis=1)


def model(folder: Path, words: str, *values: float, added: Sequence[str] = ()) -> str:
    """A model whose tokens (letters of `words`, then `added`) have rows of these values."""
    save_words(with_rows(BASE, {EMBEDDING: rows(*values)}), folder, tuple(words), added)
    return str(folder)


def recipe(base: str, *models: str, weight: float = 1.0, vocabulary: str = "base") -> MergeRecipe:
    tuned = tuple(DomainModel(reference, (0.0,), coefficient=weight) for reference in models)
    return MergeRecipe(base, tuned, "task_arithmetic", dtype="float32", vocabulary=vocabulary)


def merged(merge_recipe: MergeRecipe) -> list[float]:
    """The first column of the merged embedding."""
    merger = open_merger(merge_recipe)
    code, shape, raw = merger.tensor(EMBEDDING)
    return [float(x) for x in to_float32(raw, code).reshape(shape)[:, 0]]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """A base with tokens a b c, and a model with b a [X]."""
    return (
        model(tmp_path / "base", "abc", 1, 2, 3),
        model(tmp_path / "math", "ba", 20, 10, 9, added=["[X]"]),
    )


def test_the_base_s_vocabulary_takes_what_is_shared_and_leaves_out_the_rest(
    pair: tuple[str, str],
) -> None:
    assert merged(recipe(*pair)) == [10, 20, 3]
    assert merged(recipe(*pair, weight=0.5)) == [5.5, 11, 3]


def test_a_union_adds_tokens_behind_the_base_s_in_the_row_of_the_model_that_has_them(
    pair: tuple[str, str],
) -> None:
    assert merged(recipe(*pair, vocabulary="union")) == [10, 20, 3, 9]
    assert merged(recipe(*pair, weight=0.5, vocabulary="union")) == [5.5, 11, 3, 9]


def test_a_model_s_own_vocabulary_has_its_rows(pair: tuple[str, str]) -> None:
    assert merged(recipe(*pair, vocabulary=pair[1])) == [20, 10, 9]
    assert merged(recipe(*pair, weight=0.5, vocabulary=pair[1])) == [11, 5.5, 9]


def test_a_token_of_two_models_begins_as_their_mean(pair: tuple[str, str], tmp_path: Path) -> None:
    law = model(tmp_path / "law", "abc", 1, 2, 4, 5, added=["[X]"])
    both = recipe(*pair, law, vocabulary="union")
    assert merged(both) == [10, 20, 4, 7 + (9 - 7) + (5 - 7)]
    weights = (1.0, 0.25)
    models = tuple(
        DomainModel(tuned.model, (0.0,), coefficient=weight)
        for tuned, weight in zip(both.models, weights, strict=True)
    )
    uneven = MergeRecipe(pair[0], models, "task_arithmetic", dtype="float32", vocabulary="union")
    assert merged(uneven) == [10, 20, 3.25, 7 + (9 - 7) + 0.25 * (5 - 7)]
    third = model(tmp_path / "finance", "abc", 1, 2, 3)
    assert merged(recipe(*pair, third, vocabulary="union")) == [10, 20, 3, 9]


def test_rows_without_a_token_are_padding_and_stay_the_base_s(tmp_path: Path) -> None:
    base = model(tmp_path / "base", "abc", 1, 2, 3, 100, 200)
    short = model(tmp_path / "short", "abc", 5, 6, 7)
    long = model(tmp_path / "long", "abc", 5, 6, 7, 300, 400, 500, 600)
    for tuned in (short, long):
        assert merged(recipe(base, tuned)) == [5, 6, 7, 100, 200]
        (note,) = open_merger(recipe(base, tuned)).inputs.alignment.notes
        assert "the same tokens in" in note and "padding" in note
    assert merged(recipe(base, long, vocabulary=long)) == [5, 6, 7, 300, 400, 500, 600]


def test_new_tokens_of_a_union_take_the_padding_first(tmp_path: Path) -> None:
    base = model(tmp_path / "base", "abc", 1, 2, 3, 100, 200)
    math = model(tmp_path / "math", "abc", 1, 2, 3, 8, 9, added=["[X]"])
    assert merged(recipe(base, math, vocabulary="union")) == [1, 2, 3, 8, 200]
    added = [f"[{n}]" for n in range(4)]
    many = model(tmp_path / "many", "abc", 1, 2, 3, 4, 5, 6, 7, added=added)
    assert merged(recipe(base, many, vocabulary="union")) == [1, 2, 3, 4, 5, 6, 7]


def test_a_token_beyond_the_embedding_has_no_row(tmp_path: Path) -> None:
    base = model(tmp_path / "base", "abc", 1, 2, 3)
    math = model(tmp_path / "math", "abc", 4, 5, 6, added=["[PAD]"])  # never resized
    for vocabulary in ("base", "union"):
        assert merged(recipe(base, math, vocabulary=vocabulary)) == [4, 5, 6]


def test_models_of_one_vocabulary_are_left_alone(tmp_path: Path) -> None:
    base, math = (
        model(tmp_path / name, "abc", *v) for name, v in (("b", (1, 2, 3)), ("m", (4, 5, 6)))
    )
    for vocabulary in ("base", "union", math):
        merger = open_merger(recipe(base, math, vocabulary=vocabulary))
        assert not any(
            isinstance(checkpoint, AlignedCheckpoint)
            for checkpoint in (merger.base, *merger.inputs.tuned)
        )
        assert merger.inputs.alignment.notes == () or vocabulary == math


def test_tokens_decide_not_what_else_a_tokenizer_file_says(tmp_path: Path) -> None:
    base = model(tmp_path / "base", "abc", 1, 2, 3, 100)
    math = model(tmp_path / "math", "ab", 4, 5, 6, 300, added=["c"])  # the same rows, c added
    assert open_merger(recipe(base, math)).inputs.alignment.target is None
    assert merged(recipe(base, math)) == [4, 5, 6, 300]


def test_tokenizers_that_are_the_same_files_are_not_even_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, math = (model(tmp_path / n, "abc", *v) for n, v in (("b", (1, 2, 3)), ("m", (4, 5, 6))))
    monkeypatch.setattr(alignment, "read_vocabulary", None)  # large ones take half a second
    assert merged(recipe(base, math)) == [4, 5, 6]


def test_what_was_matched_is_said_with_counts_and_examples(pair: tuple[str, str]) -> None:
    base, math = pair
    extra, lacks, moved = open_merger(recipe(*pair)).inputs.alignment.notes
    assert extra == (
        f"{math}: 1 of its tokens is not in the merged vocabulary ('[X]') and left out; "
        "`vocabulary: union` keeps them."
    )
    assert lacks == f"{math}: it lacks 1 token ('c'): what the merge has there is left as it is."
    assert moved == (f"{math}: 2 tokens stand in other rows ('a', 'b'), matched by their text.")
    notes = open_merger(recipe(*pair, vocabulary=math)).inputs.alignment.notes
    assert notes[0] == f"vocabulary {math}: 3 tokens, 3 rows; 1 the base lacks ('[X]')"
    assert notes[-1] == "the base: 1 token is left out ('c')."
    notes = open_merger(recipe(*pair, vocabulary="union")).inputs.alignment.notes
    assert notes[0] == "vocabulary union: 4 tokens, 4 rows; 1 the base lacks ('[X]')"


@pytest.mark.cases(3)
@pytest.mark.parametrize("tied", [True, False])
@pytest.mark.parametrize(
    ("method", "parameters", "levels"),
    [
        ("dppa", {"other_tensors": "prune"}, (0.9, 0.6)),
        ("dppa", {"other_tensors": "keep"}, (0.8,)),
        ("ties", {"density": 0.4}, (0.0,)),
        ("dare", {}, (0.5,)),
    ],
)
def test_the_order_of_a_model_s_tokens_makes_no_difference(
    tmp_path: Path,
    tied: bool,
    method: str,
    parameters: dict[str, object],
    levels: tuple[float, ...],
) -> None:
    """For any number of workers, any sharding, and both backends, byte for byte."""
    base = random_llama(0, Shape(tied=tied))
    math, law = tuned_llama(base, 1), tuned_llama(base, 2)
    root = {"base": base, "math": math, "law": law}
    for name, llama in root.items():
        llama.save(tmp_path / "plain" / name)
    base.save(tmp_path / "other" / "base")
    shuffled(math, tmp_path / "other" / "math", 3)
    shuffled(law, tmp_path / "other" / "law", 4)

    def run(folder_name: str, out: str, **settings: object) -> MergeReport:
        folder = tmp_path / folder_name
        # Random drops are seeded by the reference: both runs must call their models the same.
        models = tuple(DomainModel(name, levels) for name in ("./math", "./law"))
        merge_recipe = MergeRecipe("./base", models, method, parameters)
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            return merge_to_folder(merge_recipe, tmp_path / out, sync=False, **settings)  # type: ignore[arg-type]

    expected = run("plain", "one", workers=1)
    for number, settings in enumerate(
        ({"workers": 1}, {"workers": 3}, {"backend": "torch", "workers": 2})
    ):
        report = run("other", f"two{number}", **settings)
        assert report.sha256 == expected.sha256
        assert any("stand in other rows" in warning for warning in report.warnings)
    run("other", "shards", workers=2, shard_size=20_000)
    whole, parts = (SafetensorsCheckpoint(tmp_path / name) for name in ("one", "shards"))
    for name in whole.names():
        np.testing.assert_array_equal(whole.raw(name), parts.raw(name))


def test_profiles_of_shuffled_models_are_the_same(tmp_path: Path) -> None:
    base = random_llama(0)
    math = tuned_llama(base, 1)
    base.save(tmp_path / "base")
    math.save(tmp_path / "math")
    shuffled(math, tmp_path / "other", 3)
    ordered, reordered = (
        cached_profile(str(tmp_path / "base"), str(tmp_path / n)) for n in ("math", "other")
    )
    assert ordered.other_tensors == reordered.other_tensors
    for profile, other_profile in zip(ordered.modules, reordered.modules, strict=True):
        np.testing.assert_array_equal(profile.counts, other_profile.counts)


@pytest.mark.parametrize("dtypes", [("BF16", "F32"), ("F32", "BF16"), ("F16", "BF16")])
def test_rows_a_model_lacks_have_no_delta_whatever_the_dtypes(
    tmp_path: Path, dtypes: tuple[str, str]
) -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(5, 4)).astype(np.float32)
    base = with_rows(BASE, {EMBEDDING: values})
    save_words(base, tmp_path / "base", "abcde", dtype=dtypes[0])
    save_words(
        with_rows(BASE, {EMBEDDING: 2 * values[:3]}), tmp_path / "math", "cba", dtype=dtypes[1]
    )
    merger = open_merger(recipe(str(tmp_path / "base"), str(tmp_path / "math")))
    pair = merger.base, merger.inputs.tuned[0]
    base_rows, math_rows = (
        to_float32(checkpoint.raw(EMBEDDING), checkpoint.dtype(EMBEDDING)) for checkpoint in pair
    )
    np.testing.assert_array_equal(base_rows.reshape(5, 4)[3:], math_rows.reshape(5, 4)[3:])
    assert (base_rows.reshape(5, 4)[:3] != math_rows.reshape(5, 4)[:3]).any()


def test_a_head_of_its_own_is_matched_as_the_embedding_is(tmp_path: Path) -> None:
    untied = random_llama(0, Shape(**{**_fields(SMALL), "tied": False}))
    base = with_rows(untied, {EMBEDDING: rows(1, 2, 3), HEAD: rows(4, 5, 6)})
    math = with_rows(untied, {EMBEDDING: rows(20, 10), HEAD: rows(50, 40)})
    save_words(base, tmp_path / "base", "abc")
    save_words(math, tmp_path / "math", "ba")
    merger = open_merger(recipe(str(tmp_path / "base"), str(tmp_path / "math")))
    assert list(merger.tensor(EMBEDDING)[2][::4]) == [10, 20, 3]
    assert list(merger.tensor(HEAD)[2][::4]) == [40, 50, 6]


def test_tied_models_stay_tied_where_one_stores_its_head(tmp_path: Path) -> None:
    base = TinyLlama(BASE.shape, {**BASE.arrays, EMBEDDING: rows(1, 2, 3), HEAD: rows(1, 2, 3)})
    save_words(base, tmp_path / "base", "abc")
    model(tmp_path / "math", "ba", 20, 10, 9, added=["[X]"])
    union_recipe = recipe(str(tmp_path / "base"), str(tmp_path / "math"), vocabulary="union")
    merger = open_merger(union_recipe)
    assert merger.inputs.twins == {HEAD: EMBEDDING}
    for name in (HEAD, EMBEDDING):
        assert list(merger.tensor(name)[2][::4]) == [10, 20, 3, 9]


def _fields(shape: Shape) -> dict[str, object]:
    return {name: getattr(shape, name) for name in Shape.__dataclass_fields__}


def test_an_adapter_s_tokenizer_counts_before_its_base_s(tmp_path: Path) -> None:
    base, adapter = (tmp_path / name for name in ("base", "adapter"))
    for folder in (base, adapter):
        folder.mkdir()
    assert tokenizer_folder((base, adapter)) is None
    write_words(base, "abc")
    assert tokenizer_folder((base, adapter)) == base
    write_words(adapter, "abcd")
    assert tokenizer_folder((base, adapter)) == adapter


def test_a_union_of_tokenizers_that_cut_text_differently_cuts_it_at_the_new_tokens(
    tmp_path: Path,
) -> None:
    base = model(tmp_path / "base", "abc", 1, 2, 3)
    math = model(tmp_path / "math", "abde", 1, 2, 3, 4)
    union = recipe(base, math, vocabulary="union")
    assert merged(union) == [1, 2, 3, 3, 4]
    merger = open_merger(union)
    (note,) = [n for n in merger.inputs.alignment.notes if "cuts text" in n]
    assert "2 tokens the base lacks ('d', 'e')" in note and f"`vocabulary: {math}`" in note
    tokenizer = Tokenizer.from_str(merger.inputs.companions().files["tokenizer.json"].decode())
    assert tokenizer.encode("aded").ids == [0, 3, 4, 3]  # a is <unk>, row 0
    assert merged(recipe(base, math, vocabulary=math)) == [1, 2, 3, 4]
    assert merged(recipe(base, math)) == [1, 2, 3]


def test_a_union_adds_tokens_of_the_base_s_table_that_a_model_has_added(tmp_path: Path) -> None:
    base = model(tmp_path / "base", "abc", 1, 2, 3)
    math = model(tmp_path / "math", "ab", 1, 2, 9, added=["c"])
    union = recipe(base, math, vocabulary="union")
    assert merged(union) == [1, 2, 9]
    files = open_merger(union).inputs.companions().files
    (entry,) = json.loads(files["tokenizer.json"])["added_tokens"]
    assert (entry["content"], entry["id"], entry["special"]) == ("c", 2, True)


def test_rows_that_cannot_be_matched_are_refused(tmp_path: Path) -> None:
    base = model(tmp_path / "base", "abc", 1, 2, 3)
    math = model(tmp_path / "math", "abcd", 1, 2, 3, 4)
    for folder in (math, base):
        (Path(folder) / "tokenizer.json").unlink()
        with pytest.raises(
            IncompatibleCheckpoints, match="4 rows, the base's 3.*no tokenizer files"
        ):
            open_merger(recipe(base, math))
    law = model(tmp_path / "law", "abc", 4, 5, 6)
    with pytest.raises(IncompatibleCheckpoints, match="the base has no embedding or no tok"):
        open_merger(recipe(base, law, vocabulary="union"))


def test_models_without_tokenizers_are_merged_row_by_row_where_they_have_as_many(
    tmp_path: Path,
) -> None:
    base = model(tmp_path / "base", "abc", 1, 2, 3)
    math = model(tmp_path / "math", "abc", 4, 5, 6)
    (Path(math) / "tokenizer.json").unlink()
    assert merged(recipe(base, math)) == [4, 5, 6]
    (Path(base) / "tokenizer.json").unlink()
    assert merged(recipe(base, math)) == [4, 5, 6]


def test_a_wider_model_of_another_vocabulary_is_refused(tmp_path: Path) -> None:
    base = model(tmp_path / "base", "abc", 1, 2, 3)
    wide = random_llama(0, Shape(**{**_fields(SMALL), "hidden": 8, "vocab": 4}))
    save_words(wide, tmp_path / "wide", "abcd")
    with pytest.raises(IncompatibleCheckpoints, match="rows of 8 F32, the base of 4 F32"):
        open_merger(recipe(base, str(tmp_path / "wide")))


def test_a_recipe_names_whose_vocabulary_it_is(pair: tuple[str, str]) -> None:
    text = dump_recipe(recipe(*pair))
    assert "vocabulary" not in text and "chat_template" not in text
    for vocabulary, expected in (
        ("union", "union"),
        ("0", pair[1]),
        (pair[1], pair[1]),
        ("base", "base"),
    ):
        parsed = parse_recipe(f"{text}vocabulary: {vocabulary}\n")
        assert parsed.vocabulary == expected
        assert parse_recipe(dump_recipe(parsed)) == parsed
    for wrong in ("1", "-1", "zoo:else", "[]", "true", "0.5"):
        with pytest.raises(
            InvalidRecipe, match="vocabulary must be base, union, one of the models"
        ):
            parse_recipe(f"{text}vocabulary: {wrong}\n")


def test_recipes_from_before_keep_their_hash() -> None:
    math = DomainModel("zoo:math", (0.9, 0.8))
    law = DomainModel("zoo:law", (0.8,), (1.5,), 0.5)
    plain = MergeRecipe("zoo:base", (math, law))
    assert short_hash(plain) == "d20bd81622b0"
    union = MergeRecipe("zoo:base", (math, law), vocabulary="union")
    assert recipe_hash(union) != recipe_hash(plain)


def test_the_configuration_counts_the_rows_that_were_written(
    pair: tuple[str, str], tmp_path: Path
) -> None:
    for vocabulary, count in (("base", 3), ("union", 4), (pair[1], 3)):
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        merge_to_folder(recipe(*pair, vocabulary=vocabulary), out, sync=False)
        assert json.loads((out / "config.json").read_text())["vocab_size"] == count
        assert SafetensorsCheckpoint(out).shape(EMBEDDING) == (count, 4)


def test_the_tokenizer_of_a_model_that_is_not_merged(pair: tuple[str, str], tmp_path: Path) -> None:
    other = Path(model(tmp_path / "other", "cab", 7, 7, 7, added=["[Y]"]))
    (other / "chat_template.jinja").write_text("own {{ messages }}")
    (Path(pair[0]) / "chat_template.jinja").write_text("the base's {{ messages }}")
    for path in other.glob("*.safetensors"):
        path.unlink()  # no weight of it is read
    merge = replace(recipe(*pair, vocabulary=str(other)), chat_template=str(other))
    plain = dict(zip("abc", merged(recipe(*pair)), strict=False))
    assert merged(merge) == [plain["c"], plain["a"], plain["b"], 0]
    merge_to_folder(merge, tmp_path / "out")
    words = Tokenizer.from_file(str(tmp_path / "out" / "tokenizer.json")).get_vocab()
    assert words == {"c": 0, "a": 1, "b": 2, "[Y]": 3}
    assert json.loads((tmp_path / "out" / "config.json").read_text())["vocab_size"] == 4
    assert (tmp_path / "out" / "chat_template.jinja").read_text() == "own {{ messages }}"
    for path in other.glob("tokenizer*.json"):
        path.unlink()
    with pytest.raises(IncompatibleCheckpoints, match="other: no tokenizer files"):
        open_merger(merge)
    with pytest.raises(NotAllowed, match="not offered on a public page"):
        open_merger(recipe("zoo:base", "zoo:math", vocabulary=str(other)), public=True)
