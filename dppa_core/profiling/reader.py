"""The tasks of the one pass over a base and its domain models: slices, counted or checked."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from dppa_core.checkpoints.checkpoint import Checkpoint, PageReleaser
from dppa_core.checkpoints.chunks import RUN, Loader, TensorPair, slices
from dppa_core.checkpoints.matching import check_finite
from dppa_core.checkpoints.page_copies import OnRead
from dppa_core.kernels import get_backend
from dppa_core.profiling.binning import Bins, Counter
from dppa_core.profiling.significance import Score, Scoring
from dppa_core.progress import Stop, check
from dppa_core.system.threads import SharedValue, SparePool


@dataclass(frozen=True, slots=True)
class TunedModel:
    """A domain model to be profiled."""

    checkpoint: Checkpoint
    name: str
    """Its name in messages and in its profile."""
    score: Score | None = None
    """Ranks the elements, if not |d|."""


class Reader:
    """The tasks of the pass: slices of tensors to be counted or checked, by any thread.

    Args:
        places: For each model, name in the base -> name in the model.
        stop: Ends a task before it begins.
        on_read: Called with everything read from files.
    """

    def __init__(
        self,
        base: Checkpoint,
        tuned: Sequence[TunedModel],
        places: Sequence[Mapping[str, str]],
        name: str,
        stop: Stop | None,
        on_read: OnRead | None = None,
    ) -> None:
        self._base, self._tuned, self._places = base, tuned, places
        self._name, self._stop = name, stop
        self._releaser = PageReleaser((base, *(model.checkpoint for model in tuned)))
        numel = sum(math.prod(base.shape(place)) for place in places[0])
        kernels = get_backend("auto", numel * len(tuned))
        self._loaders = SparePool(lambda: Loader(kernels, self._releaser.read, on_read))
        self._counters = SparePool(lambda: Counter(Loader(kernels, self._releaser.read, on_read)))

    def names(self, index: int) -> tuple[str, str]:
        """Names of the base and one of the domain models, for messages."""
        return self._name, self._tuned[index].name

    def shared(self, name: str, users: int) -> SharedValue[tuple[TensorPair, ...]]:
        """One tensor of the base beside each model's, read for the first of its users."""
        return SharedValue(partial(self._pairs, name), users)

    def _pairs(self, name: str) -> tuple[TensorPair, ...]:
        old, dtype = self._base.raw(name), self._base.dtype(name)
        pairs = []
        for tuned, names in zip(self._tuned, self._places, strict=True):
            theirs, model = names[name], tuned.checkpoint
            pairs.append(TensorPair(name, old, dtype, model.raw(theirs), model.dtype(theirs)))
        return tuple(pairs)

    def scorings(self, name: str) -> tuple[Scoring | None, ...]:
        """Scoring of a module's elements, for each model; None for |d|."""
        return tuple(
            tuned.score.scoring_of(name, names[name]) if tuned.score else None
            for tuned, names in zip(self._tuned, self._places, strict=True)
        )

    def count(
        self, name: str, shared: SharedValue[tuple[TensorPair, ...]], start: int, stop: int
    ) -> tuple[Bins, ...]:
        """Count a slice of a module, for each model."""
        check(self._stop)
        with shared.use() as pairs, self._counters.use() as counter:
            return counter.count(pairs, start, stop, self.scorings(name))

    def checks(self, names: Iterable[str]) -> Iterator[partial[None]]:
        """A task for every slice of tensors outside the modules."""
        for name in names:
            parts = slices(math.prod(self._base.shape(name)))
            shared = self.shared(name, len(parts))
            yield from (partial(self._check, shared, start, stop) for start, stop in parts)

    def _check(self, shared: SharedValue[tuple[TensorPair, ...]], start: int, stop: int) -> None:
        check(self._stop)
        with shared.use() as pairs, self._loaders.use() as loader:
            sides = [(pairs[0].base, pairs[0].base_dtype, self._name)]
            sides += [
                (pair.finetuned, pair.finetuned_dtype, model.name)
                for pair, model in zip(pairs, self._tuned, strict=True)
            ]
            for place, (raw, dtype, model) in enumerate(sides):
                for first in range(start, stop, RUN):
                    part = loader.near(min(place, 1), raw[first : min(first + RUN, stop)])
                    check_finite(part, dtype, pairs[0].name, model, first)
