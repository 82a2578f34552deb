"""The pass over whole tensors of bfloat16, in one reading.

Weights in memory need no thresholds before sums are made. The pass in chunks does everything else,
and writes the same bytes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Float32, Int64, UInt16, UInt64
from numpy import ndarray

from dppa_core.checkpoints.chunks import RUN, Loader
from dppa_core.merging.passes.deltas import PlannedDelta
from dppa_core.methods.shared.treatment import Banded, DroppedTreatment, Treatment, WholeTreatment
from dppa_core.pruning.tie_breaking import settled_cut, tensor_seed

MODELS, BANDS = 3, 2
"""Most models, and most bands of each, that are read at once."""

SettledCuts = tuple[object, Float32[ndarray, "three two"], UInt64[ndarray, "three two"]]
"""The treatments that a tensor's cuts belong to, its thresholds, and the cuts."""


class _Bands:
    """Bands of all models of one tensor, as `kernels.whole` takes them; `room` elements are open.

    They are collected in lists: writing single numbers into arrays is slower than the rest.
    """

    def __init__(self, models: Sequence[PlannedDelta], numel: int) -> None:
        size, shape = MODELS * BANDS, (MODELS, BANDS)
        thresholds, lows, highs = ([math.inf] * size for _ in range(3))
        weights, counts = [0.0] * size, [(0, 0, 0)] * size
        for first, delta in zip(range(0, size, BANDS), models, strict=False):
            treatment = delta.treatment
            if isinstance(treatment, WholeTreatment):
                thresholds[first] = -1.0  # every element is inside
                weights[first] = delta.coefficient * treatment.factor
            elif isinstance(treatment, Banded):
                pairs = zip(treatment.selections, treatment.factors, strict=True)
                for band, (selection, factor) in enumerate(pairs, start=first):
                    weights[band] = delta.coefficient * factor
                    cut = settled_cut(selection)
                    if cut is not None:
                        thresholds[band] = cut.threshold
                        continue
                    thresholds[band] = lows[band] = selection.low
                    highs[band] = selection.high
                    rank = selection.rank - (numel - selection.above - selection.within)
                    share = selection.share if selection.ties == "exact" else 0
                    counts[band] = selection.within, rank, share
        self.room = sum(within for within, _, _ in counts)
        self.counts: Int64[ndarray, "three two three"] = np.array(counts, np.int64).reshape(
            *shape, 3
        )
        self.thresholds, self.lows, self.highs, self.weights = (
            np.array(values, np.float32).reshape(shape)
            for values in (thresholds, lows, highs, weights)
        )


class PassBuffers:
    """Memory for one thread's merges. Allocating it anew costs more than using it.

    Args:
        most: Most words for a tensor; the pass in chunks does larger ones.
        loader: Copies mapped weights to near memory, for single readings.
    """

    def __init__(self, most: int = 1 << 60, loader: Loader | None = None) -> None:
        self.most, self.loader = most, loader
        self._words: UInt64[ndarray, " n"] = np.empty(0, np.uint64)
        self._out: UInt16[ndarray, " n"] = np.empty(0, np.uint16)

    def words(self, count: int) -> UInt64[ndarray, " n"]:
        """At least this many words."""
        if self._words.size < count:
            larger = min(2 * self._words.size, self.most)  # seldom anew, as tensors differ
            self._words = np.empty(max(count, larger), np.uint64)
        return self._words

    def out(self, count: int) -> UInt16[ndarray, " n"]:
        """Room for this many merged elements."""
        if self._out.size < count:
            self._out = np.empty(count, np.uint16)
        return self._out[:count]


def merge_whole(
    models: Sequence[PlannedDelta],
    out: UInt16[ndarray, " n"],
    scratch: PassBuffers,
    settled: dict[str, SettledCuts],
) -> bool:
    """Merge one tensor of bfloat16 into bfloat16.

    Returns False if the pass in chunks must do it: other treatments or dtypes, and everything that
    is an error there. `out` is then undefined.

    Args:
        models: The deltas of all models in this tensor.
        scratch: Its content is meaningless before and after.
        settled: Tensor -> its exact cuts, of an earlier merge on the same weights. If bands are the
            same, ties are not settled anew.
    """
    name, base = models[0].pair.name, models[0].pair.base
    planned = tuple(
        treatment.selections if isinstance(treatment, Banded) else type(treatment)
        for treatment in (model.treatment for model in models)
    )
    models = [model for model in models if not isinstance(model.treatment, DroppedTreatment)]
    if not 0 < len(models) <= MODELS or not base.size or not all(map(_fits, models)):
        return False
    from dppa_core.kernels import fused, whole  # noqa: PLC0415  (numba, where it is used)

    bands, weights = _Bands(models, base.size), [base, *(model.pair.finetuned for model in models)]
    weights += [base] * (1 + MODELS - len(weights))  # its delta is 0
    held = [np.ascontiguousarray(raw) for raw in weights]
    seed = np.uint64(tensor_seed(name))
    before = settled.get(name)
    if before is not None and before[0] == planned:
        largest = fused.fuse(_addresses(held), np.uint64(0), seed, *before[1:], bands.weights, out)
        return bool(largest < whole.INFINITE)
    exact = bands.thresholds.copy(), np.zeros((MODELS, BANDS), np.uint64)
    if not _read_once(held, seed, bands, exact, out, scratch):
        return False
    settled[name] = (planned, *exact)
    return True


def _read_once(
    held: Sequence[UInt16[ndarray, " n"]],
    seed: np.uint64,
    bands: _Bands,
    exact: tuple[Float32[ndarray, "three two"], UInt64[ndarray, "three two"]],
    out: UInt16[ndarray, " n"],
    scratch: PassBuffers,
) -> bool:
    """Merge and find the exact cuts; False if the tensor is not as profiled, or not finite."""
    from dppa_core.kernels import whole  # noqa: PLC0415  (numba, where it is used)

    room, collected, largest = bands.room, 0, 0
    if whole.SCRATCH * (room + whole.MARGIN) > scratch.most:
        return False
    words = scratch.words(whole.SCRATCH * (room + whole.MARGIN))
    limits = bands.thresholds, bands.lows, bands.highs, bands.weights
    for first, parts in _parts(held, scratch.loader):
        target, place = out[first : first + parts[0].size], (first, collected)
        swept = whole.sweep(_addresses(parts), place, seed, limits, room, words, target)
        collected, largest = swept[0], max(largest, swept[1])
        if collected > room:
            return False
    if collected:
        counts = bands.counts
        well, most = whole.finish(collected, seed, limits, counts, exact, room, words, out)
        largest = max(largest, most)
        return bool(well and largest < whole.INFINITE)
    return bool(largest < whole.INFINITE)


def _parts(
    held: Sequence[UInt16[ndarray, " n"]], loader: Loader | None
) -> Iterator[tuple[int, Sequence[UInt16[ndarray, " _"]]]]:
    """(first element, base and models from there on): all of them, or copies of some at a time."""
    if loader is None or not loader.copies(held[0]):
        yield 0, held
        return
    for first in range(0, held[0].size, RUN):
        parts = enumerate(raw[first : first + RUN] for raw in held)
        yield first, [loader.near(place, part) for place, part in parts]


def _addresses(held: Sequence[UInt16[ndarray, " n"]]) -> UInt64[ndarray, " models"]:
    return np.array([raw.ctypes.data for raw in held], np.uint64)


def planned_kept(treatments: Sequence[Treatment], numel: int) -> tuple[int, ...] | None:
    """Elements kept of each model's delta; None if only the weights decide it."""
    kept = []
    for treatment in treatments:
        if isinstance(treatment, WholeTreatment | DroppedTreatment):
            kept.append(numel if isinstance(treatment, WholeTreatment) else 0)
            continue
        last = treatment.selections[-1] if isinstance(treatment, Banded) else None
        if last is None or (last.ties != "exact" and settled_cut(last) is None):
            return None
        kept.append(last.kept)
    return tuple(kept)


def _fits(model: PlannedDelta) -> bool:
    treatment = model.treatment
    if model.pair.finetuned_dtype != "BF16" or getattr(treatment, "rounded", False):
        return False
    banded = isinstance(treatment, Banded) and len(treatment.selections) <= BANDS
    return banded or isinstance(treatment, WholeTreatment)
