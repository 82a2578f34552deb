"""Matches rows of embeddings by token text when tokenizers differ, and reorders them.

Rows without a token are padding.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64
from numpy import ndarray

from dppa_core.checkpoints.aligned_checkpoint import (
    AlignedCheckpoint,
    AlignedTensor,
    Gathered,
    RowMap,
    gather_base,
    gather_model,
)
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.matching import tied
from dppa_core.checkpoints.vocabulary.tokens import Vocabulary
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.tensor_names import find_head, token_tensors

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
        padding: True if rows without a token map to the same rows of the model: for the model
            with that vocabulary and those with an equal one.
    """
    rows = np.full(target.rows, -1, np.int64)
    if padding:
        common = min(target.rows, model.rows)
        rows[:common] = np.arange(common)
    for token, row in target.vocabulary.ids.items():
        if row < target.rows:
            rows[row] = model.vocabulary.ids[token] if model.has(token) else -1
    return rows


def wrap_base(
    base: Checkpoint, tuned: Sequence[Checkpoint], maps: Sequence[RowMap], key: str
) -> Checkpoint:
    """The base with its vocabulary in the rows of the merge.

    Args:
        tuned: The domain models; they fill rows the base lacks.
        maps: Row maps of the base, then of each domain model.
    """
    gathered = {}
    for name, role in token_tensors(base.names()).items():
        parts = [
            AlignedTensor(model, counterpart, rows)
            for model, rows in zip(tuned, maps[1:], strict=True)
            if (counterpart := _counterpart(model, role)) is not None
        ]
        gathered[name] = gather_base(AlignedTensor(base, name, maps[0]), parts)
    return AlignedCheckpoint(base, gathered, key)


def wrap_model(
    model: Checkpoint, base: Checkpoint, rows: RowMap, key: str, label: str
) -> Checkpoint:
    """A domain model with its vocabulary in the rows of the merge.

    Args:
        base: The base in the rows of the merge; it fills rows the model lacks.
    """
    head = find_head(base.names())
    if head and find_head(model.names()) is None and not tied(base):
        raise IncompatibleCheckpoints(
            f"{head}: the base has a head of its own, {label} does not, and other tokens: rows it "
            "lacks could not be filled. A model saved without its head is the usual cause."
        )
    gathered: dict[str, Gathered] = {}
    order = np.arange(rows.size)
    for name, role in token_tensors(model.names()).items():
        counterpart = _counterpart(base, role)
        if counterpart is not None:
            _check_shapes(model, name, base, counterpart, label)
            gathered[name] = gather_model(
                AlignedTensor(model, name, rows), AlignedTensor(base, counterpart, order)
            )
    return AlignedCheckpoint(model, gathered, key)


def _check_shapes(
    model: Checkpoint, name: str, base: Checkpoint, base_name: str, label: str
) -> None:
    width, base_width = model.shape(name)[1:], base.shape(base_name)[1:]
    if width != base_width or {model.dtype(name), base.dtype(base_name)} - set(FLOATS):
        raise IncompatibleCheckpoints(
            f"{name}: {label} has rows of {math.prod(width)} {model.dtype(name)}, the base of "
            f"{math.prod(base_width)} {base.dtype(base_name)}. Another size of model, or a "
            "quantised one, is the usual cause."
        )


def _counterpart(checkpoint: Checkpoint, role: str) -> str | None:
    """The tensor of that role in another checkpoint; for an absent head the embedding."""
    by_role = {role: name for name, role in token_tensors(checkpoint.names()).items()}
    return by_role.get(role) or (by_role.get("embedding") if role == "head" else None)
