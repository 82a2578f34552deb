"""The controls of a session as JSON, and back; values from the browser are checked on the way
in."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from math import isfinite
from typing import Any

from dppa_core.checkpoints.sources.references import MAX_REFERENCE_LENGTH
from dppa_core.errors import InvalidValue, shown
from dppa_core.parameter_fields import check_number
from dppa_core.pruning.partition import check_levels

from .curve import MOST_POINTS
from .fields import FACTOR, HIGHEST_RATE, MOST_PARTITIONS, OWN_CHOICES
from .session import (
    MOST_MODELS,
    SHARED_TEMPLATES,
    ModelChoice,
    Overrides,
    Session,
    checked_overrides,
    default_of,
)

LONGEST_TEXT = 100_000
ALLOWED_LEVELS = (
    f"Write 1 to {MOST_PARTITIONS} pruning rates in percent, falling, each below 100 and the last "
    "at most 99: 95, 80."
)


def parsed(value: object, *, most: int = LONGEST_TEXT) -> object:
    """The value a part of the page sent as JSON text of limited length."""
    if isinstance(value, str) and len(value) <= most:
        with suppress(ValueError, RecursionError):
            return json.loads(value, parse_float=_finite, parse_constant=_finite)
    raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.")


def parsed_keys(value: object, *, most: int = LONGEST_TEXT) -> Mapping[str, Any]:
    """As `parsed`; an empty mapping for any other value."""
    data = parsed(value, most=most)
    return data if isinstance(data, Mapping) else {}


def asked_keys(value: object, **kinds: type) -> Mapping[str, Any]:
    """As `parsed`, for a mapping in which some keys hold values of exactly these types."""
    data = parsed(value)
    if isinstance(data, Mapping) and all(type(data.get(key)) is kinds[key] for key in kinds):
        return data
    raise InvalidValue(f"The page sent something unreadable: {value!r:.80}.")


def _finite(text: str) -> float:
    number = float(text)
    if not isfinite(number):
        raise ValueError(text)
    return number


def models_from_json(value: object) -> dict[str, Any]:
    """Read {"base", "models": [{"ref", "on", "coefficient", "curve": [[layer, number], …],
    "parts"}], "template", "dtype", "heads"} as keyword arguments of Session. Without a curve and
    parts the coefficient is used; the template of a model that is not listed becomes "auto"."""
    data = _mapping(value, "The list of models")
    rows = data.get("models")
    if not isinstance(rows, list) or len(rows) > MOST_MODELS:
        raise InvalidValue(f"The list of models must hold 1 to {MOST_MODELS} of them.")
    models = tuple(_model(row) for row in rows)
    template, listed = data.get("template"), [model.reference for model in models]
    is_listed = template in (*SHARED_TEMPLATES, *listed)
    return {
        "base": reference_text(data.get("base")),
        "models": models,
        **{control.name: data[control.key] for control in OWN_CHOICES if control.key in data},
        "chat_template": template if is_listed else "auto",
    }


def factors_from_json(value: object) -> dict[str, Any]:
    """Read the value of the amplification rows, as keyword arguments of Session."""
    data = _mapping(value, "The amplification")
    rows = _mapping(data.get("own") or {}, "The amplification of single models")
    if len(rows) > MOST_MODELS:
        raise InvalidValue(f"At most {MOST_MODELS} models have factors of their own.")
    return {
        "linked": data.get("linked") is not False,
        "factors": _factors(data.get("factors")),
        "own_factors": tuple((reference_text(name), _factors(row)) for name, row in rows.items()),
    }


def overrides_from_json(value: object) -> Overrides:
    """Read module -> pruning rate."""
    return checked_overrides(tuple(_mapping(value, "The rates of single modules").items()))


def shares_from_json(value: object) -> tuple[float, ...]:
    """Read the ends of the inner bands; see `Session.shares`."""
    if not isinstance(value, list) or len(value) >= MOST_PARTITIONS:
        raise InvalidValue(
            f"Levels are a list of up to {MOST_PARTITIONS - 1} shares of what is kept, got "
            f"{shown(value)}."
        )
    return tuple(check_number("A share of what is kept", share, 0, 1) for share in value)


def shares_from_text(text: object) -> tuple[float, tuple[float, ...]]:
    """Read levels as typed: "95, 80" -> (0.8, (0.25,)), the overall rate and the shares. Raises
    InvalidValue if they are not numbers, too many, out of range, or not falling."""
    words = str(text).replace("%", " ").replace(";", " ").replace(",", " ").split()
    try:
        percents = [float(word) for word in words]
    except ValueError:
        raise InvalidValue(f"{text!r} is not only numbers. {ALLOWED_LEVELS}") from None
    if not 1 <= len(percents) <= MOST_PARTITIONS:
        raise InvalidValue(f"These are {len(percents)} levels. {ALLOWED_LEVELS}")
    for percent in percents:
        if not 0 <= percent < 100:  # false for nan too
            raise InvalidValue(f"{percent:g} is not a pruning rate in percent. {ALLOWED_LEVELS}")
    if 0 < max(percents) < 1:
        raise InvalidValue(
            f"{text!r} are shares, as in recipes; here levels are in per cent. {ALLOWED_LEVELS}"
        )
    for before, after in pairwise(percents):
        if after >= before:
            raise InvalidValue(
                f"The levels do not fall: {after:g} after {before:g}. {ALLOWED_LEVELS}"
            )
    if percents[-1] > 100 * HIGHEST_RATE:
        raise InvalidValue(f"The last level, {percents[-1]:g}, is too high. {ALLOWED_LEVELS}")
    levels = check_levels([round(percent / 100, 12) for percent in percents])
    rate = levels[-1]
    return rate, tuple(round((1 - level) / (1 - rate), 12) for level in levels[:-1])


def reference_text(value: object) -> str:
    """A model reference from outside: a short non-empty text without line breaks."""
    text = value.strip() if isinstance(value, str) else ""
    if not text or len(text) > MAX_REFERENCE_LENGTH or not text.isprintable():
        raise InvalidValue(f"A model reference is a name such as zoo:math; got {value!r:.80}.")
    return text


def _mapping(value: object, name: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InvalidValue(f"{name} arrived in an unreadable form: {value!r:.80}.")
    return value


def _model(row: object) -> ModelChoice:
    data = _mapping(row, "A domain model")
    reference, curve = reference_text(data.get("ref")), data.get("curve") or []
    if not isinstance(curve, list) or len(curve) > MOST_POINTS:
        raise InvalidValue(
            f"Coefficient of {reference}: a curve is a list of up to {MOST_POINTS} points, "
            f"got {shown(curve)}."
        )
    on = data.get("on") is not False
    parts = data.get("parts") or ""
    return ModelChoice(reference, on, data.get("coefficient"), tuple(curve), parts)  # type: ignore[arg-type]


def _factors(row: object) -> tuple[float, ...]:
    if not isinstance(row, Sequence) or isinstance(row, str) or len(row) > MOST_PARTITIONS:
        raise InvalidValue(
            f"Amplification is a list of up to {MOST_PARTITIONS} factors: {row!r:.80}."
        )
    low, high, _ = FACTOR
    return tuple(check_number("Amplification", factor, low, high) for factor in row)


def models_json(session: Session) -> dict[str, Any]:
    """The value of the list of models; the inverse of `models_from_json`."""
    rows = [
        {"ref": model.reference, "on": model.on, "coefficient": model.coefficient}
        | ({"curve": [list(point) for point in model.curve]} if model.curve else {})
        | ({"parts": model.parts} if model.parts else {})
        for model in session.models
    ]
    changed = {
        control.key: getattr(session, control.name)
        for control in OWN_CHOICES
        if getattr(session, control.name) != default_of(control)
    }
    return {"base": session.base, "models": rows, **changed}


def factors_json(session: Session) -> dict[str, Any]:
    """The value of the amplification rows; the inverse of `factors_from_json`."""
    rows = {name: list(factors) for name, factors in session.own_factors}
    return {"linked": session.linked, "factors": list(session.factors), "own": rows}


def overrides_json(session: Session) -> dict[str, float]:
    """Module -> pruning rate; the inverse of `overrides_from_json`."""
    return dict(session.overrides)
