"""Background work gives way to answers that people wait for."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from dppa_core.progress import Stop

AT_ONCE = 0.2
"""Most seconds that background work waits at one of its checks."""
FACTOR = 3.0
"""It waits at most this many times as long as it has worked since: a quarter is left to it."""


class AnswersInProgress:
    """Counts answers in progress that people wait for. Thread-safe."""

    def __init__(self) -> None:
        self._waiting, self._changed = 0, threading.Condition()

    @property
    def waiting(self) -> int:
        """Answers in progress."""
        return self._waiting

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count one more during a block."""
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def _add(self, number: int) -> None:
        with self._changed:
            self._waiting += number
            self._changed.notify_all()

    def nobody_waits(self, seconds: float) -> None:
        """Return once nobody waits, or after some seconds."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting, seconds)


class PausingStop:
    """A request to stop that pauses work at its checks while people wait, all threads together."""

    def __init__(self, answers: AnswersInProgress, stop: Stop) -> None:
        self._answers, self._stop, self._since = answers, stop, time.monotonic()
        self._pausing = threading.Lock()

    def is_set(self) -> bool:
        """As of the wrapped request, after the pause."""
        with self._pausing:
            if self._answers.waiting and not self._stop.is_set():
                worked = time.monotonic() - self._since
                self._answers.nobody_waits(min(AT_ONCE, FACTOR * worked))
                self._since = time.monotonic()
        return self._stop.is_set()
