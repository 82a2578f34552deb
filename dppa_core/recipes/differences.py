"""The differences between two recipes in words, and recipes that differ in nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dppa_core.checkpoints.sources.references import short_name
from dppa_core.recipes.recipe import MergeRecipe, recipe_values

_MODEL_WORDS = {
    "levels": "pruning rates",
    "amplification": "factors",
    "coefficient": "coefficient",
    "calibration": "calibration",
}
_LONGEST = 60


def recipe_differences(first: MergeRecipe, second: MergeRecipe) -> tuple[str, ...]:
    """Each differing setting on a line, as "math: coefficient 1 → 0.5"; empty if equal."""
    one, other = recipe_values(first), recipe_values(second)
    lines = _models(one.pop("models"), other.pop("models"))
    for key in dict.fromkeys((*one, *other)):
        before, after = one.get(key), other.get(key)
        if isinstance(before, Mapping) or isinstance(after, Mapping):
            lines += _entries(key, before or {}, after or {})
        elif before != after:
            lines.append(f"{key.replace('_', ' ')} {_shown(before)} → {_shown(after)}")
    return tuple(lines)


def _models(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[str]:
    one, other = ({model["model"]: model for model in models} for models in (first, second))
    lines = []
    for name in dict.fromkeys((*one, *other)):
        if name not in other or name not in one:
            lines.append(f"{short_name(name)}: only in the {'first' if name in one else 'second'}")
            continue
        for key, word in _MODEL_WORDS.items():
            before, after = one[name].get(key), other[name].get(key)
            if before != after:
                shown = _rates if key == "levels" else _factors if key != "calibration" else _shown
                lines.append(f"{short_name(name)}: {word} {shown(before)} → {shown(after)}")
    if not lines and list(one) != list(other):
        lines.append(f"order of the models {', '.join(one)} → {', '.join(other)}")
    return lines


def _entries(key: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    word = "override of" if key == "overrides" else key
    return [
        f"{word} {name.replace('_', ' ') if key == 'parameters' else name} "
        f"{_shown(first.get(name))} → {_shown(second.get(name))}"
        for name in dict.fromkeys((*first, *second))
        if first.get(name) != second.get(name)
    ]


def _rates(levels: Any) -> str:
    return ", ".join(f"{100 * level:.4g} %" for level in levels)


def _factors(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(one, int | float) for one in value):
        return ", ".join(f"{one:g}" for one in value) + " ×"
    return _shown(value)


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        if isinstance(value, Mapping) and set(value) == {"rate"}:
            return f"{100 * value['rate']:.4g} %"
        text = str(value)
        return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return f"{value:g}"


def with_joined_bands(recipe: MergeRecipe) -> MergeRecipe:
    """The same merge with one band for each model whose bands all have the factor 1."""
    models = tuple(
        replace(one, levels=one.levels[-1:], amplification=(1.0,))
        if set(one.amplification) == {1.0}
        else one
        for one in recipe.models
    )
    return replace(recipe, models=models)
