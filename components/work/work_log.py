"""Metrics and log lines of the work in threads: name, outcome, duration; no data of visitors."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import CollectorRegistry, Histogram

from dppa_core.errors import Cancelled, DppaError

COMPLETED, STOPPED, REFUSED, FAILED = "done", "stopped", "refused", "failed"
_SECONDS = (0.1, 0.3, 1, 3, 10, 30, 100, 300)

_log = logging.getLogger("dppa.work")


class WorkMetrics:
    """Metrics of one page, in their own registry. Thread-safe."""

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
        """Record the work of a block; its errors are passed on. A foreseen error is an answer to
        the visitor (`refused`), any other a bug (`failed`)."""
        begun, outcome = time.perf_counter(), FAILED
        try:
            yield
            outcome = COMPLETED
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
