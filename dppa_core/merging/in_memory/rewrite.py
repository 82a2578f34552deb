"""A merge written straight into a model in memory, by the kernels that write folders.

Knows a merger and places to write to; nothing of who uses the model meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK, slices, widen
from dppa_core.errors import DamagedCheckpoint, NonFiniteWeights
from dppa_core.kernels.protocol import Kernels
from dppa_core.merging.chunk_pass import LIMITS, Fuser
from dppa_core.merging.combined_pass import Layers
from dppa_core.merging.merge_at_once import WholeTensors
from dppa_core.merging.merger import Merger
from dppa_core.models.loading import weighs
from dppa_core.models.parameter_views import find_places
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.pruning.floats import FLOATS
from dppa_core.system.error_translation import ForeignCode
from dppa_core.system.threads import Shared, Spare, side_by_side, worker_count

_RAW = {torch.bfloat16: ("BF16", torch.int16), torch.float32: ("F32", torch.float32)}

Tensors = Mapping[str, tuple[str, tuple[int, ...], Shaped[ndarray, " n"]]]
"""Name -> (dtype, shape, raw elements), as `Merger.tensor` gives them."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorPlace:
    """Where one merged tensor goes."""

    memory: Shaped[ndarray, " n"]
    """Of the parameter, or of a part of it: what is written here the model computes with."""
    dtype: str
    """"BF16" or "F32"."""


def find_live(
    model: Any, tensors: Tensors, kernels: Kernels, twins: Mapping[str, str]
) -> dict[str, TensorPlace] | None:
    """The places of all tensors a model was made of, where it can be overwritten.

    None where a single tensor is not found in one piece, or not bit by bit as it would be written
    now: such a model can only be built anew.

    Args:
        model: On the CPU; made of these tensors by `build_model`.
        tensors: Its weights.
        kernels: What they will be written with.
        twins: Head -> embedding, where the two are one tensor: they alone may share memory.
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
    except DamagedCheckpoint:  # a model like any other, but for being built anew every time
        return {}


def _may_share(name: str, first: str, twins: Mapping[str, str]) -> bool:
    return name == first or twins.get(name) == first or twins.get(first) == name


def _holds(place: TensorPlace, tensors: Tensors, name: str, kernels: Kernels) -> bool:
    """Whether a place holds a tensor bit by bit."""
    code, _, raw = tensors[name]
    room: Shaped[ndarray, " n"] = np.empty(CHUNK, FLOATS[place.dtype])
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
    raw: Shaped[ndarray, " n"],
    code: str,
    out: Shaped[ndarray, " n"],
    dtype: str,
    name: str,
) -> None:
    """Write finite raw weights of one dtype in another, rounded to nearest even.

    Args:
        kernels: What to do it with.
        raw: As stored.
        code: Its dtype.
        out: Where to.
        dtype: "BF16" or "F32".
        name: The tensor's, for the message.

    Raises:
        NonFiniteWeights: one that the dtype cannot hold.
    """
    if code == dtype:
        np.copyto(out, raw)
    elif dtype == "F32":
        widen(kernels, raw, code, out)
    else:
        wide: Shaped[ndarray, " n"] = np.empty(raw.size, np.float32)
        widen(kernels, raw, code, wide)
        largest = kernels.largest(wide)
        if not largest < LIMITS[dtype]:
            raise NonFiniteWeights(f"{name}: {largest:g} is more than {dtype} can hold.")
        kernels.narrow(wide, out)


def write_merge(
    merger: Merger,
    places: Mapping[str, TensorPlace],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> None:
    """Overwrite a model by a merge on the same base; the bytes are those of a merge to a folder.

    After an error the model is half one merge and half another: it is only good for being
    overwritten again.

    Args:
        merger: What to write.
        places: Of a model made of the same base.
        workers: Threads; one for every available core if unset. The bytes are the same.
        progress: Told tensor by tensor.
        stop: Ends the work between two slices of tensors.

    Raises:
        NonFiniteWeights: NaN or infinity in a weight, or in a sum.
        Cancelled: `stop` was set.
    """
    writer, names = _Writer(merger, places, stop), list(places)
    tasks = [task for name in names for task in writer.tasks(name)]
    missing = {name: place.memory.size for name, place in places.items()}
    done = sum(not size for size in missing.values())
    with closing(side_by_side(tasks, worker_count(workers))) as written:
        for name, elements in written:
            missing[name] -= elements
            if not missing[name]:
                done += 1
                report(progress, done, len(names), name)
    check(stop)  # workers may have been done before it was set


class _Writer:
    """The tasks: slices of tensors, merged into their places by any thread in any order."""

    def __init__(
        self, merger: Merger, places: Mapping[str, TensorPlace], stop: Stop | None
    ) -> None:
        self._merger, self._places, self._stop = merger, places, stop
        self._fusers = Spare(lambda: Fuser(merger.loader()))
        self._whole = WholeTensors(merger, sum(place.memory.size for place in places.values()))

    def tasks(self, name: str) -> Iterator[partial[tuple[str, int]]]:
        """One task a slice. It returns the tensor's name and how many elements it has written."""
        numel = self._places[name].memory.size
        if self._whole.take(name):
            yield partial(self._write_whole, name)
            return
        parts = ((0, numel),) if self._merger.combines else slices(numel)
        shared = Shared(partial(self._prepare, name), len(parts))
        yield from (partial(self._write, name, shared, *part) for part in parts)

    def _write_whole(self, name: str) -> tuple[str, int]:
        check(self._stop)
        place, numel = self._places[name], self._places[name].memory.size
        direct = place.dtype == "BF16"
        out: Shaped[ndarray, " n"] = place.memory if direct else np.empty(numel, np.uint16)
        models = self._merger.ingredients(name) or ()
        with self._whole.scratch.one() as scratch:
            done = self._whole.merge(name, models, out, scratch)
        if not done:
            shared = Shared(partial(self._prepare, name), 1)
            return self._write(name, shared, 0, numel)
        if not direct:
            with self._fusers.one() as fuser:
                convert(fuser.loader.kernels, out, "BF16", place.memory, place.dtype, name)
        return name, numel

    def _prepare(self, name: str) -> Layers | None:
        with self._fusers.one() as fuser:
            return self._merger.layers(name, fuser.loader)

    def _write(
        self, name: str, shared: Shared[Layers | None], start: int, stop: int
    ) -> tuple[str, int]:
        check(self._stop)
        place = self._places[name]
        with shared.use() as layers, self._fusers.one() as fuser:
            if self._merger.dtype(name) == place.dtype and layers and not self._merger.combines:
                fuser.fuse_into(layers.fusion, start, place.memory[start:stop])
            else:
                code, kernels = self._merger.dtype(name), fuser.loader.kernels
                for first, raw in self._parts(name, layers, fuser, start, stop):
                    out = place.memory[first : first + raw.size]
                    convert(kernels, raw, code, out, place.dtype, name)
        return name, stop - start

    def _parts(
        self, name: str, layers: Layers | None, fuser: Fuser, start: int, stop: int
    ) -> Iterator[tuple[int, Shaped[ndarray, " n"]]]:
        """(first element, merged elements in their own dtype), until `stop`."""
        if layers is None:
            yield start, self._merger.base.raw(name)[start:stop]
        elif self._merger.combines:
            yield from self._merger.stacks.blocks(layers)
        else:
            for first in range(start, stop, CHUNK):
                yield first, fuser.fuse(layers.fusion, first, min(first + CHUNK, stop))
