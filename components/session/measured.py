"""What the laboratory measured, as assets/data/measured.json has it."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from .shipped import shipped

MEASURED = shipped("assets/data/measured.json")
"""Written by `make -C lab measured`."""


def measured_part(name: str) -> Any:
    """A part of it, as plain values."""
    return _measured()[name]


@cache
def _measured() -> Any:
    return json.loads(MEASURED.read_text(encoding="utf-8"))
