"""Sparse delta packs: a safetensors file with the weights that differ from a base.

For every tensor that differs it holds `mask/NAME`, one bit per element (uint8, lowest bit first,
the last byte padded with zeros), and `values/NAME`, the weights whose bit is set, in order.
docs/reference/packs.md describes it.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from numpy import ndarray

from dppa_core.checkpoints.adapters.lora_files import CONFIG
from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint
from dppa_core.checkpoints.chunks import CHUNK, slices
from dppa_core.checkpoints.file_hashes import file_hash
from dppa_core.checkpoints.fingerprints import known_fingerprint
from dppa_core.checkpoints.formats import SAFETENSORS
from dppa_core.checkpoints.safetensors_reader import SafetensorsFile, open_file
from dppa_core.errors import (
    DamagedCheckpoint,
    IncompatibleCheckpoints,
    InvalidValue,
    MissingCheckpoint,
    many,
)
from dppa_core.pruning.floats import FLOATS, from_float32, to_float32
from dppa_core.pruning.tensor_names import is_buffer

MASK, VALUES = "mask/", "values/"
"""Prefixes of a tensor's name."""
SUFFIX = SAFETENSORS.suffix
VERSION = "2"
_KIND = "dppa-pack"


@dataclass(frozen=True, slots=True)
class PackHeader:
    """The header of a pack."""

    base: str
    """Reference of the base it was made on; a Hub model with its commit."""
    base_hash: str
    """`known_fingerprint` of that base."""
    dtype: str
    """Dtype of the weights: "BF16", "F16" or "F32"."""
    recipe: str
    """YAML of the one-model merge that the pack restores."""
    licence: str
    """Hub licence identifier of base and domain model together; empty if unknown."""

    def metadata(self) -> dict[str, str]:
        """The text pairs of its safetensors header."""
        return {"format": _KIND, "version": VERSION, **asdict(self)}


def is_pack(file: SafetensorsFile) -> bool:
    """Return True if a file declares itself a pack, of any version."""
    return file.metadata.get("format") == _KIND


def read_pack_header(file: SafetensorsFile) -> PackHeader:
    """The header of a pack."""
    metadata = file.metadata
    if not is_pack(file):
        raise DamagedCheckpoint(
            f"{file.path}: not a delta pack, its header has no format {_KIND}. A pack is what "
            "`dppa pack` writes; a file of whole weights is the usual cause."
        )
    if metadata.get("version") != VERSION:
        raise DamagedCheckpoint(
            f"{file.path}: a delta pack of version {metadata.get('version')!r}; readable is "
            f"{VERSION}. A pack of another version of DPPA Studio is the usual cause; pack again."
        )
    missing = [key for key in ("base", "base_hash", "dtype", "recipe") if not metadata.get(key)]
    if missing or metadata["dtype"] not in FLOATS:
        fault = missing[0] if missing else f"dtype {metadata['dtype']!r}"
        raise DamagedCheckpoint(
            f"{file.path}: its header lacks {fault}. A header that was edited is the usual cause."
        )
    return PackHeader(**{field.name: metadata.get(field.name, "") for field in fields(PackHeader)})


def has_delta(base: Checkpoint, name: str) -> bool:
    """Return True if a pack may hold a tensor of the base: a weight, not a buffer."""
    return base.dtype(name) in FLOATS and not is_buffer(name, base.shape(name))


def mask_bytes(numel: int) -> int:
    """Bytes of the mask of a tensor."""
    return (numel + 7) // 8


def to_mask(differs: Bool[ndarray, " n"]) -> UInt8[ndarray, " bytes"]:
    """One bit per element, the lowest bit first."""
    return np.packbits(differs, bitorder="little")


def from_mask(mask: UInt8[ndarray, " bytes"], numel: int) -> Bool[ndarray, " n"]:
    """One bool per element."""
    return np.unpackbits(mask, count=numel, bitorder="little").view(np.bool_)


def as_dtype(raw: Shaped[ndarray, " n"], stored: str, dtype: str) -> Shaped[ndarray, " n"]:
    """Raw weights in another dtype, rounded to nearest; unchanged if it is the same."""
    return raw if stored == dtype else from_float32(to_float32(raw, stored), dtype)


def differing(base: Shaped[ndarray, " n"], merged: Shaped[ndarray, " n"]) -> Bool[ndarray, " n"]:
    """Mask of the elements of two tensors of one dtype whose bits differ: -0 is not 0."""
    bits = f"u{base.itemsize}"
    return np.asarray(np.not_equal(base.view(bits), merged.view(bits)))


def entries(file: SafetensorsFile) -> Mapping[str, int]:
    """Tensor -> number of its weights in the pack; checks all that the file alone allows."""
    header = read_pack_header(file)
    stray = [name for name in file.tensors if not name.startswith((MASK, VALUES))]
    names = sorted({name.split("/", 1)[1] for name in file.tensors if name not in stray})
    for name in names:
        stray += [at + name for at in (MASK, VALUES) if at + name not in file.tensors]
    if stray:
        raise DamagedCheckpoint(
            f"{file.path}: {stray[0]} has no counterpart; a pack holds {MASK}NAME and {VALUES}NAME "
            "for each tensor. A file that was edited is the usual cause."
        )
    return {name: _kept(file, name, header.dtype) for name in names}


def _kept(file: SafetensorsFile, name: str, dtype: str) -> int:
    mask, values = file.tensors[MASK + name], file.tensors[VALUES + name]
    axes = len(mask.shape), len(values.shape)
    if (mask.dtype, values.dtype) != ("U8", dtype) or axes != (1, 1):
        raise DamagedCheckpoint(
            f"{file.path}: {name} has a mask of dtype {mask.dtype} and shape {mask.shape} and "
            f"values of {values.dtype} {values.shape}; they must be lists of U8 and {dtype}. "
            "A file that was edited is the usual cause."
        )
    marked, raw = 0, file.raw(MASK + name)
    for start in range(0, raw.size, CHUNK):
        marked += int(np.bitwise_count(raw[start : start + CHUNK]).sum(dtype=np.int64))
    if marked != values.shape[0]:
        raise DamagedCheckpoint(
            f"{file.path}: the mask of {name} marks {marked} weights, the file holds "
            f"{values.shape[0]}. A file that was edited or damaged is the usual cause."
        )
    return marked


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
