"""Numbers as words: differences, lists, shares."""

from __future__ import annotations

from collections.abc import Mapping

from dppa_core.evaluation.side_by_side import Comparison
from dppa_core.evaluation.tables import listed, signed_text
from dppa_core.tasks.intervals import Interval


def pruned(rate: float) -> str:
    """A pruning rate in per cent, with all its digits."""
    return f"{100 * rate:g} %"


def gap(found: Interval) -> str:
    """A difference of shares in points, with its interval."""
    return signed_text(found.value, found.ends, " points")


def seen(found: Comparison | Interval) -> bool:
    """Whether a difference is significant: the interval excludes 0, and the sign test agrees."""
    if isinstance(found, Comparison):
        return found.seen
    return not found.low <= 0 <= found.high


def flipped(found: Interval) -> Interval:
    """The difference with its sign reversed."""
    return Interval(-found.value, -found.high, -found.low)


def told(found: Comparison | Interval) -> str:
    """A difference in words; says if it is not significant."""
    interval = found.difference if isinstance(found, Comparison) else found
    return gap(interval) if seen(found) else f"no difference seen, {gap(interval)}"


def verdict(found: Comparison | Interval) -> int:
    """1: the first is better; -1: it is worse; 0: no significant difference."""
    interval = found.difference if isinstance(found, Comparison) else found
    return 0 if not seen(found) else 1 if interval.value > 0 else -1


def verdict_texts(
    words: Mapping[int, str], found: Mapping[str, Comparison | Interval]
) -> list[str]:
    """The words of each verdict that occurs, in order; `{}` stands for its names."""
    names = {which: [name for name in found if verdict(found[name]) == which] for which in words}
    return [word.format(listed(names[which])) for which, word in words.items() if names[which]]


def number(value: float) -> str:
    """Three significant digits."""
    return f"{value:.3g}"


def lasting(seconds: float) -> str:
    """A time in minutes from 90 seconds on, in seconds below."""
    return f"{seconds / 60:.1f} minutes" if seconds >= 90 else f"{seconds:.0f} s"


SWITCHED_OFF = (
    "A band begins switched off, with factor 0, and stays so where no factor from 1 on makes the "
    "score better: then more is pruned than the row says."
)
"""Note below tables of factors: the meaning of a factor of 0."""
