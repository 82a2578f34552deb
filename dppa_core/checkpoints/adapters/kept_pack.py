"""Packs of a form: what a store keeps of a model's delta, as a safetensors file.

docs/pack-format.md describes it.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.adapters.kept import KeptCheckpoint, decoded, widened
from dppa_core.checkpoints.checkpoint import Checkpoint, DerivedCheckpoint
from dppa_core.checkpoints.file_hashes import file_hash
from dppa_core.checkpoints.fingerprints import check_base
from dppa_core.checkpoints.safetensors_reader import SafetensorsFile, open_file
from dppa_core.errors import DamagedCheckpoint
from dppa_core.forms.contract import Codes, Place
from dppa_core.forms.store import parse_store_text
from dppa_core.pruning.floats import FLOATS

_KIND, _VERSION = "dppa-kept", "1"
WHOLE = "whole"
"""The first part of the entry of a tensor that is kept whole."""
_CODES: dict[type[np.generic], str] = {np.uint8: "U8", np.uint16: "BF16"}
_ENTRY = re.compile(r"\d{1,6}\.\d\.\w+", re.ASCII)
"""Matrix, part and code."""
_EDITED = "A file that was edited is the usual cause."


@dataclass(frozen=True, slots=True)
class KeptHeader:
    """The header of a pack of a form."""

    base: str
    """Reference of the base it was made on; a Hub model with its commit."""
    base_hash: str
    """`known_fingerprint` of that base."""
    store: str
    """The forms, see `parse_store_text`."""
    model: str
    """Reference of the domain model: its draws depend on it."""
    licence: str
    """Hub licence identifier of base and domain model together; empty if unknown."""

    def metadata(self) -> dict[str, str]:
        """The text pairs of its safetensors header."""
        return {"format": _KIND, "version": _VERSION, **asdict(self)}


class KeptPackCheckpoint(DerivedCheckpoint):
    """A base with what a form kept of a model's delta on it, read as one model.

    Raises:
        DamagedCheckpoint: not such a file, or one whose parts contradict each other; tensors are
            checked when they are read.
        IncompatibleCheckpoints: a pack of another base.
    """

    def __init__(self, base: Checkpoint, pack: str | Path) -> None:
        self.path = Path(pack)
        self._file = open_file(self.path, named=True)
        super().__init__(base, self._file)
        self.folders = (*base.folders, self.path)
        self.header = read_kept_header(self._file)
        self.store = parse_store_text(self.header.store)
        check_base(base, self.header.base, self.header.base_hash, self.path)
        self._codes, self._whole = _entries(self._file, base, len(self.store.parts))

    def names(self) -> tuple[str, ...]:
        return tuple(sorted({*self.base.names(), *self._whole}))

    def shape(self, name: str) -> tuple[int, ...]:
        whole = self._whole.get(name)
        return self._file.tensors[whole].shape if whole else self.base.shape(name)

    def dtype(self, name: str) -> str:
        """F32 where a form kept the delta; else as stored."""
        whole = self._whole.get(name)
        if whole:
            return self._file.tensors[whole].dtype
        return "F32" if name in self._codes else self.base.dtype(name)

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """Its elements, flat; tensors that a form kept are computed at every call."""
        if name in self._whole:
            return self._file.raw(self._whole[name])
        if name not in self._codes:
            return self.base.raw(name)
        shape, total = self.shape(name), widened(self.base, name)
        codes = tuple(self._parts(name, number) for number in range(math.prod(shape[:-2])))
        total += decoded(self.store, codes, shape, Place(name, self.header.model))
        return total

    def changed(self, name: str) -> tuple[Checkpoint, str] | None:
        """The base, and its name of a tensor whose delta a form kept; None for any other."""
        return (self.base, name) if name in self._codes else None

    def content_hash(self) -> str:
        """A hash over the base's weights and the pack."""
        parts = f"{self.base.content_hash()} {file_hash(self._file)}"
        return hashlib.sha256(parts.encode()).hexdigest()

    def _parts(self, name: str, matrix: int) -> tuple[Codes, ...]:
        codes = [dict[str, Shaped[ndarray, "..."]]() for _ in self.store.parts]
        for stored, (number, part, code) in self._codes[name].items():
            if number == matrix:
                info = self._file.tensors[stored]
                codes[part][code] = self._file.raw(stored).reshape(info.shape)
        return tuple(codes)


def is_kept_pack(file: SafetensorsFile) -> bool:
    """Return True if a file declares itself a pack of a form, of any version."""
    return file.metadata.get("format") == _KIND


def read_kept_header(file: SafetensorsFile) -> KeptHeader:
    """The header of a pack of a form."""
    metadata = file.metadata
    if metadata.get("version") != _VERSION:
        raise DamagedCheckpoint(
            f"{file.path}: a pack of a form of version {metadata.get('version')!r}; readable is "
            f"{_VERSION}. A pack of another version of DPPA Studio is the usual cause; pack again."
        )
    for key in ("base", "base_hash", "store", "model"):
        if not metadata.get(key):
            raise DamagedCheckpoint(f"{file.path}: its header lacks {key}. {_EDITED}")
    return KeptHeader(**{field.name: metadata.get(field.name, "") for field in fields(KeptHeader)})


_Places = dict[str, dict[str, tuple[int, int, str]]]
"""Tensor -> entry -> its matrix, its part and its code."""


def _entries(file: SafetensorsFile, base: Checkpoint, count: int) -> tuple[_Places, dict[str, str]]:
    """The entries of codes, and those of whole tensors."""
    codes, whole = _Places(), dict[str, str]()
    names = set(base.names())
    for stored in file.tensors:
        first, _, name = stored.partition("/")
        parts = first.split(".")
        if first == WHOLE:
            whole[name] = stored
        elif name in names and _ENTRY.fullmatch(first) and int(parts[1]) < count:
            codes.setdefault(name, {})[stored] = int(parts[0]), int(parts[1]), parts[2]
        else:
            raise DamagedCheckpoint(
                f"{file.path}: {stored} is no part of what a form keeps of the base's tensors. "
                f"{_EDITED}"
            )
    for name in codes:
        if base.dtype(name) not in FLOATS or len(base.shape(name)) < 2 or name in whole:
            raise DamagedCheckpoint(f"{file.path}: changes {name}, which has no form. {_EDITED}")
    return codes, whole


def pack_entries(kept: KeptCheckpoint, name: str) -> dict[str, tuple[str, Shaped[ndarray, ...]]]:
    """Entry -> dtype and array, of all that a file holds of a tensor; none if it is the base's."""
    place, matrices = kept.place(name), kept.codes(name)
    if matrices:
        return {
            f"{matrix}.{part}.{code}/{place}": (_CODES[array.dtype.type], array)
            for matrix, parts in enumerate(matrices)
            for part, codes in enumerate(parts)
            for code, array in codes.items()
        }
    if kept.is_base(name):
        return {}
    return {f"{WHOLE}/{place}": (kept.dtype(name), kept.raw(name).reshape(kept.shape(name)))}
