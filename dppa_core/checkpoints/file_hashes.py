"""Hashes of weight files, computed piece by piece while they are read, and cached.

SHA-256: profiles and marks are shared by it, and nobody can make two files of one hash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import UInt8
from numpy import ndarray

from dppa_core.checkpoints.chunks import slices
from dppa_core.checkpoints.page_copies import Pages
from dppa_core.checkpoints.weight_file import WeightFile
from dppa_core.system.folder_cache import cache_folder, load, store
from dppa_core.system.threads import available_cores, side_by_side

_BLOCK = 1 << 20
"""Bytes hashed at a time; they are still in a core's cache."""

_LARGE = 64 << 20
"""Files of at least so many bytes are hashed in threads, if nobody reads them meanwhile."""

_FORMAT = 3
"""Version of the hash; raise it if the same file would get another hash."""


def file_hash(file: WeightFile) -> str:
    """SHA-256 of the hashes of a file's pieces, cached until the file changes."""
    return known_hash(file.identity) or _remembered(file, {})


def known_hash(identity: str) -> str | None:
    """The cached hash of a weight file, if any."""
    digest = load(_entry(identity))
    return None if digest is None else digest.decode("ascii")


def remember_hash(identity: str, digest: str) -> None:
    """Cache the hash of a file, unless it has one."""
    if known_hash(identity) is None:
        store(_entry(identity), digest.encode("ascii"))


class SharedHasher:
    """Hashes files while others read them, slice by slice in any order. Safe for many threads."""

    def __init__(self, files: Iterable[WeightFile]) -> None:
        self._files = {id(file.pages): file for file in files if isinstance(file.pages, Pages)}
        self._pieces = {key: _pieces(file) for key, file in self._files.items()}
        self._begun: dict[tuple[int, int], tuple[int, Any]] = {}
        self._digests: dict[int, dict[int, bytes]] = {key: {} for key in self._files}

    def hash_block(self, pages: Pages, start: int, read: UInt8[ndarray, " n"]) -> None:
        """Hash bytes of a file that were read; see `PageCopies`."""
        key, end = id(pages), start + read.size
        pieces = self._pieces.get(key)
        if pieces is None:
            return
        # The hash of the piece up to `start`, read by any thread.
        first, digest = self._begun.pop((key, start), (start, None))
        if digest is None:
            if start not in pieces:
                return
            digest = hashlib.sha256()
        digest.update(read.data)
        if end == first + pieces[first]:
            self._digests[key][first] = digest.digest()
        else:
            self._begun[key, end] = first, digest

    def remember(self) -> None:
        """Cache the hashes of the files that were read at least in part; reads the rest."""
        for key, file in self._files.items():
            if self._digests[key]:
                _remembered(file, self._digests[key])


def _remembered(file: WeightFile, digests: Mapping[int, bytes]) -> str:
    """The file's hash from its pieces (start -> hash); it is cached."""
    whole, pieces = hashlib.sha256(), _pieces(file)
    missing = [(start, size) for start, size in pieces.items() if start not in digests]
    tasks = [partial(_piece, file, start, size) for start, size in missing]
    workers = available_cores() if sum(size for _, size in missing) >= _LARGE else 1
    read = dict(zip((start for start, _ in missing), side_by_side(tasks, workers), strict=True))
    for start in sorted(pieces):
        whole.update(digests.get(start) or read[start])
    remember_hash(file.identity, whole.hexdigest())
    return whole.hexdigest()


def _pieces(file: WeightFile) -> dict[int, int]:
    """Start of each piece of a file -> its bytes: the header and slices of tensors.

    A file that can only be mapped is one piece.
    """
    if not isinstance(file.pages, Pages):
        return {0: len(file.pages)}
    pieces = {0: min((info.start for info in file.tensors.values()), default=len(file.pages))}
    for info in file.tensors.values():
        numel = max(int(np.prod(info.shape, dtype=np.int64)), 1)
        for first, last in slices(numel) if info.size else ():
            begin, end = info.size * first // numel, info.size * last // numel
            pieces[info.start + begin] = end - begin
    return pieces


def _piece(file: WeightFile, start: int, size: int) -> bytes:
    digest, room = hashlib.sha256(), np.empty(min(size, _BLOCK), np.uint8)
    # Hash the open file; the path may name another by now.
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


@runtime_checkable
class _Identified(Protocol):
    """A checkpoint, of which its files count."""

    def identities(self) -> Mapping[Path, str]: ...


def is_hashed(checkpoint: _Identified) -> bool:
    """Return True if the hashes of all its weight files are cached."""
    return all(map(known_hash, checkpoint.identities().values()))


def known_hashes(checkpoint: _Identified) -> dict[str, str]:
    """Path -> hash of the weight files whose hash is cached."""
    hashes = {path: known_hash(key) for path, key in checkpoint.identities().items()}
    return {str(path): digest for path, digest in hashes.items() if digest is not None}


def remember_hashes(checkpoint: _Identified, hashes: Mapping[str, str]) -> None:
    """Cache hashes that another machine computed of the same files; cached ones stay."""
    for path, identity in checkpoint.identities().items():
        if str(path) in hashes:
            remember_hash(identity, hashes[str(path)])
