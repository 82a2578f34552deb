"""What a real tab asks of the server while its visitor drags and reads, for others to repeat."""

import json
import time
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlparse

from playwright.sync_api import Browser, Request

from benchmarks.browser.visits import Reader

DRAGS, RESTS = 4.0, 2.0
"""Seconds for which a visitor drags, and then reads."""
MINUTE = 60.0
PREDICT = "/gradio_api/run/predict"


@dataclass(frozen=True, slots=True)
class Sent:
    """One request of an event."""

    at: float
    """Seconds since the visitor began to drag."""
    event: int
    data: list[Any]
    """The values of its inputs."""


@dataclass(frozen=True, slots=True)
class Recording:
    """All requests of one visitor."""

    fetched: list[str] = field(default_factory=list)
    """Addresses of files that were fetched for the words, once."""
    sent: list[Sent] = field(default_factory=list)
    other: list[str] = field(default_factory=list)
    """What nobody repeats: nothing, or the figures say too little."""


def recorded(browser: Browser, url: str, *, by_tab: bool, seconds: float = MINUTE) -> Recording:
    """A visitor who drags for four seconds and reads for two, again and again."""
    recording, begun = Recording(), time.monotonic()

    def note(request: Request) -> None:
        path = urlparse(request.url).path
        if request.method == "GET" and path.startswith("/tab/"):
            recording.fetched.append(request.url.removeprefix(f"{url}/"))
        elif path == PREDICT:
            body = json.loads(request.post_data or "{}")
            at = time.monotonic() - begun
            recording.sent.append(Sent(at, body["fn_index"], body["data"]))
        else:
            recording.other.append(f"{request.method} {path}")

    reader = Reader(browser, url, by_tab=by_tab, watched=note)
    recording.sent.clear()
    recording.other.clear()
    begun = time.monotonic()
    while (left := seconds - (time.monotonic() - begun)) > 0:
        reader.drag(min(left, DRAGS))
        reader.page.wait_for_timeout(1000 * RESTS)
    reader.close()
    return recording
