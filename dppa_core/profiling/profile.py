"""The one pass over a pair of checkpoints: from weights to a profile of kilobytes."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import closing
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Unpack

from dppa_core.checkpoints.aligned_checkpoint import as_read
from dppa_core.checkpoints.checkpoint import Checkpoint, open_files
from dppa_core.checkpoints.chunks import TensorPair, slices
from dppa_core.checkpoints.file_hashes import SharedHasher, is_hashed
from dppa_core.checkpoints.matching import match_tensors
from dppa_core.checkpoints.page_copies import OnRead
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.sources.references import checked_reference
from dppa_core.checkpoints.vocabulary.alignment import align
from dppa_core.profiling.binning import joined, profile_of_bins
from dppa_core.profiling.cache import (
    load_profile,
    may_be_profiled,
    note_profiled,
    profile_entry,
    save_profile,
)
from dppa_core.profiling.reader import Reader, TunedModel
from dppa_core.profiling.significance import Score
from dppa_core.progress import Progress, RunControl, Stop, check, report
from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.floats import FLOATS
from dppa_core.pruning.module_groups import Module, find_modules
from dppa_core.system.threads import side_by_side, worker_count


class ProfileOptions(RunControl, total=False):
    """Arguments of `profile_deltas` that other functions pass on to it."""

    workers: int | None


def profile_delta(
    base: Checkpoint,
    finetuned: Checkpoint,
    *,
    names: tuple[str, str] = ("base", "domain model"),
    score: Score | None = None,
    **control: Unpack[ProfileOptions],
) -> DeltaProfile:
    """Profile every module of a pair, and check every tensor for NaN and infinity.

    Args:
        names: Base and domain model, for messages.
        score: Ranks the elements, if not |d|.
        workers, progress, stop: See `profile_deltas`.

    Raises:
        IncompatibleCheckpoints: no delta exists.
        NonFiniteWeights: naming tensor and model.
        Cancelled: `stop` was set.
    """
    tuned = (TunedModel(finetuned, names[1], score),)
    return profile_deltas(base, tuned, names[0], **control)[0]


def profile_deltas(
    base: Checkpoint,
    tuned: Sequence[TunedModel],
    name: str,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    only: Collection[str] | None = None,
    on_read: OnRead | None = None,
) -> tuple[DeltaProfile, ...]:
    """As `profile_delta`, for several domain models: the base is read once.

    Args:
        tuned: The domain models; one at least.
        workers: Threads; one for every available core if unset. The profiles are the same.
        progress: Called after each module.
        stop: Ends the pass between two slices of a tensor.
        only: Names of the base's tensors; all if unset. Others are neither profiled nor checked.
        on_read: Called with everything read from files; see `PageCopies`.
    """
    places = [match_tensors(base, model.checkpoint, model.name, heads="base") for model in tuned]
    floats = [{name for name in names if base.dtype(name) in FLOATS} for names in places]
    shared = set[str].intersection(*floats)  # heads, which have no modules, may differ
    modules = find_modules({name: base.shape(name) for name in places[0] if name in shared})
    outside = set(base.names()) - {module.tensor for module in modules}
    if only is not None:
        modules = tuple(module for module in modules if module.tensor in only)
        outside &= set(only)
    reader = Reader(base, tuned, places, name, stop, on_read)
    threads = worker_count(workers)
    profiles: list[tuple[ModuleProfile, ...]] = []
    for items in _profiles(reader, modules, threads):
        report(progress, len(profiles), len(modules), items[0].module.name)
        profiles.append(items)
    with closing(side_by_side(reader.checks(sorted(outside & shared)), threads)) as checked:
        for _ in checked:
            pass
    check(stop)  # workers may have finished before it was set
    report(progress, len(modules), len(modules), "profile complete")
    return tuple(
        DeltaProfile(
            name,
            model.name,
            tuple(items[index] for items in profiles),
            sum(math.prod(base.shape(tensor)) for tensor in floats[index] & outside),
        )
        for index, model in enumerate(tuned)
    )


def _profiles(
    reader: Reader, modules: Iterable[Module], threads: int
) -> Iterator[tuple[ModuleProfile, ...]]:
    pairs = {m.tensor: reader.shared(m.tensor, len(slices(m.numel)) + 1) for m in modules}
    tasks = [
        partial(reader.count, module.tensor, pairs[module.tensor], start, stop)
        for module in modules
        for start, stop in slices(module.numel)
    ]
    with closing(side_by_side(tasks, threads)) as counted_slices:
        for module in modules:
            parts = list(islice(counted_slices, len(slices(module.numel))))
            counted = [joined(bins) for bins in zip(*parts, strict=True)]
            scorings = reader.scorings(module.tensor)
            with pairs[module.tensor].use() as sides:
                yield tuple(
                    profile_of_bins(module, sides[n], bins, reader.names(n), scorings[n])
                    for n, bins in enumerate(counted)
                )


def tensor_pair(base: Checkpoint, finetuned: Checkpoint, name: str, tuned_name: str) -> TensorPair:
    """Both sides of one tensor, as mapped views."""
    return TensorPair(
        name,
        base.raw(name),
        base.dtype(name),
        finetuned.raw(tuned_name),
        finetuned.dtype(tuned_name),
    )


def cached_profile(
    base: str | Path,
    finetuned: str | Path,
    *,
    public: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> DeltaProfile:
    """The profile of a pair, from the disk cache if these weights were profiled before.

    Args:
        base: Reference of the base.
        finetuned: Reference of the domain model.
        public: Strangers choose the references; see `open_checkpoint`.
        workers: Threads; one for every available core if unset. The profile is the same.
        progress: Called after each module, and while models are fetched.
        stop: Ends the pass between two slices of a tensor.

    Raises:
        InvalidValue: no reference.
        CheckpointError, Unreachable: see `open_checkpoint`.
    """
    control: RunControl = {"progress": progress, "stop": stop}
    pair, names = open_aligned(base, finetuned, public=public, **control)
    return kept_profile(*pair, names=names, workers=workers, **control)


def open_aligned(
    base: str | Path, finetuned: str | Path, *, public: bool = False, **control: Unpack[RunControl]
) -> tuple[tuple[Checkpoint, Checkpoint], tuple[str, str]]:
    """Open a base and a domain model in one vocabulary; these and their references.

    Raises as `cached_profile`.
    """
    names = checked_reference(base), checked_reference(finetuned)
    weights, tuned = (open_checkpoint(name, public=public, **control) for name in names)
    pair = align(weights, (tuned,), names[1:])
    return (pair.base, pair.tuned[0]), names


def remembered_profile(base: str, finetuned: str) -> DeltaProfile | None:
    """The profile of a pair if these weights were profiled before; reads no weight.

    Both must be on this disk. None if they were never profiled, or not hashed.

    Raises:
        DppaError: see `open_checkpoint`.
    """
    weights, tuned = open_checkpoint(base), TunedModel(open_checkpoint(finetuned), finetuned)
    hashed = is_hashed(weights) and is_hashed(tuned.checkpoint)
    return _from_cache(weights, tuned, base) if hashed else None


def kept_profile(
    base: Checkpoint,
    tuned: Checkpoint,
    *,
    names: tuple[str, str],
    score: Score | None = None,
    **control: Unpack[ProfileOptions],
) -> DeltaProfile:
    """As `cached_profile`, for open models; the score ranks the elements, if not |d|."""
    return kept_profiles(base, (TunedModel(tuned, names[1], score),), names[0], **control)[0]


def kept_profiles(
    base: Checkpoint, tuned: Sequence[TunedModel], name: str, **control: Unpack[ProfileOptions]
) -> tuple[DeltaProfile, ...]:
    """As `kept_profile`, for several domain models: one pass makes the missing profiles.

    Models in memory have no hash: their profiles are computed, and not stored.
    """
    if not all(weights.identities() for weights in (base, *(model.checkpoint for model in tuned))):
        return profile_deltas(base, tuned, name, **control)
    profiles = [_from_cache(base, model, name) for model in tuned]
    missing = [index for index, profile in enumerate(profiles) if profile is None]
    if missing:
        models = [tuned[index] for index in missing]
        sides = (base, *(model.checkpoint for model in models))
        unread = [as_read(weights) for weights in sides if not is_hashed(weights)]
        hasher = SharedHasher(file for weights in unread for file in open_files(weights))
        new = profile_deltas(base, models, name, on_read=hasher.hash_block, **control)
        hasher.remember()
        for index, profile in zip(missing, new, strict=True):
            save_profile(_entry(base, tuned[index]), profile)
            note_profiled(base, tuned[index].checkpoint)
            profiles[index] = profile
    else:
        report(control.get("progress"), 1, 1, "profile read from the cache")
    return tuple(profile for profile in profiles if profile is not None)


def _from_cache(base: Checkpoint, tuned: TunedModel, name: str) -> DeltaProfile | None:
    """A profile from the disk cache; weights that were never profiled are not hashed for it."""
    hashed = is_hashed(base) and is_hashed(tuned.checkpoint)
    if not hashed and not may_be_profiled(base, tuned.checkpoint):
        return None
    return load_profile(_entry(base, tuned), (name, tuned.name))


def _entry(base: Checkpoint, tuned: TunedModel) -> Path:
    key = tuned.score.key if tuned.score else ""
    return profile_entry(base.content_hash(), tuned.checkpoint.content_hash(), key)
