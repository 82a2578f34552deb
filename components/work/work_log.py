"""What this process has done: each piece of work by name, how it ended, how long it took.

Knows names and times, nothing of what was asked and nothing of who asked. `health.py` shows
the counts, the log gets a line each.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Histogram

from dppa_core.errors import Cancelled, DppaError

SECONDS = {"score": 300.0, "search": 900.0, "export": 180.0, "push": 900.0}
"""How long a piece of work may take on a page for strangers, by its name. What a score or a search
has found by then is remembered: whoever starts it again goes on from there."""
SECONDS_ELSE = 120.0
WITHOUT_MODELS = ("sparsity", "conflict", "drill", "fetch")
"""Work that imports nothing of torch. All other waits until one thread has imported it: two that do
at a time may see halves of it."""
DONE, STOPPED, REFUSED, FAILED = "done", "stopped", "refused", "failed"
_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300)

_log = logging.getLogger("dppa.work")


class WorkMetrics:
    """Counts of one page, in a registry of their own. Safe for several threads."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._worked = Histogram(
            "dppa_work_seconds",
            "Time that work in threads took, by what it was and how it ended.",
            ("work", "outcome"),
            buckets=_SECONDS,
            registry=self.registry,
        )

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Record the work of a block; what it raises goes on.

        A foreseen error is an answer to the visitor (`refused`), any other a bug (`failed`).
        """
        begun, outcome = time.perf_counter(), FAILED
        try:
            yield
            outcome = DONE
        except Cancelled:
            outcome = STOPPED
            raise
        except DppaError:
            outcome = REFUSED
            raise
        finally:
            seconds = time.perf_counter() - begun
            self._worked.labels(name, outcome).observe(seconds)
            _log.info(
                "%s %s", name, outcome, extra={"outcome": outcome, "seconds": round(seconds, 3)}
            )
