"""A bounded folder of small files that can be computed again.

Knows no format: callers name an entry and write it.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from platformdirs import user_cache_path

LARGEST_CACHE = 1 << 30
"""Bytes of one cache folder; the entries used longest ago go first."""


def cache_folder(kind: str) -> Path:
    """The folder of one kind of entry: below `DPPA_CACHE`, else the user's cache folder."""
    root = os.environ.get("DPPA_CACHE")
    return (Path(root) if root else user_cache_path("dppa-studio")) / kind


def store(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write an entry atomically and keep its folder in bounds.

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
            write(file)
        os.replace(name, path)
        _trim(path)
    except OSError:
        return
    finally:
        Path(name).unlink(missing_ok=True)  # gone already when it took its place


def _trim(newest: Path) -> None:
    entries = []
    for path in newest.parent.iterdir():
        try:
            entries.append((path.stat().st_mtime_ns, path.stat().st_size, path))
        except FileNotFoundError:  # another process trimmed it
            continue
    excess = sum(size for _, size, _ in entries) - LARGEST_CACHE
    for _, size, path in sorted(entries):
        if excess <= 0:
            return
        if path != newest:
            path.unlink(missing_ok=True)
            excess -= size
