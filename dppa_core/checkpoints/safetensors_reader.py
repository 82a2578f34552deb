"""Reads safetensors files: checks the header, maps the tensors."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.checkpoints.folders.model_files import open_model_file
from dppa_core.checkpoints.page_copies import Pages
from dppa_core.checkpoints.weight_file import (
    MAX_NAME_CHARACTERS,
    TRUNCATED,
    TensorInfo,
    WeightFile,
    check_plain,
    opening,
    status_identity,
)
from dppa_core.errors import DamagedCheckpoint, many, shown
from dppa_core.pruning.floats import STORED
from dppa_core.system.regular_files import open_regular
from dppa_core.system.strict_json import parse_json

_WIDTHS = {"U16": 2, "U32": 4, "U64": 8, "C64": 8}
_MAX_HEADER_BYTES = 100 * 1024 * 1024
_MAX_DIMENSIONS = 64
_EDITED = "A header that was edited, or a file overwritten in part, is the usual cause."


@dataclass(frozen=True, slots=True)
class SafetensorsFile(WeightFile):
    """One mapped file; tensors are views of its pages."""

    path: Path
    tensors: Mapping[str, TensorInfo]
    pages: Pages
    identity: str
    metadata: Mapping[str, str]
    """Text pairs of the header."""

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        self.pages.check()
        info = self.tensors[name]
        check_plain(self.path, name, info)
        count = math.prod(info.shape)
        view: ndarray = np.frombuffer(self.pages, STORED[info.dtype], count, info.start)
        return view if view.flags.aligned else view.copy()


def open_file(path: Path, *, named: bool = False) -> SafetensorsFile:
    """Map a safetensors file after checking its header as strictly as the official library.

    Args:
        named: True if the user named the file, not its folder; it may then be a link to anywhere.

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
    return SafetensorsFile(path, tensors, pages, status_identity(status), metadata)


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
    """
    if size < 8 or len(start) < 8:
        raise DamagedCheckpoint(
            f"{path}: {many(size, 'byte')}, not a safetensors header. {TRUNCATED}"
        )
    length = int.from_bytes(start[:8], "little")
    if length > min(size - 8, _MAX_HEADER_BYTES):
        raise DamagedCheckpoint(
            f"{path}: the header claims {many(length, 'byte')} in a file of {size}. "
            f"Not a safetensors file (a Git LFS pointer?), or cut short. {TRUNCATED}"
        )
    return length


def parse_header(
    path: Path, text: bytes, size: int
) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """The place of every tensor of a file, and its metadata, from the header alone.

    Args:
        text: The header, without the 8 bytes before it.
        size: Bytes of the whole file.
    """
    header, metadata = _parse_header(path, text)
    start = 8 + len(text)
    tensors = {name: _tensor_info(path, name, entry, start) for name, entry in header.items()}
    _check_layout(path, tensors, start, size)
    return tensors, metadata


def _parse_header(path: Path, text: bytes) -> tuple[dict[str, Any], dict[str, str]]:
    """Name -> entry of every tensor, and the checked metadata."""
    if not text.startswith(b"{"):
        fault = "does not begin with '{'" if text else "is empty"
        raise DamagedCheckpoint(f"{path}: the header {fault}. {TRUNCATED}")
    try:
        header: dict[str, Any] = parse_json(text)
    except ValueError as error:
        raise DamagedCheckpoint(f"{path}: header is not JSON ({error}). {TRUNCATED}") from error
    metadata = header.pop("__metadata__", None) or {}
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise DamagedCheckpoint(
            f"{path}: __metadata__ must map names to text, got {shown(metadata)}. {_EDITED}"
        )
    return header, metadata


def _tensor_info(path: Path, name: str, entry: Any, start: int) -> TensorInfo:
    def malformed(problem: str) -> DamagedCheckpoint:
        label = f"{path}: the header entry of {shown(name)} is malformed"
        return DamagedCheckpoint(f"{label}: {problem}. {_EDITED}")

    if not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
        raise malformed(f"the name {shown(name)} is not printable, or too long")
    if not isinstance(entry, dict):
        raise malformed(f"it must be a table, got {shown(entry)}")
    dtype, shape, offsets = (entry.get(key) for key in ("dtype", "shape", "data_offsets"))
    if not isinstance(dtype, str) or not dtype.isprintable():
        raise malformed(f"dtype must be a text, got {shown(dtype)}")
    if not _are_sizes(shape):
        raise malformed(
            "shape must be a list of whole numbers from 0 on, of at most "
            f"{_MAX_DIMENSIONS} dimensions, got {shown(shape)}"
        )
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise malformed(f"data_offsets must be two whole numbers from 0 on, got {shown(offsets)}")
    width = np.dtype(STORED[dtype]).itemsize if dtype in STORED else _WIDTHS.get(dtype)
    needed = None if width is None else math.prod(shape) * width
    first, last = offsets
    if last < first or needed not in (None, last - first):
        raise DamagedCheckpoint(
            f"{path}: {name} of shape {shown(tuple(shape))} and dtype {dtype} needs "
            f"{shown(needed)} bytes, the header gives it {first} to {last}. {_EDITED}"
        )
    return TensorInfo(dtype, tuple(shape), start + first, last - first)


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return (
        isinstance(values, list)
        and len(values) <= _MAX_DIMENSIONS
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
                f"{path}: {name} ends at byte {end}, the file at {size}. {TRUNCATED}"
            )
    if end < size:
        raise DamagedCheckpoint(
            f"{path}: {many(size - end, 'byte')} after the last tensor. {_EDITED}"
        )
