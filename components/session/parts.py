"""A coefficient by part of the layers as text: the page shows it, and has no control for it."""

from __future__ import annotations

import json
from typing import Any

from dppa_core.errors import InvalidValue, shown
from dppa_core.pruning.coefficients import (
    Coefficient,
    PartCoefficient,
    checked_coefficient,
    plain_coefficient,
)

_LONGEST_PARTS = 20_000


def parts_text(parts: tuple[PartCoefficient, ...]) -> str:
    """The parts of a recipe's coefficient as JSON."""
    return json.dumps(plain_coefficient(parts), separators=(",", ":"))


def parts_coefficient(name: str, text: object) -> Coefficient:
    """Read the text of parts; the inverse of `parts_text`.

    Raises:
        InvalidValue: too long, or not JSON.
        InvalidRecipe: not the parts of a coefficient.
    """
    if not isinstance(text, str) or len(text) > _LONGEST_PARTS:
        raise InvalidValue(f"{name}: its parts are a text of up to {_LONGEST_PARTS} characters.")
    try:
        items = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidValue(f"{name}: its parts are unreadable: {shown(text)}.") from None
    listed = items if isinstance(items, list) else []
    return checked_coefficient(name, [_item(name, item) for item in listed])


def _item(name: str, item: Any) -> Any:
    """An entry with its layers as numbers, which JSON has as text."""
    if not isinstance(item, dict) or not isinstance(item.get("value"), dict):
        return item
    if not all(layer.isascii() and layer.isdecimal() for layer in item["value"]):
        raise InvalidValue(f"{name}: layers count from 0, got {shown(list(item['value']))}.")
    return item | {"value": {int(layer): value for layer, value in item["value"].items()}}
