"""Compares the tokens of two tokenizers by their text: shared, moved, extra."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dppa_core.errors import shown


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The tokens of a tokenizer."""

    ids: Mapping[str, int]
    """Text of a token -> its row in the embedding."""
    added: frozenset[str] = field(default_factory=frozenset)
    """Tokens added to the tokenizer's own, such as <|im_end|>."""

    @property
    def rows(self) -> int:
        """Rows an embedding needs at least: the highest id plus one."""
        return max(self.ids.values(), default=-1) + 1


@dataclass(frozen=True, slots=True)
class VocabularyDifference:
    """The differences between a domain model's vocabulary and its base's."""

    shared: int
    """Number of tokens that both have, in any row."""
    moved: tuple[str, ...]
    """Tokens both have in different rows; in order of the base's rows."""
    extra: tuple[str, ...]
    """Tokens the base lacks; in order of the other's rows."""
    missing: tuple[str, ...]
    """Tokens the other lacks; in order of the base's rows."""

    @property
    def same(self) -> bool:
        """Return True if every token has the same row in both."""
        return not (self.moved or self.extra or self.missing)


def compare_vocabularies(base: Vocabulary, tuned: Vocabulary) -> VocabularyDifference:
    """Compare two vocabularies token by token."""
    base_ids, tuned_ids = base.ids, tuned.ids
    if base_ids == tuned_ids:
        return VocabularyDifference(len(base_ids), (), (), ())
    moved = [
        token for token in base_ids if token in tuned_ids and base_ids[token] != tuned_ids[token]
    ]
    missing = [token for token in base_ids if token not in tuned_ids]
    extra = [token for token in tuned_ids if token not in base_ids]
    return VocabularyDifference(
        shared=len(base_ids) - len(missing),
        moved=tuple(sorted(moved, key=base_ids.__getitem__)),
        extra=tuple(sorted(extra, key=tuned_ids.__getitem__)),
        missing=tuple(sorted(missing, key=base_ids.__getitem__)),
    )


def examples(tokens: Sequence[str]) -> str:
    """Up to three tokens as a message shows them."""
    few = ", ".join(shown(token, 40) for token in tokens[:3])
    return few + (", …" if len(tokens) > 3 else "")


def vocabulary_of_json(tokenizer: Any) -> Vocabulary:
    """The vocabulary of a tokenizer.json; raises ValueError for another kind than those known."""
    model = tokenizer.get("model") if isinstance(tokenizer, Mapping) else None
    vocab = model.get("vocab") if isinstance(model, Mapping) else None
    if isinstance(vocab, Mapping):
        ids = dict(vocab)
    elif isinstance(vocab, list):  # Unigram: pairs of token and score, in order
        pairs = enumerate(vocab)
        ids = {p[0]: row for row, p in pairs if isinstance(p, list) and p and isinstance(p[0], str)}
    else:
        raise ValueError(f"its model has no vocab, got {shown(vocab)}")
    entries = tokenizer.get("added_tokens") or []
    if not isinstance(entries, list) or not all(isinstance(entry, Mapping) for entry in entries):
        raise ValueError(f"added_tokens must be a list of tables, got {shown(entries)}")
    return checked(ids, [(entry.get("content"), entry.get("id")) for entry in entries])


def checked(ids: Mapping[Any, Any], added: Iterable[tuple[Any, Any]]) -> Vocabulary:
    """A vocabulary of a tokenizer's own tokens and its added tokens; ValueError if malformed.

    Args:
        added: Tokens and their rows; the last row of a token counts.
    """
    more = tuple(added)
    for token, row in (*ids.items(), *more):
        if not isinstance(token, str) or type(row) is not int or not 0 <= row < 2**31:
            raise ValueError(f"the token {shown(token)} has the row {shown(row)}")
    return Vocabulary({**ids, **dict(more)}, frozenset(token for token, _ in more))
