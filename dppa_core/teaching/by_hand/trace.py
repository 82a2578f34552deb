"""Every number of a mini-model's merge.

Nothing is computed a second time: profiles, significance, plans, borders and merged weights come
from `profile`, `density`, `plan` and `merger`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64
from numpy import ndarray

from dppa_core.merging.in_memory.merge_cache import MergeCache
from dppa_core.merging.merger import TensorMerger
from dppa_core.merging.passes.chunk_pass import add_treated
from dppa_core.merging.passes.deltas import TensorDelta, TensorStack, magnitude_bands
from dppa_core.parameter_fields import check_number
from dppa_core.pruning.density import Outliers, Significance, centred, significance
from dppa_core.pruning.density import outliers as outliers_of
from dppa_core.pruning.floats import to_float32
from dppa_core.pruning.overlap import Reach
from dppa_core.pruning.partition import even_levels
from dppa_core.pruning.plan import ModulePlan, PruningPlan, plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters
from dppa_core.pruning.tie_breaking import Cut, tensor_seed
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.teaching.by_hand.tiny_merge import (
    BASE,
    FIRST,
    MODELS,
    NUMEL,
    SECOND,
    SIDE,
    TENSORS,
    YOURS,
    Mini,
)

SIDE_BY_SIDE = ("magnitude", "dare", "ties", "dppa")
"""Methods that merge the same matrix."""

Matrix = Float32[ndarray, "6 6"]
Partitions = Int64[ndarray, "6 6"]


@dataclass(frozen=True, slots=True)
class HandSettings:
    """The user's settings; all others are the paper's."""

    rate: float = 0.8
    """Overall pruning rate, in [0.5, 0.95]; half of the kept cells are in the first partition."""
    factor: float = 2.0
    """Amplification of the first partition, in [0, 10]; the second has 1."""
    first: float = 1.0
    """Coefficient of the first model, in [-2, 2]."""
    second: float = 1.0
    """Coefficient of the second model, in [-2, 2]."""

    def __post_init__(self) -> None:
        limits = {"rate": (0.5, 0.95), "factor": (0, 10), "first": (-2, 2), "second": (-2, 2)}
        for name, (low, high) in limits.items():
            object.__setattr__(self, name, check_number(name, getattr(self, name), low, high))

    @property
    def levels(self) -> tuple[float, ...]:
        """Pruning rates of the two partitions."""
        return even_levels(self.rate)

    @property
    def factors(self) -> tuple[float, ...]:
        """Amplification factors of the two partitions."""
        return (self.factor, 1.0)

    @property
    def coefficients(self) -> Mapping[str, float]:
        """Domain model -> its coefficient."""
        return {FIRST: self.first, SECOND: self.second}


@dataclass(frozen=True, slots=True, eq=False)
class TreatedDelta:
    """Pruning and amplification of one domain model's delta."""

    significance: Significance
    layers: tuple[Outliers, ...]
    """Outliers of each layer, k_layer times its mean."""
    modules: tuple[Outliers, ...]
    """Outliers of each module, k_module times its mean."""
    centred: Float64[ndarray, " N"]
    """c of each module: its significance divided by the mean, then centred."""
    plan: PruningPlan
    delta: Matrix
    """D of the shown matrix."""
    partitions: Partitions
    """Partition of each element: 1 the most significant, then 2; 0 if dropped."""
    amplified: Matrix
    """D': the kept elements, each partition times its factor."""

    @property
    def module(self) -> ModulePlan:
        """The plan of the shown matrix."""
        return self.plan.modules[_PLACE]


@dataclass(frozen=True, slots=True, eq=False)
class MergedMatrix:
    """The shown matrix merged by one method."""

    method: str
    change: Matrix
    """Merged minus base."""
    parts: Mapping[str, Matrix]
    """Domain model -> its part: its change if the method adds deltas, its trimmed delta if it
    combines them."""


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """All numbers of a mini-model's merge."""

    mini: Mini
    settings: HandSettings
    parameters: PruningParameters
    models: Mapping[str, TreatedDelta]
    merged: Matrix
    """The shown matrix merged by DPPA, as `merge_to_folder` writes it, in float32."""
    methods: Mapping[str, MergedMatrix]


_PLACE = TENSORS.index(YOURS)


def trace(mini: Mini, settings: HandSettings) -> Trace:
    """Merge a mini-model by DPPA and by the other methods."""
    cache = _cache(mini)
    mergers = {name: _merger(cache, _recipe(settings, name)) for name in SIDE_BY_SIDE}
    parameters: PruningParameters = mergers["dppa"].recipe.settings()
    treated = {m: _treated(mini, m, settings, parameters, cache) for m in (FIRST, SECOND)}
    methods = {name: _merged(merger, cache) for name, merger in mergers.items()}
    flat = _weights(mergers["dppa"])
    return Trace(mini, settings, parameters, treated, flat.reshape(SIDE, SIDE), methods)


@lru_cache(maxsize=64)
def _cache(mini: Mini) -> MergeCache:
    """What the merges of one mini-model share."""
    cache = MergeCache()
    for model in MODELS:
        cache.models.put(model, mini.checkpoint(model))
    return cache


def _merger(cache: MergeCache, recipe: MergeRecipe) -> TensorMerger:
    return cache.merger(recipe, workers=1)  # threads would take longer to start than the work


def _recipe(settings: HandSettings, method: str) -> MergeRecipe:
    """Both models by a method, each keeping the same share of its delta."""
    how: dict[str, Any] = {"dppa": {"levels": settings.levels, "amplification": settings.factors}}
    shared = {} if method == "ties" else {"levels": (settings.rate,)}
    models = tuple(
        DomainModel(name, coefficient=weight, **how.get(method, shared))
        for name, weight in settings.coefficients.items()
    )
    parameters = {"density": 1 - settings.rate} if method == "ties" else {}
    return MergeRecipe(BASE, models, method, parameters, dtype="float32")


def _weights(merger: TensorMerger) -> Float32[ndarray, " n"]:
    dtype, _, raw = merger.tensor(YOURS)
    return to_float32(raw, dtype)


def _treated(
    mini: Mini, model: str, settings: HandSettings, parameters: PruningParameters, cache: MergeCache
) -> TreatedDelta:
    plain = DomainModel(model, levels=settings.levels, amplification=settings.factors)
    merger = _merger(cache, MergeRecipe(BASE, (plain,), dtype="float32"))
    profile = merger.inputs.profiles[0]
    scores = significance(profile, parameters)
    groups = [
        [profiled for profiled in profile.modules if profiled.module.layer == n]
        for n in scores.layers
    ]
    numel = np.array([profiled.numel for profiled in profile.modules], np.float64)
    whole = MergeRecipe(BASE, (DomainModel(model),), "task_arithmetic", dtype="float32")
    delta = _parts(_merger(cache, whole))[model]
    return TreatedDelta(
        scores,
        tuple(outliers_of(group, parameters.k_layer) for group in groups),
        tuple(outliers_of([profiled], parameters.k_module) for profiled in profile.modules),
        centred(scores.module, numel),
        plan_pruning(profile, settings.levels, parameters),
        delta,
        _partitions(delta, _stack(merger).deltas[0]),
        _parts(merger)[model],
    )


def _partitions(delta: Matrix, treated: TensorDelta | None) -> Partitions:
    """Partitions from the borders that the merge uses."""
    bands = magnitude_bands(treated.treatment) if treated else None
    if bands is None:
        return np.zeros((SIDE, SIDE), np.int64)
    cuts = [Cut(float(t), int(c)) for t, c in zip(*bands[:2], strict=True)]
    # `Reach` needs rising rates and counts the levels that contain an element.
    inside = Reach(cuts[::-1], tensor_seed(YOURS)).of(np.abs(delta).ravel(), 0).astype(np.int64)
    places: Partitions = np.where(inside > 0, len(cuts) + 1 - inside, 0).reshape(SIDE, SIDE)
    return places


def _stack(merger: TensorMerger) -> TensorStack:
    stack = merger.stack(YOURS, merger.loader())
    if stack is None:
        raise TypeError(f"{YOURS} has no delta")
    return stack


def _parts(merger: TensorMerger) -> dict[str, Matrix]:
    stack = _stack(merger)
    parts = {model.model: np.zeros(NUMEL, np.float32) for model in merger.recipe.models}
    for delta in filter(None, stack.deltas):
        add_treated(merger.loader(), stack, delta, 0, parts[delta.model])
    return {model: flat.reshape(SIDE, SIDE) for model, flat in parts.items()}


def _merged(merger: TensorMerger, cache: MergeCache) -> MergedMatrix:
    recipe, change = merger.recipe, _change(merger)
    if not merger.plan.combines:
        return MergedMatrix(recipe.method, change, _parts(merger))
    # With one model TIES only trims: its result is the trimmed delta.
    alone = (replace(recipe, models=(replace(m, coefficient=1.0),)) for m in recipe.models)
    left = {trim.models[0].model: _change(_merger(cache, trim)) for trim in alone}
    return MergedMatrix(recipe.method, change, left)


def _change(merger: TensorMerger) -> Matrix:
    base = to_float32(merger.base.raw(YOURS), merger.base.dtype(YOURS))
    moved: Matrix = (_weights(merger) - base).reshape(SIDE, SIDE)
    return moved
