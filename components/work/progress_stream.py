"""Work that takes its time, as the browser is told of it: how far it is, then what came out.

Knows jobs and errors; nothing of what is worked on. assets/js/plots/view_switch.js draws it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from components.work.error_notices import message
from components.work.studio import Emit, Studio
from dppa_core.errors import Cancelled
from dppa_core.progress import Stop

IDLE: dict[str, Any] = {"state": "idle", "id": "", "result": None}
"""Before the first run."""


def stream_run(
    studio: Studio, name: str, work: Callable[[Emit, Stop], dict[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Yield what the browser shows, a few times a second, until there is a result.

    Closing it stops the work.

    Args:
        studio: Runs it in a thread.
        name: What it is, for the log.
        work: Emits (done, total, what is done), and returns the result, JSON-ready.
    """
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
    if isinstance(job.error, Cancelled):
        yield {"state": "stopped", **about}
    elif job.error is not None:
        yield {"state": "failed", **about, "note": message(job.error)}
    else:
        yield {"state": "done", **about, "result": results[0]}


def stopped_value(value: object) -> dict[str, Any]:
    """What is shown after Cancel; what is at rest stays as it is."""
    if not isinstance(value, Mapping):
        return IDLE
    return {**value, "state": "stopped"} if value.get("state") == "running" else dict(value)
