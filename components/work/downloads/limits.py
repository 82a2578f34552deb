"""How many files, and how many bytes of them, visitors may have made for them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from components.work.rate_limits import OF_A_PARTY
from components.work.visitor import Visitor
from dppa_core.errors import OutOfBudget
from dppa_core.merging.preflight.facts import in_bytes

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """What visitors may have made for them; a party has `OF_A_PARTY` times as much as a tab."""

    files: int
    """Of one tab at a time; the oldest makes room."""
    total: int
    """Bytes of all files of all visitors, and of what is being made."""
    hourly: int
    """Bytes made for one tab in an hour."""
    hourly_total: int
    """Bytes made for all visitors in an hour."""
    seconds: float
    """How long a file stays."""
    downloads: int
    """How often one file can be fetched."""


PUBLIC = Limits(
    files=3,
    total=1_000_000_000,
    hourly=200_000_000,
    hourly_total=5_000_000_000,
    seconds=1800.0,
    downloads=5,
)
OWN = Limits(
    files=20,
    total=200_000_000_000,
    hourly=10**15,
    hourly_total=10**15,
    seconds=6 * HOUR,
    downloads=1000,
)


class MadeInAnHour:
    """When how much was made for whom, over the last hour."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entries: list[tuple[float, Visitor, int]] = []

    def add(self, visitor: Visitor, nbytes: int) -> None:
        """Note that so much is made."""
        self._entries.append((time.monotonic(), visitor, nbytes))

    def check(self, visitor: Visitor, nbytes: int) -> None:
        """Refuse what is too much in an hour for a tab, its party, or all visitors.

        Raises:
            OutOfBudget: it is.
        """
        limits = self._limits
        for name, most in (
            (visitor.tab, limits.hourly),
            (visitor.party, OF_A_PARTY * limits.hourly),
            (None, limits.hourly_total),
        ):
            if self._bytes_of(name) + nbytes > most:
                whose = "a visitor" if name else "all visitors together"
                raise OutOfBudget(
                    f"This page makes up to {in_bytes(most)} of files an hour for {whose}, and "
                    f"{in_bytes(nbytes)} more are too much. Wait a while, or use your own copy."
                )

    def _bytes_of(self, name: str | None) -> int:
        self._entries = [one for one in self._entries if one[0] > time.monotonic() - HOUR]
        return sum(size for _, who, size in self._entries if name in (None, who.tab, who.party))
