"""How much one visitor may still ask for: tokens an hour, and questions a second.

Each tab has a limit, and each party a few times as much: a browser can make up tabs without end.
"""

from __future__ import annotations

import time

from components.work.visitor import Visitor
from dppa_core.errors import OutOfBudget
from dppa_core.system.recent import Recent

OF_A_PARTY = 4
"""Times as much as one tab has, for all tabs of a party: a class behind one address has some."""


TOKENS_PER_HOUR = 30_000
"""That a stranger's tab is answered with, on the page and by named endpoints together."""


class Allowance:
    """How many tokens one visitor may still be answered with, in a sliding hour."""

    def __init__(self, tokens: int, seconds: float = 3600.0) -> None:
        self._tokens, self._seconds = tokens, seconds
        self._spent = Recent(1000)

    def spend(self, visitor: Visitor, tokens: int) -> None:
        """Take tokens off the allowance of a visitor's tab and party.

        Raises:
            OutOfBudget: more than is left this hour.
        """
        now = time.monotonic()
        limits = {visitor.party: OF_A_PARTY * self._tokens, visitor.tab: self._tokens}
        past = {name: self._since(name, now - self._seconds) for name in limits}
        if any(sum(n for _, n in past[name]) + tokens > limits[name] for name in limits):
            raise OutOfBudget(
                f"This page answers up to {self._tokens:,} tokens an hour per visitor, and yours "
                "are used up. Ask fewer models at once, choose shorter answers, or wait a while."
            )
        for name, spent in past.items():
            self._spent.keep(name, (*spent, (now, tokens)))

    def _since(self, name: str, begin: float) -> tuple[tuple[float, int], ...]:
        return tuple(one for one in self._spent.find(name) or () if one[0] > begin)


class Bucket:
    """How often one visitor may ask: so many times at once, and then so many a second."""

    def __init__(self, most: float, a_second: float) -> None:
        self._most, self._a_second = most, a_second
        self._left = Recent(1000)

    def take(self, visitor: Visitor) -> bool:
        """Take one out of the buckets of a visitor's tab and party; False where one is empty."""
        now = time.monotonic()
        factors = {visitor.party: OF_A_PARTY, visitor.tab: 1}
        left = {name: self._filled(name, factor, now) for name, factor in factors.items()}
        if min(left.values()) < 1:
            return False
        for name, amount in left.items():
            self._left.keep(name, (amount - 1, now))
        return True

    def _filled(self, name: str, factor: int, now: float) -> float:
        left, since = self._left.find(name) or (factor * self._most, now)
        return min(factor * self._most, left + (now - since) * factor * self._a_second)
