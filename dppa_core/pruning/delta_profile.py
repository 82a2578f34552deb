"""The profile of a delta: counts and means by magnitude for each module."""

from __future__ import annotations

import math
from dataclasses import InitVar, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

from dppa_core.pruning.module_groups import Module
from dppa_core.pruning.share_plot import CHANGE, cell_html, share_svg, shares_by_place
from dppa_core.system.frames import frame_of

OPEN_BITS = 14
"""Low bits of |d| that differ within an open bin."""


Sums = tuple[Int64[ndarray, " edges"], Float64[ndarray, " edges"], float]
"""A profile's `below`, `energy_from` and `total`."""


@dataclass(frozen=True, slots=True, eq=False)
class ModuleProfile:
    """The distribution of |d| in one tensor, d = finetuned - base in float32.

    Or the distribution of another score, see `delta_squares`.

    Most bins hold one magnitude. The others are *open*: their elements share all bits of |d| except
    the last 14, which are not all 0. A delta of two bfloat16 numbers rarely needs those bits.
    """

    module: Module
    magnitudes: Float32[ndarray, " bins"]
    """The smallest |d| of each bin, ascending; the only one unless the bin is open."""
    counts: Int64[ndarray, " bins"]
    """Elements in the bin, never 0."""
    excess: Float32[ndarray, " bins"]
    """Mean of |d| in the bin minus `magnitudes`, in steps between float32 numbers; > 0 if open."""
    base_square: float
    """Sum of squares of the base's weights, for comparison with the delta."""
    delta_squares: Float64[ndarray, " bins"] | None = None
    """Sum of d² in each bin, if elements are ranked by another score than |d|. Then |d| in this
    class means the score, except in sums of d² and `mean_magnitude`."""
    delta_total: float | None = None
    """Sum of |d|, if elements are ranked by another score."""
    sums: InitVar[Sums | None] = None
    """The sums, if already known."""
    below: Int64[ndarray, " edges"] = field(init=False)
    """Elements in the bins before each bin, and all of them at the end."""
    energy_from: Float64[ndarray, " edges"] = field(init=False)
    """Sum of d² from each bin on, and 0 at the end."""
    total: float = field(init=False)
    """Sum of |d|."""

    def __post_init__(self, sums: Sums | None) -> None:
        names = "below", "energy_from", "total"  # every plan needs them
        for name, value in zip(names, sums or self._sums(), strict=True):
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        name, changed = self.module.name, self.nonzero / max(self.numel, 1)
        return f"ModuleProfile({name}: {self.numel:,} elements, {changed:.1%} changed)"

    def _sums(self) -> Sums:
        below, energy = np.zeros(self.counts.size + 1, np.int64), np.zeros(self.counts.size + 1)
        np.cumsum(self.counts, out=below[1:])
        means = self.means
        np.cumsum(self._squares(means)[::-1], out=energy[:-1][::-1])
        return below, energy, float((means * self.counts).sum())

    @property
    def numel(self) -> int:
        """Elements of the tensor."""
        return int(self.below[-1])

    @property
    def exact(self) -> bool:
        """True if every bin holds one magnitude."""
        return not self.excess.any()

    @property
    def means(self) -> Float64[ndarray, " bins"]:
        """Mean of |d| in each bin."""
        return np.asarray(self.magnitudes + self.excess * _spacing(self.magnitudes))

    @property
    def squares(self) -> Float64[ndarray, " bins"]:
        """Sum of d² in each bin; in an open one as if all were at the mean (1e-6 at most)."""
        return self._squares(self.means)

    def _squares(self, means: Float64[ndarray, " bins"]) -> Float64[ndarray, " bins"]:
        if self.delta_squares is not None:
            return self.delta_squares
        return np.asarray(means * means * self.counts)

    @property
    def mean(self) -> float:
        """Mean of |d|, or of the score."""
        return self.total / self.numel

    @property
    def mean_magnitude(self) -> float:
        """Mean of |d|, for any ranking score."""
        return self.mean if self.delta_total is None else self.delta_total / self.numel

    @property
    def delta_square(self) -> float:
        """Sum of d²."""
        return float(self.energy_from[0])

    @property
    def nonzero(self) -> int:
        """Elements that differ from the base, an upper limit of kept elements."""
        zeros = int(self.counts[0]) if self.counts.size and self.magnitudes[0] == 0 else 0
        return self.numel - zeros

    def count_above(self, magnitude: float) -> int:
        """Elements with |d| > magnitude; an open bin that contains it counts as evenly spread."""
        edge = floor_to_float32(magnitude)
        after = int(np.searchsorted(self.magnitudes, edge, side="right"))
        above = self.numel - int(self.below[after])
        if after == 0 or not self.excess[after - 1]:
            return above
        low = self.magnitudes[after - 1]
        top = (int(low.view(np.uint32)) >> OPEN_BITS) + 1 << OPEN_BITS
        high = float(np.uint32(top).view(np.float32))
        part = (high - magnitude) / (high - float(low))
        return above + round(max(part, 0.0) * int(self.counts[after - 1]))


def _spacing(magnitudes: Float32[ndarray, " n"]) -> Float64[ndarray, " n"]:
    """Steps from finite magnitudes to the next float32: `np.spacing`, from exponents alone."""
    exponents = np.maximum(magnitudes.view(np.uint32) >> 23, 1).astype(np.uint64)
    bits = (exponents + np.uint64(1023 - 150)) << np.uint64(52)
    return np.asarray(bits.view(np.float64))


@dataclass(frozen=True, slots=True, eq=False)
class DeltaProfile:
    """The profile of a pair: a base and one domain model."""

    base: str
    finetuned: str
    modules: tuple[ModuleProfile, ...]
    other_tensors: int
    """Elements outside the modules: embeddings, LM head, norms, biases."""

    def __repr__(self) -> str:
        return f"DeltaProfile({self._sentence()})"

    def _repr_html_(self) -> str:
        """For notebooks: a sentence, and a heatmap of ‖d‖/‖W‖ by layer and kind of matrix."""
        squares = shares_by_place(
            (item.module.layer, item.module.kind, item.delta_square, item.base_square)
            for item in self.modules
        )
        sizes = {place: math.sqrt(square) for place, square in squares.items()}
        name = self.finetuned.rstrip("/").rpartition("/")[2]
        return cell_html(self._sentence(), share_svg(name, sizes, CHANGE) if sizes else "")

    def _sentence(self) -> str:
        layers = len({item.module.layer for item in self.modules})
        numel = sum(item.numel for item in self.modules)
        changed = sum(item.nonzero for item in self.modules) / max(numel, 1)
        base = sum(item.base_square for item in self.modules)
        size = math.sqrt(sum(item.delta_square for item in self.modules) / base) if base else 0.0
        return (
            f"{self.finetuned} − {self.base}: {len(self.modules)} matrices in {layers} layers, "
            f"{numel:,} elements, {changed:.1%} changed, ‖d‖/‖W‖ {size:.2%}"
        )

    def to_frame(self) -> Any:
        """A pandas DataFrame, a line a module: its size, elements changed, |d| and norms in units
        of the weights. Raises InvalidValue without pandas."""
        return frame_of(
            {
                "module": item.module.name,
                "layer": item.module.layer,
                "kind": item.module.kind,
                "elements": item.numel,
                "changed": item.nonzero,
                "mean_abs_delta": item.mean_magnitude,
                "max_abs_delta": float(item.magnitudes[-1]),
                "delta_norm": math.sqrt(item.delta_square),
                "base_norm": math.sqrt(item.base_square),
            }
            for item in self.modules
        )


def floor_to_float32(value: float) -> np.float32:
    """The largest float32 <= `value`; |d| > value holds for the same |d|."""
    rounded = np.float32(value)
    return np.nextafter(rounded, np.float32(-np.inf)) if float(rounded) > value else rounded
