"""The data of the plots as plain JSON: tables while a slider moves, plans when it rests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np

from dppa_core.checkpoints.sources import references
from dppa_core.checkpoints.sources.zoo import ZOO_MODELS
from dppa_core.pruning.plan import ModulePlan, PruningPlan

from ..session.fields import OWN_CHOICES, PRUNING_SETTINGS, SLIDERS
from ..session.method_choice import DPPA
from ..session.session import ModelChoice, Session
from ..session.state import value_of

if TYPE_CHECKING:
    from dppa_core.evaluation.analysis.merge_effect import MergeEffect

TAKEN = ("merged", *ZOO_MODELS)
"""Names that the page uses already, for the merge and the embedded models."""


def short_name(reference: str) -> str:
    """A model's short, unique name on the page. Where the name is taken, a folder is shown with its
    parent folder, a model of the Hub with its owner."""
    name = references.short_name(reference).replace(" %", "\u202f%")
    if name not in TAKEN or reference.startswith("zoo:"):
        return name
    longer = "/".join([part for part in reference.split("/") if part][-2:])
    return longer.removeprefix("hub:").partition("@")[0] if reference.startswith("hub:") else longer


def merge_label(session: Session) -> str:
    """A merge's label; it names the domain if the method merges for each domain."""
    named = session.method.names_domain
    if not named:
        return "merged"
    return f"merged for {short_name(str(session.method.parameters(session.deciding)[named]))}"


def settings_json(session: Session) -> dict[str, Any]:
    """The choices a table or a plan was made for; the browser compares them with its controls."""
    pruning = session.pruning
    return {
        "base": session.base,
        **{control.key: value_of(session, control) for control in SLIDERS},
        "levels": list(session.levels),
        "shares": list(session.shares),
        "significance": session.ranked_by,
        "chosen": session.significance,
        "pruning": [pruning.method, *asdict(pruning.settings()).values()] if pruning else [],
        "overrides": [list(pair) for pair in session.held],
    }


def exact_value(
    session: Session,
    sizes: Mapping[str, Mapping[str, int]],
    plans: Mapping[str, dict[str, Any]],
    recipe: str,
    problem: str = "",
) -> dict[str, Any]:
    """The exact numbers of a session. `sizes` are reference -> module -> elements. Without a plan
    before the merge `plans` are empty; `problem` says why there is no merge (and no hash
    `recipe`)."""
    references = [model.reference for model in session.active] or list(sizes)
    numel = sum(sum(sizes[name].values()) for name in references)
    kept = sum(plans[n]["kept"] if n in plans else _expected(session, sizes[n]) for n in references)
    return {
        "recipe": recipe,
        "problem": problem,
        "rate": session.rate,
        "settings": settings_json(session),
        "choices": choices_json(session),
        "kept": kept,
        "numel": numel,
        "share": kept / numel if numel else 0.0,
        "plans": dict(plans),
    }


def _expected(session: Session, sizes: Mapping[str, int]) -> int:
    """Expected number of kept elements without a plan: for random pruning, or all."""
    if session.method.shows != "random":
        return sum(sizes.values())
    held = dict(session.held)
    return round(sum((1 - held.get(name, session.rate)) * n for name, n in sizes.items()))


def outcome_value(outcome: MergeEffect) -> dict[str, Any]:
    """The effect of a merge on every cell: the share of weights changed, their mean change, and the
    share of each model's delta in the merge, measured along that delta."""
    cells: dict[tuple[int, str], list[int]] = {}
    for index, module in enumerate(outcome.modules):
        cells.setdefault((module.layer, module.kind), []).append(index)
    rows = []
    for (layer, kind), places in cells.items():
        inside = [outcome.modules[place] for place in places]
        along = [
            _ratio(sum(m.along[k] for m in inside), sum(m.squares[k] for m in inside))
            for k in range(len(outcome.models))
        ]
        changed, mean = _mean(inside, lambda m: m.changed), _mean(inside, lambda m: m.total)
        rows.append([layer, kind, changed, mean, along])
    return {"models": list(outcome.models), "cells": rows}


def _ratio(part: float, whole: float) -> float:
    return _digits(part / whole) if whole > 0 else 0.0


def choices_json(session: Session) -> dict[str, Any]:
    """All choices that change the recipe, in the browser's form."""
    pruning, choice = session.pruning, session.method
    settings = [getattr(session, name) for name in PRUNING_SETTINGS]
    return {
        "base": session.base,
        "rate": session.rate if pruning else 0.0,
        "levels": list(session.levels),
        "parameters": settings if pruning and pruning.method == DPPA else [],
        "method": [choice.name, choice.staged, *choice.parameters(session.deciding).values()],
        "models": [
            [model.reference, _weight(model), list(session.factors_of(model.reference))]
            for model in session.active
        ],
        "overrides": [list(pair) for pair in session.held],
        **{control.key: getattr(session, control.key) for control in OWN_CHOICES},
    }


def _weight(model: ModelChoice) -> Any:
    """The coefficient in use: a number, or the points of its curve."""
    return model.parts or [list(point) for point in model.curve] or model.coefficient


def whole_json(session: Session) -> dict[str, Any]:
    """The state of every control, including models that are off, in the browser's form."""
    return choices_json(session) | {
        "models": [
            [m.reference, m.on, _weight(m), list(session.factors_of(m.reference))]
            for m in session.models
        ]
    }


def plan_value(plan: PruningPlan) -> dict[str, Any]:
    """One plan: kept share and energy of every cell, kept share of every layer and level. Numbers
    have five digits, more than the page shows."""
    layers = sorted({module.layer for module in plan.modules})
    cells: dict[tuple[int, str], list[ModulePlan]] = {}
    for module in plan.modules:
        cells.setdefault((module.layer, module.kind), []).append(module)
    return {
        "cells": [
            [
                layer,
                kind,
                _mean(inside, lambda m: m.kept),
                _mean(inside, lambda m: m.energy * m.numel),
            ]
            for (layer, kind), inside in cells.items()
        ],
        "bands": [
            [_kept_of_level(plan, layer, level) for layer in layers]
            for level in range(len(plan.levels))
        ],
        "thresholds": [_thresholds(plan, level) for level in range(len(plan.levels))],
        "kept": plan.kept,
        "numel": plan.numel,
        "energy": _digits(plan.energy),
    }


def _mean(modules: Sequence[Any], total: Callable[[Any], float]) -> float:
    """The sum of something over modules, for each of their elements."""
    return _digits(sum(total(m) for m in modules) / sum(m.numel for m in modules))


def _kept_of_level(plan: PruningPlan, layer: int, level: int) -> float:
    inside = [module for module in plan.modules if module.layer == layer]
    return _mean(inside, lambda m: m.levels[level].kept)


def _thresholds(plan: PruningPlan, level: int) -> list[float]:
    values = [module.levels[level].threshold for module in plan.modules]
    return [_digits(float(v)) for v in np.percentile(values, [10, 50, 90])] if values else [0.0] * 3


def _digits(value: float) -> float:
    return float(f"{value:.5g}")
