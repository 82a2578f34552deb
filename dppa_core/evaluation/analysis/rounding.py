"""Kept changes lost to rounding: added to the base, they round back to the base's value."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64
from numpy import ndarray

from dppa_core.checkpoints.chunks import CHUNK, Loader, TensorPair
from dppa_core.checkpoints.matching import match_tensors
from dppa_core.checkpoints.page_release import PageReleaser
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.checkpoints.vocabulary.alignment import align
from dppa_core.errors import InvalidValue
from dppa_core.kernels import get_backend
from dppa_core.profiling.calibration.statistics import score_of
from dppa_core.profiling.profile import tensor_pair
from dppa_core.profiling.significance import Scoring, ranked_by, ranked_chunk
from dppa_core.profiling.thresholds import find_cuts
from dppa_core.progress import Progress, Stop, check, report
from dppa_core.pruning.coefficients import Coefficient, coefficient_of
from dppa_core.pruning.floats import DTYPE_CODES, from_float32, to_float32
from dppa_core.pruning.module_groups import find_modules, layer_count
from dppa_core.pruning.overlap import Reach
from dppa_core.pruning.partition import Selection
from dppa_core.pruning.plan import PruningPlan
from dppa_core.pruning.tie_breaking import tensor_seed


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
    progress: Progress | None = None,
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
    mine = open_checkpoint(plan.base, public=public, stop=stop)
    theirs = open_checkpoint(plan.finetuned, public=public, stop=stop)
    aligned = align(mine, (theirs,), (plan.finetuned,))
    reader = theirs if aligned.foreign else mine
    significance = plan.parameters.significance
    score = score_of(significance, reader, theirs, None, label=plan.finetuned, stop=stop)
    base, tuned = aligned.base, aligned.tuned[0]
    places = match_tensors(base, tuned, plan.finetuned)
    modules = {m.name: m for m in find_modules({name: base.shape(name) for name in places})}
    kernels = get_backend("auto", sum(module.numel for module in modules.values()))
    loader = Loader(kernels, PageReleaser((base, tuned)).read)
    layers = layer_count(base.names())
    rows = []
    for number, planned in enumerate(plan.modules):
        report(progress, number, len(plan.modules), planned.name)
        tensor = modules[planned.name].tensor
        pair = tensor_pair(base, tuned, tensor, places[tensor])
        scoring = score.of(tensor, places[tensor]) if score else None
        whole = coefficient_of(coefficient, tensor, layers)
        weights = np.array([whole * factor for factor in factors], np.float32)
        selections = [level.selection for level in planned.levels]
        rows.append(_count(loader, pair, scoring, selections, weights, DTYPE_CODES[dtype], stop))
    report(progress, len(rows), len(rows), "losses counted")
    counts = np.array(rows, np.int64).reshape(-1, 2, len(factors))
    return RoundedDelta(counts[:, 0], counts[:, 1])


def _count(
    loader: Loader,
    pair: TensorPair,
    scoring: Scoring | None,
    selections: Sequence[Selection],
    weights: Float32[ndarray, " K"],
    dtype: str,
    stop: Stop | None,
) -> Int64[ndarray, "two K"]:
    """Number of kept and lost elements in each partition of one tensor."""
    cuts = [cut for cut, _ in find_cuts(ranked_by(loader, scoring), pair, selections)]
    reach = Reach(cuts[::-1], tensor_seed(pair.name))
    counts, count = np.zeros((2, weights.size), np.int64), weights.size
    for start in range(0, pair.numel, CHUNK):
        check(stop)
        end = min(start + CHUNK, pair.numel)
        delta, magnitudes = ranked_chunk(loader, pair, scoring, start, end)
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
