"""A cache folder of bounded size for small files that can be computed again."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import xxhash
from platformdirs import user_cache_path

MAX_CACHE_BYTES = 1 << 30
"""Bytes of one cache folder; the least recently used entries are removed first."""
_LISTING_SHARE = 64
"""A process lists a folder again when it has added a sixty-fourth of this, as it may hold thousands
of entries."""
_added = Counter[Path]()
"""Folder -> bytes that this process added since it last listed it."""
_CHECKSUM_BYTES = 16


def cache_folder(kind: str) -> Path:
    """The folder of one kind of entry, below `DPPA_CACHE` or else the user's cache folder."""
    root = os.environ.get("DPPA_CACHE")
    return (Path(root) if root else user_cache_path("dppa-studio")) / kind


def all_bytes() -> int:
    """Bytes of the entries of all kinds; entries removed meanwhile do not count."""
    total = 0
    for path in cache_folder("").rglob("*"):
        with suppress(OSError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def store(path: Path, *data: bytes | memoryview) -> None:
    """Write an entry of one or more parts atomically, and limit its folder.

    A cache that cannot be written (a full or read-only disk) is no error: the next run
    computes again.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".new-")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(_checksum(*data))  # read first
            for part in data:
                file.write(part)
        os.replace(name, path)
        _limit(path, _CHECKSUM_BYTES + sum(memoryview(part).nbytes for part in data))
    except OSError:
        return
    finally:
        Path(name).unlink(missing_ok=True)  # already gone if it was renamed


def load(path: Path) -> bytes | None:
    """The stored bytes; None if missing, truncated or damaged."""
    try:
        data = path.read_bytes()
    except OSError:
        return None
    with suppress(OSError):  # the cache may be read-only
        os.utime(path)  # most recently used
    content = data[_CHECKSUM_BYTES:]
    return content if data[:_CHECKSUM_BYTES] == _checksum(content) else None


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """An entry; computed and stored if missing."""
    data = load(path)
    if data is None:
        data = make()
        store(path, data)
    return data


def _checksum(*data: bytes | memoryview) -> bytes:
    digest = xxhash.xxh3_128()  # 16 bytes, as fast as memory is read
    for part in data:
        digest.update(part)
    return digest.digest()


def _limit(newest: Path, size: int) -> None:
    """Trim the folder of a new entry when it may have outgrown its limit."""
    folder = newest.parent
    listed = folder in _added
    _added[folder] += size
    if not listed or _added[folder] * _LISTING_SHARE > MAX_CACHE_BYTES:
        _added[folder] = 0
        trim(newest)


def trim(newest: Path, largest: int | None = None) -> None:
    """Limit the folder of an entry to `MAX_CACHE_BYTES` or `largest` bytes; this entry stays."""
    entries = []
    for entry in os.scandir(newest.parent):
        try:
            status = entry.stat()
        except FileNotFoundError:  # another process trimmed it
            continue
        entries.append((status.st_mtime_ns, status.st_size, entry.path))
    excess = sum(size for _, size, _ in entries) - (MAX_CACHE_BYTES if largest is None else largest)
    for _, size, path in sorted(entries):
        if excess <= 0:
            return
        if path != str(newest):
            Path(path).unlink(missing_ok=True)
            excess -= size
