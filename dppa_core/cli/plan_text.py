"""Profiles and plans as JSON values and as tables for people."""

from __future__ import annotations

import math
from typing import Any

from dppa_core.evaluation.tables import text_table
from dppa_core.pruning.delta_profile import DeltaProfile
from dppa_core.pruning.module_groups import order_kinds
from dppa_core.pruning.plan import PruningPlan


def plan_text(plan: PruningPlan) -> str:
    """Density of every module, layers down and kinds across, and the totals."""
    kinds = order_kinds(module.kind for module in plan.modules)
    layers = sorted({module.layer for module in plan.modules})
    cells: dict[tuple[int, str], list[str]] = {}
    for module in plan.modules:
        share = module.kept / module.numel
        cells.setdefault((module.layer, module.kind), []).append(f"{share:.1%}")
    rows = [
        [str(layer), *("/".join(cells.get((layer, kind), ["-"])) for kind in kinds)]
        for layer in layers
    ]
    levels = ", ".join(f"{level:g}" for level in plan.levels)
    return (
        f"{plan.finetuned} against {plan.base}, levels {levels}: share of each module kept\n"
        f"{text_table(['layer', *kinds], rows)}\n"
        f"kept {plan.kept:,} of {plan.numel:,} elements ({plan.density:.3%}), "
        f"{plan.energy:.1%} of the sum of d²"
    )


def profile_json(profile: DeltaProfile) -> dict[str, Any]:
    """Size, zeros, mean |d| and norms of every module."""
    return {
        "base": profile.base,
        "finetuned": profile.finetuned,
        "other_tensors": profile.other_tensors,
        "modules": [
            {
                "name": item.module.name,
                "layer": item.module.layer,
                "kind": item.module.kind,
                "shape": list(item.module.shape),
                "numel": item.numel,
                "nonzero": item.nonzero,
                "mean_magnitude": item.mean,
                "largest_magnitude": float(item.magnitudes[-1]),
                "delta_norm": math.sqrt(item.delta_square),
                "base_norm": math.sqrt(item.base_square),
                "bins": int(item.magnitudes.size),
                "exact": item.exact,
            }
            for item in profile.modules
        ],
    }


def profile_text(profile: DeltaProfile) -> str:
    """One line a module."""
    rows = [
        [
            item.module.name,
            f"{item.numel:,}",
            f"{1 - item.nonzero / item.numel:.1%}",
            f"{item.mean:.3g}",
            f"{float(item.magnitudes[-1]):.3g}",
            f"{math.sqrt(item.delta_square / item.base_square):.3f}" if item.base_square else "-",
        ]
        for item in profile.modules
    ]
    head = ["module", "elements", "unchanged", "mean |d|", "max |d|", "‖d‖/‖W‖"]
    return (
        f"{profile.finetuned} against {profile.base}\n{text_table(head, rows)}\n"
        f"{profile.other_tensors:,} elements outside the modules"
    )
