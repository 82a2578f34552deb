"""A fast path for sliders: their requests are answered without Gradio's own processing.

Gradio checks logins, starts sessions, converts values and switches threads, which takes three times
as long as such an answer, and longer while others compute.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from components.server.guards.body_limits import PARSED
from components.server.guards.value_guard import GuardedBlocks
from components.work.gradio_inside import API, error_body, handlers, queue_of
from components.work.rate_limits import Bucket
from components.work.visitor import visitor_of

ADDRESS = f"{API}run/predict"
HANDLERS = ("on_settle", "on_strength")
"""Names of handlers that take raw values, need no session, and return texts."""
AT_ONCE = 8
"""Threads reserved for these answers."""
WRITING, WRITE_AT_ONCE = ("on_pinned",), 24
"""Handlers that also write an answer of a model, with a `gr.Request`; they have other threads."""
OF_A_PARTY = AT_ONCE // 2
"""Most threads of one party on a public page."""

MOST_IN_A_ROW, A_SECOND = 300, 60
"""Requests of one tab of a public page; a dragged slider or a held key sends 20 a second."""


class Shares:
    """Limits how many of something each party holds at a time; only for the event loop."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: dict[str, tuple[asyncio.Semaphore, list[None]]] = {}
        """Party -> its semaphore, and one entry for each holder or waiter."""

    @asynccontextmanager
    async def one(self, party: str) -> AsyncIterator[None]:
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


class _Lane:
    """Threads for some answers, shared fairly among parties."""

    def __init__(self, name: str, threads: int, *, public: bool) -> None:
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._shares = Shares(OF_A_PARTY if public else threads)

    async def run(self, party: str, answer: Callable[[], Response]) -> Response:
        async with self._shares.one(party):
            return await asyncio.get_running_loop().run_in_executor(self._threads, answer)


class FastAnswers:
    """Answers the requests of sliders by calling their handlers directly."""

    def __init__(self, app: ASGIApp, page: GuardedBlocks) -> None:
        self._app, self._page = app, page
        fns = handlers(page).items()
        self._bucket = Bucket(MOST_IN_A_ROW, A_SECOND) if page.studio.public else None
        fast = (*HANDLERS, *WRITING)
        self._events = {key: one for key, one in fns if one.fn and one.fn.__name__ in fast}
        self._lanes = {
            False: _Lane("sliders", AT_ONCE, public=page.studio.public),
            True: _Lane("pinned", WRITE_AT_ONCE, public=page.studio.public),
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != ADDRESS or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        parsed = scope[PARSED]
        asked = parsed if isinstance(parsed, dict) else {}
        visitor = visitor_of(Request(scope), asked.get("session_hash"))
        if self._bucket and not self._bucket.take(visitor):
            await _too_often()(scope, receive, send)
            return
        event, values = self._asked(asked)
        if event is None:
            if self._bucket and not queue_of(self._page).sessions.admit(visitor):
                await _too_often()(scope, receive, send)
                return
            await self._app(scope, receive, send)
            return
        writes = event.fn.__name__ in WRITING
        more = (gr.Request(Request(scope), session_hash=visitor.session),) if writes else ()
        answer = await self._lanes[writes].run(
            visitor.party, partial(_answer, event, values, *more)
        )
        await answer(scope, receive, send)

    def _asked(self, asked: dict[str, Any]) -> tuple[Any, dict[Any, Any]]:
        """The event of a request and its values by component; None for other requests."""
        number = asked.get("fn_index")
        event = self._events.get(number) if type(number) is int else None
        data = asked.get("data") if event else None
        if event is None or not isinstance(data, list) or len(data) != len(event.inputs):
            return None, {}
        return event, dict(zip(event.inputs, data, strict=True))


def _answer(event: Any, values: dict[Any, Any], *request: gr.Request) -> Response:
    begun = time.perf_counter()
    try:
        given = event.fn(values, *request)
    except gr.Error as error:
        return _json(error_body(error), 500)
    seconds = time.perf_counter() - begun
    return _json(
        {
            "data": [given[output] for output in event.outputs],
            "is_generating": False,
            "duration": seconds,
            "average_duration": seconds,
            "render_config": None,
            "changed_state_ids": [],
        }
    )


def _too_often() -> Response:
    return _json(error_body(gr.Error("Too many requests at once: wait a moment.")), 429)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value), status, media_type="application/json")
