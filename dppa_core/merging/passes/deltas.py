"""A model's delta in one tensor with its treatment, and the stack of all models' deltas."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Shaped
from numpy import ndarray

from dppa_core.checkpoints.chunks import Loader, TensorPair, widen
from dppa_core.kernels.protocol import Bands, Kernels, Stored
from dppa_core.methods.shared.stack import Own
from dppa_core.methods.shared.treatment import (
    Banded,
    DroppedTreatment,
    Ranked,
    Replacement,
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

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        kernels.add_whole(acc, base, tuned, self.weight)


@dataclass(frozen=True, slots=True)
class ReplacedBase:
    """The model's weights, times a weight, in place of the base's."""

    weight: float

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        widen(kernels, tuned, "F32" if tuned.dtype == np.float32 else "BF16", acc)
        acc *= np.float32(self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class BandedDelta:
    """The elements inside nested bands of |d|, or of a score; the delta itself is added."""

    seed: int
    bands: Bands
    """Thresholds, cuts and weights; see `Kernels.add_bands`."""
    scoring: Scoring | None = None
    """The score that ranks the elements; None for |d|."""

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        if self.scoring is None:
            kernels.add_bands(acc, base, tuned, start, self.seed, self.bands)
            return
        scores = np.empty(acc.size, np.float32)
        self.scoring.score(kernels, base, tuned, start, scores)
        kernels.add_ranked(acc, base, tuned, scores, start, self.seed, self.bands)


@dataclass(frozen=True, slots=True)
class RandomDelta:
    """The elements that a random draw keeps, times a weight."""

    seed: int
    cut: int
    weight: float

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        kernels.add_random(acc, base, tuned, start, self.seed, self.cut, self.weight)


@dataclass(frozen=True, slots=True)
class Bfloat16Delta:
    """A delta rounded to bfloat16, its parts times their factors and rounded again."""

    parts: tuple[tuple[WholeDelta | BandedDelta, float], ...]
    """Disjoint parts of the delta, each with weight 1, and their factors."""
    coefficient: float
    """Multiplies the rounded products; the result is not rounded."""

    def add(self, kernels: Kernels, acc: Chunk, base: Stored, tuned: Stored, start: int) -> None:
        for part, factor in self.parts:
            delta = np.zeros_like(acc)
            part.add(kernels, delta, base, tuned, start)
            product = _round(np.float32(factor) * _round(delta))
            np.add(acc, np.float32(self.coefficient) * product, out=acc)


def _round(values: Chunk) -> Chunk:
    return to_float32(from_float32(values, "BF16"), "BF16")


FixedTreatment = WholeDelta | ReplacedBase | BandedDelta | RandomDelta | Bfloat16Delta
"""A treatment with its numbers fixed for one tensor. `add` adds the treated delta of one chunk that
begins at the flat index `start`."""

_EVERY, _NO_CUT = np.array([-1], np.float32), np.zeros(1, np.uint64)


def magnitude_bands(treatment: FixedTreatment) -> Bands | None:
    """The treatment as bands of |d|; None if other elements are kept, or products are rounded."""
    if isinstance(treatment, WholeDelta):
        return _EVERY, _NO_CUT, np.array([treatment.weight], np.float32)
    if isinstance(treatment, BandedDelta) and treatment.scoring is None:
        return treatment.bands
    return None


@dataclass(frozen=True, slots=True, eq=False)
class PlannedDelta:
    """One domain model's delta in one tensor, with the plan's treatment; no weight is read yet."""

    pair: TensorPair
    model: str
    """Its reference: for messages, and part of random draws."""
    treatment: Treatment
    coefficient: float
    """Merging coefficient of this model and layer."""


@dataclass(frozen=True, slots=True, eq=False)
class TensorDelta:
    """As `PlannedDelta`, with the numbers of the treatment fixed for this tensor."""

    pair: TensorPair
    model: str
    treatment: FixedTreatment
    kept: int
    """Elements of the delta that are kept; for random drops the expected number."""


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
    own: Own = ()

    @property
    def kept(self) -> tuple[int, ...]:
        """Elements kept of each model's delta."""
        return tuple(delta.kept if delta else 0 for delta in self.deltas)

    @property
    def columns(self) -> int:
        """Elements of a row."""
        return self.shape[-1] if self.shape else 1


def fix_treatment(
    loader: Loader, delta: PlannedDelta, base: str, seed: int, scoring: Scoring | None = None
) -> TensorDelta | None:
    """Work out a treatment for one tensor; None if nothing is added.

    Args:
        base: Reference of the base, for messages.
        seed: The recipe's, for random draws.
        scoring: The score that ranks the elements; None for |d|.
    """
    pair, treatment, coefficient = delta.pair, delta.treatment, delta.coefficient
    if isinstance(treatment, DroppedTreatment) or pair.numel == 0:
        return None
    if isinstance(treatment, Banded | Ranked):
        return _fix_bands(loader, delta, treatment, base, scoring)
    weight = float(np.float32(coefficient * treatment.factor))
    if isinstance(treatment, WholeTreatment):
        parts = ((WholeDelta(1.0), treatment.factor),)
        whole = Bfloat16Delta(parts, coefficient) if treatment.rounded else WholeDelta(weight)
        return TensorDelta(pair, delta.model, whole, pair.numel)
    if isinstance(treatment, Replacement):
        return TensorDelta(pair, delta.model, ReplacedBase(weight), pair.numel)
    draws, cut = drop_seed(pair.name, delta.model, seed), drop_cut(treatment.rate)
    kept = round(pair.numel * (1 - treatment.rate))
    return TensorDelta(pair, delta.model, RandomDelta(draws, cut, weight), kept)


def _fix_bands(
    loader: Loader,
    delta: PlannedDelta,
    treatment: Banded | Ranked,
    base: str,
    scoring: Scoring | None,
) -> TensorDelta:
    pair, coefficient = delta.pair, delta.coefficient
    if isinstance(treatment, Banded):
        selections = treatment.selections
    else:  # a tensor outside the modules has no profile yet
        module = Module(pair.name, pair.name, -1, "other", pair.numel, (pair.numel,))
        profile = profile_tensor(loader, module, pair, (base, delta.model), scoring)
        levels, ties = treatment.levels, treatment.ties
        selections = tuple(select(profile, 1 - level, ties) for level in levels)
    cuts = find_cuts(ranked_by(loader, scoring), pair, selections)
    thresholds = np.array([cut.threshold for cut, _ in cuts], np.float32)
    tie_cuts = np.array([cut.tie_cut for cut, _ in cuts], np.uint64)
    weights = np.array([coefficient * factor for factor in treatment.factors], np.float32)
    banded = BandedDelta(tensor_seed(pair.name), (thresholds, tie_cuts, weights), scoring)
    if not treatment.rounded:
        return TensorDelta(pair, delta.model, banded, cuts[-1][1])
    alone = np.eye(len(cuts), dtype=np.float32)  # rows with the weight of a single band
    parts = [replace(banded, bands=(thresholds, tie_cuts, row)) for row in alone]
    rounded = Bfloat16Delta(tuple(zip(parts, treatment.factors, strict=True)), coefficient)
    return TensorDelta(pair, delta.model, rounded, cuts[-1][1])
