"""The one pass over a pair of checkpoints: from weights to a profile of kilobytes.

Knows weights and the cache, not what a plan or a merge makes of a profile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoint import Checkpoint, to_float32
from dppa_core.deltas import DeltaProfile, ModuleProfile
from dppa_core.errors import NonFiniteWeights
from dppa_core.floats import FLOATS
from dppa_core.kernels import Kernels, get_backend
from dppa_core.modules import Module, find_modules
from dppa_core.pairs import CHUNK, check_finite, match_tensors
from dppa_core.profile_cache import load_profile, profile_entry, save_profile
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.sources import ModelRef, open_checkpoint

__all__ = ["DeltaProfile", "ModuleProfile", "cached_profile", "profile_delta", "profile_tensor"]

EXACT_NUMEL = 1 << 20
"""Up to this size every distinct |d| is a bin of its own."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorPair:
    """One tensor of the base and of the domain model, raw."""

    name: str
    base: Shaped[ndarray, " n"]
    base_dtype: str
    finetuned: Shaped[ndarray, " n"]
    finetuned_dtype: str


def profile_delta(
    base: Checkpoint,
    finetuned: Checkpoint,
    *,
    progress: Progress | None = None,
    stop: Stop | None = None,
    names: tuple[str, str] = ("base", "domain model"),
) -> DeltaProfile:
    """Profile every module of a pair, and check every tensor for NaN and infinity.

    Raises:
        IncompatibleCheckpoints: no delta exists.
        NonFiniteWeights: naming tensor and model.
        Cancelled: `stop` was set.
    """
    places = match_tensors(base, finetuned, names[1])
    modules = find_modules({name: base.shape(name) for name in places})
    inside = {module.tensor for module in modules if base.dtype(module.tensor) in FLOATS}
    rest = [name for name in places if name not in inside and base.dtype(name) in FLOATS]
    profiles = []
    for done, module in enumerate(m for m in modules if m.tensor in inside):
        check(stop)
        report(progress, done, len(inside), module.name)
        pair = tensor_pair(base, finetuned, module.tensor, places[module.tensor])
        profiles.append(profile_tensor(module, pair, names))
    for name in rest:
        check(stop)
        check_finite(base.raw(name), base.dtype(name), name, names[0])
        other = places[name]
        check_finite(finetuned.raw(other), finetuned.dtype(other), name, names[1])
    report(progress, len(inside), len(inside), "profile complete")
    others = sum(base.raw(name).size for name in rest)
    return DeltaProfile(names[0], names[1], tuple(profiles), others)


def tensor_pair(base: Checkpoint, finetuned: Checkpoint, name: str, other: str) -> TensorPair:
    """Both sides of one tensor, as mapped views."""
    return TensorPair(
        name, base.raw(name), base.dtype(name), finetuned.raw(other), finetuned.dtype(other)
    )


def profile_tensor(
    module: Module, pair: TensorPair, names: tuple[str, str] = ("base", "domain model")
) -> ModuleProfile:
    """Profile one tensor: exactly up to 2**20 elements, in bins of |d|'s top 16 bits beyond.

    Raises:
        NonFiniteWeights: NaN or infinity on either side, or a delta too large for float32.
    """
    if pair.base.size <= EXACT_NUMEL:
        return _exact(module, pair, names)
    return _binned(module, pair, names)


def _exact(module: Module, pair: TensorPair, names: tuple[str, str]) -> ModuleProfile:
    base = to_float32(pair.base, pair.base_dtype)
    with np.errstate(invalid="ignore", over="ignore"):
        delta = to_float32(pair.finetuned, pair.finetuned_dtype) - base
    ordered = np.sort(np.abs(delta))
    if not np.isfinite(ordered[-1]):  # NaN sorts to the end
        raise_not_finite(pair, names)
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(np.append(starts, ordered.size)).astype(np.int64)
    magnitudes = ordered[starts]
    exact = magnitudes.astype(np.float64)
    square = float(np.square(base, dtype=np.float64).sum())
    return ModuleProfile(
        module, magnitudes, counts, exact * counts, exact * exact * counts, True, square
    )


def _binned(module: Module, pair: TensorPair, names: tuple[str, str]) -> ModuleProfile:
    kernels = get_backend("numba")
    counts = np.zeros(1 << 15, dtype=np.int64)
    sums, squares = np.zeros((2, 1 << 15))
    base_square = 0.0
    buffers, wide = np.empty((2, CHUNK), np.float32), np.empty(CHUNK)
    for start in range(0, pair.base.size, CHUNK):
        stop = min(start + CHUNK, pair.base.size)
        base = load(kernels, pair.base[start:stop], pair.base_dtype, buffers[0])
        tuned = load(kernels, pair.finetuned[start:stop], pair.finetuned_dtype, buffers[1])
        kernels.histogram(base, tuned, counts, sums, squares)
        double = wide[: stop - start]
        np.copyto(double, base)
        base_square += float(np.square(double, out=double).sum())  # no BLAS, so no threads
    live = np.flatnonzero(counts)
    if live[-1] >= 0x7F80:  # the keys of infinity and NaN
        raise_not_finite(pair, names)
    edges: Float32[ndarray, " bins"] = (live.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return ModuleProfile(module, edges, counts[live], sums[live], squares[live], False, base_square)


def load(
    kernels: Kernels, raw: Shaped[ndarray, " n"], dtype: str, buffer: Float32[ndarray, " size"]
) -> Float32[ndarray, " n"]:
    """Widen one chunk into the beginning of a buffer."""
    chunk: Float32[ndarray, " n"] = buffer[: raw.size]
    if dtype == "BF16":
        kernels.widen(raw, chunk)
    else:
        np.copyto(chunk, raw)
    return chunk


def raise_not_finite(pair: TensorPair, names: tuple[str, str]) -> None:
    """Say which side of a pair is not finite.

    Raises:
        NonFiniteWeights: always.
    """
    check_finite(pair.base, pair.base_dtype, pair.name, names[0])
    check_finite(pair.finetuned, pair.finetuned_dtype, pair.name, names[1])
    raise NonFiniteWeights(
        f"{pair.name}: {names[1]} minus {names[0]} is too large for float32 (3.4e38). "
        "A damaged file is the usual cause."
    )


def cached_profile(
    base: ModelRef | str,
    finetuned: ModelRef | str,
    *,
    public: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> DeltaProfile:
    """The profile of a pair, from the disk cache where these very weights were profiled before.

    Args:
        base: Reference of the base.
        finetuned: Reference of the domain model.
        public: Whether strangers choose the references; see `open_checkpoint`.
        progress: Told module by module.
        stop: Ends the pass between two tensors.
    """
    mine = open_checkpoint(base, public=public)
    theirs = open_checkpoint(finetuned, public=public)
    names = (str(base), str(finetuned))
    entry = profile_entry(mine.content_hash(), theirs.content_hash())
    known = load_profile(entry, names)
    if known is not None:
        report(progress, 1, 1, "profile read from the cache")
        return known
    profile = profile_delta(mine, theirs, progress=progress, stop=stop, names=names)
    save_profile(entry, profile)
    return profile
