"""Settings that describe themselves: title, help, unit, range."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import Field, asdict, field, fields
from typing import Any, Literal, TypeVar

from dppa_core.errors import InvalidRecipe, InvalidValue, closest, shown

T = TypeVar("T")
_SPAN = ("min", "max", "step")
_BOOLEANS = {
    **dict.fromkeys(("yes", "on", "true"), True),
    **dict.fromkeys(("no", "off", "false"), False),
}
"""The words of YAML 1.1 for true and false; YAML 1.2 reads most of them as texts."""


def number(
    default: float,
    *,
    title: str,
    text: str,
    unit: str = "",
    span: tuple[float, float, float],
    own: bool | Literal["alike"] = False,
    least: float | None = None,
) -> Any:
    """A field that holds a float; `span` is its least value, its largest, and a control's step.

    Each model of a recipe may have its `own`, by layer or part; all the same if they are `alike`.
    A recipe may have values from `least` on, below those of the control.
    """
    metadata: dict[str, Any] = {"title": title, "help": text, "unit": unit}
    metadata |= ({"own": own} if own else {}) | ({} if least is None else {"least": least})
    return field(default=default, metadata=metadata | dict(zip(_SPAN, span, strict=True)))


def whole_number(
    default: int, *, title: str, text: str, unit: str = "", span: tuple[int, int]
) -> Any:
    """A field that holds a whole number from the least to the largest of `span`."""
    metadata = {"title": title, "help": text, "unit": unit, "min": span[0], "max": span[1]}
    return field(default=default, metadata=metadata | {"step": 1, "whole": True})


def model_reference(default: str, *, title: str, text: str) -> Any:
    """A field that names a domain model of the recipe; it is pinned like the model."""
    metadata = {"title": title, "help": text, "unit": "", "text": True, "model": True}
    return field(default=default, metadata=metadata)


def choice(
    default: str, *, title: str, text: str, choices: tuple[str, ...], later: bool = False
) -> Any:
    """A field that holds one of the choices; a `later` one is omitted by `told_values` if unset."""
    metadata = {"title": title, "help": text, "unit": "", "choices": choices}
    return field(default=default, metadata=metadata | ({"later": True} if later else {}))


def told_values(settings: Any) -> dict[str, Any]:
    """The values of a dataclass; fields newer than the format of recipes only if not the default.

    So older recipes keep their text and their hash.
    """
    unset = [
        item.name
        for item in fields(settings)
        if item.metadata.get("later") and getattr(settings, item.name) == item.default
    ]
    return {name: value for name, value in asdict(settings).items() if name not in unset}


def as_boolean(value: object) -> bool | None:
    """True or False for a boolean and for the words of YAML 1.1; None for anything else."""
    if isinstance(value, bool):
        return value
    return _BOOLEANS.get(value.strip().lower()) if isinstance(value, str) else None


def as_choice(value: object, choices: tuple[Any, ...]) -> object:
    """A boolean, or a word for one, as `yes` or `no` where these are the choices."""
    boolean = as_boolean(value) if {"yes", "no"} == set(choices) else None
    return value if boolean is None else "yes" if boolean else "no"


def is_number(value: object) -> bool:
    """Whether a value is a finite real number; True and False are not."""
    if isinstance(value, (bool, str)) or not hasattr(value, "__float__"):
        return False
    try:
        return math.isfinite(float(value))
    except (OverflowError, ValueError):  # a whole number of 400 digits
        return False


def check_fields(settings: Any) -> None:
    """Check a frozen dataclass against its own metadata and turn numbers into floats or ints.

    Raises:
        InvalidValue: a field is outside its range or not among its choices.
    """
    for item in fields(settings):
        value = _checked(item, getattr(settings, item.name))
        object.__setattr__(settings, item.name, value)


def limits(item: Field[Any]) -> tuple[float, float]:
    """The least and the largest value that a recipe may have."""
    return item.metadata.get("least", item.metadata["min"]), item.metadata["max"]


class Parameters:
    """Base of frozen dataclasses whose fields are checked by `check_fields`."""

    __slots__ = ()

    def __post_init__(self) -> None:
        check_fields(self)


def _checked(item: Field[Any], value: object) -> object:
    if "choices" in item.metadata:
        value = as_choice(value, item.metadata["choices"])
        _check_choice(item.name, value, item.metadata["choices"])
    if "text" in item.metadata and not isinstance(value, str):
        raise InvalidValue(f"{item.name} must be a text, got {shown(value)}.")
    if "min" not in item.metadata:
        return value
    number = check_number(item.name, value, *limits(item))
    if not item.metadata.get("whole"):
        return number
    if number != int(number):
        raise InvalidValue(f"{item.name} must be a whole number, got {shown(value)}.")
    return int(number)


def check_number(name: str, value: object, low: float, high: float, hint: str = "") -> float:
    """The value as a float, if it lies in [low, high].

    Raises:
        InvalidValue: it lies outside, or is not a number.
    """
    if not is_number(value) or not low <= float(value) <= high:  # type: ignore[arg-type]
        tail = f" {hint}" if hint else ""
        raise InvalidValue(
            f"{name} must be a number from {low:g} to {high:g}, got {shown(value)}.{tail}"
        )
    return float(value) + 0.0  # type: ignore[arg-type]  # -0.0 is 0.0, in a hash as well


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        hint = closest(str(value), choices)
        raise InvalidValue(
            f"{name} must be one of {', '.join(choices)}, got {shown(value)}. {hint}"
        )


def check_keys(given: Mapping[Any, object], known: tuple[str, ...], where: str) -> None:
    """Refuse unknown keys, so that a misspelled setting is not ignored.

    Raises:
        InvalidRecipe: names the key, its place and the closest known key.
    """
    for key in given:
        if key not in known:
            raise InvalidRecipe(
                f"{where}: unknown key {shown(key)}. {closest(str(key), known)}".rstrip()
                + f" Allowed: {', '.join(known) or 'none'}. "
                "A typing error, or a key of another method, is the usual cause."
            )


def from_mapping(settings: type[T], given: Mapping[str, Any], where: str) -> T:
    """Build a parameters dataclass from the keys of a recipe.

    Raises:
        InvalidRecipe: an unknown key.
        InvalidValue: a value out of range.
    """
    known: dict[str, Field[Any]] = {item.name: item for item in fields(settings)}  # type: ignore[arg-type]
    check_keys(given, tuple(known), where)
    return settings(**{name: _checked(known[name], value) for name, value in given.items()})
