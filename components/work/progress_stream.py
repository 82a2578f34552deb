"""Long-running work, and a growing answer, as a stream of values for the browser: progress, then
the result. assets/js/session/runs.js draws the work."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dppa_core.answering.answerer import ReplyEvent
from dppa_core.errors import Cancelled
from dppa_core.models.reply import ReplyToken
from dppa_core.progress import Progress, Stop

from .error_notices import message
from .kinds import Kind
from .studio import Emit, Job, Studio

Changes = dict[str, Any]
"""New values of an answer's fields; see `ModelAnswer`."""
Show = Callable[[dict[str, Any]], None]
"""Shows the result so far."""
IDLE: dict[str, Any] = {"state": "idle", "id": "", "result": None}
"""Before the first run."""


def stream_run(
    studio: Studio, kind: Kind, work: Callable[[Progress, Stop], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield values for the browser, a few times a second, until there is a result. Closing it stops
    the work. `work` reports its progress and returns the result as JSON."""
    return stream_growing(studio, kind, lambda progress, _show, stop: work(progress, stop))


def stream_growing(
    studio: Studio, kind: Kind, work: Callable[[Progress, Show, Stop], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """As `stream_run`, of work that shows the result so far while it runs; after a cancel or a
    failure that one stays."""
    about: dict[str, Any] = {"id": secrets.token_hex(4), "result": None}
    standing: dict[str, Any] = {"done": 0, "total": 0, "what": "Starting"}
    yield {"state": "running", **about, **standing}
    results: list[dict[str, Any]] = []

    def run(emit: Emit, stop: Stop) -> None:
        results.append(work(lambda *step: emit(step), lambda result: emit((result,)), stop))

    job = studio.start(kind, run)
    for batch in job.batches(every=0.2):
        for event in batch:
            if len(event) == 1:
                about["result"] = event[0]
            else:
                standing = dict(zip(("done", "total", "what"), event, strict=True))
        if batch:
            yield {"state": "running", **about, **standing}
    yield about | end_of(job) | ({} if job.error else {"result": results[0]})


def end_of(job: Job) -> dict[str, Any]:
    """How work ended: its state (done, stopped or failed), and a note about a failure."""
    if job.error is None:
        return {"state": "done"}
    if isinstance(job.error, Cancelled):
        return {"state": "stopped"}
    return {"state": "failed", "note": message(job.error)}


def stopped_value(value: object) -> dict[str, Any]:
    """The value shown after Cancel; the value of work that does not run stays unchanged."""
    if not isinstance(value, Mapping):
        return IDLE
    return {**value, "state": "stopped"} if value.get("state") == "running" else dict(value)


def growing(events: Iterator[ReplyEvent]) -> Iterator[Changes]:
    """The answer after each of its `ReplyToken`s, and the seconds of computing them."""
    ends, entropy = list[int](), list[float]()
    loss = seconds = 0.0
    while True:
        begun = time.perf_counter()
        token = next(events, None)
        seconds += time.perf_counter() - begun
        if token is None:
            return
        if not isinstance(token, ReplyToken):
            continue
        ends.append(token.end)
        entropy.append(round(token.entropy, 3))
        loss += token.loss
        yield {
            "text": token.text,
            "tokens": len(ends),
            "seconds": round(seconds, 4),
            "loss": loss / len(ends),
            "ends": tuple(ends),
            "entropy": tuple(entropy),
        }
