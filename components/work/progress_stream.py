"""Long-running work as a stream of values for the browser: progress, then the result.

assets/js/session/runs.js draws it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.work.error_notices import message
from components.work.studio import Emit, Job, Studio
from dppa_core.errors import Cancelled
from dppa_core.progress import Stop

IDLE: dict[str, Any] = {"state": "idle", "id": "", "result": None}
"""Before the first run."""


def stream_run(
    studio: Studio, name: str, work: Callable[[Emit, Stop], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield values for the browser, a few times a second, until there is a result. Closing it stops
    the work. `work` emits (done, total, what is done) and returns the result as JSON."""
    about = {"id": secrets.token_hex(4), "result": None}
    standing: dict[str, Any] = {"done": 0, "total": 0, "what": "Starting"}
    yield {"state": "running", **about, **standing}
    results: list[dict[str, Any]] = []
    job = studio.start(name, lambda emit, stop: results.append(work(emit, stop)))
    for batch in job.batches(every=0.2):
        for event in batch:
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
