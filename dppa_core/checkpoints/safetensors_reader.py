"""Reads safetensors files: checks the header, maps the tensors."""

from __future__ import annotations

import math
import mmap
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.folders.model_files import open_model_file
from dppa_core.checkpoints.folders.weight_files import unreadable
from dppa_core.checkpoints.page_copies import Pages
from dppa_core.errors import DamagedCheckpoint, MissingCheckpoint, many, shown
from dppa_core.pruning.floats import RAW_TYPES
from dppa_core.system.regular_files import open_regular
from dppa_core.system.shortage import shortage
from dppa_core.system.strict_json import parse_json

_WIDTHS = {"F8_E4M3": 1, "F8_E5M2": 1, "U16": 2, "U32": 4, "U64": 8, "C64": 8}
_LARGEST_HEADER = 100 * 1024 * 1024
_LONGEST_NAME, _MOST_DIMENSIONS = 1000, 64
_TRUNCATED = "An interrupted download or copy is the usual cause: fetch the file again."
_EDITED = "A header that was edited, or a file overwritten in part, is the usual cause."


@dataclass(frozen=True, slots=True)
class TensorInfo:
    """The place of one tensor in its file."""

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
    pages: Pages
    identity: str
    """A text that changes when the file is written or replaced: its inode, size and times."""
    metadata: Mapping[str, str]
    """Text pairs of the header."""

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """The tensor's elements as stored, flat and read-only.

        Raises:
            DamagedCheckpoint: a dtype that holds no plain numbers (quantised weights), or a file
                that was written to since it was opened.
        """
        self.pages.check()
        info = self.tensors[name]
        check_plain(self.path, name, info)
        count = math.prod(info.shape)
        view: ndarray = np.frombuffer(self.pages, RAW_TYPES[info.dtype], count, info.start)
        return view if view.flags.aligned else view.copy()

    def release(self) -> None:
        """Stop counting pages read so far as memory of this process; views stay valid."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self.pages.madvise(mmap.MADV_DONTNEED)


def open_file(path: Path, *, named: bool = False) -> SafetensorsFile:
    """Map a safetensors file after checking its header as strictly as the official library.

    Args:
        named: Whether the user named the file itself, not its folder; it may then be a link to
            anywhere.

    Raises:
        MissingCheckpoint: no such file.
        DamagedCheckpoint: truncated, overlapping, with holes, or not safetensors.
        NotAllowed: a link that leads out of its folder.
        OutOfBudget: not enough memory to map it.
    """
    with opening(path), open_regular(path) if named else open_model_file(path) as file:
        status = os.fstat(file.fileno())
        tensors, metadata = _read_header(path, file, status.st_size)
        pages = Pages(file.fileno(), status.st_size, path)
    return SafetensorsFile(path, tensors, pages, _identity(status), metadata)


@contextmanager
def opening(path: Path) -> Iterator[None]:
    """Turn errors of opening and mapping a weight file into our own."""
    try:
        yield
    except FileNotFoundError:
        raise MissingCheckpoint(
            f"{path}: no such file. A shard that was never downloaded is the usual cause."
        ) from None
    except (OSError, ValueError) as error:  # ValueError: a name with NUL, a file that shrinks
        raise shortage(error) or unreadable(path, error) from error


def check_plain(path: Path, name: str, info: TensorInfo) -> None:
    """Refuse a tensor whose dtype holds no plain numbers."""
    if info.dtype not in RAW_TYPES:
        raise DamagedCheckpoint(
            f"{path}: {name} has dtype {info.dtype}; readable are {', '.join(RAW_TYPES)}. "
            "A quantised model is the usual cause: take the unquantised one."
        )


def file_identity(path: Path) -> str:
    """The current identity of the file at a path; empty if it cannot be read."""
    try:
        return _identity(path.stat())
    except (OSError, ValueError):
        return ""


def _identity(status: os.stat_result) -> str:
    where, when = (status.st_dev, status.st_ino), (status.st_mtime_ns, status.st_ctime_ns)
    return repr((where, status.st_size, when))


def _read_header(
    path: Path, file: BinaryIO, size: int
) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    length = header_length(path, file.read(8), size)
    first = file.read(min(length, 1))  # reads the rest only of a possible header
    rest = file.read(length - 1) if first == b"{" else b""
    return parse_header(path, first + rest, size)


def header_length(path: Path, start: bytes, size: int) -> int:
    """Bytes of the header that follows the first 8 of a file.

    Args:
        start: Its first 8 bytes, or all of it.
        size: Bytes of the whole file.

    Raises:
        DamagedCheckpoint: fewer than 8 bytes, or a header longer than the file.
    """
    if size < 8 or len(start) < 8:
        raise DamagedCheckpoint(
            f"{path}: {many(size, 'byte')}, not a safetensors header. {_TRUNCATED}"
        )
    length = int.from_bytes(start[:8], "little")
    if length > min(size - 8, _LARGEST_HEADER):
        raise DamagedCheckpoint(
            f"{path}: the header claims {many(length, 'byte')} in a file of {size}. "
            f"Not a safetensors file (a Git LFS pointer?), or cut short. {_TRUNCATED}"
        )
    return length


def parse_header(
    path: Path, text: bytes, size: int
) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """The place of every tensor of a file, and its metadata, from the header alone.

    Args:
        text: The header, without the 8 bytes before it.
        size: Bytes of the whole file.

    Raises:
        DamagedCheckpoint: not a header, or it contradicts itself or the file's size.
    """
    header, metadata = _parse_header(path, text)
    start = 8 + len(text)
    tensors = {name: _tensor_info(path, name, entry, start) for name, entry in header.items()}
    _check_layout(path, tensors, start, size)
    return tensors, metadata


def _parse_header(path: Path, text: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """Name -> entry of every tensor, and the checked metadata."""
    if not text.startswith(b"{"):
        what = "does not begin with '{'" if text else "is empty"
        raise DamagedCheckpoint(f"{path}: the header {what}. {_TRUNCATED}")
    try:
        header: dict[str, Any] = parse_json(text)
    except ValueError as error:
        raise DamagedCheckpoint(f"{path}: header is not JSON ({error}). {_TRUNCATED}") from error
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise DamagedCheckpoint(
            f"{path}: __metadata__ must map names to text, got {shown(metadata)}. {_EDITED}"
        )
    return header, metadata


def _tensor_info(path: Path, name: str, entry: Any, start: int) -> TensorInfo:
    def malformed(problem: str) -> DamagedCheckpoint:
        where = f"{path}: the header entry of {shown(name)} is malformed"
        return DamagedCheckpoint(f"{where}: {problem}. {_EDITED}")

    if not name.isprintable() or len(name) > _LONGEST_NAME:
        raise malformed(f"the name {shown(name)} is not printable, or too long")
    if not isinstance(entry, dict):
        raise malformed(f"it must be a table, got {shown(entry)}")
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or not dtype.isprintable():
        raise malformed(f"dtype must be a text, got {shown(dtype)}")
    if not _are_sizes(shape):
        raise malformed(
            "shape must be a list of whole numbers from 0 on, of at most "
            f"{_MOST_DIMENSIONS} dimensions, got {shown(shape)}"
        )
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise malformed(f"data_offsets must be two whole numbers from 0 on, got {shown(offsets)}")
    width = np.dtype(RAW_TYPES[dtype]).itemsize if dtype in RAW_TYPES else _WIDTHS.get(dtype)
    wanted = None if width is None else math.prod(shape) * width
    first, last = offsets
    if last < first or wanted not in (None, last - first):
        raise DamagedCheckpoint(
            f"{path}: {name} of shape {shown(tuple(shape))} and dtype {dtype} needs "
            f"{shown(wanted)} bytes, the header gives it {first} to {last}. {_EDITED}"
        )
    return TensorInfo(dtype, tuple(shape), start + first, last - first)


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(values, list)
        and len(values) <= _MOST_DIMENSIONS
        and all(type(value) is int and 0 <= value < 2**63 for value in values)  # no True
    )


def _check_layout(path: Path, tensors: Mapping[str, TensorInfo], start: int, size: int) -> None:
    end = start
    for name, info in sorted(tensors.items(), key=lambda pair: (pair[1].start, pair[1].size)):
        if info.start < end:
            raise DamagedCheckpoint(
                f"{path}: {name} begins at byte {info.start}, inside the tensor before it, which "
                f"ends at {end}. {_EDITED}"
            )
        if info.start > end:
            raise DamagedCheckpoint(
                f"{path}: a hole of {many(info.start - end, 'byte')} before {shown(name)}. "
                f"{_EDITED}"
            )
        end = info.start + info.size
        if end > size:
            raise DamagedCheckpoint(
                f"{path}: {name} ends at byte {end}, the file at {size}. {_TRUNCATED}"
            )
    if end < size:
        raise DamagedCheckpoint(
            f"{path}: {many(size - end, 'byte')} after the last tensor. {_EDITED}"
        )
