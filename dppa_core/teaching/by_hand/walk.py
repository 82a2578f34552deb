"""All steps of a mini-model's merge for the page, from a checked request."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.teaching.by_hand.step import Numbers
from dppa_core.teaching.by_hand.steps import step_delta, step_rate, step_significance
from dppa_core.teaching.by_hand.steps_merged import step_merged, step_methods
from dppa_core.teaching.by_hand.steps_pruned import (
    step_amplified,
    step_partitions,
    step_pruned,
)
from dppa_core.teaching.by_hand.tiny_merge import MODELS, YOURS, Mini, edited, start
from dppa_core.teaching.by_hand.trace import HandSettings, Trace, trace

STEPS = (
    step_delta,
    step_significance,
    step_rate,
    step_pruned,
    step_partitions,
    step_amplified,
    step_merged,
    step_methods,
)
_SETTINGS = ("rate", "factor", "first", "second")


def explain(request: object) -> dict[str, Any]:
    """Everything the page shows of a mini-model.

    Args:
        request: {"start": one of `STARTS`}; optionally "weights": model -> 36 numbers in units of
            the start, and any of the `HandSettings`.

    Raises:
        InvalidValue: anything else.
    """
    if not isinstance(request, Mapping):
        raise InvalidValue(f"An explanation starts from a mapping, got {shown(request)}.")
    name, weights = request.get("start", "heavy"), request.get("weights") or {}
    if not isinstance(name, str) or not isinstance(weights, Mapping):
        raise InvalidValue(f"A start is a name, and weights are by model, got {shown(request)}.")
    settings = HandSettings(**{key: request[key] for key in _SETTINGS if key in request})
    return way_json(name, trace(_mini(name, json.dumps(weights)), settings))


@lru_cache(maxsize=64)
def _mini(name: str, weights: str) -> Mini:
    """A mini-model by its start and the edited weights, as JSON; the same one for all settings."""
    if weights != "{}":
        mini = _mini(name, "{}")
        scaled = {model: _scaled(flat, mini.unit) for model, flat in json.loads(weights).items()}
        return edited(mini, scaled)
    return start(name)


def _scaled(values: object, unit: float) -> list[object]:
    """Numbers in units as weights; other values pass and are refused later with their position."""
    if not isinstance(values, list):
        return []
    return [v * unit if isinstance(v, int | float) and abs(v) < 1e9 else v for v in values]


def way_json(name: str, way: Trace) -> dict[str, Any]:
    """A trace as plain values: {"start", "unit", "weights", "shown",
    "settings", "steps"}."""
    numbers = Numbers(way.mini.unit)
    weights = {model: way.mini.weights[model][YOURS].ravel().tolist() for model in MODELS}
    return {
        "start": name,
        "unit": way.mini.unit,
        "weights": {model: [v / way.mini.unit for v in flat] for model, flat in weights.items()},
        "shown": {model: list(map(numbers, flat)) for model, flat in weights.items()},
        "settings": {key: getattr(way.settings, key) for key in _SETTINGS},
        "steps": [asdict(step(way, numbers)) for step in STEPS],
    }
