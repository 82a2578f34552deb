"""How much one visitor may still ask for.

Knows visitors as words and amounts as numbers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from components.studio import Recent
from dppa_core.errors import OutOfBudget


class Allowance:
    """How many tokens one visitor may still be answered with, in a sliding hour."""

    def __init__(self, tokens: int, seconds: float = 3600.0) -> None:
        self._tokens, self._seconds = tokens, seconds
        self._spent = Recent(1000)

    def spend(self, visitor: str, tokens: int) -> None:
        """Take tokens off a visitor's allowance.

        Raises:
            OutOfBudget: more than is left this hour.
        """
        now = time.monotonic()
        past = [item for item in self._spent.find(visitor) or () if item[0] > now - self._seconds]
        if sum(count for _, count in past) + tokens > self._tokens:
            raise OutOfBudget(
                f"This page answers up to {self._tokens:,} tokens an hour per visitor, and yours "
                "are used up. Ask fewer models at once, choose shorter answers, or wait a while."
            )
        self._spent.keep(visitor, (*past, (now, tokens)))


class Bucket:
    """How often one visitor may ask: so many times at once, and then so many a second."""

    def __init__(self, most: float, a_second: float) -> None:
        self._most, self._a_second = most, a_second
        self._left = Recent(1000)

    def take(self, visitor: str) -> bool:
        """Take one out of a visitor's; False where it is empty."""
        now = time.monotonic()
        left, since = self._left.find(visitor) or (self._most, now)
        left = min(self._most, left + (now - since) * self._a_second)
        if left < 1:
            return False
        self._left.keep(visitor, (left - 1, now))
        return True


LONGEST_ADDRESS = 200
"""Characters of it that tell callers apart."""


def visitor_of(headers: Mapping[str, str], session: str | None) -> str:
    """Who asks: one open tab; of agents, who share one session of Gradio's, from which address.

    A public page stands behind a proxy that adds it: nobody can write all of another one's.
    """
    if headers.get("x-gradio-user") == "mcp":
        return f"mcp {headers.get('x-forwarded-for', '')[:LONGEST_ADDRESS]}"
    return f"tab {session}"
