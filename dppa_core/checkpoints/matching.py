"""Matches the tensors of a base and a domain model, and checks that they have a delta."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.aligned_checkpoint import as_read
from dppa_core.checkpoints.checkpoint import Checkpoint, PageReleaser
from dppa_core.checkpoints.chunks import CHUNK
from dppa_core.checkpoints.folders.architectures import labels_of
from dppa_core.errors import DamagedCheckpoint, IncompatibleCheckpoints, NonFiniteWeights, shown
from dppa_core.pruning.floats import FLOATS, OTHERS, to_float32
from dppa_core.pruning.tensor_names import (
    find_embedding,
    find_head,
    in_head,
    is_buffer,
    match_names,
)

_LABELS_SHOWN = 200
"""Characters of a list of labels in a message."""
_INFINITIES = {"BF16": 0x7F80, "F16": 0x7C00, "F32": 0x7F800000}


HEADS_REMEDY = (
    "Heads trained for different tasks cannot be merged: `heads: base` in the recipe, or Heads of "
    "the models on the page, takes the base's, if it has any, and leaves this model's out."
)


def place_tensors(
    base: Collection[str], tuned: Collection[str], config: Mapping[str, Any]
) -> dict[str, str]:
    """Name in the base -> name in the domain model, by names and the latter's config.json alone.

    Prefixes may differ (see `match_names`). A head that only the base stores is matched with the
    embedding, unless the configuration says that the two are not tied.
    """
    places = dict(match_names(tuple(base), tuple(tuned)))
    head, embedding = find_head(base), find_embedding(tuned)
    if head and embedding and config.get("tie_word_embeddings") is not False:
        places.setdefault(head, embedding)
    return places


def unlike_labels(
    base: Mapping[str, Any], tuned: Mapping[str, Any], shapes: Iterable[tuple[str, Sequence[int]]]
) -> tuple[tuple[str, ...], str]:
    """Tensors of a classifier's head with a row a label, if another one has other labels.

    Args:
        base: Its configuration.
        tuned: Configuration of the other one.
        shapes: Names and shapes of its tensors.

    Returns:
        The names, and the labels of both in words; nothing if they are the same, or none.
    """
    labels, others = labels_of(base), labels_of(tuned)
    if not labels or not others or labels == others:
        return (), ""
    rows = (name for name, shape in shapes if in_head(name) and tuple(shape[:1]) == (len(labels),))
    sides = (shown(list(side), _LABELS_SHOWN) for side in (others, labels))
    return tuple(sorted(rows)), "its labels are {}, the base's {}".format(*sides)


def match_tensors(
    base: Checkpoint, finetuned: Checkpoint, name: str = "", *, heads: str = "match"
) -> Mapping[str, str]:
    """Name in the base -> name in the domain model, for every tensor that has a delta.

    See `place_tensors`. Buffers have no delta: the base's are used. A head that only the domain
    model stores must equal its embedding.

    Args:
        name: Name of the domain model in messages.
        heads: "base" leaves out tensors of heads that only one model has, or in another shape, or
            with rows of other labels.

    Raises:
        IncompatibleCheckpoints: other names, shapes, or dtypes without a delta.
    """
    label = name or "the domain model"
    base_names, tuned_names = base.names(), finetuned.names()
    places = place_tensors(base_names, tuned_names, finetuned.config)
    shapes = ((tensor, base.shape(tensor)) for tensor in base_names)
    rows, labels = unlike_labels(base.config, finetuned.config, shapes)
    if rows and heads != "base":
        raise IncompatibleCheckpoints(f"{', '.join(rows)}: of {label} {labels}. {HEADS_REMEDY}")
    head = find_head(base_names)
    if heads != "base" and head and head not in places and find_embedding(tuned_names):
        raise IncompatibleCheckpoints(
            f"{head}: the base has it, {label} does not, and its config.json says that it is not "
            "tied to the embedding. A model saved without its head is the usual cause: save it "
            "from AutoModelForCausalLM."
        )
    for tensor in sorted(base_names, key=in_head):
        if is_buffer(tensor, base.shape(tensor)):
            places.pop(tensor, None)
            continue
        counterpart = places.get(tensor)
        if heads == "base" and in_head(tensor):
            unlike = counterpart is None or base.shape(tensor) != finetuned.shape(counterpart)
            if unlike or tensor in rows:
                places.pop(tensor, None)
                continue
        if counterpart is None:
            raise IncompatibleCheckpoints(
                f"{tensor}: the base has it, {label} does not. "
                f"{_cause(tensor, 'A model of another architecture, or an adapter,')}"
            )
        _check_tensor(base, finetuned, tensor, counterpart, label)
    extra = sorted(set(tuned_names) - set(places.values()), key=lambda name: (in_head(name), name))
    if heads == "base":
        extra = [tensor for tensor in extra if not in_head(tensor)]
    _check_extra(finetuned, extra, label)
    return places


def _cause(tensor: str, usual: str) -> str:
    """The usual cause of a tensor without a counterpart, or what to do about a head."""
    return HEADS_REMEDY if in_head(tensor) else f"{usual} is the usual cause."


def _check_extra(finetuned: Checkpoint, extra: Sequence[str], label: str) -> None:
    """Refuse tensors the base lacks, except buffers and a head equal to its embedding."""
    extra = [tensor for tensor in extra if not is_buffer(tensor, finetuned.shape(tensor))]
    head = find_head(finetuned.names())
    if head in extra:
        if not tied(finetuned):
            raise IncompatibleCheckpoints(
                f"{head}: {label} has a head of its own, the base's is its embedding. "
                "Fine-tuning that untied the two, or another base, is the usual cause."
            )
        extra.remove(head)
    if extra:
        raise IncompatibleCheckpoints(
            f"{extra[0]}: {label} has it, the base does not ({len(extra)} such tensors). "
            f"{_cause(extra[0], 'A model fine-tuned from another base')}"
        )


def tied(checkpoint: Checkpoint) -> bool:
    """Return True if the LM head is the embedding: absent, or stored with equal elements."""
    checkpoint = as_read(checkpoint)  # rows were moved in both alike
    names = checkpoint.names()
    head, embedding = find_head(names), find_embedding(names)
    if embedding is None or head is None:
        return head is None
    head_kind, embedding_kind = (
        (checkpoint.shape(n), checkpoint.dtype(n)) for n in (head, embedding)
    )
    return head_kind == embedding_kind and _equal(checkpoint, head, embedding)


def _equal(checkpoint: Checkpoint, head: str, embedding: str) -> bool:
    """Compare chunk by chunk: an untied head differs in the first chunk."""
    first, second = checkpoint.raw(head), checkpoint.raw(embedding)
    releaser = PageReleaser([checkpoint])
    for start in range(0, first.size, CHUNK):
        chunk = first[start : start + CHUNK]
        if not np.array_equal(chunk, second[start : start + CHUNK]):
            return False
        releaser.read(2 * chunk.nbytes)
    return True


def _check_tensor(
    base: Checkpoint, finetuned: Checkpoint, tensor: str, counterpart: str, label: str
) -> None:
    if base.shape(tensor) != finetuned.shape(counterpart):
        raise IncompatibleCheckpoints(
            f"{tensor}: the base has shape {base.shape(tensor)}, {label} "
            f"{finetuned.shape(counterpart)}. "
            f"{_cause(tensor, 'Another size of model, or a resized vocabulary,')}"
        )
    kinds = base.dtype(tensor), finetuned.dtype(counterpart)
    if any(kind not in FLOATS and kind not in OTHERS for kind in kinds):
        raise DamagedCheckpoint(
            f"{tensor}: dtype {kinds[0]} in the base, {kinds[1]} in {label}; a delta needs "
            f"{', '.join(FLOATS)}. A quantised model is the usual cause."
        )
    if (kinds[0] in FLOATS) != (kinds[1] in FLOATS):
        raise IncompatibleCheckpoints(
            f"{tensor}: dtype {kinds[0]} in the base, {kinds[1]} in {label}. "
            "A quantised model is the usual cause."
        )


def check_finite(
    raw: Shaped[ndarray, " n"], dtype: str, tensor: str, model: str, offset: int = 0
) -> None:
    """Refuse NaN and infinity in a tensor, or in a slice of it that begins at `offset`."""
    bits = raw.view(f"u{raw.itemsize}")
    sign, infinity = bits.dtype.type(2 ** (8 * raw.itemsize - 1) - 1), _INFINITIES[dtype]
    for start in range(0, raw.size, CHUNK):
        # Exponents of all ones are the largest as integers without sign.
        magnitudes = bits[start : start + CHUNK] & sign
        if magnitudes.max() >= infinity:
            first = start + int(np.argmax(magnitudes >= infinity))
            value = to_float32(raw[first : first + 1], dtype)[0]
            raise NonFiniteWeights(
                f"{model}: {tensor} holds {value} at element {offset + first}; every weight "
                "must be a finite number. A diverged training, or an overflow in float16, is the "
                "usual cause."
            )
