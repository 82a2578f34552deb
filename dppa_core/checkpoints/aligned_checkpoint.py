"""A checkpoint with the rows of its vocabulary in another order; all else is unchanged.

Embedding and head are gathered in memory when they are read.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64, Shaped
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint
from dppa_core.pruning.floats import FLOATS, from_float32, to_float32

_ROWS = 4096
"""Rows gathered at a time."""

RowMap = Int64[ndarray, " rows"]
"""Row of the merge -> row of a model; -1 if the model lacks it."""


@dataclass(frozen=True, slots=True)
class AlignedTensor:
    """One tensor of one model, with a row for each token."""

    checkpoint: Checkpoint
    name: str
    rows: RowMap

    @property
    def dtype(self) -> str:
        """As stored."""
        return self.checkpoint.dtype(self.name)

    def values(self) -> Shaped[ndarray, "tokens columns"]:
        """Its rows, as stored."""
        return self.checkpoint.raw(self.name).reshape(self.checkpoint.shape(self.name)[0], -1)


@dataclass(frozen=True, slots=True)
class Gathered:
    """A tensor made of rows of several tensors."""

    shape: tuple[int, ...]
    dtype: str
    make: Callable[[], Shaped[ndarray, " n"]]


class AlignedCheckpoint(DerivedCheckpoint):
    """A checkpoint with some tensors replaced; the key distinguishes gatherings of one model."""

    def __init__(self, base: Checkpoint, tensors: Mapping[str, Gathered], key: str) -> None:
        super().__init__(base)
        self._tensors, self._key = tensors, key

    def shape(self, name: str) -> tuple[int, ...]:
        gathered = self._tensors.get(name)
        return gathered.shape if gathered else self.base.shape(name)

    def dtype(self, name: str) -> str:
        gathered = self._tensors.get(name)
        return gathered.dtype if gathered else self.base.dtype(name)

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat; reordered tensors are gathered at every call."""
        gathered = self._tensors.get(name)
        return gathered.make() if gathered else self.base.raw(name)

    def moves(self, name: str) -> bool:
        """Return True if the rows of a tensor were put in another order."""
        return name in self._tensors

    def content_hash(self) -> str:
        """A hash over the weights and the row maps."""
        return hashlib.sha256(f"{self.base.content_hash()}\0{self._key}".encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Filling:
    """How rows are filled that are not a model's own."""

    donors: tuple[AlignedTensor, ...]
    """A row the model lacks is the float32 mean over those that have it."""
    given: tuple[AlignedTensor, ...]
    """Rows to take from certain models."""
    zero: Int64[ndarray, " some"]
    """Rows of zeros."""
    tokens: int
    """Rows from this one on are padding: the mean of those before."""


def gather(model: AlignedTensor, filling: Filling, under: AlignedTensor | None = None) -> Gathered:
    """A model's tensor in the rows of the merge.

    The result has the dtype that all its sources share, else float32.

    Args:
        under: Rows that stand where neither the model nor `filling` has one; zeros without it.
    """
    lacking = model.rows < 0
    donors = [donor for donor in filling.donors if (donor.rows[lacking] >= 0).any()]
    beneath = [under] if under else []
    dtype, count = _common(model, *beneath, *donors, *filling.given), model.rows.size
    whole = dtype == model.dtype and np.array_equal(model.rows, np.arange(count))

    def make() -> Shaped[ndarray, " n"]:
        if whole:  # a view of the mapped file
            return _flat(model.values()[:count])
        out = _empty(model, dtype)
        for part in beneath:
            _place(part, out, dtype)
        _place_means(donors, out, lacking, dtype)
        out[filling.zero] = 0
        for part in (*filling.given, model):
            _place(part, out, dtype)
        if filling.tokens < count:
            out[filling.tokens :] = _mean(out[: filling.tokens], dtype)
        return _flat(out)

    return Gathered(_shape(model), dtype, make)


def moves_rows(checkpoint: Checkpoint, name: str) -> bool:
    """Return True if a tensor's rows are in another order than in the original model."""
    return isinstance(checkpoint, AlignedCheckpoint) and checkpoint.moves(name)


def as_read(checkpoint: Checkpoint) -> Checkpoint:
    """The original model, with its rows in their own order."""
    return checkpoint.base if isinstance(checkpoint, AlignedCheckpoint) else checkpoint


def map_key(*maps: RowMap) -> str:
    """A hash of row maps."""
    digest = hashlib.sha256()
    for rows in maps:
        digest.update(rows.tobytes() + b"|")
    return digest.hexdigest()


def _shape(part: AlignedTensor) -> tuple[int, ...]:
    return (part.rows.size, *part.checkpoint.shape(part.name)[1:])


def _common(*parts: AlignedTensor) -> str:
    dtypes = {part.dtype for part in parts}
    return dtypes.pop() if len(dtypes) == 1 else "F32"


def _empty(part: AlignedTensor, dtype: str) -> Shaped[ndarray, "rows columns"]:
    columns = math.prod(_shape(part)[1:])
    return np.zeros((part.rows.size, columns), FLOATS[dtype])


def _place(part: AlignedTensor, out: Shaped[ndarray, "rows columns"], dtype: str) -> None:
    """Copy the part's rows to their places; other rows stay unchanged."""
    values = part.values()
    for start in range(0, part.rows.size, _ROWS):
        rows = part.rows[start : start + _ROWS]
        has = rows >= 0
        block = values[rows[has]]
        block = block if dtype == part.dtype else _wide(block, part.dtype)
        out[start : start + _ROWS][has] = block


def _place_means(
    donors: Sequence[AlignedTensor],
    out: Shaped[ndarray, "rows columns"],
    lacking: Bool[ndarray, " rows"],
    dtype: str,
) -> None:
    """Write the mean of the donors into rows that some of them have."""
    places = np.flatnonzero(lacking)
    for start in range(0, places.size if donors else 0, _ROWS):
        block = places[start : start + _ROWS]
        total = np.zeros((block.size, out.shape[1]), np.float32)
        count = np.zeros((block.size, 1), np.float32)
        for donor in donors:
            rows = donor.rows[block]
            has = rows >= 0
            total[has] += _wide(donor.values()[rows[has]], donor.dtype)
            count[has] += 1
        some = count[:, 0] > 0
        mean = total[some] / count[some]
        out[block[some]] = from_float32(mean.ravel(), dtype).reshape(mean.shape)


def _mean(rows: Shaped[ndarray, "some columns"], dtype: str) -> Shaped[ndarray, " columns"]:
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), _ROWS):
        total += _wide(rows[start : start + _ROWS], dtype).sum(0, np.float64)
    return from_float32((total / max(len(rows), 1)).astype(np.float32), dtype)


def _wide(rows: Shaped[ndarray, "some columns"], dtype: str) -> Shaped[ndarray, "some columns"]:
    return to_float32(rows.ravel(), dtype).reshape(rows.shape)


def _flat(rows: Shaped[ndarray, "some columns"]) -> Shaped[ndarray, " n"]:
    flat = rows.reshape(-1)
    flat.flags.writeable = False
    return flat
