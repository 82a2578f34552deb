"""The page's table of plans at every rate in 1 % steps, for moving sliders.

The page only looks values up.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64, Shaped
from numpy import ndarray

from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.density import densities_at, significance
from dppa_core.pruning.module_groups import order_kinds
from dppa_core.pruning.partition import Borders, borders_at
from dppa_core.pruning.pruning_parameters import PruningParameters

RATES = 101
BINS = 48
MAX_NAMES = 8
"""Most modules in one cell whose names the page gets."""
_CURVES = ("density", "energy", "kept_histogram")
_NUMBERS = (
    *("significance", "mean_magnitude", "relative", "squares", "nonzero"),
    *("numel", "edges", "histogram", "thresholds"),
)


@dataclass(frozen=True, slots=True, eq=False)
class RateTable:
    """Layers x kinds x rates. A cell is NaN if the layer lacks the kind; its numel is then 0.

    Several modules of one kind in one layer (experts) share a cell, weighted by their sizes.
    """

    layers: tuple[int, ...]
    kinds: tuple[str, ...]
    modules: tuple[tuple[str, ...], ...]
    """Names of the modules in every cell, layer by layer."""
    rates: Float64[ndarray, " R"]
    """Overall pruning rates 0, 0.01, …, 1."""
    density: Float32[ndarray, "L M R"]
    """Planned density; the kept share is min(density, nonzero)."""
    energy: Float32[ndarray, "L M R"]
    """Retained share of the sum of d²."""
    significance: Float64[ndarray, "L M"]
    mean_magnitude: Float64[ndarray, "L M"]
    relative: Float64[ndarray, "L M"]
    """‖d‖ / ‖W‖, W the base's weights; 0 if W is zero."""
    squares: Float64[ndarray, "L M"]
    """Σ d²."""
    nonzero: Float64[ndarray, "L M"]
    """Share of elements with d != 0, the most that can be kept."""
    numel: Int64[ndarray, "L M"]
    edges: Float64[ndarray, " edges"]
    """Borders of the following bins of |d|, evenly spaced on a logarithmic scale."""
    histogram: Int64[ndarray, " B"]
    """Elements of all modules per bin, without d = 0."""
    kept_histogram: Float32[ndarray, "B R"]
    """Kept share of each bin."""
    thresholds: Float64[ndarray, "3 R"]
    """10th percentile, median and 90th percentile of the modules' thresholds."""


def rate_table(profile: DeltaProfile, parameters: PruningParameters | None = None) -> RateTable:
    """Tabulate densities, energy and thresholds at 101 rates."""
    score = significance(profile, parameters or PruningParameters())
    rates = np.linspace(0, 1, RATES)
    numel = np.array([item.numel for item in profile.modules], dtype=np.int64)
    density = densities_at(score.adjustment, numel, rates)
    borders = borders_at(profile.modules, density)
    edges = edges_of(profile.modules)
    counts = [coarse(item, edges) for item in profile.modules]
    kept = np.zeros((BINS, RATES))
    for count, elements in zip(counts, borders.kept.T, strict=True):  # from the largest |d| on
        after = count[::-1].cumsum()[::-1] - count
        kept += np.clip(elements[None, :] - after[:, None], 0, count[:, None])
    histogram: Int64[ndarray, " B"] = sum(counts, np.zeros(BINS, np.int64))
    grid = CellGrid(profile)
    return RateTable(
        layers=grid.layers,
        kinds=grid.kinds,
        modules=grid.names(profile),
        rates=rates,
        density=grid.spread(density.T).astype(np.float32),
        energy=grid.spread(energy_shares(profile.modules, borders).T).astype(np.float32),
        significance=grid.spread(score.module[:, None])[..., 0],
        mean_magnitude=grid.spread(np.array([[m.mean_magnitude] for m in profile.modules]))[..., 0],
        relative=_relative(grid, profile),
        squares=grid.total(_rows(profile, "delta_square")),
        nonzero=grid.spread(np.array([[m.nonzero / m.numel] for m in profile.modules]))[..., 0],
        numel=grid.numel.astype(np.int64),
        edges=edges,
        histogram=histogram,
        kept_histogram=(kept / np.maximum(histogram, 1)[:, None]).astype(np.float32),
        thresholds=_percentiles(borders.threshold.T),
    )


def _rows(profile: DeltaProfile, name: str) -> Float64[ndarray, " N"]:
    return np.array([getattr(item, name) for item in profile.modules], dtype=np.float64)


def _relative(grid: CellGrid, profile: DeltaProfile) -> Float64[ndarray, "L M"]:
    base = grid.total(_rows(profile, "base_square"))
    return np.sqrt(grid.total(_rows(profile, "delta_square")) / np.where(base > 0, base, np.inf))


def energy_shares(modules: Sequence[ModuleProfile], borders: Borders) -> Float64[ndarray, "R N"]:
    """Retained share of each module's sum of d²; 1 where that sum is 0."""
    whole = np.array([item.delta_square for item in modules], np.float64)
    shares = np.clip(borders.energy / np.where(whole > 0, whole, 1.0), 0, 1)
    return np.where(whole > 0, shares, 1.0)


def edges_of(modules: Sequence[ModuleProfile]) -> Float64[ndarray, " edges"]:
    """Borders of `BINS` bins for the |d| of some modules, evenly spaced on a logarithmic scale."""
    nonzero = [m.magnitudes[m.magnitudes > 0] for m in modules]
    nonzero = [values for values in nonzero if values.size]
    if not nonzero:
        return np.geomspace(1e-8, 1.0, BINS + 1)
    top = max(float(values[-1]) for values in nonzero)
    # Five decades are visible; smaller values fall into the first bin.
    low = max(min(float(values[0]) for values in nonzero), top * 1e-5)
    return np.geomspace(low, top * 1.000001 if low < top else low * 10, BINS + 1)


def coarse(item: ModuleProfile, edges: Float64[ndarray, " edges"]) -> Int64[ndarray, " B"]:
    """Elements in each bin, without d = 0; values below all bins count in the first."""
    bins = np.clip(np.searchsorted(edges, item.magnitudes, side="right") - 1, 0, BINS - 1)
    live = item.magnitudes > 0
    counts = np.bincount(bins[live], weights=item.counts[live], minlength=BINS)
    return counts.astype(np.int64)


def _percentiles(thresholds: Float64[ndarray, "N R"]) -> Float64[ndarray, "3 R"]:
    if not thresholds.size:
        return np.zeros((3, RATES))
    return np.asarray(np.percentile(thresholds, [10, 50, 90], axis=0))


class CellGrid:
    """Puts one row per module into cells of layers x kinds, averaged by size."""

    def __init__(self, profile: DeltaProfile) -> None:
        places = [(item.module.layer, item.module.kind) for item in profile.modules]
        self.layers = tuple(sorted({layer for layer, _ in places}))
        self.kinds = order_kinds(kind for _, kind in places)
        self._cells = [
            (self.layers.index(layer), self.kinds.index(kind), float(item.numel))
            for (layer, kind), item in zip(places, profile.modules, strict=True)
        ]
        self.numel = np.zeros((len(self.layers), len(self.kinds)))
        for layer, kind, numel in self._cells:
            self.numel[layer, kind] += numel

    def names(self, profile: DeltaProfile) -> tuple[tuple[str, ...], ...]:
        """Names of the modules in every cell, row by row."""
        names: list[list[str]] = [[] for _ in range(self.numel.size)]
        for (layer, kind, _), item in zip(self._cells, profile.modules, strict=True):
            names[layer * self.numel.shape[1] + kind].append(item.module.name)
        return tuple(map(tuple, names))

    def total(self, values: Float64[ndarray, " N"]) -> Float64[ndarray, "L M"]:
        """Sums of one number per module; 0 in empty cells."""
        cells = np.zeros(self.numel.shape)
        for (layer, kind, _), value in zip(self._cells, values, strict=True):
            cells[layer, kind] += value
        return cells

    def spread(self, rows: Float64[ndarray, "N C"]) -> Float64[ndarray, "L M C"]:
        """Averages of one row per module; NaN in empty cells."""
        width = rows.shape[1] if rows.ndim == 2 else 1
        cells = np.zeros((*self.numel.shape, width))
        for (layer, kind, numel), row in zip(self._cells, rows, strict=True):
            cells[layer, kind] += numel * row
        with np.errstate(invalid="ignore"):
            return np.asarray(cells / self.numel[..., None])


def pack_table(table: RateTable) -> dict[str, Any]:
    """The table as JSON, under 100 kB for 32 layers of 7 kinds.

    An array is {"dtype": "u8" | "f32", "shape", "offset", "scale", "steps", "data": base64, little
    endian}. A value is offset + scale * code; where `steps`, code is the running sum along the last
    axis. Empty cells have numel 0 and arbitrary values elsewhere. "modules" holds the names in each
    cell, none if there are more than `MAX_NAMES`.
    """
    return {
        "layers": list(table.layers),
        "kinds": list(table.kinds),
        "modules": [list(names) if len(names) <= MAX_NAMES else [] for names in table.modules],
        "rates": {"start": 0.0, "step": 1 / (RATES - 1), "count": RATES},
        **{name: _falling(getattr(table, name)) for name in _CURVES},
        **{name: plain(getattr(table, name)) for name in _NUMBERS},
    }


def plain(values: Shaped[ndarray, " *shape"]) -> dict[str, Any]:
    """An array as float32, see `pack_table`; NaN becomes 0."""
    codes = np.nan_to_num(values).astype("<f4")
    return _packed("f32", codes, 0.0, 1.0, steps=False)


def _falling(values: Float32[ndarray, "*axes R"]) -> dict[str, Any]:
    """Curves that never rise along the last axis, as 8-bit steps without accumulated rounding.

    Every curve starts at the offset 1, so its first code is the step from 1 down to it.
    """
    exact = np.nan_to_num(values.astype(np.float64), nan=1.0)  # empty cell: a flat curve
    drops = 1.0 - exact
    largest = float(np.max(np.diff(drops, axis=-1, prepend=0.0), initial=0.0))
    scale = max(largest, 1e-6) / 254  # one code is left for carried rounding
    codes = np.diff(np.rint(drops / scale), axis=-1, prepend=0.0)
    return _packed("u8", np.clip(codes, 0, 255).astype(np.uint8), 1.0, -scale, steps=True)


def _packed(
    dtype: str, codes: Shaped[ndarray, " *shape"], offset: float, scale: float, *, steps: bool
) -> dict[str, Any]:
    return {
        "dtype": dtype,
        "shape": list(codes.shape),
        "offset": offset,
        "scale": scale,
        "steps": steps,
        "data": base64.b64encode(np.ascontiguousarray(codes).tobytes()).decode("ascii"),
    }
