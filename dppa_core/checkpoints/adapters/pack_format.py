"""The format of a sparse delta pack: a safetensors file with the weights that differ from a base.

For every tensor that differs it holds `mask/NAME`, one bit per element (uint8, lowest bit first,
the last byte padded with zeros), and `values/NAME`, the weights whose bit is set, in order.
docs/reference/packs.md describes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

import numpy as np
from jaxtyping import Bool, Shaped, UInt8
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.chunks import CHUNK
from dppa_core.checkpoints.safetensors_reader import SafetensorsFile
from dppa_core.errors import DamagedCheckpoint
from dppa_core.pruning.floats import FLOATS, from_float32, to_float32
from dppa_core.pruning.tensor_names import is_buffer

MASK, VALUES = "mask/", "values/"
"""Prefixes of a tensor's name."""
SUFFIX = ".safetensors"
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
        lack = missing[0] if missing else f"dtype {metadata['dtype']!r}"
        raise DamagedCheckpoint(
            f"{file.path}: its header lacks {lack}. A header that was edited is the usual cause."
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
