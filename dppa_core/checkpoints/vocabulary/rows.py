"""Matches rows of embeddings by token text when tokenizers differ.

Rows without a token are padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from dppa_core.checkpoints.vocabulary.tokens import Vocabulary

BASE = -1
"""The source of a merge's tokenizer, if it is not a domain model."""


@dataclass(frozen=True, slots=True)
class OwnVocabulary:
    """The vocabulary of one model, and the rows of its embedding."""

    vocabulary: Vocabulary
    rows: int

    def has(self, token: str) -> bool:
        """Return True if a token has a row; an embedding may have fewer rows than tokens."""
        return 0 <= self.vocabulary.ids.get(token, -1) < self.rows

    def alike(self, model: OwnVocabulary) -> bool:
        """Return True if both have the same tokens in the same rows, and equally many rows."""
        return self.rows == model.rows and self.vocabulary.ids == model.vocabulary.ids


@dataclass(frozen=True, slots=True)
class Target:
    """The vocabulary of a merge."""

    vocabulary: Vocabulary
    rows: int
    """Rows of its embedding, padding included."""
    source: int
    """Source of the tokenizer: `BASE`, or the index of a domain model."""
    added: tuple[tuple[str, int], ...] = ()
    """Tokens added to those of the source, each with the model it comes from; in order."""


def of_all(base: OwnVocabulary, models: Sequence[OwnVocabulary]) -> Target:
    """The base's vocabulary, then each model's additions, in the order of models and rows.

    New tokens take the rows behind the base's last token, where its padding is.
    """
    ids, added = dict(base.vocabulary.ids), list[tuple[str, int]]()
    first = base.vocabulary.rows
    for index, model in enumerate(models):
        for token in sorted(model.vocabulary.ids, key=model.vocabulary.ids.__getitem__):
            if token not in ids and model.has(token):
                ids[token] = first + len(added)
                added.append((token, index))
    vocabulary = Vocabulary(ids, base.vocabulary.added | {token for token, _ in added})
    rows = max(base.rows, first + len(added)) if added else base.rows
    return Target(vocabulary, rows, BASE, tuple(added))


def rows_in(target: Target, model: OwnVocabulary, *, padding: bool) -> Int64[ndarray, " rows"]:
    """For each row of the target the model's row of the same token; -1 if it has none.

    Args:
        padding: Whether the target's rows without a token map to the same rows of the model: true
            for the model with that vocabulary and those with an equal one.
    """
    rows = np.full(target.rows, -1, np.int64)
    if padding:
        common = min(target.rows, model.rows)
        rows[:common] = np.arange(common)
    for token, row in target.vocabulary.ids.items():
        if row < target.rows:
            rows[row] = model.vocabulary.ids[token] if model.has(token) else -1
    return rows
