"""A checkpoint made of a base and a LoRA adapter: W + scale * B @ A, tensor by tensor.

Readers get one float32 tensor per adapted weight, rounded once; A and B never appear separately.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict
from pathlib import Path

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.adapters.lora_files import LoraUpdate, read_lora_config, read_parts
from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint
from dppa_core.checkpoints.file_hashes import file_hash
from dppa_core.errors import DamagedCheckpoint, IncompatibleCheckpoints
from dppa_core.forms.products import add_product
from dppa_core.methods.shared.singular import Factors
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.tensor_names import match_names


class LoraCheckpoint(DerivedCheckpoint):
    """A base with an adapter on it, read as one model.

    Args:
        base: Any checkpoint; it may already carry an adapter.
        adapter: Folder with adapter_config.json and adapter_model.safetensors.

    Raises:
        MissingCheckpoint: the folder or one of its files is not there.
        DamagedCheckpoint: a file that cannot be read, or A without B.
        IncompatibleCheckpoints: an adapter of another base.
        NotAllowed: an adapter type whose delta this library cannot compute.
    """

    def __init__(self, base: Checkpoint, adapter: str | Path) -> None:
        self.adapter = Path(adapter)
        self._settings = read_lora_config(self.adapter)
        parts = read_parts(self.adapter)
        self._settings.check_effort((*parts.updates, *parts.biases), self.adapter)
        super().__init__(base, parts.file)
        self.folders, self._file = (*base.folders, self.adapter), parts.file
        weights = {f"{module}.weight": module for module in parts.updates}
        biases = {f"{module}.bias": module for module in parts.biases}
        places = match_names((*weights, *biases, *parts.replaced), base.names())
        absent = next((name for name in (*weights, *biases) if name not in places), None)
        if absent is not None:
            raise IncompatibleCheckpoints(
                f"{self.adapter}: adapts {absent}, which {base.folder.name} does not have. An "
                "adapter of another base, or of a head tied to the embedding, is the usual cause."
            )
        self._replaced = {places.get(name, name): at for name, at in parts.replaced.items()}
        self._updates = {places[name]: (m, parts.updates[m]) for name, m in weights.items()}
        self._biases = {places[name]: (m, parts.biases[m]) for name, m in biases.items()}
        self._transposed = self._stored_in_by_out()
        for name, (module, update) in self._updates.items():
            self._check_shapes(name, module, update)
            if update.magnitude:
                self._check_vector(module, update.magnitude, self._product(update)[0])
        for name, (module, part) in self._biases.items():
            self._check_vector(module, part, self.base.shape(name)[0])

    def names(self) -> tuple[str, ...]:
        return tuple(sorted({*self.base.names(), *self._replaced}))

    def shape(self, name: str) -> tuple[int, ...]:
        stored = self._replaced.get(name)
        return self._file.tensors[stored].shape if stored else self.base.shape(name)

    def dtype(self, name: str) -> str:
        """F32 for tensors the adapter changes; else as stored."""
        if name in self._updates or name in self._biases:
            return "F32"
        stored = self._replaced.get(name)
        return self._file.tensors[stored].dtype if stored else self.base.dtype(name)

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat; tensors the adapter changes are computed at every call."""
        if name in self._replaced:
            return self._file.raw(self._replaced[name])
        if name in self._updates:
            return self._updated(name, *self._updates[name]).ravel()
        if name in self._biases:
            module, part = self._biases[name]
            scaled = self._settings.scale(module) * self._part(part).ravel().astype(np.float64)
            return (self._weight(name) + scaled).astype(np.float32)
        return self.base.raw(name)

    def dense_reason(self) -> str:
        """Why its delta is no product of two factors in every tensor; empty if it is."""
        updates = [update for _, update in self._updates.values()]
        reasons = {
            "DoRA scales whole rows": any(update.magnitude for update in updates),
            "it changes an embedding": any(update.embedding for update in updates),
            "it changes biases": bool(self._biases),
            f"it replaces {min(self._replaced, default='')}": bool(self._replaced),
        }
        return next((reason for reason, holds in reasons.items() if holds), "")

    def adapted(self) -> dict[str, tuple[int, float]]:
        """Tensor -> rank of its delta, and what multiplies the product of its factors."""
        modules = ((name, module) for name, (module, _) in self._updates.items())
        settings = self._settings
        return {name: (settings.rank(m), settings.scale(m)) for name, m in modules}

    def factors(self, name: str) -> Factors:
        """The factors of an adapted tensor's delta, as the base stores it."""
        update = self._updates[name][1]
        a, b = self._part(update.a), self._part(update.b)
        return Factors(*((a.T, b.T) if self._transposed or update.embedding else (b, a)))

    def stored_dtypes(self) -> set[str]:
        """The dtypes of its tensors, as "BF16"."""
        return {info.dtype for info in self._file.tensors.values()}

    def content_hash(self) -> str:
        """A hash over the base's weights, the adapter's weights and its configuration."""
        parts = (self.base.content_hash(), file_hash(self._file), asdict(self._settings))
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _updated(
        self, name: str, module: str, update: LoraUpdate
    ) -> Float32[ndarray, "rows columns"]:
        weight, scale = self._weight(name), self._settings.scale(module)
        if not update.magnitude:
            return add_product(weight, *self.factors(name), scale)
        a, b = self._part(update.a), self._part(update.b)
        magnitude = self._part(update.magnitude).ravel()
        if self._transposed:
            return np.ascontiguousarray(add_product(weight.T, b, a, scale, magnitude).T)
        return add_product(weight, b, a, scale, magnitude)

    def _weight(self, name: str) -> Float32[ndarray, " *shape"]:
        weight = to_float32(self.base.raw(name), self.base.dtype(name))
        return weight.reshape(self.base.shape(name))

    def _part(self, stored: str) -> Float32[ndarray, " *shape"]:
        info = self._file.tensors[stored]
        return to_float32(self._file.raw(stored), info.dtype).reshape(info.shape)

    def _stored_in_by_out(self) -> bool:
        """Return True if the base stores weights in x out; shapes outweigh the configuration."""
        for name, (_, update) in self._updates.items():
            shape = self.base.shape(name)
            if not update.embedding and shape != shape[::-1]:
                return shape == self._product(update)[::-1]
        return self._settings.fan_in_fan_out

    def _product(self, update: LoraUpdate) -> tuple[int, ...]:
        """Out x in."""
        a, b = (self._file.tensors[part].shape for part in (update.a, update.b))
        return (*b[:1], *a[-1:])

    def _check_shapes(self, name: str, module: str, update: LoraUpdate) -> None:
        a, b = (self._file.tensors[part].shape for part in (update.a, update.b))
        rank, delta_shape = self._settings.rank(module), self._product(update)
        if self._transposed or update.embedding:
            delta_shape = delta_shape[::-1]
        if len(a) != 2 or len(b) != 2 or a[0] != rank or b[1] != rank:
            raise DamagedCheckpoint(
                f"{self.adapter}: {module} has A of shape {a} and B of shape {b}, its "
                f"configuration gives it rank {rank}. Files of two adapters are the usual cause."
            )
        if self.base.shape(name) != delta_shape:
            raise IncompatibleCheckpoints(
                f"{name}: {self.base.folder.name} has shape {self.base.shape(name)}, the adapter "
                f"{self.adapter} adds {delta_shape}. An adapter of another base, or of a resized "
                "vocabulary, is the usual cause."
            )

    def _check_vector(self, module: str, stored: str, outputs: int) -> None:
        shape = self._file.tensors[stored].shape
        if math.prod(shape) != outputs or max(shape, default=0) != outputs:
            raise DamagedCheckpoint(
                f"{self.adapter}: {stored} has shape {shape}, {module} has {outputs} outputs. "
                "Files of two adapters are the usual cause."
            )


def adapters_between(base: Checkpoint, model: Checkpoint) -> list[LoraCheckpoint]:
    """The adapters that make a model of the base; none if the model is something else."""
    adapters = []
    while isinstance(model, LoraCheckpoint):
        adapters.append(model)
        if model.base.identities() == base.identities():
            return adapters
        model = model.base
    return []
