"""Changes of every module by a merge, and how much of each delta it contains.

Measured on the merged weights: methods that combine deltas have no plan to compute it from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.chunks import SLICE
from dppa_core.checkpoints.matching import match_tensors
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.models.parameter_views import find_places
from dppa_core.progress import Stop, check
from dppa_core.pruning.floats import FLOATS, to_float32
from dppa_core.pruning.module_groups import Module, find_modules
from dppa_core.recipes.yaml_text import MergeRecipe


@dataclass(frozen=True, slots=True)
class ModuleOutcome:
    """Changes of one module, summed over its elements."""

    layer: int
    kind: str
    numel: int
    changed: int
    """Number of elements that differ from the base."""
    total: float
    """Sum of |merged - base|."""
    along: tuple[float, ...]
    """For each domain model: the sum of (merged - base) · delta."""
    squares: tuple[float, ...]
    """For each domain model: the sum of its squared delta."""


@dataclass(frozen=True, slots=True)
class MergeEffect:
    """Changes of all modules of a merge."""

    models: tuple[str, ...]
    """References of the domain models, in the recipe's order."""
    modules: tuple[ModuleOutcome, ...]


def merge_outcome(
    recipe: MergeRecipe, model: Any, *, public: bool = False, stop: Stop | None = None
) -> MergeEffect:
    """Compare the modules of a merged model with the base and with every delta.

    Args:
        model: The merge in memory, a transformers model on the CPU; modules stored in another
            form than in the checkpoint are left out.

    Raises:
        CheckpointError: a model of the recipe can no longer be read.
        Cancelled: `stop` was set.
    """
    base = open_checkpoint(recipe.base, public=public, stop=stop)
    names = [model.model for model in recipe.models]
    sides = []
    for name in names:
        tuned = open_checkpoint(name, public=public, stop=stop)
        sides.append((tuned, match_tensors(base, tuned, name, heads="base")))
    shapes = {name: base.shape(name) for name in base.names() if base.dtype(name) in FLOATS}
    modules = find_modules(shapes)
    places = find_places(model, {module.tensor: module.shape for module in modules})
    outcomes = []
    for module in modules:
        check(stop)
        if module.tensor in places:
            old = _values(base, module.tensor)
            deltas = [_values(tuned, matches[module.tensor]) - old for tuned, matches in sides]
            merged = places[module.tensor].to(torch.float32).reshape(-1).numpy()
            outcomes.append(_outcome(module, merged - old, deltas))
    return MergeEffect(tuple(names), tuple(outcomes))


def _values(checkpoint: Checkpoint, name: str) -> Float32[ndarray, " n"]:
    return to_float32(checkpoint.raw(name), checkpoint.dtype(name))


def _outcome(
    module: Module, moved: Float32[ndarray, " n"], deltas: list[Float32[ndarray, " n"]]
) -> ModuleOutcome:
    return ModuleOutcome(
        module.layer,
        module.kind,
        module.numel,
        int(np.count_nonzero(moved)),
        float(np.abs(moved).sum(dtype=np.float64)),
        tuple(_dot(moved, delta) for delta in deltas),
        tuple(_dot(delta, delta) for delta in deltas),
    )


def _dot(a: Float32[ndarray, " n"], b: Float32[ndarray, " n"]) -> float:
    """The inner product, summed in float64, slice by slice."""
    parts = (slice(start, start + SLICE) for start in range(0, a.size, SLICE))
    return sum(float((a[part] * b[part]).sum(dtype=np.float64)) for part in parts)
