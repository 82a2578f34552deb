"""A merge written straight into a model in memory, by the kernels that write folders."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Unpack

import numpy as np
import torch

from dppa_core.checkpoints.chunks import CHUNK, widen
from dppa_core.errors import DamagedCheckpoint, NonFiniteWeights
from dppa_core.kernels.protocol import Kernels
from dppa_core.merging.merger import TensorMerger
from dppa_core.merging.passes.chunk_pass import LIMITS
from dppa_core.merging.passes.deltas import Raw
from dppa_core.merging.tensor_tasks import WHOLE_MIN_NUMEL, write_tensors
from dppa_core.models.parameter_views import find_places, weighs
from dppa_core.progress import RunControl
from dppa_core.pruning.floats import FLOATS
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.threads import worker_count

_RAW = {torch.bfloat16: ("BF16", torch.int16), torch.float32: ("F32", torch.float32)}

Tensors = Mapping[str, tuple[str, tuple[int, ...], Raw]]
"""Name -> (dtype, shape, raw elements), as `TensorMerger.tensor` gives them."""


def find_live(
    model: Any, tensors: Tensors, kernels: Kernels, twins: Mapping[str, str]
) -> dict[str, torch.Tensor] | None:
    """Flat views of all tensors a model was made of, if it can be overwritten.

    None if a single tensor is not in one piece, or differs in a bit from what would be written
    now: such a model can only be built anew.

    Args:
        model: On the CPU; built from these tensors by `build_model`.
        twins: Head -> embedding, if the two are one tensor: only they may share memory.
    """
    weights = {
        name: shape for name, (code, shape, _) in tensors.items() if weighs(name, code, shape)
    }
    places, owner = dict[str, torch.Tensor](), dict[int, str]()
    for name, view in _views(model, weights).items():
        first = owner.setdefault(view.data_ptr(), name)
        if view.dtype in _RAW and view.is_contiguous() and _may_share(name, first, twins):
            places[name] = view.reshape(-1)
    whole = places.keys() == weights.keys()
    if whole and all(_holds(places[name], tensors, name, kernels) for name in places):
        return places
    return None


def _views(model: Any, weights: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    try:
        with ForeignCode("transformers does not say how it would save a model", ""):
            return find_places(model, weights)
    except DamagedCheckpoint:  # a valid model, but built anew every time
        return {}


def _may_share(name: str, first: str, twins: Mapping[str, str]) -> bool:
    return name == first or twins.get(name) == first or twins.get(first) == name


def _memory(place: torch.Tensor) -> tuple[str, Raw]:
    """A place's dtype, "BF16" or "F32", and its elements as the kernels take them."""
    dtype, raw = _RAW[place.dtype]
    return dtype, place.view(raw).numpy().view(FLOATS[dtype])


def _holds(place: torch.Tensor, tensors: Tensors, name: str, kernels: Kernels) -> bool:
    """Return True if a place holds a tensor bit by bit."""
    (code, _, raw), (dtype, memory) = tensors[name], _memory(place)
    room: Raw = np.empty(CHUNK, FLOATS[dtype])
    bits = f"u{room.itemsize}"
    for start in range(0, raw.size, CHUNK):
        held = memory[start : start + CHUNK]
        expected = room[: held.size]
        convert(kernels, raw[start : start + CHUNK], code, expected, dtype, name)
        if not np.array_equal(expected.view(bits), held.view(bits)):
            return False
    return memory.size == raw.size


def convert(kernels: Kernels, raw: Raw, code: str, out: Raw, dtype: str, name: str) -> None:
    """Write finite raw weights of one dtype in another, rounded to nearest even.

    Args:
        code: Its dtype.
        dtype: "BF16" or "F32".

    Raises:
        NonFiniteWeights: the dtype cannot hold a weight.
    """
    if code == dtype:
        np.copyto(out, raw)
    elif dtype == "F32":
        widen(kernels, raw, code, out)
    else:
        wide: Raw = np.empty(raw.size, np.float32)
        widen(kernels, raw, code, wide)
        largest = kernels.largest(wide)
        if not largest < LIMITS[dtype]:
            raise NonFiniteWeights(f"{name}: {largest:g} is more than {dtype} can hold.")
        kernels.narrow(wide, out)


def write_merge(
    merger: TensorMerger,
    places: Mapping[str, torch.Tensor],
    *,
    workers: int | None = None,
    **control: Unpack[RunControl],
) -> None:
    """Overwrite a model by a merge on the same base; the bytes are those of a merge to a folder.

    After an error the model is a mix of two merges, and may only be overwritten again.

    Args:
        places: From `find_live`, of a model made of the same base.
        workers: Threads. If unset, one for every available core; a single one for a small model,
            which others make no faster. The bytes are the same.
        control: Called after each tensor; ends the work between two slices of tensors.

    Raises:
        NonFiniteWeights: NaN or infinity in a weight, or in a sum.
        Cancelled: `stop` was set.
    """
    if (
        workers is None
        and sum(spec.numel for spec in merger.plan.tensors.values()) < WHOLE_MIN_NUMEL
    ):
        workers = 1
    write_tensors(merger, _Places(merger, places), worker_count(workers), **control)


class _Places:
    """A model in memory as a sink: tensors of their place's dtype are merged right there."""

    whole: Literal["always"] = "always"

    def __init__(self, merger: TensorMerger, places: Mapping[str, torch.Tensor]) -> None:
        self._merger = merger
        self._places = {name: _memory(place) for name, place in places.items()}
        self._kernels = merger.loader().kernels
        self.names = tuple(places)

    def keep(self, name: str, kept: tuple[int, ...], stack: object = None) -> None:
        return None

    def room(self, name: str, start: int, stop: int) -> Raw | None:
        dtype, memory = self._places[name]
        return memory[start:stop] if self._merger.plan.tensors[name].dtype == dtype else None

    def take(self, name: str, start: int, merged: Raw, base: Raw | None) -> None:
        """See `Sink`."""
        dtype, memory = self._places[name]
        out, code = memory[start : start + merged.size], self._merger.plan.tensors[name].dtype
        if not np.may_share_memory(out, merged):
            convert(self._kernels, merged, code, out, dtype, name)
