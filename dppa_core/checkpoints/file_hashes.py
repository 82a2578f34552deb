"""Hashes of weight files: taken piece by piece, of whatever is read anyhow, and remembered.

Knows open files, not folders. XXH3 tells files apart as fast as memory is read; it proves nothing
to anybody.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import xxhash
from jaxtyping import Shaped, UInt8
from numpy import ndarray

from dppa_core.checkpoints.chunks import slices
from dppa_core.checkpoints.page_copies import Pages
from dppa_core.checkpoints.safetensors_reader import TensorInfo
from dppa_core.system.folder_cache import cache_folder, load, store

_BLOCK = 1 << 20
"""Bytes hashed at a time: they are still in a core's own cache."""

_FORMAT = 2
"""A new number where the same file would have another hash."""


@runtime_checkable
class WeightFile(Protocol):
    """One open file of weights."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        ...

    @property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """What it holds."""
        ...

    @property
    def pages(self) -> mmap.mmap:
        """Its bytes, mapped."""
        ...

    @property
    def identity(self) -> str:
        """Another text as soon as the file is written or replaced."""
        ...

    def raw(self, name: str) -> Shaped[ndarray, " n"]:
        """One tensor's elements as stored, flat and read-only."""
        ...

    def release(self) -> None:
        """Stop counting the pages read so far as memory of this process; arrays stay good."""
        ...


def file_hash(file: WeightFile) -> str:
    """XXH3 of the hashes of a file's pieces, remembered until it changes or is replaced."""
    return known_hash(file.identity) or _remembered(file, {})


def known_hash(identity: str) -> str | None:
    """The hash of a weight file, where it is remembered."""
    known = load(_entry(identity))
    return None if known is None else known.decode("ascii")


def remember_hash(identity: str, digest: str) -> None:
    """Take over the hash of a file, where none is remembered."""
    if known_hash(identity) is None:
        store(_entry(identity), digest.encode("ascii"))


class SharedHasher:
    """Hashes files that others read, slice by slice and in any order. Any thread may be heard.

    Args:
        files: Those to listen for.
    """

    def __init__(self, files: Iterable[WeightFile]) -> None:
        self._files = {id(one.pages): one for one in files if isinstance(one.pages, Pages)}
        self._pieces = {key: _pieces(one) for key, one in self._files.items()}
        self._begun: dict[tuple[int, int], tuple[int, Any]] = {}
        self._done: dict[int, dict[int, bytes]] = {key: {} for key in self._files}

    def heard(self, pages: Pages, start: int, read: UInt8[ndarray, " n"]) -> None:
        """Bytes of a file that were read; see `PageCopies`."""
        key, end = id(pages), start + read.size
        pieces = self._pieces.get(key)
        if pieces is None:
            return
        # What is found here is the hash of the piece up to `start`, whoever has read that.
        first, digest = self._begun.pop((key, start), (start, None))
        if digest is None:
            if start not in pieces:
                return
            digest = xxhash.xxh3_128()
        digest.update(read.data)
        if end == first + pieces[first]:
            self._done[key][first] = digest.digest()
        else:
            self._begun[key, end] = first, digest

    def remember(self) -> None:
        """Remember the hashes of the files something was heard of; what was not is read."""
        for key, file in self._files.items():
            if self._done[key]:
                _remembered(file, self._done[key])


def _remembered(file: WeightFile, known: Mapping[int, bytes]) -> str:
    """Put a file's hash together, of pieces known by where they start, and keep it."""
    whole = xxhash.xxh3_128()
    for start, size in sorted(_pieces(file).items()):
        whole.update(known.get(start) or _piece(file, start, size))
    remember_hash(file.identity, whole.hexdigest())
    return whole.hexdigest()


def _pieces(file: WeightFile) -> dict[int, int]:
    """Where each piece of a file starts -> its bytes: slices of tensors, and what is before them.

    A file that cannot be read in any other way than mapped is one piece.
    """
    if not isinstance(file.pages, Pages):
        return {0: len(file.pages)}
    found = {0: min((one.start for one in file.tensors.values()), default=len(file.pages))}
    for one in file.tensors.values():
        numel = max(int(np.prod(one.shape, dtype=np.int64)), 1)
        for first, last in slices(numel) if one.size else ():
            begin, end = one.size * first // numel, one.size * last // numel
            found[one.start + begin] = end - begin
    return found


def _piece(file: WeightFile, start: int, size: int) -> bytes:
    digest, room = xxhash.xxh3_128(), np.empty(min(size, _BLOCK), np.uint8)
    # What is open is hashed, whatever the path is by now.
    for first in range(start, start + size, _BLOCK):
        block = room[: min(_BLOCK, start + size - first)]
        if isinstance(file.pages, Pages) and file.pages.handle is not None:
            file.pages.read_into(block, first)
        else:
            block[:] = np.frombuffer(file.pages, np.uint8, block.size, first)
            file.release()
        digest.update(block.data)
    return digest.digest()


def _entry(identity: str) -> Path:
    key = hashlib.sha256(f"{_FORMAT}\0{identity}".encode()).hexdigest()
    return cache_folder("hashes") / key
