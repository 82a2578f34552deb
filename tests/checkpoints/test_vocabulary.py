"""Tokens of two tokenizers, compared by text, and read from every kind of file."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dppa_core.checkpoints.vocabulary.tokenizer_files import read_vocabulary
from dppa_core.checkpoints.vocabulary.tokens import (
    Vocabulary,
    compare_vocabularies,
    examples,
    vocabulary_of_json,
)
from dppa_core.errors import DamagedCheckpoint
from tests.helpers.tiny_models import SPECIAL, save_tokenizer


def vocabulary(*tokens: str) -> Vocabulary:
    return Vocabulary({token: row for row, token in enumerate(tokens)})


def test_shared_moved_extra_and_missing_tokens_are_told_apart() -> None:
    comparison = compare_vocabularies(vocabulary("a", "b", "c"), vocabulary("a", "c", "d", "e"))
    assert comparison.shared == 2
    assert (comparison.moved, comparison.extra, comparison.missing) == (("c",), ("d", "e"), ("b",))
    assert not comparison.same


def test_equal_vocabularies_are_the_same() -> None:
    comparison = compare_vocabularies(vocabulary("a", "b"), vocabulary("a", "b"))
    assert comparison.same and comparison.shared == 2


@given(st.permutations("abcdefg"), st.permutations("cdefghi"), st.integers(0, 7))
def test_every_token_is_counted_once(first: list[str], second: list[str], size: int) -> None:
    ours, theirs = vocabulary(*first[:size]), vocabulary(*second)
    comparison = compare_vocabularies(ours, theirs)
    assert comparison.shared + len(comparison.missing) == len(ours.ids)
    assert comparison.shared + len(comparison.extra) == len(theirs.ids)
    assert {*comparison.moved} <= {*ours.ids} & {*theirs.ids}
    assert comparison.same == (ours.ids == theirs.ids)


def test_examples_are_few_and_printable() -> None:
    assert examples(["a\n", "b", "c", "d"]) == "'a\\n', 'b', 'c', …"
    assert len(examples(["x" * 1000])) <= 40


def test_the_fast_tokenizer_of_a_folder_is_read(tmp_path: Path) -> None:
    save_tokenizer(tmp_path)
    stored = read_vocabulary(tmp_path)
    assert stored is not None
    assert stored.rows == len(stored.ids) == 259 and stored.added == frozenset(SPECIAL)
    assert stored.ids["<|end|>"] == 2


def test_a_folder_without_tokenizer_has_no_vocabulary(tmp_path: Path) -> None:
    assert read_vocabulary(tmp_path) is None


def test_a_unigram_model_lists_its_tokens_in_order() -> None:
    value = {"model": {"vocab": [["<unk>", 0.0], ["a", -1.0]]}, "added_tokens": [token("b", 7)]}
    parsed = vocabulary_of_json(value)
    assert parsed.ids == {"<unk>": 0, "a": 1, "b": 7} and parsed.rows == 8


def token(content: object, row: object) -> dict[str, object]:
    return {"id": row, "content": content, "special": True}


def test_a_table_and_added_tokens_make_a_vocabulary(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps({"a": 0, "b": 1}))
    settings = {"added_tokens_decoder": {"0": {"content": "a"}, "3": {"content": "<x>"}}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(settings))
    (tmp_path / "added_tokens.json").write_text(json.dumps({"<y>": 2}))
    stored = read_vocabulary(tmp_path)
    assert stored == Vocabulary({"a": 0, "b": 1, "<x>": 3, "<y>": 2}, frozenset(("<x>", "<y>")))


def test_the_pieces_of_sentencepiece_are_a_vocabulary(tmp_path: Path) -> None:
    from sentencepiece import SentencePieceTrainer  # noqa: PLC0415  (only here)

    lines = iter(["the base and the delta", "the model of the base", "a delta of a model"] * 9)
    with (tmp_path / "tokenizer.model").open("wb") as file:
        SentencePieceTrainer.train(
            sentence_iterator=lines, model_writer=file, vocab_size=18, minloglevel=2
        )
    (tmp_path / "added_tokens.json").write_text(json.dumps({"[PAD]": 18}))
    stored = read_vocabulary(tmp_path)
    assert stored is not None and stored.rows == 19
    assert stored.ids["<unk>"] == 0 and stored.ids["[PAD]"] == 18
    assert stored.added == {"[PAD]"}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("tokenizer.json", "{}"),
        ("tokenizer.json", '{"model": {"vocab": 3}}'),
        ("tokenizer.json", '{"model": {"vocab": {"a": -1}}}'),
        ("tokenizer.json", '{"model": {"vocab": {"a": 0}}, "added_tokens": {"b": 1}}'),
        ("tokenizer.json", '{"model": {"vocab": {"a": 0}}, "added_tokens": [{"id": 1}]}'),
        ("vocab.json", '{"a": true}'),
        ("tokenizer.model", "no pieces at all"),
    ],
)
def test_files_that_make_no_sense_are_named(tmp_path: Path, file: str, content: str) -> None:
    (tmp_path / file).write_text(content)
    with pytest.raises(DamagedCheckpoint, match=str(tmp_path)):
        read_vocabulary(tmp_path)
