"""What a recipe will do to its models, from a sample of their weights: seconds, not minutes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from jaxtyping import Bool, Float32
from numpy import ndarray

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.sources.open import ModelRef, asks_hub, needs_download, open_checkpoint
from dppa_core.checkpoints.sources.references import short_name
from dppa_core.errors import DppaError
from dppa_core.methods.registry import get_method
from dppa_core.pruning.floats import FLOATS, to_float32
from dppa_core.pruning.module_groups import find_modules
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe

_SAMPLE = 1 << 15
"""Elements read of each module, from its middle."""
_MOST_PAIRS = 6


@dataclass(frozen=True, slots=True)
class ModelPair:
    """Two domain models of a merge."""

    first: str
    second: str
    cosine: float
    """Of their deltas."""
    opposed: float
    """Share of opposite signs among the elements that both keep."""


@dataclass(frozen=True, slots=True)
class MergePreview:
    """What a merge will do, estimated from a sample of the linear modules."""

    distances: Mapping[str, float]
    """Domain model -> ‖d‖/‖W‖."""
    kept: Mapping[str, float]
    """Domain model -> share of its delta's elements that the method keeps."""
    pairs: tuple[ModelPair, ...]
    """Those with the most opposite signs first."""

    def lines(self) -> list[str]:
        """The preview in sentences."""
        lines = []
        for model, distance in self.distances.items():
            kept = self.kept[model]
            keeps = f"; {kept:.3g} of its elements are kept" if kept < 1 else ""
            lines.append(
                f"{short_name(model)}: its delta is {distance:.2g} times as large as the base's "
                f"weights{keeps}."
            )
        for pair in self.pairs[:_MOST_PAIRS]:
            lines.append(
                f"{short_name(pair.first)} and {short_name(pair.second)}: the deltas have a cosine "
                f"of {pair.cosine:.2f}, and opposite signs at {pair.opposed:.0%} of the elements "
                "that both keep."
            )
        return lines


def preview_merge(recipe: MergeRecipe) -> MergePreview | None:
    """Measure a sample of the models; None if one is not on this disk, or none of it fits."""
    names = [recipe.base, *dict.fromkeys(model.model for model in recipe.models)]
    try:
        references = list(map(ModelRef.parse, names))
        if any(needs_download(ref) or asks_hub(ref) for ref in references):
            return None
        base, *tuned = map(open_checkpoint, names)
    except DppaError:
        return None
    kept = {model.model: kept_share(recipe, model) for model in recipe.models}
    ranked = [1.0 if _drops_at_random(recipe) else share for share in kept.values()]
    sums = _Sums(len(tuned))
    with np.errstate(all="ignore"):
        for module in find_modules({name: base.shape(name) for name in base.names()}):
            read = [_read(model, module.tensor, module.shape) for model in (base, *tuned)]
            arrays = [array for array in read if array is not None]
            if len(arrays) == len(read):
                sums.add(arrays[0], np.stack(arrays[1:]) - arrays[0], ranked)
    if not math.isfinite(float(sums.products.sum())) or not sums.base:
        return None
    return _preview(names[1:], kept, sums)


def kept_share(recipe: MergeRecipe, model: DomainModel) -> float:
    """The share of a model's elements that the merge keeps before it combines them."""
    settings = recipe.parameters
    if recipe.prune is not None or model.levels != (0.0,):
        return 1 - model.levels[-1]
    if get_method(recipe.method).combination is None:
        return 1.0
    if "drop_smallest" in settings:
        return float(1 - settings["drop_smallest"] - settings["drop_largest"])
    return float(1 - settings["drop"] if "drop" in settings else settings.get("density", 1.0))


def _drops_at_random(recipe: MergeRecipe) -> bool:
    method = recipe.prune.method if recipe.prune else recipe.method
    return "drop" in recipe.parameters or get_method(method).levels == "one"


class _Sums:
    """Sums over the sample."""

    def __init__(self, models: int) -> None:
        self.base = 0.0
        self.products = np.zeros((models, models))
        self.both = np.zeros((models, models))
        self.opposed = np.zeros((models, models))

    def add(
        self, base: Float32[ndarray, " n"], deltas: Float32[ndarray, "K n"], kept: Sequence[float]
    ) -> None:
        """Add some elements of one module."""
        self.base += float(np.square(base, dtype=np.float64).sum())
        wide = deltas.astype(np.float64)
        self.products += wide @ wide.T
        masks = [_largest(delta, share) for delta, share in zip(deltas, kept, strict=True)]
        signs = np.sign(wide) * np.stack(masks)
        self.both += np.abs(signs) @ np.abs(signs).T
        self.opposed += (np.abs(signs) @ np.abs(signs).T - signs @ signs.T) / 2


def _largest(delta: Float32[ndarray, " n"], share: float) -> Bool[ndarray, " n"]:
    size = np.abs(delta)
    count = max(round(share * size.size), 1)
    kept: Bool[ndarray, " n"] = size >= np.partition(size, -count)[-count]
    return kept


def _read(model: Checkpoint, tensor: str, shape: tuple[int, ...]) -> Float32[ndarray, " n"] | None:
    if tensor not in model.names() or model.shape(tensor) != shape:
        return None
    raw, dtype = model.raw(tensor), model.dtype(tensor)
    start = max((raw.size - _SAMPLE) // 2, 0)
    return to_float32(raw[start : start + _SAMPLE], dtype) if dtype in FLOATS else None


def _preview(names: Sequence[str], kept: Mapping[str, float], sums: _Sums) -> MergePreview:
    norms = np.sqrt(np.diag(sums.products))
    pairs = [
        ModelPair(
            names[a],
            names[b],
            float(sums.products[a, b] / max(norms[a] * norms[b], 1e-30)),
            float(sums.opposed[a, b] / max(sums.both[a, b], 1.0)),
        )
        for a, b in combinations(range(len(names)), 2)
    ]
    distances = dict(zip(names, map(float, norms / math.sqrt(sums.base)), strict=True))
    ordered = sorted(pairs, key=lambda pair: -pair.opposed)
    return MergePreview(distances, dict(kept), tuple(ordered))
