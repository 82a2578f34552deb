"""A fast path for sliders: their requests are answered without Gradio's own processing.

Gradio checks logins, starts sessions, converts values and switches threads, which takes three times
as long as such an answer, and longer while others compute.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ...work.gradio_inside import API, error_body, handlers, queue_of
from ...work.rate_limits import SLIDER_REQUESTS, Bucket
from ...work.visitor import Visitor, visitor_of
from ..guards.body_limits import PARSED
from ..guards.value_guard import GuardedBlocks

ADDRESS = f"{API}run/predict"
HANDLERS = ("on_settle", "on_strength")
"""Names of handlers that take raw values, need no session, and return texts."""
AT_ONCE = 8
"""Threads reserved for these answers."""
WRITING, WRITE_AT_ONCE = ("on_pinned",), 24
"""Handlers that also write an answer of a model, with a `gr.Request`; they have other threads."""
OF_A_PARTY = AT_ONCE // 2
"""Most threads of one party on a public page."""


class Shares:
    """Limits how many of something each party holds at a time; only for the event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, tuple[asyncio.Semaphore, list[None]]] = {}
        """Party -> its semaphore, and one entry for each holder or waiter."""

    @asynccontextmanager
    async def place(self, party: str) -> AsyncIterator[None]:
        """Wait for one place of a party, and hold it during a block."""
        share, users = self._held.setdefault(party, (asyncio.Semaphore(self._most), []))
        users.append(None)
        try:
            async with share:
                yield
        finally:
            users.pop()
            if not users:
                del self._held[party]


class FastAnswers:
    """Answers the requests of sliders by calling their handlers directly."""

    def __init__(self, app: ASGIApp, page: GuardedBlocks) -> None:
        self._app, self._page = app, page
        fns = handlers(page).items()
        self._bucket = Bucket(*SLIDER_REQUESTS) if page.studio.public else None
        fast = (*HANDLERS, *WRITING)
        self._events = {key: event for key, event in fns if event.fn and event.fn.__name__ in fast}
        self._lanes = {
            False: (ThreadPoolExecutor(AT_ONCE, "sliders"), self._shares(AT_ONCE)),
            True: (ThreadPoolExecutor(WRITE_AT_ONCE, "pinned"), self._shares(WRITE_AT_ONCE)),
        }
        """Whether a handler writes an answer -> its threads, shared fairly among parties."""

    def _shares(self, threads: int) -> Shares:
        return Shares(OF_A_PARTY if self._page.studio.public else threads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != ADDRESS or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        parsed = scope[PARSED]
        body = parsed if isinstance(parsed, dict) else {}
        visitor = visitor_of(Request(scope), body.get("session_hash"))
        event, values = self._read_event(body)
        if not self._admits(visitor, new=event is None):
            error = gr.Error("Too many requests at once: wait a moment.")
            await _json(error_body(error), 429)(scope, receive, send)
            return
        if event is None:
            await self._app(scope, receive, send)
            return
        writes = event.fn.__name__ in WRITING
        more = (gr.Request(Request(scope), session_hash=visitor.session),) if writes else ()
        threads, shares = self._lanes[writes]
        async with shares.place(visitor.party):
            loop = asyncio.get_running_loop()
            answer = await loop.run_in_executor(threads, _answer, event, values, *more)
        await answer(scope, receive, send)

    def _admits(self, visitor: Visitor, *, new: bool) -> bool:
        """Return True if a visitor may send one more request; a `new` one may start a session."""
        if self._bucket is None:
            return True
        taken = self._bucket.take(visitor)
        return taken and (not new or bool(queue_of(self._page).sessions.admit(visitor)))

    def _read_event(self, body: dict[str, Any]) -> tuple[Any, dict[Any, Any]]:
        """The event of a request and its values by component; None for other requests."""
        number = body.get("fn_index")
        event = self._events.get(number) if type(number) is int else None
        data = body.get("data") if event else None
        if event is None or not isinstance(data, list) or len(data) != len(event.inputs):
            return None, {}
        return event, dict(zip(event.inputs, data, strict=True))


def _answer(event: Any, values: dict[Any, Any], *request: gr.Request) -> Response:
    begun = time.perf_counter()
    try:
        outputs = event.fn(values, *request)
    except gr.Error as error:
        return _json(error_body(error), 500)
    seconds = time.perf_counter() - begun
    return _json(
        {
            "data": [outputs[output] for output in event.outputs],
            "is_generating": False,
            "duration": seconds,
            "average_duration": seconds,
            "render_config": None,
            "changed_state_ids": [],
        }
    )


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")
