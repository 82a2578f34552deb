"""Dynamically Pruning: significance and density of layers and modules.

DPPA (arXiv:2403.02799), steps 1 to 5, with densities in [0, 1] and an exact budget, which the paper
leaves open.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray

from dppa_core.errors import InvalidValue
from dppa_core.pruning.delta_profile import DeltaProfile, ModuleProfile
from dppa_core.pruning.module_groups import Module
from dppa_core.pruning.pruning_parameters import PruningParameters


@dataclass(frozen=True, slots=True)
class Outliers:
    """Elements above a multiple of the mean of a group of modules."""

    mean: float
    """Mean |d|."""
    above: int
    """Elements with |d| above that multiple of the mean."""
    numel: int

    @property
    def share(self) -> float:
        """The significance: S of a layer, s of a module, in [0, 1]."""
        return self.above / self.numel


@dataclass(frozen=True, slots=True, eq=False)
class Significance:
    """Significance of layers and modules, and the resulting shifts of density."""

    layers: tuple[int, ...]
    layer: Float64[ndarray, " L"]
    """Share of a layer's elements above `k_layer` times the layer's mean |d|."""
    module: Float64[ndarray, " N"]
    """Share of a module's elements above `k_module` times its own mean |d|."""
    by_layer: Float64[ndarray, " N"]
    """a_b of every module's layer; in [-strength, strength] unless scaled by the mean."""
    by_module: Float64[ndarray, " N"]
    """a_l of every module; likewise."""

    @property
    def adjustment(self) -> Float64[ndarray, " N"]:
        """a_b + a_l of every module."""
        return np.asarray(self.by_layer + self.by_module)


def significance(profile: DeltaProfile, parameters: PruningParameters) -> Significance:
    """Steps 1 to 4: scores of layers and modules, and the adjustments from them."""
    modules = profile.modules
    layers = tuple(sorted({item.module.layer for item in modules}))
    groups = [[item for item in modules if item.module.layer == layer] for layer in layers]
    layer = np.array([outliers(group, parameters.k_layer).share for group in groups])
    module = np.array([outliers([item], parameters.k_module).share for item in modules])
    return adjusted([item.module for item in modules], layer, module, parameters)


def adjusted(
    modules: Sequence[Module],
    layer: Float64[ndarray, " L"],
    module: Float64[ndarray, " N"],
    parameters: PruningParameters,
) -> Significance:
    """Steps 2 and 4: the adjustments from the scores of layers, in order, and of modules."""
    layers = tuple(sorted({item.layer for item in modules}))
    numel = np.array([item.numel for item in modules], dtype=np.float64)
    from_mean, mean = (layer - layer.mean(), layer.mean()) if layer.size else (layer, 0.0)
    by_layer = _scaled(from_mean, layer, parameters.strength, parameters.scaling, mean)
    places = np.searchsorted(layers, [item.layer for item in modules]).astype(np.int64)
    strength = parameters.module_strength
    by_module = _scaled(centred(module, numel), module, strength, parameters.scaling, 1.0)
    return Significance(layers, layer, module, by_layer[places] if layers else layer, by_module)


def outliers(group: Sequence[ModuleProfile], multiple: float) -> Outliers:
    """Steps 1 and 3: count the elements above a multiple of the group's mean |d|."""
    total = sum(item.numel for item in group)
    mean = sum(item.total for item in group) / total
    return Outliers(mean, sum(item.count_above(multiple * mean) for item in group), total)


def centred(
    module: Float64[ndarray, " N"], numel: Float64[ndarray, " N"]
) -> Float64[ndarray, " N"]:
    """Step 4: scores in units of their mean, minus their parameter-weighted mean."""
    if not module.size or module.mean() == 0:
        return np.zeros_like(module)
    relative = module / module.mean()
    return np.asarray(relative - (relative * numel).sum() / numel.sum())


def _scaled(
    centred: Float64[ndarray, " n"],
    scores: Float64[ndarray, " n"],
    strength: float,
    scaling: str,
    mean: float,
) -> Float64[ndarray, " n"]:
    """Shifts of density; `mean` is that of the scores in the unit of `centred`."""
    # Equal scores differ from their mean only by rounding, which must not be amplified.
    if not scores.size or scores.min() == scores.max():
        return np.zeros_like(centred)
    if scaling == "mean":
        return np.asarray(strength * centred / mean)
    signed = -strength if scaling == "reversed" else strength
    return np.asarray(signed * centred / np.abs(centred).max())


def densities_at(
    adjustment: Float64[ndarray, " N"],
    numel: Int64[ndarray, " N"],
    rates: Float64[ndarray, " R"],
    fixed: Mapping[int, float | Float64[ndarray, " R"]] | None = None,
) -> Float64[ndarray, "R N"]:
    """Step 5: densities in [0, 1] whose weighted mean is exactly 1 - rate, for each rate.

    One shift is added to all densities, so that the budget holds after clipping.

    Args:
        adjustment: Shift of each module from the mean.
        numel: Elements of each module, the weights of the mean.
        rates: Pruning rates in [0, 1].
        fixed: Module index -> fixed density, or one for each rate. Other modules compensate; if
            they cannot (all at a bound), the budget is missed by the rest.
    """
    if rates.size and (rates.min() < 0 or rates.max() > 1):
        raise InvalidValue(f"A pruning rate must lie in [0, 1], got {rates.tolist()}.")
    result = np.zeros((rates.size, adjustment.size))
    held = fixed or {}
    for index, density in held.items():
        result[:, index] = density
    free = np.array([i for i in range(adjustment.size) if i not in held], dtype=np.int64)
    if not free.size:
        return result
    shifts, sizes = adjustment[free], numel[free].astype(np.float64)
    spent = sum(float(numel[i]) * density for i, density in held.items())
    budget = np.clip((1 - rates) * float(numel.sum()) - spent, 0, float(numel[free].sum()))
    # The kept elements of clip(shifts + c, 0, 1) are piecewise linear in c, with a knee where a
    # module reaches a bound: interpolation in one table of knees finds c for every budget.
    knees = np.unique(np.concatenate([-shifts, 1 - shifts]))
    kept = np.clip(shifts[None, :] + knees[:, None], 0, 1) @ sizes
    common = np.interp(budget, kept, knees)
    # Digits beyond 12 are noise: without rounding, 0.5 could lose its last bit and an element.
    result[:, free] = np.round(np.clip(shifts[None, :] + common[:, None], 0, 1), 12)
    return result
