"""A block on partitions: the share of each, and the length of the amplified delta."""

from __future__ import annotations

from typing import Any

import numpy as np

from dppa_core.errors import InvalidValue, shown
from dppa_core.pruning.partition import check_levels
from dppa_core.pruning.plan import PruningPlan, plan_pruning
from dppa_core.pruning.pruning_parameters import PruningParameters

from .context import Arguments, BlockContext

LEVELS = [0.9, 0.8]
"""The paper's levels."""
MAX_LEVELS = 9


def partitions_by_hand(arguments: Arguments, context: BlockContext) -> dict[str, Any]:
    """The content of each partition: {"model", "levels"}, by default the paper's levels."""
    base, model = context.pair(arguments)
    levels = check_levels(arguments.get("levels", LEVELS))
    if len(levels) > MAX_LEVELS:
        raise InvalidValue(f"At most {MAX_LEVELS} levels, got {shown(len(levels))}.")
    profile = context.studio.profile(base, model)
    plan = plan_pruning(profile, levels, PruningParameters())
    total = sum(item.delta_square for item in profile.modules)
    rows = _rows(plan, total)
    return {
        "models": context.names(),
        "model": model,
        "levels": list(levels),
        "numel": plan.numel,
        "partitions": rows,
        "figures": _figures(rows),
    }


def _rows(plan: PruningPlan, total: float) -> list[dict[str, Any]]:
    kept = [sum(m.levels[k].kept for m in plan.modules) for k in range(len(plan.levels))]
    energy = [
        sum(m.levels[k].selection.energy for m in plan.modules) / total
        for k in range(len(plan.levels))
    ]
    parts = (np.diff(sums, prepend=0).tolist() for sums in (kept, energy))
    return [
        {"level": level, "count": count, "energy": part}
        for level, count, part in zip(plan.levels, *parts, strict=True)
    ]


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    held = sum(row["energy"] for row in rows)
    first, rest = rows[0]["energy"], held - rows[0]["energy"]
    return {
        "first-count": rows[0]["count"],
        "first-energy": first,
        "rest-energy": rest,
        "held": held,
        "length": held**0.5,
        "all-factor": held**-0.5,
        "first-factor": (max(1 - rest, 0.0) / first) ** 0.5,
    }
