"""The one pass over a pair of checkpoints: from weights to a profile of kilobytes.

Knows weights and the cache, not what a plan or a merge makes of a profile.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from functools import partial
from itertools import islice

from dppa_core.alignment import align
from dppa_core.binning import Bins, Counter, joined, profile_of_bins
from dppa_core.checkpoint import Checkpoint, is_hashed
from dppa_core.chunks import Loader, TensorPair, slices
from dppa_core.deltas import DeltaProfile, ModuleProfile
from dppa_core.floats import FLOATS
from dppa_core.kernels import get_backend
from dppa_core.modules import Module, find_modules
from dppa_core.pairs import check_finite, match_tensors
from dppa_core.profile_cache import load_profile, profile_entry, save_profile
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.releaser import Releaser
from dppa_core.scoring import Score, Scoring
from dppa_core.sources import open_checkpoint
from dppa_core.workers import Shared, Spare, side_by_side, worker_count

__all__ = [
    "DeltaProfile",
    "ModuleProfile",
    "cached_profile",
    "kept_profile",
    "profile_delta",
    "remembered_profile",
]


def profile_delta(
    base: Checkpoint,
    finetuned: Checkpoint,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    names: tuple[str, str] = ("base", "domain model"),
    score: Score | None = None,
) -> DeltaProfile:
    """Profile every module of a pair, and check every tensor for NaN and infinity.

    Args:
        base: The common ancestor.
        finetuned: The domain model.
        workers: Threads; one for every available core if unset. The profile is the same.
        progress: Told module by module.
        stop: Ends the pass between two slices of a tensor.
        names: Of base and domain model, for messages.
        score: What ranks the elements, if not |d|.

    Raises:
        IncompatibleCheckpoints: no delta exists.
        NonFiniteWeights: naming tensor and model.
        Cancelled: `stop` was set.
    """
    places = match_tensors(base, finetuned, names[1])
    shapes = {name: base.shape(name) for name in places if base.dtype(name) in FLOATS}
    modules = find_modules(shapes)
    rest = sorted(set(shapes) - {module.tensor for module in modules})
    reader = _Reader(base, finetuned, places, names, stop, score)
    threads = worker_count(workers)
    profiles: list[ModuleProfile] = []
    for item in _profiles(reader, modules, threads):
        report(progress, len(profiles), len(modules), item.module.name)
        profiles.append(item)
    with closing(side_by_side(reader.checks(rest), threads)) as checked:
        for _ in checked:
            pass
    check(stop)  # workers may have been done before it was set
    report(progress, len(modules), len(modules), "profile complete")
    others = sum(math.prod(shapes[name]) for name in rest)
    return DeltaProfile(names[0], names[1], tuple(profiles), others)


def _profiles(reader: _Reader, modules: Iterable[Module], threads: int) -> Iterator[ModuleProfile]:
    pairs = {m.tensor: reader.shared(m.tensor, len(slices(m.numel)) + 1) for m in modules}
    tasks = [
        partial(reader.count, module.tensor, pairs[module.tensor], start, stop)
        for module in modules
        for start, stop in slices(module.numel)
    ]
    with closing(side_by_side(tasks, threads)) as found:
        for module in modules:
            parts = list(islice(found, len(slices(module.numel))))
            with pairs[module.tensor].use() as pair:
                scoring = reader.scoring(module.tensor)
                yield profile_of_bins(module, pair, joined(parts), reader.names, scoring)


class _Reader:
    """The tasks of the pass: slices of tensors to be counted or checked, by any thread."""

    def __init__(
        self,
        base: Checkpoint,
        finetuned: Checkpoint,
        places: Mapping[str, str],
        names: tuple[str, str],
        stop: Stop | None,
        score: Score | None,
    ) -> None:
        self._base, self._finetuned, self._places = base, finetuned, places
        self.names, self._stop, self._score = names, stop, score
        self._releaser = Releaser((base, finetuned))
        kernels = get_backend("numba")
        self._counters = Spare(lambda: Counter(Loader(kernels, self._releaser.read)))

    def shared(self, name: str, users: int) -> Shared[TensorPair]:
        """One tensor of both sides, read when the first of its users comes."""
        other = self._places[name]
        return Shared(partial(tensor_pair, self._base, self._finetuned, name, other), users)

    def scoring(self, name: str) -> Scoring | None:
        """How the elements of a module are ranked; None where by |d|."""
        return self._score.of(name, self._places[name]) if self._score else None

    def count(self, name: str, shared: Shared[TensorPair], start: int, stop: int) -> Bins:
        """Count a slice of a module."""
        check(self._stop)
        with shared.use() as pair, self._counters.one() as counter:
            return counter.count(pair, start, stop, self.scoring(name))

    def checks(self, names: Iterable[str]) -> Iterator[partial[None]]:
        """A task for every slice of tensors that are no modules."""
        for name in names:
            parts = slices(math.prod(self._base.shape(name)))
            shared = self.shared(name, len(parts))
            yield from (partial(self._check, shared, start, stop) for start, stop in parts)

    def _check(self, shared: Shared[TensorPair], start: int, stop: int) -> None:
        check(self._stop)
        with shared.use() as pair:
            sides = (pair.base, pair.base_dtype), (pair.finetuned, pair.finetuned_dtype)
            for (raw, dtype), model in zip(sides, self.names, strict=True):
                check_finite(raw[start:stop], dtype, pair.name, model, start)
                self._releaser.read(raw[start:stop].nbytes)


def tensor_pair(base: Checkpoint, finetuned: Checkpoint, name: str, other: str) -> TensorPair:
    """Both sides of one tensor, as mapped views."""
    return TensorPair(
        name, base.raw(name), base.dtype(name), finetuned.raw(other), finetuned.dtype(other)
    )


def cached_profile(
    base: str,
    finetuned: str,
    *,
    public: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> DeltaProfile:
    """The profile of a pair, from the disk cache where these very weights were profiled before.

    Args:
        base: Reference of the base.
        finetuned: Reference of the domain model.
        public: Whether strangers choose the references; see `open_checkpoint`.
        workers: See `profile_delta`.
        progress: Told module by module; bytes of models that are fetched before.
        stop: Ends the pass between two slices of a tensor.
    """
    mine = open_checkpoint(base, public=public, progress=progress, stop=stop)
    theirs = open_checkpoint(finetuned, public=public, progress=progress, stop=stop)
    pair = align(mine, (theirs,), (finetuned,))
    return kept_profile(
        pair.base,
        pair.tuned[0],
        workers=workers,
        progress=progress,
        stop=stop,
        names=(base, finetuned),
    )


def remembered_profile(base: str, finetuned: str) -> DeltaProfile | None:
    """The profile of a pair where these very weights were profiled before; reads no weight.

    Both must be on this disk. None where they were never profiled, or not hashed.

    Raises:
        DppaError: see `open_checkpoint`.
    """
    mine, theirs = open_checkpoint(base), open_checkpoint(finetuned)
    identities = (*mine.identities().values(), *theirs.identities().values())
    if not all(map(is_hashed, identities)):
        return None
    return load_profile(
        profile_entry(mine.content_hash(), theirs.content_hash()), (base, finetuned)
    )


def kept_profile(
    mine: Checkpoint,
    theirs: Checkpoint,
    *,
    names: tuple[str, str],
    workers: int | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    score: Score | None = None,
) -> DeltaProfile:
    """As `cached_profile`, of a base and a domain model that are open already.

    Args:
        mine: The base.
        theirs: The domain model.
        names: What they are called.
        workers: See `profile_delta`.
        progress: Told module by module.
        stop: Ends the pass between two slices of a tensor.
        score: What ranks the elements, if not |d|.
    """
    ranked_by = score.key if score else ""
    entry = profile_entry(mine.content_hash(), theirs.content_hash(), ranked_by)
    known = load_profile(entry, names)
    if known is not None:
        report(progress, 1, 1, "profile read from the cache")
        return known
    profile = profile_delta(
        mine, theirs, workers=workers, progress=progress, stop=stop, names=names, score=score
    )
    save_profile(entry, profile)
    return profile
