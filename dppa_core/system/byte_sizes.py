"""Sizes in bytes as people write them, and the memory that models may take."""

from __future__ import annotations

import os
import re
from decimal import Decimal

from dppa_core.errors import InvalidValue
from dppa_core.system.machine import available_memory

MEMORY = "DPPA_MEMORY"
"""Environment variable of `memory_budget`."""
_UNKNOWN = 4 * 10**9
"""Free memory assumed where the system does not say."""
_LEAST = 10**6
"""Bytes that a budget without a unit must have."""
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?B|)", re.IGNORECASE | re.ASCII)


def parse_size(text: str, what: str = "A shard size") -> int:
    """Bytes of a size such as "5GB", "500 MB", "1.5GB", "123456".

    Args:
        what: Its name in the error.

    Raises:
        InvalidValue: anything else, or less than a byte.
    """
    match = _SIZE.fullmatch(text.strip())
    size = Decimal(match[1]) * _UNITS[match[2].upper()] if match else Decimal(0)
    if size < 1 or size % 1:
        raise InvalidValue(
            f"{what} must be like 5GB, 500MB, 1.5GB or a number of bytes (units KB, MB, GB, "
            f"TB, powers of 1000), got {text!r}."
        )
    return int(size)


def memory_budget() -> int:
    """Most bytes of models in memory: `DPPA_MEMORY`, or half of what is free now.

    Raises:
        InvalidValue: the variable is set to no size.
    """
    chosen = os.environ.get(MEMORY, "")
    return _budget(chosen, MEMORY) if chosen else (available_memory() or _UNKNOWN) // 2


def use_budget(text: str | None) -> None:
    """Make this size the budget of this process and of those it starts; None changes nothing.

    Raises:
        InvalidValue: it is no size.
    """
    if text is not None:
        os.environ[MEMORY] = f"{_budget(text, '--memory')}B"


def _budget(text: str, what: str) -> int:
    size = parse_size(text, what)
    if size < _LEAST and text.strip().isdigit():
        raise InvalidValue(
            f"{what} {text.strip()} is {size} bytes, which hold no model. A missing unit is the "
            f"usual cause: write {size}GB."
        )
    return size
