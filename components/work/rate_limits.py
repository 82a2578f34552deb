"""Rate limits of visitors: tokens an hour, and requests a second.

Each tab has a limit, and each party a few times as much: a browser can invent any number of tabs.
"""

from __future__ import annotations

import time

from dppa_core.errors import OutOfBudget
from dppa_core.system.recent import Recent

from .visitor import Visitor

OF_A_PARTY = 4
"""Limit of a party as a multiple of a tab's: a class may share one address."""
TOKENS_PER_HOUR = 30_000
"""Tokens of answers for one tab of a public page, on the page and by endpoints together."""

SLIDER_REQUESTS = (300, 60)
"""Requests of one tab of a public page: in a row, then a second. A dragged slider sends 20."""
PINNED_ANSWERS = (400, 2)
"""Pinned answers that are written for one tab of a public page: in a row, then a second."""
NEW_SESSIONS = (20, 3)
"""New sessions of one tab, or of all calls without a session: in a row, then a second."""


class Allowance:
    """Limits the tokens of answers for one visitor in a sliding hour."""

    def __init__(self, tokens: int, seconds: float = 3600.0) -> None:
        self._tokens, self._seconds = tokens, seconds
        self._spent = Recent(1000)

    def spend(self, visitor: Visitor, tokens: int) -> None:
        """Subtract tokens from the allowance of a visitor's tab and party; OutOfBudget if too few
        are left."""
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
        return tuple(entry for entry in self._spent.find(name) or () if entry[0] > begin)


class Bucket:
    """A token bucket: limits a visitor's requests to a burst, and then to a rate per second."""

    def __init__(self, most: float, a_second: float) -> None:
        self._most, self._a_second = most, a_second
        self._left = Recent(1000)

    def take(self, visitor: Visitor) -> bool:
        """Take one token for a visitor's tab and party; False if either bucket is empty."""
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
