"""Computes blocks of lessons in threads: equal requests share one computation.

Thirty people who open one lesson cost as much as one.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

from dppa_core.errors import OutOfBudget
from dppa_core.progress import Stop
from dppa_core.system.recent import Recent

PATIENCE_SECONDS = 0.3
"""Time to wait for a result before the page has to ask again."""
ABANDONED_SECONDS = 20.0
"""Time without a request after which work is stopped."""
MAX_WAITING_REQUESTS = 4
"""Each waiting request holds a thread that other handlers need; further ones do not wait."""
MAX_UNFINISHED = 24
"""Computations that run or wait for a thread."""
MAX_RESULTS = 128

Make = Callable[["BlockWork"], Any]


@dataclass(slots=True)
class BlockWork(AbstractContextManager[object]):
    """One computation, with its requests. It is its own `Stop`, and keeps its error."""

    ending: Stop
    """Stop of the whole process."""
    make: Make
    party: str = ""
    """The party of the first request."""
    future: Future[Any] = field(default_factory=Future)
    """The result."""
    requested: float = field(default_factory=time.monotonic)
    """Time of the last request, in seconds."""
    standing: tuple[int, int, str] = (0, 0, "Waiting for its turn")
    partial: Any = None
    """The partial result that the page can draw."""

    def is_set(self) -> bool:
        """Return True if there was no request for a while, or the process ends."""
        return self.ending.is_set() or time.monotonic() - self.requested > ABANDONED_SECONDS

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Store any error; it is raised where the result is requested."""
        if error is not None:
            self.future.set_exception(error)
        return True

    def progress(self, count: int, total: int, item: str) -> None:
        """Set the progress."""
        self.standing = (count, total, item)

    def show(self, value: Any) -> None:
        """Set the partial result."""
        self.partial = value


class BlockQueue:
    """Runs computations and caches their results; equal ones run once. One party never has all
    threads, so that a request does not wait for all earlier ones of another party."""

    def __init__(self, ending: Stop, workers: int = 2) -> None:
        self._ending = ending
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="learn")
        self._threads_per_party = max(1, workers - 1)
        self._waiting = threading.Semaphore(MAX_WAITING_REQUESTS)
        self._results, self._running = Recent(MAX_RESULTS), dict[Hashable, BlockWork]()
        self._lock = threading.Lock()

    def ask(
        self, key: Hashable, make: Make, patience: float = PATIENCE_SECONDS, *, party: str = ""
    ) -> dict[str, Any]:
        """The result of `make` as {"value"}, or its progress; then ask again.

        The progress is {"pending": [count, total, step], "shown": partial result}. Equal keys share
        one computation. Waits up to `patience` seconds; one `party` may have half of the unfinished
        computations. Raises OutOfBudget if there are too many. A failed computation raises its
        error once; the next request starts it again.
        """
        value = self._results.find(key)
        if value is not None:
            return {"value": value}
        work = self._begin(key, make, party)
        if not self._wait(work, patience):
            return {"pending": list(work.standing), "shown": work.partial}
        self._forget(key, work)
        return {"value": self._results.keep(key, work.future.result())}

    def _begin(self, key: Hashable, make: Make, party: str) -> BlockWork:
        with self._lock:
            work = self._running.get(key)
            if work is None:
                self._sweep()
                of_party = [unfinished.party for unfinished in self._running.values()].count(party)
                full = len(self._running) >= MAX_UNFINISHED
                if full or (party and of_party >= MAX_UNFINISHED // 2):
                    raise OutOfBudget(
                        "Too many lessons compute at the same time. Try again in a minute."
                    )
                work = self._running[key] = BlockWork(self._ending, make, party)
                self._pool.submit(self._run)
            work.requested = time.monotonic()
            return work

    def _wait(self, work: BlockWork, patience: float) -> bool:
        """Wait for work, if few requests do; return True if it has ended."""
        if not self._waiting.acquire(blocking=False):
            return work.future.done()
        try:
            return bool(wait([work.future], timeout=patience).done)
        finally:
            self._waiting.release()

    def _run(self) -> None:
        """Run the next work, and then further ones; in a thread of the pool."""
        while (work := self._next()) is not None:
            with work:
                work.future.set_result(work.make(work))

    def _next(self) -> BlockWork | None:
        """The oldest waiting work of a party below its limit of threads."""
        with self._lock:
            works = self._running.values()
            threads = Counter(work.party for work in works if work.future.running())
            for work in works:
                free = not work.party or threads[work.party] < self._threads_per_party
                if free and not work.future.running() and not work.future.done():
                    work.future.set_running_or_notify_cancel()
                    return work
        return None

    def _sweep(self) -> None:
        """Remove work that is no longer requested, with its results."""
        for key, work in list(self._running.items()):
            if work.is_set():
                work.future.cancel()
                if work.future.done():
                    del self._running[key]

    def _forget(self, key: Hashable, work: BlockWork) -> None:
        with self._lock:
            if self._running.get(key) is work:
                del self._running[key]
