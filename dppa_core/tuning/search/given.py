"""Where a recipe stands in the space of a search.

Knows recipes and knobs; no score and no sampler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dppa_core.errors import DppaError
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash
from dppa_core.tuning.search.space import Knob, Value, applies, settled, short_name


def settings_of(recipe: MergeRecipe, knobs: Sequence[Knob]) -> dict[str, Value]:
    """What the knobs are set to in a recipe.

    Returns:
        Nothing where they cannot be set so: outside of a range, or other numbers for other models.
    """
    values: dict[str, Value] = {}
    for knob in knobs:
        if not applies(knob.name, recipe, recipe.method):
            continue
        value = _setting(recipe, knob.name)
        inside = value in knob.choices if knob.choices else _reachable(value, knob)
        if value is None or not inside:
            return {}
        values[knob.name] = value
    try:
        same = recipe_hash(settled(recipe, values)) == recipe_hash(recipe)
    except DppaError:
        same = False
    return values if same else {}


def _reachable(value: Value | None, knob: Knob) -> bool:
    if not isinstance(value, int | float) or not knob.low <= value <= knob.high:
        return False
    steps = (value - knob.low) / knob.step if knob.step else 0.0
    return abs(steps - round(steps)) < 1e-6


def _setting(recipe: MergeRecipe, name: str) -> Value | None:
    """One number of a recipe; None where its models differ."""
    first = recipe.models[0]
    if name == "method":
        return recipe.method
    found: Any = recipe.parameters.get(name)
    if found is None and recipe.prune:
        found = recipe.prune.parameters.get(name)
    if name == "rate":
        found = first.levels[-1]
    elif name == "levels":
        found = len(first.levels)
    elif name == "coefficient":
        found = first.coefficient
    elif name.startswith("coefficient."):
        named = [one for one in recipe.models if short_name(one) == name.partition(".")[2]]
        found = named[0].coefficient if named else None
    elif name.startswith("factor"):
        place = int(name.removeprefix("factor") or 1) - 1
        found = first.amplification[place] if place < len(first.amplification) else None
    return found if isinstance(found, int | float | str) else None
