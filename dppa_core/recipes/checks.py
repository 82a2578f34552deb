"""Checks of recipe values; an error names the place in the recipe."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

from dppa_core.checkpoints.sources.references import checked_reference
from dppa_core.errors import InvalidRecipe, InvalidValue, UnknownName, shown
from dppa_core.parameter_fields import check_keys, check_number
from dppa_core.pruning.pruning_parameters import Override
from dppa_core.recipes.calibration import Calibration, calibration_from

T = TypeVar("T")
MAX_FACTOR = 100.0


def within(place: str, build: Callable[[], T]) -> T:
    """Run a check; an error names the place in the recipe."""
    try:
        return build()
    except InvalidRecipe:
        raise
    except (InvalidValue, UnknownName) as error:
        raise InvalidRecipe(f"{place}: {error}") from error


def _as_recipe_error(build: Callable[[], T]) -> T:
    """Run a check whose error names the place itself."""
    try:
        return build()
    except InvalidValue as error:
        raise InvalidRecipe(str(error)) from error


def checked_text(key: str, text: Any) -> str:
    """A model reference of a recipe, see `checked_reference`."""
    return _as_recipe_error(lambda: checked_reference(text, key))


def checked_factors(place: str, values: Any) -> tuple[float, ...]:
    """Amplification factors of a recipe as floats in [0, 100]."""
    subject = f"{place}: amplification"
    if not isinstance(values, (list, tuple)):
        raise InvalidRecipe(
            f"{subject} must be a list of numbers, one for each level, such as [1.5, 1.0], got "
            f"{shown(values)}."
        )
    factors = (check_number(subject, value, 0.0, MAX_FACTOR) for value in values)
    return _as_recipe_error(lambda: tuple(factors))


def checked_calibration(place: str, value: Any) -> Calibration | None:
    """Calibration text of a recipe, see `calibration_from`."""
    return within(place, lambda: calibration_from(value, place))


def checked_overrides(overrides: Any) -> dict[str, Override]:
    """Module name -> Override, from overrides or from mappings {rate: NUMBER}."""
    if not isinstance(overrides, Mapping):
        raise InvalidRecipe(f"overrides must map module names to rates, got {shown(overrides)}.")
    result = {}
    for name in overrides:
        if not isinstance(name, str):
            raise InvalidRecipe(f"overrides: a module name is a text, got {shown(name)}.")
    for name, value in sorted(overrides.items()):
        place = f"overrides of {shown(name)}"
        if isinstance(value, Mapping):
            check_keys(value, ("rate",), place)
            value = within(place, partial(_override, value.get("rate")))
        if not isinstance(value, Override):
            raise InvalidRecipe(f"{place} must be {{rate: NUMBER}}, got {shown(value)}.")
        result[name] = value
    return result


def checked_seed(seed: Any) -> int:
    """The seed of a recipe: a whole number of at most 64 bits."""
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise InvalidRecipe(f"seed must be a whole number from 0 to 2**64 - 1, got {shown(seed)}.")
    return seed


def _override(rate: object) -> Override:
    return Override(check_number("override rate", rate, 0.0, 1.0, "It is a share: 0.5 is half."))
