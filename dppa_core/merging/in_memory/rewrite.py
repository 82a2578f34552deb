"""A merge written straight into a model in memory, by the kernels that write folders."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Unpack

import numpy as np
import torch

from dppa_core.checkpoints.chunks import CHUNK, widen
from dppa_core.errors import DamagedCheckpoint, NonFiniteWeights
from dppa_core.kernels.protocol import Kernels
from dppa_core.merging.merger import TensorMerger
from dppa_core.merging.passes.chunk_pass import LIMITS
from dppa_core.merging.passes.deltas import Raw
from dppa_core.merging.tensor_tasks import write_tensors
from dppa_core.models.loading import weighs
from dppa_core.models.parameter_views import find_places
from dppa_core.progress import RunControl
from dppa_core.pruning.floats import FLOATS
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.threads import worker_count

_RAW = {torch.bfloat16: ("BF16", torch.int16), torch.float32: ("F32", torch.float32)}

Tensors = Mapping[str, tuple[str, tuple[int, ...], Raw]]
"""Name -> (dtype, shape, raw elements), as `TensorMerger.tensor` gives them."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorPlace:
    """The memory of one merged tensor."""

    memory: Raw
    """Of the parameter, or of a part of it: the model computes with it."""
    dtype: str
    """"BF16" or "F32"."""


def find_live(
    model: Any, tensors: Tensors, kernels: Kernels, twins: Mapping[str, str]
) -> dict[str, TensorPlace] | None:
    """The places of all tensors a model was made of, if it can be overwritten.

    None if a single tensor is not in one piece, or differs in a bit from what would be written
    now: such a model can only be built anew.

    Args:
        model: On the CPU; built from these tensors by `build_model`.
        twins: Head -> embedding, if the two are one tensor: only they may share memory.
    """
    weights = {
        name: shape for name, (code, shape, _) in tensors.items() if weighs(name, code, shape)
    }
    places, owner = dict[str, TensorPlace](), dict[int, str]()
    for name, view in _found(model, weights).items():
        first = owner.setdefault(view.data_ptr(), name)
        if view.dtype in _RAW and view.is_contiguous() and _may_share(name, first, twins):
            dtype, raw = _RAW[view.dtype]
            memory = view.reshape(-1).view(raw).numpy()
            places[name] = TensorPlace(memory.view(FLOATS[dtype]), dtype)
    whole = places.keys() == weights.keys()
    if whole and all(_holds(places[name], tensors, name, kernels) for name in places):
        return places
    return None


def _found(model: Any, weights: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    try:
        with ForeignCode("transformers does not say how it would save a model", ""):
            return find_places(model, weights)
    except DamagedCheckpoint:  # a valid model, but built anew every time
        return {}


def _may_share(name: str, first: str, twins: Mapping[str, str]) -> bool:
    return name == first or twins.get(name) == first or twins.get(first) == name


def _holds(place: TensorPlace, tensors: Tensors, name: str, kernels: Kernels) -> bool:
    """Whether a place holds a tensor bit by bit."""
    code, _, raw = tensors[name]
    room: Raw = np.empty(CHUNK, FLOATS[place.dtype])
    bits = f"u{room.itemsize}"
    for start in range(0, raw.size, CHUNK):
        there = place.memory[start : start + CHUNK]
        ours = room[: there.size]
        convert(kernels, raw[start : start + CHUNK], code, ours, place.dtype, name)
        if not np.array_equal(ours.view(bits), there.view(bits)):
            return False
    return place.memory.size == raw.size


def convert(
    kernels: Kernels,
    raw: Raw,
    code: str,
    out: Raw,
    dtype: str,
    name: str,
) -> None:
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
    places: Mapping[str, TensorPlace],
    *,
    workers: int | None = None,
    **control: Unpack[RunControl],
) -> None:
    """Overwrite a model by a merge on the same base; the bytes are those of a merge to a folder.

    After an error the model is a mix of two merges, and may only be overwritten again.

    Args:
        places: Of a model made of the same base.
        workers: Threads; one for every available core if unset. The bytes are the same.
        control: Called after each tensor; ends the work between two slices of tensors.

    Raises:
        NonFiniteWeights: NaN or infinity in a weight, or in a sum.
        Cancelled: `stop` was set.
    """
    write_tensors(merger, _Places(merger, places), worker_count(workers), **control)


class _Places:
    """A model in memory as a sink: tensors of their place's dtype are merged right there."""

    whole: Literal["always"] = "always"

    def __init__(self, merger: TensorMerger, places: Mapping[str, TensorPlace]) -> None:
        self._merger, self._places = merger, places
        self._kernels = merger.loader().kernels
        self.names = tuple(places)

    def keep(self, name: str, kept: tuple[int, ...]) -> None:
        return None

    def room(self, name: str, start: int, stop: int) -> Raw | None:
        place = self._places[name]
        same = self._merger.plan.tensors[name].dtype == place.dtype
        return place.memory[start:stop] if same else None

    def take(self, name: str, start: int, merged: Raw, base: Raw | None) -> None:
        """See `Sink`."""
        place = self._places[name]
        out, code = place.memory[start : start + merged.size], self._merger.plan.tensors[name].dtype
        if not np.may_share_memory(out, merged):
            convert(self._kernels, merged, code, out, place.dtype, name)
