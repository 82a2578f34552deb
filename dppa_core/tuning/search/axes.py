"""The numbers of a recipe that a joint search chooses: factors, coefficient or scale, strength."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from dppa_core.errors import InvalidRecipe, InvalidValue
from dppa_core.methods.registry import get_method
from dppa_core.parameter_fields import check_number
from dppa_core.pruning.coefficients import LARGEST_COEFFICIENT
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash
from dppa_core.tuning.search.space import short_name

Point = tuple[float, ...]
"""One value for each axis; empty for a setting that the axes cannot express, such as a recipe with
other factors for each model."""
FACTOR_BOUNDS = (0.25, 4.0)
"""Bounds of factors beside a coefficient or scale."""
LONE_FACTOR_BOUNDS = (1 / 16, 16.0)
"""Bounds of factors where neither is chosen."""
LEAST_STRENGTH = 0.01
_LEAST_OF_START = 0.015
"""The least coefficient or scale, as a multiple of the start."""


@dataclass(frozen=True, slots=True)
class SearchAxis:
    """One number to choose."""

    name: str
    start: float
    """Above 0."""
    low: float
    high: float
    step: float = 0.5
    """First distance that is tried, in doublings."""
    absent: float | None = None
    """The value, below `low`, at which the number has no effect: that of a simpler method."""

    def __post_init__(self) -> None:
        check_number(self.name, self.start, 1e-9, math.inf)
        if not 0 < self.low <= self.start <= self.high:
            raise InvalidValue(
                f"{self.name}: the start {self.start:g} must lie within its bounds, above 0; got "
                f"{self.low:g} to {self.high:g}."
            )

    def value(self, place: float) -> float:
        """The number at so many steps from the start, in four digits."""
        value = float(f"{self.start * 2 ** (place * self.step):.4g}") if place else self.start
        return min(max(value, self.low), self.high)

    def place(self, value: float) -> float:
        """Steps from the start to a number above 0."""
        return math.log2(value / self.start) / self.step


def axes_of(recipe: MergeRecipe, *, per_model: bool = False) -> tuple[SearchAxis, ...]:
    """The axes of a recipe, whose starts are factors of 1 and the recipe's other numbers.

    A factor for each partition, if the recipe prunes. The method's own `scale` if it has one, where
    equal coefficients may cancel; else a coefficient, which multiplies those of the recipe unless
    they are equal. No coefficient if all tensors are pruned: it would multiply what the factors
    multiply, so the search would have one number too many. `strength`, if the pruning has one
    above 0.

    Args:
        per_model: True if each model has its own factors; otherwise all share them.

    Raises:
        InvalidRecipe: shared factors for models with different numbers of partitions, or nothing
            to choose.
    """
    axes = list(_factor_axes(recipe, per_model))
    scale = getattr(recipe.settings(), "scale", None)
    if scale:
        axes.append(SearchAxis("scale", scale, min(scale, _LEAST_OF_START), LARGEST_COEFFICIENT))
    elif scale is None and not _factors_suffice(recipe):
        axes += _coefficient_axis(recipe)
    pruning = _pruning(recipe)
    most = {item.name: item.metadata.get("max") for item in fields(pruning)}.get("strength")
    if most and pruning.strength > 0:
        strength = pruning.strength
        least = min(strength, LEAST_STRENGTH)
        axes.append(SearchAxis("strength", strength, least, most, step=1.0, absent=0.0))
    names = [axis.name for axis in axes]
    if len(set(names)) < len(names):
        raise InvalidRecipe(
            f"Two models have the same short name ({', '.join(names)}), so their factors cannot be "
            "told apart. Let all models share them."
        )
    if not axes:
        raise InvalidRecipe(f"{recipe.method} has no factor, coefficient or strength to choose.")
    return tuple(axes)


def _pruning(recipe: MergeRecipe) -> Any:
    """The settings of what prunes the deltas."""
    return recipe.prune.settings() if recipe.prune else recipe.settings()


def _factors_suffice(recipe: MergeRecipe) -> bool:
    """Return True if a coefficient would multiply the same entries as the factors: the whole
    delta."""
    all_pruned = getattr(_pruning(recipe), "other_tensors", None) == "prune"
    return all_pruned and get_method(recipe.method).combination is None


def factor_bounds(recipe: MergeRecipe) -> tuple[float, float]:
    """The least and the largest factor that a search of a recipe tries."""
    return LONE_FACTOR_BOUNDS if _factors_suffice(recipe) else FACTOR_BOUNDS


def _factor_axes(recipe: MergeRecipe, per_model: bool) -> Iterator[SearchAxis]:
    if not get_method(recipe.prune.method if recipe.prune else recipe.method).prunes:
        return
    counts = {len(model.levels) for model in recipe.models}
    if not per_model and len(counts) > 1:
        raise InvalidRecipe(
            "The models have different numbers of partitions, so they cannot share factors. Give "
            "them equal levels, or choose factors for each (--per-model)."
        )
    for model in recipe.models if per_model else recipe.models[:1]:
        ending = f".{short_name(model)}" if per_model else ""
        for band in range(1, len(model.levels) + 1):
            yield SearchAxis(f"factor{band}{ending}", 1.0, *factor_bounds(recipe))


def _coefficient_axis(recipe: MergeRecipe) -> list[SearchAxis]:
    """The coefficient, or a multiplier of unequal ones; none for coefficients by layer or part."""
    numbers = [m.coefficient for m in recipe.models if isinstance(m.coefficient, float)]
    if len(numbers) < len(recipe.models) or not any(numbers):
        return []
    most = LARGEST_COEFFICIENT / max(map(abs, numbers))
    if len(set(numbers)) > 1 or numbers[0] < 0:
        return [SearchAxis("coefficients", 1.0, _LEAST_OF_START, most)]
    return [
        SearchAxis("coefficient", numbers[0], _LEAST_OF_START * numbers[0], LARGEST_COEFFICIENT)
    ]


def given_point(recipe: MergeRecipe, axes: Sequence[SearchAxis]) -> Point:
    """The values of a recipe on its axes; empty if these cannot express it."""
    values = tuple(_value_of(recipe, axis) for axis in axes)
    return values if recipe_hash(at_point(recipe, axes, values)) == recipe_hash(recipe) else ()


def _value_of(recipe: MergeRecipe, axis: SearchAxis) -> float:
    name, _, short = axis.name.partition(".")
    if not name.startswith("factor"):
        return axis.start
    model = next(m for m in recipe.models if short in ("", short_name(m)))
    return model.amplification[int(name.removeprefix("factor")) - 1]


def at_point(recipe: MergeRecipe, axes: Sequence[SearchAxis], point: Point) -> MergeRecipe:
    """The recipe with the values of a point; the recipe itself for an empty one.

    Raises:
        InvalidRecipe: a value that the recipe does not allow.
    """
    if not point:
        return recipe
    return with_values(recipe, {axis.name: value for axis, value in zip(axes, point, strict=True)})


def with_values(recipe: MergeRecipe, values: Mapping[str, float]) -> MergeRecipe:
    """The recipe with the values of named axes.

    Raises:
        InvalidRecipe: a value that the recipe does not allow.
    """
    new: dict[str, Any] = {n: values[n] for n in ("scale", "strength") if n in values}
    models = tuple(_model_with(model, values) for model in recipe.models)
    merge = replace(recipe, models=models)
    if "strength" in new and recipe.prune:
        of_pruning = {**recipe.prune.parameters, "strength": new.pop("strength")}
        merge = replace(merge, prune=replace(recipe.prune, parameters=of_pruning))
    return replace(merge, parameters={**recipe.parameters, **new})


def _model_with(model: DomainModel, values: Mapping[str, float]) -> DomainModel:
    factors = tuple(
        values.get(f"factor{band}.{short_name(model)}", values.get(f"factor{band}", factor))
        for band, factor in enumerate(model.amplification, 1)
    )
    coefficient = values.get("coefficient", model.coefficient)
    if "coefficients" in values and isinstance(coefficient, float):
        coefficient *= values["coefficients"]
    return replace(model, amplification=factors, coefficient=coefficient)
