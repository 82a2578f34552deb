"""Work in a thread of its own: hands over what happens while it runs, can be stopped, has an end.

Knows threads and time, not what is worked on.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import copy_context
from typing import Any

from dppa_core.errors import Cancelled, OutOfBudget

Event = tuple[Any, ...]
Emit = Callable[[Event], None]
Work = Callable[[Emit, threading.Event], None]


class Job:
    """Work in a thread of its own that hands events over while it runs."""

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        work: Work,
        record: AbstractContextManager[None],
        seconds: float = math.inf,
    ) -> None:
        """
        Args:
            seconds: How long the work may take, from when it begins; then it is stopped.
        """
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self.stop = threading.Event()
        self._seconds, self._until, self._late = seconds, math.inf, False

        def recorded() -> None:
            self._until = time.monotonic() + seconds
            with record:
                work(self._events.put, self.stop)

        # In the context of its event: a Space lends a GPU to the visitor who asked.
        self._future: Future[None] = executor.submit(copy_context().run, recorded)
        self._future.add_done_callback(self._wake)

    def batches(self, every: float = 0.1) -> Iterator[list[Event]]:
        """Yield what has arrived, about every `every` seconds, until the work has ended.

        The end is told at once: others wait for it. Closing the iterator stops the work: an
        abandoned page costs nothing.
        """
        try:
            while not self._ended.is_set():
                self._look_at_the_clock()
                pause = time.monotonic() + every
                batch = self._wait(every)
                if batch:
                    self._ended.wait(max(0.0, pause - time.monotonic()))
                yield batch + self._drain()
            yield self._drain()
        finally:
            self.stop.set()

    @property
    def error(self) -> BaseException | None:
        """What the work raised, once it has ended; OutOfBudget where it took too long."""
        found = self._future.exception() if self._future.done() else None
        if self._late and isinstance(found, Cancelled):
            return OutOfBudget(
                f"This takes longer than the {self._seconds:.0f} s that one piece of work may take "
                "on this page, and was stopped. Ask for less, or use your own copy."
            )
        return found

    def _look_at_the_clock(self) -> None:
        if time.monotonic() > self._until and not self.stop.is_set():
            self._late = True
            self.stop.set()

    def _wake(self, _future: Future[None]) -> None:
        self._ended.set()
        self._events.put(None)  # for who waits for an event

    def _wait(self, seconds: float) -> list[Event]:
        try:
            found = self._events.get(timeout=seconds)
        except queue.Empty:
            return []
        return [] if found is None else [found]

    def _drain(self) -> list[Event]:
        batch = []
        while not self._events.empty():
            found = self._events.get()
            if found is not None:
                batch.append(found)
        return batch
