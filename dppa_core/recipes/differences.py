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
    "parameters": "own settings",
}
_MAX_CHARACTERS = 60


def recipe_differences(first: MergeRecipe, second: MergeRecipe) -> tuple[str, ...]:
    """Each differing setting on a line, as "math: coefficient 1 → 0.5"; empty if equal."""
    before, after = recipe_values(first), recipe_values(second)
    lines = _models(before.pop("models"), after.pop("models"))
    for key in dict.fromkeys((*before, *after)):
        old, new = before.get(key), after.get(key)
        if isinstance(old, Mapping) or isinstance(new, Mapping):
            lines += _entries(key, old or {}, new or {})
        elif old != new:
            lines.append(f"{key.replace('_', ' ')} {_text(old)} → {_text(new)}")
    return tuple(lines)


def _models(first: list[dict[str, Any]], second: list[dict[str, Any]]) -> list[str]:
    before, after = ({model["model"]: model for model in models} for models in (first, second))
    lines = []
    for name in dict.fromkeys((*before, *after)):
        if name not in after or name not in before:
            lines.append(
                f"{short_name(name)}: only in the {'first' if name in before else 'second'}"
            )
            continue
        for key, word in _MODEL_WORDS.items():
            old, new = before[name].get(key), after[name].get(key)
            if old != new:
                write = _rates if key == "levels" else _factors if key != "calibration" else _text
                lines.append(f"{short_name(name)}: {word} {write(old)} → {write(new)}")
    if not lines and list(before) != list(after):
        lines.append(f"order of the models {', '.join(before)} → {', '.join(after)}")
    return lines


def _entries(key: str, first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    word = "override of" if key == "overrides" else key
    return [
        f"{word} {name.replace('_', ' ') if key == 'parameters' else name} "
        f"{_text(first.get(name))} → {_text(second.get(name))}"
        for name in dict.fromkeys((*first, *second))
        if first.get(name) != second.get(name)
    ]


def _rates(levels: Any) -> str:
    return ", ".join(f"{100 * level:.4g} %" for level in levels)


def _factors(value: Any) -> str:
    if isinstance(value, list | tuple) and all(isinstance(f, int | float) for f in value):
        return ", ".join(f"{factor:g}" for factor in value) + " ×"
    return _text(value)


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool) or not isinstance(value, int | float):
        if isinstance(value, Mapping) and set(value) == {"rate"}:
            return f"{100 * value['rate']:.4g} %"
        text = str(value)
        return text if len(text) <= _MAX_CHARACTERS else f"{text[: _MAX_CHARACTERS - 1]}…"
    return f"{value:g}"


def with_joined_bands(recipe: MergeRecipe) -> MergeRecipe:
    """The same merge with one band for each model whose bands all have the factor 1."""
    models = tuple(
        replace(model, levels=model.levels[-1:], amplification=(1.0,))
        if set(model.amplification) == {1.0}
        else model
        for model in recipe.models
    )
    return replace(recipe, models=models)
