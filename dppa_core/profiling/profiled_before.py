"""Whether weights may have been profiled before: told from a few bytes, without hashing them.

Knows files, not profiles. A pair that was never seen need not be hashed before it is profiled.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import xxhash

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.system.folder_cache import cache_folder, load, store
from dppa_core.system.regular_files import open_regular

_SAMPLES, _LENGTH = 16, 64
"""Places of a file that are looked at, and bytes of each."""


def may_be_profiled(*checkpoints: Checkpoint) -> bool:
    """False only if these weights were never noted together, wherever they lay."""
    entry = _entry(checkpoints)
    return entry is None or load(entry) is not None


def note_profiled(*checkpoints: Checkpoint) -> None:
    """Note that weights were profiled together."""
    entry = _entry(checkpoints)
    if entry is not None and load(entry) is None:
        store(entry, b"")


def _entry(checkpoints: Iterable[Checkpoint]) -> Path | None:
    sketch = xxhash.xxh3_128()
    try:
        for checkpoint in checkpoints:
            for path in sorted(checkpoint.identities()):
                sketch.update(_sketch(path))
    except OSError:  # no file by now
        return None
    return cache_folder("sketches") / sketch.hexdigest()


def _sketch(path: Path) -> bytes:
    """Size of a file, and some of its bytes."""
    size = path.stat().st_size
    with open_regular(path) as file:
        found = [size.to_bytes(8, "little")]
        for sample in range(_SAMPLES):
            file.seek((size - 1) * sample // _SAMPLES)
            found.append(file.read(_LENGTH))
    return b"".join(found)
