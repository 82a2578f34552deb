"""The files that a tab fetches: the manifest and packed weights of the embedded models."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.zoo import ON_BASE
from dppa_core.system.folder_cache import cache_folder, kept
from dppa_core.tab.manifest import all_bits, manifest
from dppa_core.tab.packing import pack_base, pack_steps

BASE = "zoo:base"
MODELS = tuple(f"zoo:{name}" for name in ON_BASE)
"""Domain models that a tab can merge; they share the base."""
FOLDER = "tab"
"""Where a page has these files, relative to itself."""
MANIFEST = "manifest.json"


def file_name(model: str) -> str:
    """The name of a model's packed weights."""
    return f"{model.removeprefix('zoo:')}.gz"


@cache
def manifest_text() -> bytes:
    """The manifest as JSON."""
    return json.dumps(manifest(BASE, MODELS), separators=(",", ":")).encode()


def packed(model: str) -> bytes:
    """The packed weights of the base or of a domain model, from the disk cache if they were packed
    before: half a second of one core."""
    hashes: dict[str, str] = json.loads(manifest_text())["sha256"]
    entry = cache_folder("tab") / f"{hashes[BASE][:16]}-{hashes[model][:16]}"
    return kept(entry, lambda: _pack(model))


def _pack(model: str) -> bytes:
    base = all_bits(open_checkpoint(BASE))
    return pack_base(base) if model == BASE else pack_steps(all_bits(open_checkpoint(model)), base)


def write_files(folder: Path, models: Sequence[str]) -> None:
    """Write manifest, base and models into a folder, for a server without Python."""
    (folder / MANIFEST).write_bytes(manifest_text())
    for model in (BASE, *models):
        (folder / file_name(model)).write_bytes(packed(model))
