"""Statistics of a model on disk: named float32 arrays in one mapped file, with a checksum.

A file that is incomplete, or differs from its checksum, counts as absent; if none can be written,
arrays stay in memory. Arrays are written in place, so that statistics as large as the model need
no memory of their own.
"""

from __future__ import annotations

import json
import math
import mmap
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import xxhash
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.system.folder_cache import trim

MAX_STATISTICS_BYTES = 8 << 30
"""Most bytes of the statistics folder; the least recently used entries are removed first."""
_ALIGN = 64
_START = 64  # checksum, then where the description begins
_BLOCK = 1 << 24

Arrays = dict[str, Float32[ndarray, "..."]]


@dataclass(frozen=True, slots=True, eq=False)
class Stored:
    """Arrays with a description."""

    arrays: Mapping[str, Float32[ndarray, ...]]
    about: Mapping[str, Any] = field(default_factory=dict)
    """Plain JSON values."""


class Draft:
    """Arrays of zeros to fill in, on disk if possible; `close` removes an unfinished file."""

    def __init__(self, path: Path, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.path, self._places = path, _placed(shapes)
        end = max((at + 4 * math.prod(s) for at, s in self._places.values()), default=_START)
        self._file, self._temporary, pages = _mapped(path, end)
        self._end = end
        self.arrays: Arrays = _views(pages, self._places)

    def finish(self, about: Mapping[str, Any]) -> Stored:
        """Move the file to its place, and return the arrays, read-only."""
        for array in self.arrays.values():
            array.flags.writeable = False
        if self._file is not None and self._temporary is not None:
            with suppress(OSError):  # a full disk: the arrays stay valid
                places = {name: [at, list(shape)] for name, (at, shape) in self._places.items()}
                head = json.dumps({"about": dict(about), "arrays": places}).encode()
                os.pwrite(self._file, self._end.to_bytes(8, "little"), 16)
                os.pwrite(self._file, head, self._end)
                os.pwrite(self._file, _checksum(self._file), 0)
                os.replace(self._temporary, self.path)
                trim(self.path, MAX_STATISTICS_BYTES)
        return Stored(self.arrays, about)

    def close(self) -> None:
        """Remove an unfinished file; returned arrays stay valid."""
        if self._file is not None:
            os.close(self._file)
        if self._temporary is not None:
            self._temporary.unlink(missing_ok=True)


def open_stored(path: Path) -> Stored | None:
    """Stored arrays; None if the file is missing, cut short, damaged or of another version."""
    try:
        file = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        if os.fstat(file).st_size <= _START or os.pread(file, 16, 0) != _checksum(file):
            return None
        pages = mmap.mmap(file, 0, access=mmap.ACCESS_READ)
        head = json.loads(pages[int.from_bytes(pages[16:24], "little") :])
        places = {name: (at, tuple(shape)) for name, (at, shape) in head["arrays"].items()}
        with suppress(OSError):  # a cache may be read-only
            os.utime(path)  # used just now: trimmed last
        return Stored(_views(pages, places), head["about"])
    except (OSError, ValueError, KeyError, TypeError):  # complete, but of another version
        return None
    finally:
        os.close(file)


def _placed(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, tuple[int, ...]]]:
    places, at = {}, _START
    for name, shape in shapes.items():
        places[name] = at, shape
        at += -(-4 * math.prod(shape) // _ALIGN) * _ALIGN
    return places


def _mapped(path: Path, size: int) -> tuple[int | None, Path | None, mmap.mmap]:
    """Memory of a new file beside `path`; without a file if none can be made."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    except OSError:
        return None, None, mmap.mmap(-1, size)
    try:
        if hasattr(os, "posix_fallocate"):  # a page without room later would end the process
            os.posix_fallocate(file, 0, size)
        else:
            os.ftruncate(file, size)
        return file, Path(name), mmap.mmap(file, size)
    except OSError:
        os.close(file)
        Path(name).unlink(missing_ok=True)
        return None, None, mmap.mmap(-1, size)


def _views(pages: mmap.mmap, places: Mapping[str, tuple[int, tuple[int, ...]]]) -> Arrays:
    return {
        name: np.frombuffer(pages, np.float32, math.prod(shape), at).reshape(shape)
        for name, (at, shape) in places.items()
    }


def _checksum(file: int) -> bytes:
    digest, at = xxhash.xxh3_128(), 16
    while block := os.pread(file, _BLOCK, at):
        digest.update(block)
        at += len(block)
    return digest.digest()
