"""The tensors with a row for each token, put in the rows of a merge.

Knows tensors by their names and maps of rows, no tokens.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

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
from dppa_core.pruning.tensor_names import find_embedding, find_head


def wrap_base(
    base: Checkpoint, tuned: Sequence[Checkpoint], maps: Sequence[RowMap], key: str
) -> Checkpoint:
    """The base with its vocabulary in the rows of the merge.

    Args:
        base: The base.
        tuned: The domain models, which fill rows it lacks.
        maps: Of the base, then of each domain model.
        key: Tells these maps from others.
    """
    gathered = {}
    for name, role in _vocabulary_tensors(base).items():
        parts = [
            AlignedTensor(model, own, rows)
            for model, rows in zip(tuned, maps[1:], strict=True)
            if (own := _counterpart(model, role)) is not None
        ]
        gathered[name] = gather_base(AlignedTensor(base, name, maps[0]), parts)
    return AlignedCheckpoint(base, gathered, key)


def wrap_model(
    model: Checkpoint, base: Checkpoint, rows: RowMap, key: str, label: str
) -> Checkpoint:
    """A domain model with its vocabulary in the rows of the merge.

    Args:
        model: The domain model.
        base: The base as it goes into the merge, which fills rows the model lacks.
        rows: Its map.
        key: Tells the maps of this merge from others.
        label: How to call the model in messages.

    Raises:
        IncompatibleCheckpoints: rows of another width or kind, or a base whose head is its own.
    """
    head = find_head(base.names())
    if head and find_head(model.names()) is None and not tied(base):
        raise IncompatibleCheckpoints(
            f"{head}: the base has a head of its own, {label} does not, and other tokens: rows it "
            "lacks could not be filled. A model saved without its head is the usual cause."
        )
    gathered: dict[str, Gathered] = {}
    order = np.arange(rows.size)
    for name, role in _vocabulary_tensors(model).items():
        own = _counterpart(base, role)
        if own is not None:
            _check_shapes(model, name, base, own, label)
            gathered[name] = gather_model(
                AlignedTensor(model, name, rows), AlignedTensor(base, own, order)
            )
    return AlignedCheckpoint(model, gathered, key)


def _check_shapes(model: Checkpoint, name: str, base: Checkpoint, own: str, label: str) -> None:
    width, wanted = model.shape(name)[1:], base.shape(own)[1:]
    if width != wanted or {model.dtype(name), base.dtype(own)} - set(FLOATS):
        raise IncompatibleCheckpoints(
            f"{name}: {label} has rows of {math.prod(width)} {model.dtype(name)}, the base of "
            f"{math.prod(wanted)} {base.dtype(own)}. Another size of model, or a quantised one, "
            "is the usual cause."
        )


def _vocabulary_tensors(checkpoint: Checkpoint) -> Mapping[str, str]:
    """Name -> role of every tensor with a row for each token."""
    names = checkpoint.names()
    embedding, head = find_embedding(names), find_head(names)
    found = {embedding: "embedding", head: "head"}
    bias = head.removesuffix("weight") + "bias" if head else ""
    if bias in names:
        found[bias] = "bias"
    return {name: role for name, role in found.items() if name}


def _counterpart(checkpoint: Checkpoint, role: str) -> str | None:
    """The tensor of that role in another checkpoint; a head that is absent is the embedding."""
    by_role = {role: name for name, role in _vocabulary_tensors(checkpoint).items()}
    return by_role.get(role) or (by_role.get("embedding") if role == "head" else None)
