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

PATIENCE = 0.3
"""Seconds to wait for an answer before the page is told to ask again."""
ABANDONED = 20.0
"""Seconds without a request after which work is stopped."""
PATIENT = 4
"""Most requests that wait at a time, since each holds a thread that other handlers need. Others are
told at once to ask again."""
MOST_WAITING = 24
KEPT = 128

Tell = Callable[[int, int, str], None]
Make = Callable[[Tell, "BlockWork"], Any]


@dataclass(slots=True)
class BlockWork(AbstractContextManager[object]):
    """One computation, with its requests. It serves as its own `Stop`, and keeps its error."""

    ending: Stop
    """Stop of the whole process."""
    make: Make
    party: str = ""
    """The party that asked first."""
    future: Future[Any] = field(default_factory=Future)
    """The result."""
    wanted: float = field(default_factory=time.monotonic)
    standing: tuple[int, int, str] = (0, 0, "Waiting for its turn")
    shown: Any = None
    """The partial result that the page can draw."""

    def is_set(self) -> bool:
        """Whether there was no request for a while, or the process ends."""
        return self.ending.is_set() or time.monotonic() - self.wanted > ABANDONED

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        """Store any error; it is raised where the result is requested."""
        if error is not None:
            self.future.set_exception(error)
        return True

    def tell(self, done: int, total: int, what: str) -> None:
        """Set the progress."""
        self.standing = (done, total, what)

    def show(self, value: Any) -> None:
        """Set the partial result."""
        self.shown = value


class BlockQueue:
    """Runs computations, caches their results, and never runs equal ones at the same time. One
    party never has all threads: a request does not wait for all earlier ones of another party."""

    def __init__(self, ending: Stop, workers: int = 2) -> None:
        self._ending = ending
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="learn")
        self._of_a_party = max(1, workers - 1)
        self._patient = threading.Semaphore(PATIENT)
        self._results, self._running = Recent(KEPT), dict[Hashable, BlockWork]()
        self._lock = threading.Lock()

    def ask(
        self, key: Hashable, make: Make, patience: float = PATIENCE, *, party: str = ""
    ) -> dict[str, Any]:
        """The result of `make` as {"value"}, or its progress; then ask again.

        The progress is {"pending": [done, total, what], "shown": partial result}. Equal keys share
        one computation. Waits up to `patience` seconds; one `party` may have half of the waiting
        computations. Raises OutOfBudget if too many wait. A failed computation raises its error
        once; the next request starts it again.
        """
        found = self._results.find(key)
        if found is not None:
            return {"value": found}
        work = self._begin(key, make, party)
        if not self._is_done(work, patience):
            return {"pending": list(work.standing), "shown": work.shown}
        self._forget(key, work)
        return {"value": self._results.keep(key, work.future.result())}

    def _begin(self, key: Hashable, make: Make, party: str) -> BlockWork:
        with self._lock:
            work = self._running.get(key)
            if work is None:
                self._sweep()
                own = sum(one.party == party for one in self._running.values())
                full = len(self._running) >= MOST_WAITING
                if full or (party and own >= MOST_WAITING // 2):
                    raise OutOfBudget(
                        "Too many lessons compute at the same time. Try again in a minute."
                    )
                work = self._running[key] = BlockWork(self._ending, make, party)
                self._pool.submit(self._run)
            work.wanted = time.monotonic()
            return work

    def _is_done(self, work: BlockWork, patience: float) -> bool:
        """Whether work has ended, or does so soon."""
        if not self._patient.acquire(blocking=False):
            return work.future.done()
        try:
            return bool(wait([work.future], timeout=patience).done)
        finally:
            self._patient.release()

    def _run(self) -> None:
        """Run the next work, and then further ones; in a thread of the pool."""
        while (work := self._next()) is not None:
            with work:
                work.future.set_result(work.make(work.tell, work))

    def _next(self) -> BlockWork | None:
        """The oldest waiting work of a party below its limit of threads."""
        with self._lock:
            works = self._running.values()
            busy = Counter(one.party for one in works if one.future.running())
            for work in works:
                free = not work.party or busy[work.party] < self._of_a_party
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
