"""Hashes of tensors that do not depend on their files: one of each, and one of all.

SHA-256: nobody can make other weights of the same hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dppa_core.checkpoints.checkpoint import Checkpoint, PageReleaser
from dppa_core.checkpoints.safetensors_writer import TensorSpec
from dppa_core.errors import IncompatibleCheckpoints
from dppa_core.system.folder_cache import cache_folder, load, store

_BLOCK = 1 << 20
"""Elements hashed at a time."""


@dataclass(frozen=True, slots=True)
class Fingerprint(TensorSpec):
    """The fingerprint of one tensor."""

    sha256: str
    """SHA-256 of its elements as stored."""


def fingerprints(checkpoint: Checkpoint) -> tuple[Fingerprint, ...]:
    """The fingerprint of every tensor, by name; one pass over the weights."""
    releaser, items = PageReleaser([checkpoint]), []
    for name in checkpoint.names():
        digest, raw = hashlib.sha256(), checkpoint.raw(name)
        for start in range(0, raw.size, _BLOCK):
            block = raw[start : start + _BLOCK]
            digest.update(block.view(np.uint8).data)
            releaser.read(block.nbytes)
        dtype, shape = checkpoint.dtype(name), checkpoint.shape(name)
        items.append(Fingerprint(name, dtype, shape, digest.hexdigest()))
    return tuple(items)


def written_fingerprints(
    specs: Iterable[TensorSpec], digests: dict[str, str]
) -> tuple[Fingerprint, ...]:
    """Fingerprints of tensors that were written, by name."""
    ordered = sorted(specs, key=lambda spec: spec.name)
    return tuple(Fingerprint(s.name, s.dtype, s.shape, digests[s.name]) for s in ordered)


def one_fingerprint(items: Iterable[Fingerprint]) -> str:
    """One SHA-256 over names, dtypes, shapes and hashes of all tensors, in the order of names."""
    digest = hashlib.sha256()
    for item in sorted(items, key=lambda item: item.name):
        line = [item.name, item.dtype, list(item.shape), item.sha256]
        digest.update((json.dumps(line) + "\n").encode())
    return digest.hexdigest()


def check_base(base: Checkpoint, made_on: str, base_hash: str, path: Path) -> None:
    """Refuse a file that was made on another base.

    Args:
        made_on: Reference of the base it was made on.
        base_hash: `known_fingerprint` of that base.
        path: Of the file.

    Raises:
        IncompatibleCheckpoints: its weights are others.
    """
    fingerprint = known_fingerprint(base)
    if fingerprint != base_hash:
        raise IncompatibleCheckpoints(
            f"{path}: made on {made_on} with weights {base_hash[:12]}…, {base.folder.name} holds "
            f"{fingerprint[:12]}…. Another base, or another revision or dtype of it, is the usual "
            "cause."
        )


def known_fingerprint(checkpoint: Checkpoint) -> str:
    """`one_fingerprint` of a checkpoint, cached by the hash of its files."""
    entry = cache_folder("hashes") / f"tensors-{checkpoint.content_hash()}"
    stored = load(entry)
    if stored is not None:
        return stored.decode("ascii")
    digest = one_fingerprint(fingerprints(checkpoint))
    store(entry, digest.encode("ascii"))
    return digest
