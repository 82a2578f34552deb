"""The one pass over a pair of checkpoints: from weights to a profile of kilobytes.

Knows weights and the cache, not what a plan or a merge makes of a profile.
"""

from __future__ import annotations

from dppa_core.binning import profile_tensor
from dppa_core.checkpoint import Checkpoint
from dppa_core.chunks import TensorPair
from dppa_core.deltas import DeltaProfile, ModuleProfile
from dppa_core.floats import FLOATS
from dppa_core.kernels import get_backend
from dppa_core.modules import find_modules
from dppa_core.pairs import check_finite, match_tensors
from dppa_core.profile_cache import load_profile, profile_entry, save_profile
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.sources import ModelRef, open_checkpoint

__all__ = ["DeltaProfile", "ModuleProfile", "cached_profile", "profile_delta"]


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
    kernels, profiles = get_backend("numba"), []
    for done, module in enumerate(m for m in modules if m.tensor in inside):
        check(stop)
        report(progress, done, len(inside), module.name)
        pair = tensor_pair(base, finetuned, module.tensor, places[module.tensor])
        profiles.append(profile_tensor(kernels, module, pair, names))
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
