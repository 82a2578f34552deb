"""The size of a delta: relative to the base, by layer and by kind, and its concentration."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.module_groups import order_kinds

STEPS = 101
"""Shares of a concentration curve: 0, 0.01, …, 1."""


@dataclass(frozen=True, slots=True, eq=False)
class DeltaSize:
    """The size of one model's delta in its modules."""

    relative: float
    """‖d‖ / ‖W‖ over all modules together, W the base's weights."""
    mean: float
    """Mean of |d|."""
    changed: float
    """Share of the weights with d != 0, in [0, 1]."""
    numel: int
    layers: tuple[tuple[int, float], ...]
    """(layer, ‖d‖ / ‖W‖ within it)."""
    kinds: tuple[tuple[str, float], ...]
    """(kind of module, ‖d‖ / ‖W‖ of all modules of that kind)."""
    energy: Float64[ndarray, " S"]
    """Share of Σ d² in the largest 0 %, 1 %, …, 100 % of the weights."""


def delta_size(profile: DeltaProfile) -> DeltaSize:
    """The size of a delta whose profile is ranked by |d|."""
    items = profile.modules
    numel = sum(item.numel for item in items)
    kinds = order_kinds({item.module.kind for item in items})
    layers = sorted({item.module.layer for item in items})
    return DeltaSize(
        relative=relative_size(items),
        mean=sum(item.total for item in items) / numel,
        changed=sum(item.nonzero for item in items) / numel,
        numel=numel,
        layers=tuple(
            (layer, relative_size(item for item in items if item.module.layer == layer))
            for layer in layers
        ),
        kinds=tuple(
            (kind, relative_size(item for item in items if item.module.kind == kind))
            for kind in kinds
        ),
        energy=_concentration(items, numel),
    )


def relative_size(items: Iterable[ModuleProfile]) -> float:
    """‖d‖ / ‖W‖ over some modules together; 0 if W is 0."""
    rows = list(items)
    base = math.fsum(item.base_square for item in rows)
    return math.sqrt(math.fsum(item.delta_square for item in rows) / base) if base > 0 else 0.0


def _concentration(items: Iterable[ModuleProfile], numel: int) -> Float64[ndarray, " S"]:
    """Largest |d| first, over all modules; elements within a bin count equally."""
    rows = list(items)
    order = np.argsort(-np.concatenate([item.means for item in rows]), kind="stable")
    counts = np.concatenate([item.counts for item in rows])[order]
    squares = np.concatenate([item.squares for item in rows])[order]
    places = np.concatenate([[0], np.cumsum(counts)]) / numel
    energy = np.concatenate([[0.0], np.cumsum(squares)])
    total = energy[-1] if energy[-1] > 0 else 1.0
    return np.asarray(np.interp(np.linspace(0, 1, STEPS), places, energy / total))
