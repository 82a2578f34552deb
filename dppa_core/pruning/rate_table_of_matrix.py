"""One cell of the heatmap: its |d| by size, and its kept elements at every rate.

Several modules of one kind in one layer (experts) share a cell: they then have one rate, and the
threshold is that of the middle module.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from dppa_core.errors import UnknownName
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.partition import borders_at
from dppa_core.pruning.rate_table import RATES, coarse, edges_of, energy_shares, plain

_ARRAYS = ("edges", "histogram", "threshold", "energy")


@dataclass(frozen=True, slots=True, eq=False)
class CellTable:
    """One cell at the rates 0, 0.01, …, 1, independent of a plan."""

    modules: tuple[str, ...]
    shape: tuple[int, ...]
    """Elements of each module."""
    numel: int
    nonzero: int
    """Elements with d != 0, the most that can be kept."""
    edges: Float64[ndarray, " edges"]
    histogram: Int64[ndarray, " B"]
    """Elements by |d|, without d = 0."""
    threshold: Float64[ndarray, " R"]
    energy: Float64[ndarray, " R"]
    """Retained share of the sum of d²."""


def cell_table(profile: DeltaProfile, layer: int, kind: str) -> CellTable:
    """The table of a cell.

    Raises:
        UnknownName: no module of that kind in that layer.
    """
    items = [m for m in profile.modules if (m.module.layer, m.module.kind) == (layer, kind)]
    if not items:
        raise UnknownName(
            f"No matrix {kind!r:.80} in layer {layer}. The heatmap shows all matrices."
        )
    density = 1 - np.linspace(0, 1, RATES)
    borders = borders_at(items, np.tile(density[:, None], len(items)))
    squares = np.array([item.delta_square for item in items])
    energy = (energy_shares(items, borders) * squares).sum(axis=1)
    edges = edges_of(items)
    return CellTable(
        modules=tuple(item.module.name for item in items),
        shape=items[0].module.shape,
        numel=sum(item.numel for item in items),
        nonzero=sum(item.nonzero for item in items),
        edges=edges,
        histogram=np.sum([coarse(item, edges) for item in items], axis=0),
        threshold=np.median(borders.threshold, axis=1),
        energy=energy / squares.sum() if squares.sum() > 0 else np.ones(RATES),
    )


def pack_cell(table: CellTable) -> dict[str, Any]:
    """The table as JSON; arrays as in `pack_table`."""
    return {
        "modules": list(table.modules),
        "shape": list(table.shape),
        "numel": table.numel,
        "nonzero": table.nonzero,
        **{name: plain(getattr(table, name)) for name in _ARRAYS},
    }
