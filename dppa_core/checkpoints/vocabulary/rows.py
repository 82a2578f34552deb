"""Matches rows of embeddings by token text when tokenizers differ, and reorders them.

Rows without a token are padding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Int64
from numpy import ndarray

from dppa_core.checkpoints.aligned_checkpoint import (
    AlignedCheckpoint,
    AlignedTensor,
    Filling,
    Gathered,
    RowMap,
    gather,
    map_key,
)
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.matching import tied
from dppa_core.checkpoints.vocabulary.tokenizer_files import OtherTokenizer
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

    def of_rows(self) -> OwnVocabulary:
        """The vocabulary without tokens that have no row."""
        ids = {token: row for token, row in self.vocabulary.ids.items() if row < self.rows}
        return OwnVocabulary(Vocabulary(ids, self.vocabulary.added.intersection(ids)), self.rows)

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
    """Source of the tokenizer: `BASE`, the index of a domain model, or their number for `other`."""
    added: tuple[tuple[str, int], ...] = ()
    """Tokens added to those of the source, each with the model it comes from; in order."""
    removed: tuple[str, ...] = ()
    """Tokens of the source that have no row, and are taken out of its tokenizer."""
    other: OtherTokenizer | None = None
    """The source, if it is not merged."""

    def with_tokens(
        self, ids: Mapping[str, int], added: Sequence[tuple[str, int]], multiple: int | None
    ) -> Target:
        """The vocabulary with these tokens, and rows for all, up to a `multiple` if it is set."""
        names = self.vocabulary.added | {token for token, _ in added}
        vocabulary = Vocabulary(ids, names)
        rows = max(self.rows, vocabulary.rows) if added else self.rows
        if multiple is not None:
            rows = math.ceil(vocabulary.rows / multiple) * multiple
        return replace(self, vocabulary=vocabulary, rows=rows, added=(*self.added, *added))


@dataclass(frozen=True, slots=True)
class RowRules:
    """Rows of the merge that a recipe sets, and how other missing rows are filled."""

    given: Mapping[int, RowMap]
    """Model (0 is the base) -> its rows that others take."""
    zero: Bool[ndarray, " rows"]
    forced: Bool[ndarray, " rows"]
    """True for rows that are set in every model."""
    tokens: int
    """Rows of tokens; those behind them are the mean of these."""
    mean: bool
    """True if a row that a domain model lacks is the mean of those that have it, not the base's."""

    def filling(
        self, models: Sequence[Checkpoint], role: str, donors: Sequence[AlignedTensor]
    ) -> Filling:
        """The rules for the tensor of a role."""
        given = [
            (name, models[n], rows)
            for n, rows in self.given.items()
            if (name := _counterpart(models[n], role))
        ]
        parts = tuple(AlignedTensor(model, name, rows) for name, model, rows in given)
        return Filling(tuple(donors), parts, np.flatnonzero(self.zero), self.tokens)

    def key(self, maps: Sequence[RowMap]) -> str:
        """Distinguishes merges with these row maps; see `map_key`."""
        rows = map_key(*maps, *self.given.values(), self.zero.astype(np.int64))
        return f"{rows} {[*self.given]} {self.tokens} {self.mean}"


def of_all(base: OwnVocabulary, models: Sequence[OwnVocabulary]) -> Target:
    """The base's vocabulary, then each model's additions, in the order of models and rows.

    New tokens take the rows behind the base's last token, where its padding is. A token of the
    base's own table that a model has added to its tokenizer is added here too, in its row.
    """
    ids, added = dict(base.vocabulary.ids), dict[str, int]()
    unused = base.vocabulary.rows - len(ids)
    for index, model in enumerate(models):
        theirs = model.vocabulary
        for token in sorted(theirs.ids, key=theirs.ids.__getitem__):
            if not model.has(token) or token in base.vocabulary.added:
                continue
            if token not in ids:
                ids[token] = len(ids) + unused
                added[token] = index
            elif token in theirs.added and not (
                token in added and token in models[added[token]].vocabulary.added
            ):
                added[token] = index  # the first that has added it defines it
    return Target(base.vocabulary, base.rows, BASE).with_tokens(ids, tuple(added.items()), None)


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
    models: Sequence[Checkpoint], maps: Sequence[RowMap], rules: RowRules, key: str
) -> Checkpoint:
    """The base with its vocabulary in the rows of the merge.

    Args:
        models: The base, then the domain models; they fill rows the base lacks.
        maps: Their row maps.
    """
    base, gathered = models[0], {}
    for name, role in token_tensors(base.names()).items():
        donors = _parts(models[1:], maps[1:], role)
        gathered[name] = gather(
            AlignedTensor(base, name, maps[0]), rules.filling(models, role, donors)
        )
    return AlignedCheckpoint(base, gathered, key)


def wrap_model(
    index: int,
    models: Sequence[Checkpoint],
    base: Checkpoint,
    maps: Sequence[RowMap],
    rules: RowRules,
    key: str,
    label: str,
) -> Checkpoint:
    """One of the domain models with its vocabulary in the rows of the merge.

    Args:
        models: The base, then the domain models.
        base: The base in the rows of the merge; it fills rows the model lacks.
        maps: See `wrap_base`.
    """
    model, rows = models[index], maps[index]
    head = find_head(base.names())
    if head and find_head(model.names()) is None and not tied(base):
        raise IncompatibleCheckpoints(
            f"{head}: the base has a head of its own, {label} does not, and other tokens: rows it "
            "lacks could not be filled. A model saved without its head is the usual cause."
        )
    gathered: dict[str, Gathered] = {}
    for name, role in token_tensors(model.names()).items():
        counterpart = _counterpart(base, role)
        if counterpart is not None:
            _check_shapes(model, name, base, counterpart, label)
            under = AlignedTensor(base, counterpart, np.arange(rows.size))
            donors = _parts(models[1:], maps[1:], role) if rules.mean else []
            filling = rules.filling(models, role, donors)
            gathered[name] = gather(AlignedTensor(model, name, rows), filling, under)
    return AlignedCheckpoint(model, gathered, key)


def _parts(models: Sequence[Checkpoint], maps: Sequence[RowMap], role: str) -> list[AlignedTensor]:
    """The tensor of a role in every model that has it."""
    return [
        AlignedTensor(model, name, rows)
        for model, rows in zip(models, maps, strict=True)
        if (name := _counterpart(model, role)) is not None
    ]


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
