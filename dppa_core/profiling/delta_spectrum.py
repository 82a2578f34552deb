"""The spectrum of a delta as plain numbers: singular values and strongest directions by matrix.

The effective rank is the fewest directions that hold 90 % of a matrix's energy, the sum of its
squared singular values (Leskovec, Rajaraman and Ullman, Mining of Massive Datasets, section 11.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float16, Float32, Float64, Int64
from numpy import ndarray

from dppa_core.pruning.module_groups import Module
from dppa_core.system.frames import frame_of

ENERGY = 0.9
"""Share of the energy that the effective rank holds."""
MOST_DIRECTIONS = 32
"""Most directions of a matrix that are stored, and compared."""
_CURVE_POINTS = 36
"""Most singular values of a curve; they are closest where it is steep, at the first ones."""


@dataclass(frozen=True, slots=True, eq=False)
class MatrixSpectrum:
    """One linear module, or one expert of those stored as one tensor. Fused matrices, as q, k and v
    of some families, are one."""

    module: Module
    expert: int | None
    """Its index in a tensor of three axes; else None."""
    values: Float32[ndarray, " values"]
    """Singular values of the delta, falling, as many as its shorter side; 0 for rounding."""
    directions: Float16[ndarray, "leading inputs"]
    """Orthonormal rows in the space of inputs: the strongest of the effective rank."""

    @property
    def name(self) -> str:
        """As "layers.3.mlp.experts.gate_up_proj[7]"."""
        return self.module.name + ("" if self.expert is None else f"[{self.expert}]")

    @property
    def rank(self) -> int:
        """The effective rank; 0 without a change."""
        return effective_rank(self.values)


def effective_rank(values: Float32[ndarray, " values"]) -> int:
    """The fewest of falling singular values that hold 90 % of the sum of their squares."""
    energy = np.cumsum(np.square(values, dtype=np.float64))
    if not energy.size or energy[-1] == 0:
        return 0
    return 1 + int(np.searchsorted(energy, ENERGY * (1 - 1e-9) * energy[-1]))


class Overlap(NamedTuple):
    """How far the leading directions of two deltas span the same space."""

    share: float
    """Mean squared cosine of their principal angles: 0 at right angles, 1 if one space."""
    directions: int
    """Directions compared of each: the smaller effective rank, at most 32."""
    inputs: int
    """Dimensions of the space they lie in."""

    @property
    def chance(self) -> float:
        """What random spaces of this size share on average."""
        return self.directions / self.inputs


def overlap(first: MatrixSpectrum, second: MatrixSpectrum) -> Overlap | None:
    """Compare two deltas of one matrix; None if one of them is 0."""
    count, inputs = min(len(first.directions), len(second.directions)), first.directions.shape[1]
    if not count:
        return None
    wide = [part.directions[:count].astype(np.float64) for part in (first, second)]
    cosines = np.linalg.norm(wide[0] @ wide[1].T)
    return Overlap(min(1.0, float(cosines**2) / count), count, inputs)


@dataclass(frozen=True, slots=True, eq=False)
class DeltaSpectrum:
    """The spectra of a domain model's delta."""

    base: str
    finetuned: str
    matrices: tuple[MatrixSpectrum, ...]
    """By layer, then kind."""

    def by_name(self) -> Mapping[str, MatrixSpectrum]:
        """Name -> matrix."""
        return {matrix.name: matrix for matrix in self.matrices}

    def rows(self, other: DeltaSpectrum | None = None) -> list[dict[str, Any]]:
        """A JSON-ready line for each matrix, with its overlap with another model's, if any."""
        others = other.by_name() if other else {}
        lines = []
        for matrix in self.matrices:
            line: dict[str, Any] = {
                "module": matrix.name,
                "layer": matrix.module.layer,
                "kind": matrix.module.kind,
                "effective_rank": matrix.rank,
                "directions": matrix.values.size,
                "largest": float(matrix.values[0]),
                "norm": float(np.linalg.norm(matrix.values.astype(np.float64))),
            }
            if other:
                both = overlap(matrix, others[matrix.name])
                line["compared"] = both.directions if both else 0
                line["overlap"] = both.share if both else None
                line["chance"] = both.chance if both else None
            lines.append(line)
        return lines

    def to_frame(self, other: DeltaSpectrum | None = None) -> Any:
        """`rows` as a pandas DataFrame. Raises InvalidValue without pandas."""
        return frame_of(self.rows(other))


def spectrum_cells(spectra: Sequence[DeltaSpectrum]) -> list[dict[str, Any]]:
    """JSON-ready cells of a heatmap, by layer and kind: one model, or two and their overlap.

    Several matrices of a cell, as experts, are averaged: ranks and overlaps by their mean, singular
    values by the root of their mean square.
    """
    groups: dict[tuple[int, str], list[list[MatrixSpectrum]]] = {}
    named = [spectrum.by_name() for spectrum in spectra]
    for matrix in spectra[0].matrices:
        group = groups.setdefault((matrix.module.layer, matrix.module.kind), [])
        group.append([matrices[matrix.name] for matrices in named])
    return [
        {"layer": layer, "kind": kind, **_cell(tuple(zip(*rows, strict=True)))}
        for (layer, kind), rows in groups.items()
    ]


def _cell(models: Sequence[Sequence[MatrixSpectrum]]) -> dict[str, Any]:
    """The matrices of a cell, for each model."""
    size = max(matrix.values.size for matrix in models[0])
    at = np.unique((np.linspace(0, 1, _CURVE_POINTS) ** 2 * (size - 1)).round().astype(int))
    cell: dict[str, Any] = {
        "matrices": len(models[0]),
        "directions": size,
        "ranks": [_mean(matrix.rank for matrix in matrices) for matrices in models],
        "at": (at + 1).tolist(),
        "curves": [_curve(matrices, size, at) for matrices in models],
    }
    if len(models) == 2:
        pairs = [both for both in map(overlap, *models) if both]
        cell["compared"] = _mean(both.directions for both in pairs)
        cell["overlap"] = _mean(both.share for both in pairs) if pairs else None
        cell["chance"] = _mean(both.chance for both in pairs)
    return cell


def _curve(
    matrices: Sequence[MatrixSpectrum], size: int, at: Int64[ndarray, " points"]
) -> dict[str, list[float]]:
    """Singular values at some places, and the share of the energy up to there."""
    squares = np.zeros(size)
    for matrix in matrices:
        squares[: matrix.values.size] += np.square(matrix.values, dtype=np.float64)
    energy = np.cumsum(squares)
    shares = energy[at] / (energy[-1] or 1.0)
    values = np.sqrt(squares[at] / len(matrices))
    return {"values": _short(values), "energy": _short(shares)}


def _mean(values: Iterable[float]) -> float:
    numbers = list(values)
    return round(sum(numbers) / max(len(numbers), 1), 4)


def _short(values: Float64[ndarray, " points"]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
