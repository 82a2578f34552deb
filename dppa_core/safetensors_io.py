"""The safetensors format: a checked header, mapped tensors, an atomic writer.

Knows no model: names, dtypes, shapes and bytes only.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.errors import DamagedCheckpoint, InvalidValue, MissingCheckpoint
from dppa_core.floats import FLOATS, OTHERS

_TYPES: dict[str, type[np.generic]] = {**FLOATS, **OTHERS, "F64": np.float64}
_WIDTHS = {"F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "U32": 4, "U64": 8, "C64": 8}
_LARGEST_HEADER = 100 * 1024 * 1024
_TRUNCATED = "An interrupted download or copy is the usual cause: fetch the file again."

Entry = tuple[str, str, tuple[int, ...], "ndarray | Callable[[], ndarray]"]
"""(name, dtype code, shape, raw 1-D array or a function that makes it when its turn comes)."""


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """Where one tensor lies in its file."""

    dtype: str
    """Code of the header: "BF16", "F16", "F32", "I64", …"""
    shape: tuple[int, ...]
    start: int
    """Offset in bytes from the beginning of the file."""
    size: int
    """Bytes."""


@dataclass(frozen=True, slots=True)
class SafetensorsFile:
    """One mapped file; tensors are views of its pages."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    pages: mmap.mmap

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """The tensor's elements as stored, flat and read-only.

        Raises:
            DamagedCheckpoint: a dtype that holds no plain numbers (quantised weights).
        """
        info = self.tensors[name]
        if info.dtype not in _TYPES:
            raise DamagedCheckpoint(
                f"{self.path}: {name} has dtype {info.dtype}; readable are {', '.join(_TYPES)}. "
                "A quantised model is the usual cause: take the unquantised one."
            )
        count = math.prod(info.shape)
        view: ndarray = np.frombuffer(self.pages, _TYPES[info.dtype], count, info.start)
        return view if view.flags.aligned else view.copy()


def open_file(path: Path) -> SafetensorsFile:
    """Map a safetensors file after checking its header against its size.

    Raises:
        MissingCheckpoint: no such file.
        DamagedCheckpoint: truncated, overlapping or not safetensors at all.
    """
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            tensors = _read_header(path, file, size)
            pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except FileNotFoundError:
        raise MissingCheckpoint(
            f"{path}: no such file. A shard that was never downloaded is the usual cause."
        ) from None
    except OSError as error:
        raise DamagedCheckpoint(f"{path}: cannot be read ({error.strerror or error}).") from error
    return SafetensorsFile(path, tensors, pages)


def _read_header(path: Path, file: BinaryIO, size: int) -> dict[str, TensorInfo]:
    if size < 8:
        raise DamagedCheckpoint(f"{path}: {size} bytes, no safetensors header. {_TRUNCATED}")
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, _LARGEST_HEADER):
        raise DamagedCheckpoint(
            f"{path}: the header claims {length} bytes in a file of {size}. "
            f"Not a safetensors file (a Git LFS pointer?), or cut short. {_TRUNCATED}"
        )
    try:
        header = json.loads(file.read(length))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DamagedCheckpoint(f"{path}: the header is no JSON ({error}). {_TRUNCATED}") from error
    if not isinstance(header, dict):
        raise DamagedCheckpoint(f"{path}: the header is no table of tensors. {_TRUNCATED}")
    header.pop("__metadata__", None)
    start = 8 + length
    tensors = {name: _tensor_info(path, name, entry, start) for name, entry in header.items()}
    _check_layout(path, tensors, start, size)
    return tensors


def _tensor_info(path: Path, name: str, entry: Any, start: int) -> TensorInfo:
    try:
        dtype, shape = str(entry["dtype"]), tuple(int(n) for n in entry["shape"])
        first, last = (int(n) for n in entry["data_offsets"])
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedCheckpoint(
            f"{path}: the header entry of {name} is malformed ({error!r}). {_TRUNCATED}"
        ) from error
    width = np.dtype(_TYPES[dtype]).itemsize if dtype in _TYPES else _WIDTHS.get(dtype)
    wanted = None if width is None else math.prod(shape) * width
    if first < 0 or last < first or any(n < 0 for n in shape) or wanted not in (None, last - first):
        raise DamagedCheckpoint(
            f"{path}: {name} of shape {shape} and dtype {dtype} needs {wanted} bytes, "
            f"the header gives it {first} to {last}. {_TRUNCATED}"
        )
    return TensorInfo(dtype, shape, start + first, last - first)


def _check_layout(path: Path, tensors: Mapping[str, TensorInfo], start: int, size: int) -> None:
    end = start
    for name, info in sorted(tensors.items(), key=lambda pair: (pair[1].start, pair[1].size)):
        if info.start < end:
            raise DamagedCheckpoint(
                f"{path}: {name} begins at byte {info.start}, inside the tensor before it, which "
                f"ends at {end}. The header was edited or damaged."
            )
        end = info.start + info.size
        if end > size:
            raise DamagedCheckpoint(
                f"{path}: {name} ends at byte {end}, the file at {size}. {_TRUNCATED}"
            )


def write_safetensors(
    path: Path, tensors: Iterable[Entry], metadata: Mapping[str, str] | None = None
) -> None:
    """Write a file tensor by tensor; it appears under its name only when complete.

    Args:
        path: The file to write; an existing one is replaced.
        tensors: Entries in any order; the file's order, and so its bytes, depend on names alone.
        metadata: Text pairs for the header; transformers wants `{"format": "pt"}`.
    """
    ordered = sorted(tensors, key=lambda e: (-np.dtype(_TYPES[e[1]]).itemsize, e[0]))
    header = _header(ordered, metadata)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(header)
            for entry in ordered:
                _write_tensor(file, entry)
        Path(name).chmod(0o644)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)  # gone already when it took its place


def _header(entries: Iterable[Entry], metadata: Mapping[str, str] | None) -> bytes:
    table: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    end = 0
    for name, dtype, shape, _ in entries:
        start, end = end, end + math.prod(shape) * np.dtype(_TYPES[dtype]).itemsize
        table[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text


def _write_tensor(file: BinaryIO, entry: Entry) -> None:
    name, dtype, shape, source = entry
    raw = source() if callable(source) else source
    if raw.dtype != _TYPES[dtype] or raw.size != math.prod(shape):
        raise InvalidValue(
            f"{name}: {raw.size} elements of {raw.dtype} do not fill {dtype} {shape}."
        )
    file.write(np.ascontiguousarray(raw).reshape(-1).view(np.uint8).data)
