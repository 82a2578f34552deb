"""Jobs: work in a thread that emits events while it runs and can be stopped."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from contextvars import ContextVar, copy_context
from typing import Any

from dppa_core.errors import Cancelled, OutOfBudget
from dppa_core.progress import Stop

Event = tuple[Any, ...]
Emit = Callable[[Event], None]
Work = Callable[[Emit, Stop], None]


class EventJobs:
    """The jobs started by one event of the queue. Thread-safe."""

    def __init__(self) -> None:
        self._jobs: list[Job] = []
        self._stopped = False
        self._lock = threading.Lock()

    def add(self, job: Job) -> None:
        """Add a job; it is stopped at once if the event has ended."""
        with self._lock:
            self._jobs = [job for job in self._jobs if not job.over] + [job]
            stopped = self._stopped
        if stopped:
            job.stop.set()

    def stop(self) -> None:
        """Stop all jobs, including future ones."""
        with self._lock:
            self._stopped, jobs = True, self._jobs
        for job in jobs:
            job.stop.set()

    @property
    def running(self) -> bool:
        """True until every job has ended, stopped or not."""
        return any(not job.over for job in self._jobs)


jobs_of_event: ContextVar[EventJobs | None] = ContextVar("jobs_of_event", default=None)
"""Jobs of the event that the current task or thread handles; None outside of the queue."""


class Bounded:
    """A stop that sets itself after a time limit."""

    def __init__(self, stop: Stop, seconds: float) -> None:
        self._stop, self._until = stop, time.monotonic() + seconds

    @property
    def overran(self) -> bool:
        """True if the time limit ended the work."""
        return time.monotonic() >= self._until and not self._stop.is_set()

    def is_set(self) -> bool:
        """Return True once the work should end."""
        return self._stop.is_set() or time.monotonic() >= self._until


class Job:
    """Work in a thread that emits events while it runs."""

    def __init__(
        self,
        executor: ThreadPoolExecutor,
        work: Work,
        record: AbstractContextManager[None],
        seconds: float = math.inf,
    ) -> None:
        """Start the work; after `seconds` it is stopped."""
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._ended = threading.Event()
        self.stop = threading.Event()
        self._seconds, self._until, self._late = seconds, math.inf, False

        def recorded() -> None:
            self._until = time.monotonic() + seconds
            if (stopped := self._work(work, record)) is not None:
                raise stopped

        # In the context of its event: a Space assigns the GPU to that visitor.
        self._future: Future[None] = executor.submit(copy_context().run, recorded)
        self._future.add_done_callback(self._wake)

    def _work(self, work: Work, record: AbstractContextManager[None]) -> Cancelled | None:
        """Run the work; returns its Cancelled without the frames that hold a model's caches."""
        try:
            with record:
                work(self._events.put, self.stop)
        except Cancelled as error:
            error.__context__ = error.__cause__ = None
            return error.with_traceback(None)
        return None

    def batches(self, every: float = 0.1) -> Iterator[list[Event]]:
        """Yield new events, about every `every` seconds, until the work has ended. The end is
        reported without delay, because others wait for it. Closing the iterator stops the work."""
        try:
            while not self._ended.is_set():
                if time.monotonic() > self._until and not self.stop.is_set():
                    self._late = True
                    self.stop.set()
                pause = time.monotonic() + every
                batch = self._wait(every)
                if batch:
                    self._ended.wait(max(0.0, pause - time.monotonic()))
                yield batch + self._drain()
            yield self._drain()
        finally:
            self.stop.set()

    def to_its_end(self, every: float = 0.1) -> Iterator[list[Event]]:
        """As `batches`, then raise the work's error, if any."""
        yield from self.batches(every)
        if self.error is not None:
            raise self.error

    @property
    def over(self) -> bool:
        """True once the work has ended, or if it never starts."""
        return self._future.done()

    def when_over(self, call: Callable[[object], None]) -> None:
        """Call something once the work has ended."""
        self._future.add_done_callback(call)

    @property
    def error(self) -> BaseException | None:
        """The work's error, once it has ended; OutOfBudget if it took too long."""
        error = self._future.exception() if self._future.done() else None
        if self._late and isinstance(error, Cancelled):
            return OutOfBudget(
                f"This takes longer than the {self._seconds:.0f} s that one piece of work may take "
                "on this page, and was stopped. Ask for less, or use your own copy."
            )
        return error

    def _wake(self, _future: Future[None]) -> None:
        self._ended.set()
        self._events.put(None)  # wakes `_wait`

    def _wait(self, seconds: float) -> list[Event]:
        try:
            event = self._events.get(timeout=seconds)
        except queue.Empty:
            return []
        return [] if event is None else [event]

    def _drain(self) -> list[Event]:
        batch = []
        while not self._events.empty():
            event = self._events.get()
            if event is not None:
                batch.append(event)
        return batch
