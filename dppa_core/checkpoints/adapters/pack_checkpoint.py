"""A checkpoint made of a base and a sparse delta pack, exactly as it was packed."""

from __future__ import annotations

import hashlib
import math
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.adapters.lora_config import CONFIG
from dppa_core.checkpoints.adapters.pack_format import (
    MASK,
    SUFFIX,
    VALUES,
    as_dtype,
    entries,
    from_mask,
    has_delta,
    is_pack,
    mask_bytes,
    read_pack_header,
)
from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint
from dppa_core.checkpoints.chunks import slices
from dppa_core.checkpoints.file_hashes import file_hash
from dppa_core.checkpoints.fingerprints import known_fingerprint
from dppa_core.checkpoints.safetensors_reader import open_file
from dppa_core.errors import (
    DamagedCheckpoint,
    IncompatibleCheckpoints,
    InvalidValue,
    MissingCheckpoint,
    many,
)
from dppa_core.pruning.floats import FLOATS


def find_pack(place: Path) -> Path | None:
    """The pack at a path: the file, or the only one in a folder; None for an adapter folder."""
    if place.suffix == SUFFIX and not place.is_dir():
        if not place.exists():
            raise MissingCheckpoint(
                f"{place}: no such file. `dppa pack` writes packs; a typing error is the usual "
                "cause."
            )
        return place
    if not place.is_dir() or (place / CONFIG).exists():
        return None
    packs = [path for path in sorted(place.glob("*" + SUFFIX)) if is_pack(open_file(path))]
    if len(packs) > 1:
        names = ", ".join(path.name for path in packs[:5])
        raise InvalidValue(
            f"{place}: holds {len(packs)} packs ({names}). Name one: BASE+{packs[0]}."
        )
    return packs[0] if packs else None


class PackCheckpoint(DerivedCheckpoint):
    """A base with a pack on it, read as one model.

    Args:
        base: The base the pack was made on; its weights are hashed, once.

    Raises:
        MissingCheckpoint: no such file.
        DamagedCheckpoint: not a pack, or one whose parts contradict each other.
        IncompatibleCheckpoints: a pack of another base.
    """

    def __init__(self, base: Checkpoint, pack: str | Path) -> None:
        self.path = Path(pack)
        self._file = open_file(self.path, named=True)
        super().__init__(base, self._file)
        self.folders = (*base.folders, self.path)
        self.header = read_pack_header(self._file)
        self._kept = entries(self._file)
        fingerprint = known_fingerprint(base)
        if fingerprint != self.header.base_hash:
            raise IncompatibleCheckpoints(
                f"{self.path}: made on {self.header.base} with weights "
                f"{self.header.base_hash[:12]}…, {base.folder.name} holds {fingerprint[:12]}…. "
                "Another base, or another revision or dtype of it, is the usual cause."
            )
        for name in self._kept:
            self._check(name)

    def dtype(self, name: str) -> str:
        """The pack's dtype; buffers and integers have the base's."""
        return self.header.dtype if has_delta(self.base, name) else self.base.dtype(name)

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat; tensors the pack changes are computed at every call."""
        stored, dtype, base = self.base.dtype(name), self.dtype(name), self.base.raw(name)
        if name not in self._kept and stored == dtype:
            return base
        out: Shaped[ndarray, " n"] = np.empty(base.size, FLOATS[dtype])
        for start, stop in slices(base.size):
            out[start:stop] = as_dtype(base[start:stop], stored, dtype)
        if name in self._kept:
            self._put(name, out)
        return out

    def content_hash(self) -> str:
        """A hash over the base's weights and the pack."""
        parts = f"{self.base.content_hash()} {file_hash(self._file)}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def _put(self, name: str, out: Shaped[ndarray, " n"]) -> None:
        mask, values, first = self._file.raw(MASK + name), self._file.raw(VALUES + name), 0
        for start, stop in slices(out.size):
            marked = from_mask(mask[start // 8 : mask_bytes(stop)], stop - start)
            count = int(np.count_nonzero(marked))
            out[start:stop][marked] = values[first : first + count]
            first += count

    def _check(self, name: str) -> None:
        """Check that the base has a tensor of the pack, and that its mask has the right size."""
        if name not in self.base.names() or not has_delta(self.base, name):
            raise DamagedCheckpoint(
                f"{self.path}: changes {name}, which is not a weight of {self.base.folder.name}. A "
                "file that was edited is the usual cause."
            )
        shape = self.base.shape(name)
        numel, size = math.prod(shape), self._file.tensors[MASK + name].size
        if size != mask_bytes(numel):
            raise DamagedCheckpoint(
                f"{self.path}: the mask of {name} has {many(size, 'byte')}, its shape {shape} in "
                f"the base needs {mask_bytes(numel)}. A file that was edited is the usual cause."
            )
        rest = numel % 8
        if rest and int(self._file.raw(MASK + name)[-1]) >> rest:
            raise DamagedCheckpoint(
                f"{self.path}: the mask of {name} marks weights beyond its {numel}. A file that "
                "was edited is the usual cause."
            )
