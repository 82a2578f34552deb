"""Rates of single matrices: those with more outliers keep more, as in Dynamically Pruning.

The mean of the rates is the form's own. arXiv:2403.02799; see `dppa_core.pruning.density`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float32, Float64
from numpy import ndarray

from dppa_core.forms.sparse import SparseParameters
from dppa_core.forms.store import Store, StorePart
from dppa_core.pruning.delta_profile import floor_to_float32
from dppa_core.pruning.density import adjusted, densities_at
from dppa_core.pruning.module_groups import Module
from dppa_core.pruning.pruning_parameters import PruningParameters

Deltas = Callable[[Module], Float32[ndarray, " n"]]
"""Reads a module's delta, flat."""
_Shares = tuple[Float64[ndarray, " L"], Float64[ndarray, " N"]]


def uneven_stores(store: Store, modules: Sequence[Module], delta: Deltas) -> dict[str, Store]:
    """Tensor -> the store with that module's rates; empty if all modules have the same ones.

    Rates follow the whole delta, also those of a form that keeps the rest of others.
    """
    if not modules or not any(_strength(part) for part in store.parts):
        return {}
    shares = _outlier_shares(modules, delta)
    columns = [_parts(part, modules, shares) for part in store.parts]
    rows = zip(modules, zip(*columns, strict=True), strict=True)
    return {module.tensor: replace(store, parts=parts) for module, parts in rows}


def _strength(part: StorePart) -> float:
    return part.settings.strength if isinstance(part.settings, SparseParameters) else 0.0


def _parts(part: StorePart, modules: Sequence[Module], shares: _Shares) -> list[StorePart]:
    """The part of each module."""
    strength = _strength(part)
    if not strength:
        return [part] * len(modules)
    numel = np.array([module.numel for module in modules], np.int64)
    score = adjusted(modules, *shares, PruningParameters(strength=strength))
    (densities,) = densities_at(score.adjustment, numel, np.array([part.settings.rate]))
    return [
        replace(part, settings=replace(part.settings, rate=1 - density, strength=0.0))
        for density in densities.tolist()
    ]


def _outlier_shares(modules: Sequence[Module], delta: Deltas) -> _Shares:
    """The significance of every layer and every module; reads every delta twice."""
    usual, layers = PruningParameters(), sorted({module.layer for module in modules})
    sums = [float(np.abs(delta(module)).sum(dtype=np.float64)) for module in modules]
    numel, total, above = (dict.fromkeys(layers, 0.0) for _ in range(3))
    for module, size in zip(modules, sums, strict=True):
        numel[module.layer] += module.numel
        total[module.layer] += size
    shares = []
    for module, size in zip(modules, sums, strict=True):
        sizes, layer = np.abs(delta(module)), module.layer
        edges = usual.k_layer * total[layer] / numel[layer], usual.k_module * size / module.numel
        counts = [int(np.count_nonzero(sizes > floor_to_float32(edge))) for edge in edges]
        above[layer] += counts[0]
        shares.append(counts[1] / module.numel)
    return np.array([above[layer] / numel[layer] for layer in layers]), np.array(shares)
