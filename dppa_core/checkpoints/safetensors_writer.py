"""Writes a safetensors file: the layout first, then tensors in any order from any thread.

The bytes of the file depend on names and contents, not on the order in which tensors arrive.
"""

from __future__ import annotations

import errno
import hashlib
import json
import math
import os
import threading
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Shaped
from numpy import ndarray

from dppa_core.errors import InvalidValue
from dppa_core.pruning.floats import STORED

_BLOCK = 1 << 20
"""Bytes hashed at a time; both hashes read them from a core's cache."""

_CANNOT_RESERVE = {errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS, errno.ENODEV}


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """The header entry of one tensor."""

    name: str
    dtype: str
    """Code of the header: "BF16", "F16", "F32", "I64", …"""
    shape: tuple[int, ...]

    @property
    def numel(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes on disk."""
        return self.numel * self.itemsize

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        if self.dtype not in STORED:
            raise InvalidValue(
                f"{self.name}: dtype {self.dtype} cannot be written; possible are "
                f"{', '.join(STORED)}. A quantised model is the usual cause."
            )
        return np.dtype(STORED[self.dtype]).itemsize


class SafetensorsWriter:
    """A new file, allocated at full size first, so that a full disk fails before the work.

    Many threads may call `place` at once. After the last element the file is closed and hashed,
    with its tensors, while its pages are still in memory.

    Args:
        specs: Its tensors in any order, each name once.
        metadata: Text pairs for the header; transformers wants `{"format": "pt"}`.

    Raises:
        InvalidValue: a name appears twice.
        OSError: the file exists already, or cannot be created.
    """

    def __init__(
        self, path: Path, specs: Iterable[TensorSpec], metadata: Mapping[str, str] | None = None
    ) -> None:
        # Widest elements first, so that every tensor begins at a multiple of its element's width.
        ordered = sorted(specs, key=lambda spec: (-spec.itemsize, spec.name))
        header, self._starts = _lay_out(ordered, metadata)
        self._specs = {spec.name: spec for spec in ordered}
        if len(self._specs) < len(ordered):
            raise InvalidValue(f"{path}: two tensors of one name among {len(ordered)}.")
        self.path = path
        self.names = tuple(self._specs)
        """Names in file order; placing tensors in this order writes the file forwards."""
        self._missing = sum(spec.numel for spec in ordered)
        self._placed: dict[str, list[tuple[int, int]]] = {name: [] for name in self.names}
        self._written: dict[str, list[tuple[int, int]]] = {name: [] for name in self.names}
        self._lock, self._hashing = threading.Lock(), threading.Lock()
        self._hashes = _Hashes(ordered, header, self._starts)
        self._handle: int | None = None
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)  # less the umask
        try:
            _reserve(handle, len(header) + sum(spec.nbytes for spec in ordered))
            _write_at(handle, memoryview(header), 0)
        finally:
            os.close(handle)  # a checkpoint may have more shards than a process may open files

    def place(self, name: str, raw: Shaped[ndarray, " n"], start: int = 0) -> None:
        """Write a tensor, or a slice of it.

        Args:
            raw: Its elements as stored, flat: uint16 for BF16, float16, float32, …
            start: Element of the tensor at which `raw` begins.

        Raises:
            InvalidValue: another dtype, elements outside the tensor, or elements placed before.
            OSError: the file cannot be written.
        """
        spec = self._specs[name]
        if raw.dtype != STORED[spec.dtype] or not 0 <= start <= spec.numel - raw.size:
            raise InvalidValue(
                f"{name}: elements {start} to {start + raw.size} of {raw.dtype} do not fit into "
                f"{spec.dtype} {spec.shape}."
            )
        handle = self._claim(spec, start, start + raw.size)
        data = np.ascontiguousarray(raw.view(raw.dtype)).reshape(-1).view(np.uint8).data
        _write_at(handle, data, self._starts[name] + start * spec.itemsize)
        with self._lock:
            self._written[name].append((start, start + raw.size))
            self._missing -= raw.size
            complete = self._missing == 0
        if complete:
            with self._hashing:
                self._hashes.take(spec, start * spec.itemsize, data)
            self.finish()
        elif self._hashing.acquire(blocking=False):  # one thread hashes; the others keep writing
            try:
                self._hashes.take(spec, start * spec.itemsize, data)
                self._hash_on(handle)
            finally:
                self._hashing.release()

    def finish(self) -> str:
        """Close the file, which must be complete, and return its SHA-256."""
        if self._missing:
            placed = {n: sum(end - start for start, end in self._placed[n]) for n in self.names}
            short = [n for n in self.names if placed[n] < self._specs[n].numel]
            raise InvalidValue(f"{self.path}: {short[0]} was not written whole.")
        with self._hashing:
            if self._hashes.next:
                self._hash_on(self._opened())
        self.close()
        return self._hashes.whole()

    def digests(self) -> dict[str, str]:
        """SHA-256 of every tensor's elements as stored, once the file is finished."""
        self.finish()
        return dict(self._hashes.digests)

    def _hash_on(self, handle: int) -> None:
        """Hash the bytes written without a gap so far, while they are in a cache."""
        while spec := self._hashes.next:
            with self._lock:
                end = _without_gap(self._written[spec.name])
            if not self._hashes.go_on(handle, end * spec.itemsize):
                return

    def close(self) -> None:
        """Close the file, complete or not."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
            self._handle = None

    def _claim(self, spec: TensorSpec, start: int, end: int) -> int:
        with self._lock:
            placed = self._placed[spec.name]
            if any(start < last and first < end for first, last in placed):
                raise InvalidValue(f"{spec.name}: elements {start} to {end} are written twice.")
            placed.append((start, end))
        return self._opened()

    def _opened(self) -> int:
        with self._lock:
            if self._handle is None:
                self._handle = os.open(self.path, os.O_RDWR)
            return self._handle


class _Hashes:
    """SHA-256 of a file and of its tensors, computed from its beginning. For one thread."""

    def __init__(
        self, specs: Sequence[TensorSpec], header: bytes, starts: Mapping[str, int]
    ) -> None:
        self._whole, self._starts = hashlib.sha256(header), starts
        self._left = deque(specs)
        self._tensor, self._read = hashlib.sha256(), 0
        self.digests: dict[str, str] = {}
        """SHA-256 of every fully hashed tensor."""

    @property
    def next(self) -> TensorSpec | None:
        """The tensor to hash next; None at the end."""
        return self._left[0] if self._left else None

    def go_on(self, handle: int, end: int) -> bool:
        """Hash the current tensor up to byte `end`; True if it is complete."""
        spec = self._left[0]
        first = self._starts[spec.name]
        while self._read < end:
            block = os.pread(handle, min(end - self._read, _BLOCK), first + self._read)
            if not block:
                raise OSError(errno.EIO, "the file became shorter")
            self._add(block)
        return self._ended(spec)

    def take(self, spec: TensorSpec, start: int, data: memoryview) -> None:
        """Hash bytes that were just written, if they come next; this saves reading them."""
        if self.next is not spec or self._read != start:
            return
        for first in range(0, len(data), _BLOCK):
            self._add(data[first : first + _BLOCK])
        self._ended(spec)

    def _add(self, block: bytes | memoryview) -> None:
        self._whole.update(block)
        self._tensor.update(block)
        self._read += len(block)

    def _ended(self, spec: TensorSpec) -> bool:
        if self._read < spec.nbytes:
            return False
        self.digests[spec.name] = self._tensor.hexdigest()
        self._tensor, self._read = hashlib.sha256(), 0
        self._left.popleft()
        return True

    def whole(self) -> str:
        """SHA-256 of the file, after all tensors are hashed."""
        return self._whole.hexdigest()


def _without_gap(slices: Iterable[tuple[int, int]]) -> int:
    """Number of elements written from the first one without a gap."""
    end = 0
    for start, stop in sorted(slices):
        if start > end:
            break
        end = stop
    return end


def _lay_out(
    specs: Sequence[TensorSpec], metadata: Mapping[str, str] | None
) -> tuple[bytes, dict[str, int]]:
    """The file's header, and the offset of each tensor."""
    table: dict[str, Any] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    starts, end = {}, 0
    for spec in specs:
        starts[spec.name], end = end, end + spec.nbytes
        offsets = [starts[spec.name], end]
        table[spec.name] = dict(dtype=spec.dtype, shape=list(spec.shape), data_offsets=offsets)
    text = json.dumps(table, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    header = len(text).to_bytes(8, "little") + text
    return header, {name: len(header) + start for name, start in starts.items()}


def _reserve(handle: int, size: int) -> None:
    os.ftruncate(handle, size)
    if hasattr(os, "posix_fallocate"):
        try:
            os.posix_fallocate(handle, 0, size)
        except OSError as error:
            if error.errno not in _CANNOT_RESERVE:
                raise


def _write_at(handle: int, data: memoryview, offset: int) -> None:
    while data:  # one call writes 2 GiB at most
        written = os.pwrite(handle, data, offset)
        data, offset = data[written:], offset + written
