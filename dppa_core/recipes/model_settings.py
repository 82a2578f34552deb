"""What a model of a recipe has for itself: pruning rates, and values of the method's parameters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from typing import Any

from dppa_core.errors import InvalidRecipe, shown
from dppa_core.methods.registry import METHODS, get_method
from dppa_core.parameter_fields import check_keys, check_number, limits
from dppa_core.pruning.coefficients import (
    Coefficient,
    checked_coefficient,
    numbers_of,
    parts_of,
    plain_coefficient,
)
from dppa_core.recipes.checks import within


def check_levels_of_method(name: str, model: str, levels: tuple[float, ...]) -> None:
    """Check that a method takes so many pruning rates for a model."""
    method = get_method(name)
    if method.levels == "one" and len(levels) != 1:
        raise InvalidRecipe(
            f"model {shown(model)}: {name} drops at random and has one level, got "
            f"{shown(list(levels))}. Partitions belong to the methods dppa and magnitude."
        )
    if method.levels == "none" and levels != (0.0,):
        remedy = "choose the method dppa, magnitude or dare"
        if method.combination is not None:
            remedy = "add `prune: dppa`"
            if "density" in {item.name for item in fields(method.parameters)}:
                kept = round(1 - levels[-1], 12)
                remedy = f"write `parameters: {{density: {kept:g}}}`, the share kept, or {remedy}"
        raise InvalidRecipe(
            f"model {shown(model)}: {name} has no pruning rates, so levels must be [0], got "
            f"{shown(list(levels))}. To prune, {remedy}."
        )


def checked_settings(place: str, value: Any) -> dict[str, Coefficient]:
    """A model's own values: a number each, or numbers by layer or part as a coefficient."""
    if not isinstance(value, Mapping):
        raise InvalidRecipe(f"{place}: parameters must be a mapping, got {shown(value)}.")
    return {
        str(name): checked_coefficient(f"{place}: {name}", number) for name, number in value.items()
    }


def plain_settings(settings: Mapping[str, Coefficient]) -> dict[str, Any]:
    """A model's own values as in a recipe."""
    return {name: plain_coefficient(value) for name, value in settings.items()}


def check_settings_of_method(
    name: str, settings: Any, models: Sequence[tuple[str, Mapping[str, Coefficient]]]
) -> None:
    """Check that a method's parameters may be each model's own, and take these values.

    Args:
        models: Reference and own values of each model.
    """
    allowed = {item.name: item for item in fields(settings) if item.metadata.get("own")}
    for model, values in models:
        place = f"model {shown(model)}"
        check_keys(values, tuple(allowed), f"{place}: parameters of {name}")
        for key, value in values.items():
            low, high = limits(allowed[key])
            for number in (number for part in parts_of(value) for number in numbers_of(part.value)):
                within(place, partial(check_number, key, number, low, high))
        plain = {key: value for key, value in values.items() if isinstance(value, float)}
        within(place, partial(replace, settings, **plain))
        for key, item in allowed.items():
            if item.metadata["own"] == "alike" and values.get(key) != models[0][1].get(key):
                raise InvalidRecipe(
                    f"{place}: {key} is of the whole merge, so it must be the same for all models: "
                    f"that of {shown(models[0][0])}."
                )


def check_arithmetic(arithmetic: str, name: str, values: Mapping[str, Any], pruned: bool) -> None:
    """Check that a merge whose every operation is rounded is one that mergekit makes.

    Args:
        values: The method's parameters.
        pruned: True if a pruning comes first.

    Raises:
        InvalidRecipe: another one.
    """
    if not get_method(name).rounds:
        allowed = ", ".join(method.name for method in METHODS if method.rounds)
        raise InvalidRecipe(
            f"arithmetic: {arithmetic} rounds every operation as mergekit does, and {name} is "
            f"always float32. Methods that can: {allowed}."
        )
    if pruned or values.get("semantics", "mergekit") != "mergekit":
        raise InvalidRecipe(
            f"arithmetic: {arithmetic} rounds every operation as mergekit does, so {name} needs "
            "`semantics: mergekit`, where it has semantics, and no `prune`."
        )
