"""Profiles on disk, by the hashes of the weights they were taken of.

A profile that cannot be read is computed again. A few bytes tell whether weights may have been
profiled before: a pair that was never seen need not be hashed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

import numpy as np
from jaxtyping import Int64, Shaped
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.module_groups import Module
from dppa_core.system.folder_cache import cache_folder, load, store
from dppa_core.system.regular_files import open_regular

_FORMAT = 4  # raise it if the same weights give another profile, or other bytes
T = TypeVar("T")
Arrays: TypeAlias = Shaped[ndarray, " n"]
_ARRAYS = ("magnitudes", "counts", "excess")
_SAMPLES, _SAMPLE_BYTES = 16, 64
"""Places sampled in a file, and bytes of each."""


def profile_entry(base: str, finetuned: str, score: str = "") -> Path:
    """Path of the profile of two sets of weights, by their hashes.

    Args:
        score: Key of the score that ranks the elements; empty for |d|.
    """
    parts = (str(_FORMAT), base, finetuned, *([score] if score else []))
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()
    return cache_folder("profiles") / f"{key}.profile"


def save_profile(path: Path, profile: DeltaProfile) -> None:
    """Store a profile; does nothing if the cache cannot be written."""
    modules = profile.modules
    head: dict[str, Any] = {
        "other_tensors": profile.other_tensors,
        "modules": [
            {
                **module_json(item.module),
                "base_square": item.base_square,
                **({} if item.delta_total is None else {"delta_total": item.delta_total}),
            }
            for item in modules
        ],
    }
    arrays = {
        name: np.concatenate([getattr(item, name) for item in modules] or [np.zeros(0, np.float32)])
        for name in _ARRAYS
    }
    arrays["counts"] = _narrowest(arrays["counts"])
    squares = [item.delta_squares for item in modules if item.delta_squares is not None]
    if squares:
        arrays["delta_squares"] = np.concatenate(squares)
    arrays["bins"] = np.array([item.magnitudes.size for item in modules], dtype=np.int64)
    store_arrays(path, head, arrays)


def store_arrays(path: Path, head: dict[str, Any], arrays: Mapping[str, Arrays]) -> None:
    """Store flat arrays and what JSON can hold; does nothing if the cache cannot be written."""
    listed = [[name, array.dtype.str, array.size] for name, array in arrays.items()]
    text = json.dumps({**head, "arrays": listed}).encode()
    store(path, len(text).to_bytes(8, "little"), text, *(array.data for array in arrays.values()))


def load_arrays(path: Path, read: Callable[[dict[str, Any], dict[str, Any]], T]) -> T | None:
    """What `read` makes of a stored head and its arrays; None if missing, damaged or older."""
    stored = load(path)
    if stored is None:
        return None
    try:
        start = 8 + int.from_bytes(stored[:8], "little")
        head, arrays = json.loads(stored[8:start]), dict[str, Any]()
        for name, dtype, size in head["arrays"]:
            # A copy: stored arrays are not aligned.
            arrays[name] = np.frombuffer(stored, dtype, size, start).copy()
            start += arrays[name].nbytes
        return read(head, arrays)
    except (ValueError, KeyError, TypeError):  # complete, but of another version
        return None


def module_json(module: Module) -> dict[str, Any]:
    """A module's fields."""
    return {field.name: getattr(module, field.name) for field in fields(Module)}


def module_of(entry: dict[str, Any]) -> Module:
    """The module of `module_json`, after JSON."""
    return Module(**{**entry, "shape": tuple(entry["shape"])})


def _narrowest(counts: Int64[ndarray, " bins"]) -> Shaped[ndarray, " bins"]:
    small = counts.max(initial=0) < 2**32
    return counts.astype(np.uint32) if small else counts


def load_profile(path: Path, names: tuple[str, str]) -> DeltaProfile | None:
    """Read a profile under the current names of its models; None if there is none."""
    return load_arrays(path, lambda head, arrays: _profile(head, arrays, names))


def _profile(head: dict[str, Any], arrays: dict[str, Any], names: tuple[str, str]) -> DeltaProfile:
    ends = np.cumsum(arrays["bins"])
    modules, squared = [], 0
    for entry, size, end in zip(head["modules"], arrays["bins"], ends, strict=True):
        entry = dict(entry)
        base_square, delta_total = entry.pop("base_square"), entry.pop("delta_total", None)
        module = module_of(entry)
        magnitudes, counts, excess = (arrays[name][end - size : end] for name in _ARRAYS)
        wide = counts.astype(np.int64)
        squares = None
        if delta_total is not None:
            squares, squared = arrays["delta_squares"][squared : squared + size], squared + size
        modules.append(
            ModuleProfile(module, magnitudes, wide, excess, base_square, squares, delta_total)
        )
    return DeltaProfile(names[0], names[1], tuple(modules), head["other_tensors"])


def may_be_profiled(*checkpoints: Checkpoint) -> bool:
    """False only if these weights were never noted together, in any folder."""
    entry = _sketches(checkpoints)
    return entry is None or load(entry) is not None


def note_profiled(*checkpoints: Checkpoint) -> None:
    """Note that weights were profiled together."""
    entry = _sketches(checkpoints)
    if entry is not None and load(entry) is None:
        store(entry, b"")


def _sketches(checkpoints: Iterable[Checkpoint]) -> Path | None:
    sketch = hashlib.sha256()
    try:
        for checkpoint in checkpoints:
            for path in sorted(checkpoint.identities()):
                sketch.update(_sketch(path))
    except OSError:  # the file is gone
        return None
    return cache_folder("sketches") / sketch.hexdigest()


def _sketch(path: Path) -> bytes:
    """Size of a file, and some of its bytes."""
    size = path.stat().st_size
    with open_regular(path) as file:
        parts = [size.to_bytes(8, "little")]
        for sample in range(_SAMPLES):
            file.seek((size - 1) * sample // _SAMPLES)
            parts.append(file.read(_SAMPLE_BYTES))
    return b"".join(parts)
