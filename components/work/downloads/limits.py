"""Limits on the number and the bytes of files made for visitors."""

from __future__ import annotations

import time
from dataclasses import dataclass

from dppa_core.errors import OutOfBudget
from dppa_core.preflight_checks.facts import in_bytes

from ..rate_limits import OF_A_PARTY
from ..visitor import Visitor

HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of exported files; a party has `OF_A_PARTY` times as much as a tab."""

    files: int
    """Files of one tab at a time; the oldest is replaced."""
    total: int
    """Bytes of all files of all visitors, including those being made."""
    hourly: int
    """Bytes made for one tab in an hour."""
    hourly_total: int
    """Bytes made for all visitors in an hour."""
    seconds: float
    """Lifetime of a file."""
    downloads: int
    """Downloads of one file."""


PUBLIC = Limits(
    files=3,
    total=1_000_000_000,
    hourly=200_000_000,
    hourly_total=5_000_000_000,
    seconds=1800.0,
    downloads=5,
)
LOCAL = Limits(
    files=20,
    total=200_000_000_000,
    hourly=10**15,
    hourly_total=10**15,
    seconds=6 * HOUR,
    downloads=1000,
)


class MadeInAnHour:
    """The bytes made for each visitor in the last hour."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._entries: list[tuple[float, Visitor, int]] = []

    def add(self, visitor: Visitor, nbytes: int) -> None:
        """Record that so many bytes are made for a visitor."""
        self._entries.append((time.monotonic(), visitor, nbytes))

    def check(self, visitor: Visitor, nbytes: int) -> None:
        """Raise OutOfBudget for bytes beyond the hourly limit of a tab, its party, or all
        visitors."""
        limits = self._limits
        for name, most in (
            (visitor.tab, limits.hourly),
            (visitor.party, OF_A_PARTY * limits.hourly),
            (None, limits.hourly_total),
        ):
            if self._bytes_of(name) + nbytes > most:
                party = "a visitor" if name else "all visitors together"
                raise OutOfBudget(
                    f"This page makes up to {in_bytes(most)} of files an hour for {party}, and "
                    f"{in_bytes(nbytes)} more are too much. Wait a while, or use your own copy."
                )

    def _bytes_of(self, name: str | None) -> int:
        self._entries = [entry for entry in self._entries if entry[0] > time.monotonic() - HOUR]
        return sum(size for _, who, size in self._entries if name in (None, who.tab, who.party))
