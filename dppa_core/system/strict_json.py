"""Strict parsing of external JSON: refuses text that two parsers could read differently."""

from __future__ import annotations

import json
import re
from typing import Any

from dppa_core.errors import shown

_MAX_VALUES = 5_000_000
"""Limit of commas and brackets; the largest tokenizers have two million, each takes 100 bytes."""
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")


def parse_json(data: bytes, *, constants: bool = False) -> Any:
    """The value of a JSON text in UTF-8.

    Args:
        constants: Read NaN and Infinity, as Python writes them, as numbers.

    Raises:
        ValueError: not JSON, a key twice in one object, half a surrogate pair, too deep nesting, or
            too many values for the memory; one line.
    """
    values = sum(map(data.count, (b",", b"[", b"{")))
    if values > _MAX_VALUES:
        raise ValueError(f"{values} values, and {_MAX_VALUES} are read")
    try:
        value = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=None if constants else _refuse_constant,
        )
        if _SURROGATE.search(data):  # half a pair cannot be encoded
            json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        line = f"line {error.lineno}, " if b"\n" in data else ""
        raise ValueError(f"{error.msg} at {line}character {error.colno}") from None
    except RecursionError:
        raise ValueError("nested too deeply") from None
    except UnicodeEncodeError:
        raise ValueError("an escape that is half a character") from None
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    items: dict[str, Any] = {}
    for name, value in pairs:
        if name in items:
            raise ValueError(f"the key {shown(name)} appears twice")
        items[name] = value
    return items


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")
