"""Sparse delta packs: a safetensors file with the weights that differ from a base.

Its version says how: `pack_blocks` what is written, `pack_masks` what was.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.adapters.kept_pack import KeptPackCheckpoint, is_kept_pack
from dppa_core.checkpoints.adapters.lora_files import CONFIG
from dppa_core.checkpoints.adapters.pack_blocks import BlockEntries
from dppa_core.checkpoints.adapters.pack_masks import MaskEntries
from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint
from dppa_core.checkpoints.chunks import slices
from dppa_core.checkpoints.file_hashes import file_hash
from dppa_core.checkpoints.fingerprints import check_base
from dppa_core.checkpoints.formats import SAFETENSORS
from dppa_core.checkpoints.safetensors_reader import SafetensorsFile, open_file
from dppa_core.errors import (
    DamagedCheckpoint,
    InvalidValue,
    MissingCheckpoint,
)
from dppa_core.forms.compression import DAMAGE
from dppa_core.pruning.floats import FLOATS, from_float32, to_float32
from dppa_core.pruning.tensor_names import is_buffer

SUFFIX = SAFETENSORS.suffix
VERSION = "3"
"""Of the packs that are written."""
_ENTRIES: dict[str, type[MaskEntries] | type[BlockEntries]] = {
    "2": MaskEntries,
    VERSION: BlockEntries,
}
"""Readable versions."""
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
    """Return True if a file declares itself a pack, also one of a form, of any version."""
    return file.metadata.get("format") == _KIND or is_kept_pack(file)


def read_pack_header(file: SafetensorsFile) -> PackHeader:
    """The header of a pack."""
    metadata = file.metadata
    if metadata.get("format") != _KIND:
        raise DamagedCheckpoint(
            f"{file.path}: not a delta pack, its header has no format {_KIND}. A pack is what "
            "`dppa pack` writes; a file of whole weights is the usual cause."
        )
    if metadata.get("version") not in _ENTRIES:
        raise DamagedCheckpoint(
            f"{file.path}: a delta pack of version {metadata.get('version')!r}; readable are "
            f"{' and '.join(_ENTRIES)}. A pack of another version of DPPA Studio is the usual "
            "cause; pack again."
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


def as_dtype(raw: Shaped[ndarray, " n"], stored: str, dtype: str) -> Shaped[ndarray, " n"]:
    """Raw weights in another dtype, rounded to nearest; unchanged if it is the same."""
    return raw if stored == dtype else from_float32(to_float32(raw, stored), dtype)


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


def open_pack(base: Checkpoint, pack: Path) -> KeptPackCheckpoint | PackCheckpoint:
    """A base with a pack of any kind on it; see there for errors."""
    kept = is_kept_pack(open_file(pack, named=True))
    return KeptPackCheckpoint(base, pack) if kept else PackCheckpoint(base, pack)


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
        self._entries = _ENTRIES[self._file.metadata["version"]](self._file, self.header.dtype)
        check_base(base, self.header.base, self.header.base_hash, self.path)
        for name in sorted(self._entries.names):
            self._check(name)

    def dtype(self, name: str) -> str:
        """The pack's dtype; buffers and integers have the base's."""
        return self.header.dtype if has_delta(self.base, name) else self.base.dtype(name)

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat; tensors the pack changes are computed at every call."""
        stored, dtype, base = self.base.dtype(name), self.dtype(name), self.base.raw(name)
        if name not in self._entries.names and stored == dtype:
            return base
        out: Shaped[ndarray, " n"] = np.empty(base.size, FLOATS[dtype])
        for start, stop in slices(base.size):
            out[start:stop] = as_dtype(base[start:stop], stored, dtype)
        if name in self._entries.names:
            self._entries.put(name, out)
        return out

    def content_hash(self) -> str:
        """A hash over the base's weights and the pack."""
        parts = f"{self.base.content_hash()} {file_hash(self._file)}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def _check(self, name: str) -> None:
        """Check that the base has a tensor of the pack, of its size."""
        if name not in self.base.names() or not has_delta(self.base, name):
            raise DamagedCheckpoint(
                f"{self.path}: changes {name}, which is not a weight of {self.base.folder.name}. "
                f"{DAMAGE}"
            )
        shape = self.base.shape(name)
        self._entries.check(name, shape, math.prod(shape))
