"""Reorders the tensors with one row per token into the rows of a merge."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

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
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.tensor_names import find_head, token_tensors


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
