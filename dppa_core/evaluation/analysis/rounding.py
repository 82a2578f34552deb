"""Kept changes lost to rounding: added to the base, they round back to the base's value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.analysis.ranked_pair import RankedTensor, open_pairs
from dppa_core.progress import Stop, check
from dppa_core.pruning.coefficients import Coefficient, coefficient_of
from dppa_core.pruning.floats import DTYPE_CODES, from_float32, to_float32
from dppa_core.pruning.module_groups import find_modules, layer_count
from dppa_core.pruning.partition import Selection
from dppa_core.pruning.plan import PruningPlan


@dataclass(frozen=True, slots=True, eq=False)
class RoundedDelta:
    """Counts of one domain model by module, in the order of its plan."""

    kept: Int64[ndarray, "N K"]
    """Number of elements in each partition, the strongest partition first."""
    lost: Int64[ndarray, "N K"]
    """Of those, the number whose rounded weight equals the base's. 0 for a partition of weight 0:
    a change multiplied by 0 is not lost to rounding."""


def count_rounded(
    plan: PruningPlan,
    factors: Sequence[float],
    coefficient: Coefficient = 1.0,
    dtype: str = "bfloat16",
    *,
    public: bool = False,
    stop: Stop | None = None,
) -> RoundedDelta:
    """Add a plan's kept delta to its base, and count the changes that rounding undoes.

    The model is added alone: base + coefficient * factor * d, in float32, rounded once to `dtype`.

    Args:
        coefficient: The model's coefficient, a number or by layer or part.
        dtype: Dtype of the merge: bfloat16, float16 or float32.

    Raises:
        InvalidValue: not one factor per level, or an unknown dtype.
        DamagedCheckpoint: the files differ from those the plan was made for.
        Cancelled: `stop` was set.
    """
    if len(factors) != len(plan.levels):
        raise InvalidValue(f"{len(plan.levels)} levels need as many factors, got {list(factors)}.")
    if dtype not in DTYPE_CODES:
        raise InvalidValue(f"dtype must be one of {', '.join(DTYPE_CODES)}, got {dtype!r}.")
    ranked_by = plan.parameters.significance
    (pair,) = open_pairs(plan.base, (plan.finetuned,), ranked_by, public=public, stop=stop)
    shapes = {name: pair.base.shape(name) for name in pair.places}
    modules = {module.name: module for module in find_modules(shapes)}
    layers = layer_count(pair.base.names())
    rows = []
    for planned in plan.modules:
        tensor = modules[planned.name].tensor
        whole = coefficient_of(coefficient, tensor, layers)
        weights = np.array([whole * factor for factor in factors], np.float32)
        selections = [level.selection for level in planned.levels]
        rows.append(_count(pair.tensor(tensor), selections, weights, DTYPE_CODES[dtype], stop))
    counts = np.array(rows, np.int64).reshape(-1, 2, len(factors))
    return RoundedDelta(counts[:, 0], counts[:, 1])


def _count(
    tensor: RankedTensor,
    selections: Sequence[Selection],
    weights: Float32[ndarray, " K"],
    dtype: str,
    stop: Stop | None,
) -> Int64[ndarray, "two K"]:
    """Number of kept and lost elements in each partition of one tensor."""
    pair, reach = tensor.pair, tensor.reach(selections[::-1])
    counts, count = np.zeros((2, weights.size), np.int64), weights.size
    for start in range(0, pair.numel, CHUNK):
        check(stop)
        end = min(start + CHUNK, pair.numel)
        delta, magnitudes = tensor.chunk(start, end)
        reached = reach.of(magnitudes, start)
        inside = np.flatnonzero(reached)
        partition = count - reached[inside].astype(np.intp)  # in all levels: the strongest, 0
        counts[0] += np.bincount(partition, minlength=count)
        old = to_float32(pair.base[start:end], pair.base_dtype)[inside]
        weight = weights[partition]
        new = old + weight * delta[inside]
        lost = (from_float32(new, dtype) == from_float32(old, dtype)) & (weight != 0)
        counts[1] += np.bincount(partition[lost], minlength=count)
    return counts
