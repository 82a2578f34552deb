"""Sizes in bytes as people write them, and the memory that models may take."""

from __future__ import annotations

import os
import re
from decimal import Decimal

from dppa_core.errors import InvalidValue
from dppa_core.system.machine import available_memory

MEMORY_VARIABLE = "DPPA_MEMORY"
"""Environment variable of `memory_budget`."""
_ASSUMED_FREE_BYTES = 4 * 10**9
"""Free memory assumed where the system does not say."""
_MIN_BYTES_WITHOUT_UNIT = 10**6
"""Bytes that a budget without a unit must have."""
_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([KMGT]?B|)", re.IGNORECASE | re.ASCII)


def parse_size(text: str, name: str = "A shard size") -> int:
    """Bytes of a size such as "5GB", "500 MB", "1.5GB", "123456".

    Args:
        name: Its name in the error.

    Raises:
        InvalidValue: anything else, or less than a byte.
    """
    match = _SIZE.fullmatch(text.strip())
    size = Decimal(match[1]) * _UNITS[match[2].upper()] if match else Decimal(0)
    if size < 1 or size % 1:
        raise InvalidValue(
            f"{name} must be like 5GB, 500MB, 1.5GB or a number of bytes (units KB, MB, GB, "
            f"TB, powers of 1000), got {text!r}."
        )
    return int(size)


def memory_budget() -> int:
    """Most bytes of models in memory: `DPPA_MEMORY`, or half of what is free now.

    Raises:
        InvalidValue: the variable is set to no size.
    """
    text = os.environ.get(MEMORY_VARIABLE, "")
    if text:
        return _budget(text, MEMORY_VARIABLE)
    return (available_memory() or _ASSUMED_FREE_BYTES) // 2


def use_budget(text: str | None) -> None:
    """Make this size the budget of this process and of those it starts; None changes nothing.

    Raises:
        InvalidValue: it is no size.
    """
    if text is not None:
        os.environ[MEMORY_VARIABLE] = f"{_budget(text, '--memory')}B"


def _budget(text: str, name: str) -> int:
    size = parse_size(text, name)
    if size < _MIN_BYTES_WITHOUT_UNIT and text.strip().isdigit():
        raise InvalidValue(
            f"{name} {text.strip()} is {size} bytes, which hold no model. A missing unit is the "
            f"usual cause: write {size}GB."
        )
    return size
