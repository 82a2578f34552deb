"""A model's delta in one tensor with its treatment, and the stack of all models' deltas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.chunks import Loader, TensorPair
from dppa_core.kernels.protocol import Bands as BandValues, Kernels, Stored
from dppa_core.methods.shared.treatment import (
    Banded,
    DroppedTreatment,
    RandomDrop,
    Ranked,
    Treatment,
    WholeTreatment,
)
from dppa_core.profiling.binning import profile_tensor
from dppa_core.profiling.significance import Scoring, ranked_by
from dppa_core.profiling.thresholds import find_cuts
from dppa_core.pruning.floats import from_float32, to_float32
from dppa_core.pruning.module_groups import Module
from dppa_core.pruning.partition import select
from dppa_core.pruning.tie_breaking import drop_cut, drop_seed, tensor_seed

Chunk = Float32[ndarray, " n"]
Raw = Shaped[ndarray, " n"]
"""Weights as they are stored."""


@dataclass(frozen=True, slots=True)
class WholeDelta:
    """The whole delta, times a weight."""

    weight: float

    def bands(self) -> Bands:
        return Bands(0, (_ALL, _NO_CUT, np.array([self.weight], np.float32)))

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        kernels.add_whole(acc, base, tuned, self.weight)


_ALL, _NO_CUT = np.array([-1], np.float32), np.zeros(1, np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class Bands:
    """Nested levels of |d| in one tensor, and the weight of each; see `Kernels.add_bands`."""

    seed: int
    levels: BandValues

    def bands(self) -> Bands:
        return self

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        kernels.add_bands(acc, base, tuned, start, self.seed, self.levels)


@dataclass(frozen=True, slots=True, eq=False)
class RankedBands:
    """Levels of a score; the delta itself is added."""

    ranked: Bands
    scoring: Scoring

    def bands(self) -> None:
        return None

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        scores = np.empty(acc.size, np.float32)
        self.scoring.score(kernels, base, tuned, start, scores)
        kernels.add_ranked(acc, base, tuned, scores, start, self.ranked.seed, self.ranked.levels)


@dataclass(frozen=True, slots=True)
class RandomDelta:
    """The elements that a random draw keeps, times a weight."""

    seed: int
    cut: int
    weight: float

    def bands(self) -> None:
        return None

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        kernels.add_random(acc, base, tuned, start, self.seed, self.cut, self.weight)


@dataclass(frozen=True, slots=True)
class Bfloat16Delta:
    """A delta rounded to bfloat16, its parts times their factors and rounded again."""

    parts: tuple[tuple[WholeDelta | Bands | RankedBands, float], ...]
    """Disjoint parts of the delta, each with weight 1, and their factors."""
    coefficient: float
    """What the products are multiplied with, without rounding."""

    def bands(self) -> None:
        return None

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        for part, factor in self.parts:
            delta = np.zeros_like(acc)
            part.add(kernels, delta, base, tuned, start)
            product = _round(np.float32(factor) * _round(delta))
            np.add(acc, np.float32(self.coefficient) * product, out=acc)


def _round(values: Chunk) -> Chunk:
    return to_float32(from_float32(values, "BF16"), "BF16")


FixedTreatment = WholeDelta | Bands | RankedBands | RandomDelta | Bfloat16Delta
"""A treatment with its numbers fixed for one tensor. `add` adds the treated delta of one chunk that
begins at the flat index `start`; `bands` gives its levels of |d|, None if it has none or rounds."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorDelta:
    """One domain model's delta in one tensor, with its treatment."""

    pair: TensorPair
    model: str
    """Its reference, for messages."""
    treatment: FixedTreatment
    kept: int
    """Elements of the delta that are kept; for random drops the expected number."""


@dataclass(frozen=True, slots=True, eq=False)
class PlannedDelta:
    """As `TensorDelta`, before any weight is read: with the plan's treatment."""

    finetuned: Raw
    dtype: str
    treatment: Treatment
    coefficient: float


@dataclass(frozen=True, slots=True, eq=False)
class TensorStack:
    """The parts of one merged tensor: the base's, and the deltas of all domain models."""

    name: str
    shape: tuple[int, ...]
    base: Raw
    base_dtype: str
    dtype: str
    """Of the merged tensor."""
    deltas: tuple[TensorDelta | None, ...]
    """Of each model, in this order; None if nothing of it is added. Coefficients are part of deltas
    that are added, not of those that are combined."""
    coefficients: tuple[float, ...] = ()
    """Of each model at this tensor."""

    @property
    def kept(self) -> tuple[int, ...]:
        """Elements kept of each model's delta."""
        return tuple(delta.kept if delta else 0 for delta in self.deltas)

    @property
    def columns(self) -> int:
        """Elements of a row."""
        return self.shape[-1] if self.shape else 1


def fix_treatment(
    loader: Loader,
    pair: TensorPair,
    treatment: Treatment,
    coefficient: float,
    models: tuple[str, str],
    seed: int,
    scoring: Scoring | None = None,
) -> TensorDelta | None:
    """Work out a treatment for one tensor; None if nothing is added.

    Args:
        coefficient: Merging coefficient of this model and layer.
        models: References of base and domain model; the second is part of random draws.
        seed: The recipe's, for random draws.
        scoring: What ranks the elements if the treatment keeps the first of them, if not |d|.
    """
    numel, model = pair.numel, models[1]
    if isinstance(treatment, DroppedTreatment) or numel == 0:
        return None
    if isinstance(treatment, WholeTreatment):
        whole = WholeDelta(weight_of(coefficient, treatment.factor))
        parts = ((WholeDelta(1.0), treatment.factor),)
        fixed = Bfloat16Delta(parts, coefficient) if treatment.rounded else whole
        return TensorDelta(pair, model, fixed, numel)
    if isinstance(treatment, RandomDrop):
        weight, cut = weight_of(coefficient, treatment.factor), drop_cut(treatment.rate)
        random = RandomDelta(drop_seed(pair.name, model, seed), cut, weight)
        return TensorDelta(pair, model, random, round(numel * (1 - treatment.rate)))
    if isinstance(treatment, Ranked):
        treatment = _rank(loader, pair, treatment, models, scoring)
    return _fix_bands(loader, pair, treatment, coefficient, model, scoring)


def weight_of(coefficient: float, factor: float) -> float:
    """Factor of a delta, as a float32."""
    return float(np.float32(coefficient * factor))


def _rank(
    loader: Loader,
    pair: TensorPair,
    treatment: Ranked,
    models: tuple[str, str],
    scoring: Scoring | None,
) -> Banded:
    """Profile a tensor outside the modules, and find its thresholds."""
    module = Module(pair.name, pair.name, -1, "other", pair.numel, (pair.numel,))
    profile = profile_tensor(loader, module, pair, models, scoring)
    selections = tuple(select(profile, 1 - rate, treatment.ties) for rate in treatment.rates)
    return Banded(selections, treatment.factors, treatment.rounded)


def _fix_bands(
    loader: Loader,
    pair: TensorPair,
    banded: Banded,
    coefficient: float,
    model: str,
    scoring: Scoring | None,
) -> TensorDelta:
    found = find_cuts(ranked_by(loader, scoring), pair, banded.selections)
    thresholds = np.array([cut.threshold for cut, _ in found], dtype=np.float32)
    ties = np.array([cut.tie_cut for cut, _ in found], dtype=np.uint64)

    def weighted(weights: Sequence[float]) -> Bands | RankedBands:
        levels = thresholds, ties, np.array(weights, dtype=np.float32)
        bands = Bands(tensor_seed(pair.name), levels)
        return bands if scoring is None else RankedBands(bands, scoring)

    treatment: FixedTreatment
    if banded.rounded:
        parts = zip(map(weighted, np.eye(len(found)).tolist()), banded.factors, strict=True)
        treatment = Bfloat16Delta(tuple(parts), coefficient)
    else:
        treatment = weighted([weight_of(coefficient, f) for f in banded.factors])
    return TensorDelta(pair, model, treatment, found[-1][1])
