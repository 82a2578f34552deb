"""Output error of one pruned matrix on the inputs that a text gives it.

With the Gram matrix G = Σ x xᵀ of the inputs x, Σ ‖E x‖² = Σ (E G) ∘ E for any matrix E. The kept
elements of a delta are the same as in a merge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, Shaped
from numpy import ndarray

from dppa_core.checkpoints.chunks import TensorPair
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.vocabulary.alignment import align
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.matrix import find_module
from dppa_core.evaluation.analysis.ranked_pair import RankedPair, RankedTensor
from dppa_core.parameter_fields import check_number
from dppa_core.profiling.calibration.statistics import statistics
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.partition import select
from dppa_core.pruning.tie_breaking import drop_cut, drop_seed, mix
from dppa_core.recipes.calibration import calibration_of

Matrix = Float64[ndarray, "outputs inputs"]


@dataclass(frozen=True, slots=True)
class DeltaFit:
    """The error of s · K x against d x for any factor s; K is the kept part of the delta d."""

    whole: float
    """Σ ‖d x‖² over the inputs."""
    both: float
    """Σ ⟨d x, K x⟩."""
    left: float
    """Σ ‖K x‖²."""

    def error(self, factor: float) -> float:
        """√(Σ ‖d x − s K x‖² / Σ ‖d x‖²): 0 is exact, 1 as bad as dropping the delta."""
        square = self.whole - 2 * factor * self.both + factor * factor * self.left
        return float(np.sqrt(max(square, 0.0) / self.whole))

    @property
    def best(self) -> float:
        """The factor with the smallest error; 1 if nothing is kept."""
        return self.both / self.left if self.left > 0 else 1.0


@dataclass(frozen=True, slots=True)
class RateErrors:
    """Errors at one pruning rate."""

    rate: float
    largest: DeltaFit
    """With the largest |d| kept."""
    drawn: DeltaFit
    """With as many elements kept at random."""
    halves: tuple[float, float]
    """The best factors of two partitions: the larger half of the kept elements, and the rest."""
    halved: float
    """The error with those two factors."""
    weights: float
    """Error of pruning W itself: √(Σ ‖(W − Ŵ) x‖² / Σ ‖W x‖²), where W is the domain model's
    weight and the largest |W| are kept."""


@dataclass(frozen=True, slots=True)
class OutputErrors:
    """Errors of one module over pruning rates."""

    module: str
    effect: float
    """√(Σ ‖d x‖² / Σ ‖W x‖²), W of the domain model: the delta's share of the output."""
    rates: tuple[RateErrors, ...]


def output_errors(
    base: str,
    finetuned: str,
    module: str,
    profile: DeltaProfile,
    rates: Sequence[float],
    *,
    public: bool = False,
    progress: Progress | None = None,
    stop: Stop | None = None,
) -> OutputErrors:
    """Measure one module at several pruning rates.

    Args:
        finetuned: Reference of the domain model, which reads the text.
        module: Short name, as "layers.3.mlp.down_proj".
        profile: Of the pair, ranked by |d|.
        rates: Rising pruning rates, each in [0, 1).

    Raises:
        InvalidValue: a rate out of range, or the text gives this module no input.
        UnknownName: no such module.
        CheckpointError: the model cannot be read or run.
    """
    for rate in rates:
        check_number("Pruning rate", rate, 0.0, 0.999)
    # Inputs that the text gives to the module.
    root = open_checkpoint(base, public=public, stop=stop)
    tuned = open_checkpoint(finetuned, public=public, stop=stop)
    pair = align(root, (tuned,), (finetuned,))
    reader = tuned if pair.foreign else root
    control: dict[str, Any] = {"label": finetuned, "progress": progress, "stop": stop}
    inputs = statistics("gram", reader, tuned, calibration_of(finetuned), **control)
    matrix, ranked = find_module(pair.base, module), RankedPair(pair.base, pair.tuned[0], finetuned)
    place = ranked.places[matrix.tensor]
    if place not in inputs.arrays:
        raise InvalidValue(f"{finetuned}: the inputs of {module} were not measured.")
    gram = np.asarray(inputs.arrays[place], np.float64)
    # Errors of the module's pruned delta on these inputs.
    tensor = ranked.tensor(matrix.tensor)
    across = inputs.axes[place] == 0
    weights = _ModuleWeights(tensor.pair, matrix.shape[-1], gram, across=across)
    module_profile = next(item for item in profile.modules if item.module.name == matrix.name)
    halves = _kept_halves(module_profile, tensor, rates)
    rows = []
    for index, rate in enumerate(rates):
        check(stop)
        rows.append(weights.errors(rate, halves[:, index], _drawn(tensor.pair, finetuned, rate)))
        report(progress, index + 1, len(rates), f"{matrix.name} at {rate:.0%}")
    return OutputErrors(matrix.name, weights.effect, tuple(rows))


def _kept_halves(
    profile: ModuleProfile, tensor: RankedTensor, rates: Sequence[float]
) -> Int64[ndarray, "n rates"]:
    """1: in the larger half of the elements a rate keeps; 2: in the other half; 0: dropped."""
    shares = {share for rate in rates for share in ((1 - rate) / 2, 1 - rate)}
    densities = sorted(shares, reverse=True)
    reach = tensor.reach([select(profile, density) for density in densities])
    reaches = reach.of(np.abs(_delta(tensor.pair)), 0)
    columns = []
    for rate in rates:
        half, whole = (reaches > densities.index(share) for share in ((1 - rate) / 2, 1 - rate))
        columns.append(np.where(half, 1, np.where(whole, 2, 0)))
    return np.stack(columns, axis=1)


def _drawn(pair: TensorPair, model: str, rate: float) -> Bool[ndarray, " n"]:
    draws = mix(np.arange(pair.numel, dtype=np.uint64), drop_seed(pair.name, model, 0))
    return np.asarray(draws < np.uint64(drop_cut(rate)))


def _delta(pair: TensorPair) -> Float32[ndarray, " n"]:
    tuned = to_float32(pair.finetuned, pair.finetuned_dtype)
    delta: Float32[ndarray, " n"] = tuned - to_float32(pair.base, pair.base_dtype)
    return delta


class _ModuleWeights:
    """Delta and weight of one module as outputs x inputs, and the Gram matrix of its inputs.

    Args:
        across: True if rows on disk are inputs (GPT-2).
    """

    def __init__(
        self, pair: TensorPair, columns: int, gram: Float64[ndarray, "i i"], *, across: bool
    ) -> None:
        self._columns, self._across, self._gram = columns, across, gram
        self._delta = self._matrix(_delta(pair).astype(np.float64))
        weight = to_float32(pair.finetuned, pair.finetuned_dtype).astype(np.float64)
        self._weight = self._matrix(weight)
        inputs = self._delta.shape[1]
        if gram.shape != (inputs, inputs):
            raise InvalidValue(
                f"{pair.name}: {gram.shape[0]} inputs were measured, but it takes {inputs}. "
                "Several experts in one tensor are the usual cause."
            )
        self._delta_gram = self._delta @ gram
        self._square = float(np.sum(self._delta_gram * self._delta))  # Σ ‖d x‖²
        output_square = self._output_square(self._weight)
        if not self._square > 0 or not output_square > 0:
            raise InvalidValue(f"{pair.name}: its delta changes no output on this text.")
        self.effect = float(np.sqrt(self._square / output_square))

    def errors(
        self, rate: float, halves: Int64[ndarray, " n"], drawn: Bool[ndarray, " n"]
    ) -> RateErrors:
        """The errors at one rate."""
        parts = [np.where(self._matrix(halves == n), self._delta, 0.0) for n in (1, 2)]
        grams = [part @ self._gram for part in parts]
        both = np.array([np.sum(self._delta_gram * part) for part in parts])
        left = np.array([[np.sum(gram * part) for part in parts] for gram in grams])
        factors = np.linalg.lstsq(left, both, rcond=1e-12)[0]
        square = self._square - 2 * factors @ both + factors @ left @ factors
        random = np.where(self._matrix(drawn), self._delta, 0.0)
        random_both = float(np.sum(self._delta_gram * random))
        return RateErrors(
            rate=rate,
            largest=DeltaFit(self._square, float(both.sum()), float(left.sum())),
            drawn=DeltaFit(self._square, random_both, self._output_square(random)),
            halves=(float(factors[0]), float(factors[1])),
            halved=float(np.sqrt(max(square, 0.0) / self._square)),
            weights=self._pruned_weights_error(rate),
        )

    def _pruned_weights_error(self, rate: float) -> float:
        size = np.abs(self._weight)
        dropped = round(size.size * rate)
        edge = np.partition(size, dropped, axis=None)[dropped] if dropped else 0.0
        lost = self._output_square(np.where(size < edge, self._weight, 0.0))
        return float(np.sqrt(lost / (self._square / self.effect**2)))

    def _output_square(self, matrix: Matrix) -> float:
        """Σ ‖E x‖² over the inputs x."""
        return float(np.sum((matrix @ self._gram) * matrix))

    def _matrix(self, flat: Shaped[ndarray, " n"]) -> Shaped[ndarray, "o i"]:
        rows = flat.reshape(-1, self._columns)
        return rows.T if self._across else rows
