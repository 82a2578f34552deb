"""Levels as people write them: pruning rates in percent, as text.

Knows no gradio; what levels amount to is session.py's.
"""

from __future__ import annotations

from itertools import pairwise

from components.session.session import HIGHEST_RATE, MOST_PARTITIONS
from dppa_core.errors import InvalidValue
from dppa_core.pruning.partition import check_levels

ALLOWED_LEVELS = (
    f"Write 1 to {MOST_PARTITIONS} pruning rates in percent, falling, each below 100 and the last "
    "at most 99: 95, 80."
)


def shares_from_text(text: object) -> tuple[float, tuple[float, ...]]:
    """Read levels as people write them: "95, 80" -> (0.8, (0.25,)).

    Returns:
        The overall rate, and where the inner bands end as shares of what is kept.

    Raises:
        InvalidValue: no numbers, too many, out of range, or not falling.
    """
    words = str(text).replace("%", " ").replace(";", " ").replace(",", " ").split()
    try:
        percents = [float(word) for word in words]
    except ValueError:
        raise InvalidValue(f"{text!r} holds more than numbers. {ALLOWED_LEVELS}") from None
    if not 1 <= len(percents) <= MOST_PARTITIONS:
        raise InvalidValue(f"These are {len(percents)} levels. {ALLOWED_LEVELS}")
    for percent in percents:
        if not 0 <= percent < 100:  # false for nan too
            raise InvalidValue(f"{percent:g} is no pruning rate in percent. {ALLOWED_LEVELS}")
    if 0 < max(percents) < 1:
        raise InvalidValue(
            f"{text!r} are shares, as recipes have them; here the levels are per cent. "
            f"{ALLOWED_LEVELS}"
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
