"""A fine-tune of whose delta a form keeps a part, read as a whole model: base + what is kept."""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint
from dppa_core.checkpoints.chunks import slices
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.forms.contract import Codes, Place, code_bytes
from dppa_core.forms.store import Store
from dppa_core.forms.uneven import uneven_stores
from dppa_core.pruning.floats import FLOATS, to_float32
from dppa_core.pruning.module_groups import find_modules
from dppa_core.pruning.tensor_names import is_buffer, match_names
from dppa_core.system.recent import Recent

_CACHED_BYTES = 128 << 20
"""Of codes; what does not fit is made again at every reading."""

Matrices = tuple[tuple[Codes, ...], ...]
"""The codes of every part, for each matrix of a tensor: one, or one an expert."""


class TensorSize(NamedTuple):
    """What a tensor's delta takes in a file, and what is lost of it."""

    nbytes: int
    energy: float
    """Sum of the squares of the whole delta."""
    lost: float
    """Sum of the squares of the difference of what is kept from the whole."""


class KeptCheckpoint(DerivedCheckpoint):
    """A domain model with its delta replaced by what a store keeps of it.

    Tensors that the base lacks, or has in another shape, are the domain model's.

    Args:
        base: The base, whose distance is the delta.
        tuned: The domain model.
        store: The forms.
        model: Reference of the domain model; draws depend on it.
    """

    def __init__(self, base: Checkpoint, tuned: Checkpoint, store: Store, model: str) -> None:
        super().__init__(tuned)
        self.store, self.model, self._origin = store, model, base
        shapes = {name: base.shape(name) for name in base.names()}
        self._modules = {module.tensor: module for module in find_modules(shapes)}
        self._places = match_names(tuned.names(), base.names())
        self._codes = Recent(_CACHED_BYTES, _matrix_bytes)
        self._lock = threading.Lock()
        self._stores: Mapping[str, Store] | None = None

    def dtype(self, name: str) -> str:
        """F32 where a form keeps the delta; else as stored."""
        treatment = self._treatment(name)
        if treatment == "drop":
            return self._origin.dtype(self._places[name])
        return "F32" if treatment == "same" else self.base.dtype(name)

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat; tensors that a form keeps are computed at every call."""
        treatment = self._treatment(name)
        if treatment == "drop":
            return self._origin.raw(self._places[name])
        if treatment == "keep":
            return self.base.raw(name)
        total = widened(self._origin, self._places[name])
        total += decoded(self.store, self.codes(name), self.shape(name), self._place(name))
        return total

    def content_hash(self) -> str:
        """A hash over both models' weights, the forms and the draws."""
        parts = self._origin.content_hash(), self.base.content_hash(), self.store, self.model
        return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()

    def identities(self) -> Mapping[Path, str]:
        return {**self._origin.identities(), **self.base.identities()}

    def release(self) -> None:
        self._origin.release()
        self.base.release()

    def codes(self, name: str) -> Matrices:
        """What is kept of a tensor's delta; empty if it is whole, or dropped."""
        if self._treatment(name) != "same":
            return ()
        cached: Matrices | None = self._codes.find(name)
        if cached is not None:
            return cached
        matrices, place = self._delta(name).reshape(-1, *self.shape(name)[-2:]), self._place(name)
        store = self._module_stores().get(place.tensor, self.store)
        made: Matrices = tuple(store.encode(matrix, place) for matrix in matrices)
        self._codes.keep(name, made)
        return made

    def size(self, name: str) -> TensorSize:
        """What a tensor takes in a file, and what is lost of it."""
        if name not in self._places or self._origin.shape(self._places[name]) != self.shape(name):
            return TensorSize(self.base.raw(name).nbytes, 0.0, 0.0)  # no delta
        delta = self._delta(name)
        energy = _energy(delta)
        if not energy:
            return TensorSize(0, 0.0, 0.0)
        treatment = self._treatment(name)
        if treatment != "same":
            dropped = treatment == "drop"
            nbytes = 0 if dropped else self.base.raw(name).nbytes
            return TensorSize(nbytes, energy, energy if dropped else 0.0)
        codes = self.codes(name)
        delta -= decoded(self.store, codes, self.shape(name), self._place(name))
        return TensorSize(_matrix_bytes(codes), energy, _energy(delta))

    def expected_bytes(self, name: str) -> int:
        """What a tensor takes in a file, if all of it changed, before any weight is read."""
        treatment, shape = self._treatment(name), self.shape(name)
        if treatment == "drop":
            return 0
        if treatment == "keep":
            return TensorSpec(name, self.base.dtype(name), shape).nbytes
        return math.prod(shape[:-2]) * self.store.nbytes((shape[-2], shape[-1]))

    def place(self, name: str) -> str:
        """The base's name of a tensor; its own, if the base lacks it."""
        return self._places.get(name, name)

    def changed(self, name: str) -> tuple[Checkpoint, str] | None:
        """The base, and its name of a tensor whose delta a form keeps; None for any other."""
        return (self._origin, self._places[name]) if self._treatment(name) == "same" else None

    def is_base(self, name: str) -> bool:
        """Return True if nothing is kept of a tensor's delta, or it has none."""
        there = self._places.get(name)
        if there is None or self._origin.shape(there) != self.shape(name):
            return False
        same = self._origin.dtype(there) == self.dtype(name)
        return same and np.array_equal(self.raw(name), self._origin.raw(there))

    def _delta(self, name: str) -> Float32[ndarray, " n"]:
        delta = widened(self.base, name)
        delta -= widened(self._origin, self._places[name])
        return delta

    def _module_stores(self) -> Mapping[str, Store]:
        """The stores of modules that have their own; computed once."""
        with self._lock:
            if self._stores is None:
                names = {self._places[name]: name for name in self.names() if name in self._places}
                same = {there for there, name in names.items() if self._treatment(name) == "same"}
                modules = [m for tensor, m in self._modules.items() if tensor in same]
                self._stores = uneven_stores(
                    self.store, modules, lambda module: self._delta(names[module.tensor])
                )
            return self._stores

    def _place(self, name: str) -> Place:
        return Place(self._places[name], self.model)

    def _treatment(self, name: str) -> str:
        """`same`: a form keeps it; `keep`: as in the domain model; `drop`: as in the base."""
        there, shape = self._places.get(name), self.shape(name)
        if there is None or self._origin.shape(there) != shape or is_buffer(name, shape):
            return "keep"
        if {self.base.dtype(name), self._origin.dtype(there)} - FLOATS.keys() or not math.prod(
            shape
        ):
            return "keep"
        if there in self._modules:
            return "same"
        choice = self.store.other_tensors
        return "keep" if choice == "same" and len(shape) < 2 else choice


def decoded(
    store: Store, matrices: Matrices, shape: tuple[int, ...], place: Place
) -> Float32[ndarray, " n"]:
    """What is kept of a tensor, flat."""
    kept = [store.decode(codes, shape[-2:], place) for codes in matrices]  # type: ignore[arg-type]
    return np.stack(kept).reshape(-1)


def widened(checkpoint: Checkpoint, name: str) -> Float32[ndarray, " n"]:
    """A copy of a tensor in float32, flat."""
    return np.array(to_float32(checkpoint.raw(name), checkpoint.dtype(name)), np.float32)


def _energy(values: Float32[ndarray, " n"]) -> float:
    total = 0.0
    for start, stop in slices(values.size):
        part = values[start:stop].astype(np.float64)
        total += float(np.vdot(part, part))
    return total


def _matrix_bytes(matrices: Matrices) -> int:
    return sum(code_bytes(codes) for parts in matrices for codes in parts)
