"""A small window of one matrix: the base's entries, the domain model's, and their difference.

Knows one pair of tensors, and reads the rows of the window alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.matching import match_tensors
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.vocabulary.alignment import align
from dppa_core.evaluation.analysis.matrix import find_module
from dppa_core.parameters import check_number
from dppa_core.progress import Stop
from dppa_core.pruning.floats import to_float32

LARGEST = 64
"""Rows, or columns, of a window."""


@dataclass(frozen=True, slots=True, eq=False)
class Excerpt:
    """The first rows and columns of a module, as it lies on disk."""

    module: str
    """Short name, as "layers.3.mlp.down_proj"."""
    shape: tuple[int, int]
    """Rows and columns of the whole module."""
    base: Float32[ndarray, "R C"]
    finetuned: Float32[ndarray, "R C"]

    @property
    def delta(self) -> Float32[ndarray, "R C"]:
        """d = finetuned - base, in float32."""
        delta: Float32[ndarray, "R C"] = self.finetuned - self.base
        return delta


def read_excerpt(
    base: str,
    finetuned: str,
    module: str,
    rows: int = 6,
    columns: int = 6,
    *,
    public: bool = False,
    stop: Stop | None = None,
) -> Excerpt:
    """Read the upper left corner of a module in both models.

    Args:
        base: Reference of the base.
        finetuned: Reference of the domain model.
        module: Short name of the module.
        rows: At most so many rows, 1 to 64.
        columns: At most so many columns, 1 to 64.
        public: Whether strangers choose; see `open_checkpoint`.
        stop: Ends the download of a checkpoint.

    Raises:
        InvalidValue: rows or columns out of range.
        UnknownName: there is no such module.
        CheckpointError, IncompatibleCheckpoints: see `open_checkpoint` and `match_tensors`.
    """
    for name, size in (("rows", rows), ("columns", columns)):
        check_number(name, size, 1, LARGEST)
    mine = open_checkpoint(base, public=public, stop=stop)
    theirs = open_checkpoint(finetuned, public=public, stop=stop)
    aligned = align(mine, (theirs,), (finetuned,))
    mine, theirs = aligned.base, aligned.tuned[0]
    found = find_module(mine, module)
    width = found.shape[-1]
    place = match_tensors(mine, theirs, finetuned)[found.tensor]
    return Excerpt(
        found.name,
        (found.numel // width, width),
        _corner(mine, found.tensor, width, rows, columns),
        _corner(theirs, place, width, rows, columns),
    )


def _corner(
    checkpoint: Checkpoint, tensor: str, width: int, rows: int, columns: int
) -> Float32[ndarray, "R C"]:
    raw = checkpoint.raw(tensor)[: rows * width]
    return np.array(to_float32(raw, checkpoint.dtype(tensor)).reshape(-1, width)[:, :columns])
