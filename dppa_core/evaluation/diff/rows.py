"""Models with different vocabulary sizes, cut to the rows they share: the first ones."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.aligned_checkpoint import AlignedCheckpoint, Gathered
from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.vocabulary.alignment import embedding_rows
from dppa_core.checkpoints.vocabulary.tokenizer_files import read_vocabulary, tokenizer_folder
from dppa_core.errors import IncompatibleCheckpoints, many, shown
from dppa_core.pruning.tensor_names import find_embedding, find_head


def shared_rows(
    models: Sequence[Checkpoint], names: Sequence[str]
) -> tuple[tuple[Checkpoint, ...], tuple[str, ...]]:
    """The models cut to the rows of the smallest vocabulary, and notes on the rows left out.

    Args:
        models: Models of the same shapes but for embedding and head.
        names: Names for messages.

    Raises:
        IncompatibleCheckpoints: the tokenizers have different tokens in a shared row.
    """
    counts = [embedding_rows(model) for model in models]
    least = min(counts)
    if least == max(counts):
        return tuple(models), ()
    _check_tokens(models, names, least)
    notes = tuple(
        f"{name}: the last {many(count - least, 'row')} of embedding and head have no counterpart "
        "and are not compared."
        for name, count in zip(names, counts, strict=True)
        if count > least
    )
    return tuple(_cut(model, least) for model in models), notes


def _cut(model: Checkpoint, rows: int) -> Checkpoint:
    if embedding_rows(model) == rows:
        return model
    tensors = {}
    for name in (find_embedding(model.names()), find_head(model.names())):
        if name is not None:
            shape = rows, *model.shape(name)[1:]
            tensors[name] = Gathered(shape, model.dtype(name), partial(_first, model, name, rows))
    return AlignedCheckpoint(model, tensors, f"first {rows} rows")


def _first(model: Checkpoint, name: str, rows: int) -> Shaped[ndarray, " n"]:
    raw = model.raw(name)
    return raw[: raw.size // model.shape(name)[0] * rows]


def _check_tokens(models: Sequence[Checkpoint], names: Sequence[str], rows: int) -> None:
    """Check that shared rows hold the same tokens; a model without a tokenizer is not checked."""
    tokens: dict[int, tuple[str, str]] = {}
    for model, name in zip(models, names, strict=True):
        folder = tokenizer_folder(model.folders)
        vocabulary = read_vocabulary(folder) if folder else None
        for token, row in (vocabulary.ids if vocabulary else {}).items():
            first, first_name = tokens.setdefault(row, (token, name))
            if row < rows and first != token and first_name != name:
                raise IncompatibleCheckpoints(
                    f"{first_name} and {name} cannot be compared row by row: row {row} of their "
                    f"embeddings is {shown(first)} in one and {shown(token)} in the other. "
                    "Another tokenizer is the usual cause."
                )
