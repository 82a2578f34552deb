"""A base and a domain model, tensor by tensor: whether they have a delta at all.

Knows names, shapes, dtypes and finiteness, not what is done with a delta.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoint import Checkpoint, to_float32
from dppa_core.errors import DamagedCheckpoint, IncompatibleCheckpoints, NonFiniteWeights
from dppa_core.floats import FLOATS, OTHERS

HEAD, EMBEDDING = "lm_head.weight", "model.embed_tokens.weight"
CHUNK = 1 << 16
"""Elements worked on at a time: they fit a core's own cache in float32."""


def match_tensors(base: Checkpoint, finetuned: Checkpoint, name: str = "") -> Mapping[str, str]:
    """Name in the base -> name in the domain model, for every tensor of the base.

    A head tied to the embedding may be on disk in one model and absent in the other: where the
    base has it, the other's embedding stands for it; where only the other has it, it must equal
    its embedding.

    Args:
        base: The common ancestor.
        finetuned: The domain model.
        name: How to call the domain model in messages.

    Raises:
        IncompatibleCheckpoints: other names, shapes, or dtypes without a delta.
    """
    label = name or "the domain model"
    mine, theirs = base.names(), set(finetuned.names())
    places = {tensor: tensor for tensor in mine}
    if HEAD in places and HEAD not in theirs and EMBEDDING in theirs:
        places[HEAD] = EMBEDDING
    for tensor, other in places.items():
        if other not in theirs:
            raise IncompatibleCheckpoints(
                f"{tensor}: the base has it, {label} does not. "
                "A model of another architecture, or an adapter, is the usual cause."
            )
        _check_tensor(base, finetuned, tensor, other, label)
    extra = sorted(theirs - set(mine) - (_tied_head(finetuned) if HEAD not in places else set()))
    if extra:
        raise IncompatibleCheckpoints(
            f"{extra[0]}: {label} has it, the base does not ({len(extra)} such tensors). "
            "A model fine-tuned from another base is the usual cause."
        )
    return places


def _tied_head(checkpoint: Checkpoint) -> set[str]:
    names = checkpoint.names()
    if HEAD not in names or EMBEDDING not in names:
        return set()
    if checkpoint.shape(HEAD) != checkpoint.shape(EMBEDDING):
        return set()
    return {HEAD} if np.array_equal(checkpoint.raw(HEAD), checkpoint.raw(EMBEDDING)) else set()


def _check_tensor(
    base: Checkpoint, finetuned: Checkpoint, tensor: str, other: str, label: str
) -> None:
    if base.shape(tensor) != finetuned.shape(other):
        raise IncompatibleCheckpoints(
            f"{tensor}: the base has shape {base.shape(tensor)}, {label} "
            f"{finetuned.shape(other)}. Another size of model, or a resized vocabulary, is the "
            "usual cause."
        )
    kinds = base.dtype(tensor), finetuned.dtype(other)
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


def check_finite(raw: Shaped[ndarray, " n"], dtype: str, tensor: str, model: str) -> None:
    """Refuse a tensor that holds NaN or infinity.

    Raises:
        NonFiniteWeights: naming the tensor, the model, and how many elements are affected.
    """
    for start in range(0, raw.size, CHUNK):
        chunk = to_float32(raw[start : start + CHUNK], dtype)
        finite = np.isfinite(chunk)
        if not finite.all():
            first = int(np.argmin(finite))
            raise NonFiniteWeights(
                f"{model}: {tensor} holds {chunk[first]} at element {start + first}; every weight "
                "must be a finite number. A diverged training, or an overflow in float16, is the "
                "usual cause."
            )
