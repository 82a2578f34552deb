"""Drops the stored data of sessions whose tabs are closed.

Every open tab keeps a connection (Gradio's heartbeat). A tab that returns in time, for example
after a lost connection, finds everything as it was.
"""

from __future__ import annotations

import asyncio

import gradio as gr
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ...work.gradio_inside import (
    ANSWERS,
    HEARTBEAT,
    asked_by,
    has_answers,
    is_remembered,
    nobody_body,
    queue_of,
)

STAYS = 900.0
"""Seconds for which a session is stored after its last tab was closed."""
MOST_LEFT = 500
"""Most stored sessions without a tab; beyond that, one that is dropped already makes room, else
the first that left."""


class VisitorsPresent:
    """Counts the open tabs of every session, and drops sessions without any."""

    def __init__(self, app: ASGIApp, page: gr.Blocks) -> None:
        self._app, self._page = app, page
        self._open: dict[str, int] = {}
        self._left: dict[str, asyncio.TimerHandle] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reads = scope["type"] == "http" and scope["method"] == "GET"
        listens = ANSWERS.fullmatch(scope["path"]) if reads else None
        if listens is not None:
            await self._answers(listens[1], scope, receive, send)
            return
        match = HEARTBEAT.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if match is None:
            await self._app(scope, receive, send)
            return
        session = match[1]
        self._comes(session)
        try:
            await self._app(scope, receive, send)
        finally:
            self._goes(session)

    async def _answers(self, event: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a stream of the answers to one event, or to a session."""
        session = self._session(event, scope)
        if session is None:
            nobody = Response(nobody_body(event), media_type="text/event-stream")
            await nobody(scope, receive, send)
            return
        queue = queue_of(self._page)
        queue.listens(session)
        try:
            await self._listen(scope, receive, send)
        finally:
            queue.hangs_up(session)

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream answers, and end silently if another stream took the session's last one. Gradio
        raises an error with the name of a session that is gone."""
        try:
            await self._app(scope, receive, send)
        except RuntimeError as error:
            if not isinstance(error.__cause__, KeyError | HTTPException):
                raise
            await send({"type": "http.response.body"})

    def _session(self, event: str | None, scope: Scope) -> str | None:
        """The session whose answers a stream delivers; None if it has none."""
        if event is not None:
            return asked_by(self._page, event)
        session = QueryParams(scope["query_string"]).get("session_hash", "")
        return session if has_answers(self._page, session) else None

    def _comes(self, session: str) -> None:
        waiting = self._left.pop(session, None)
        if waiting is not None:
            waiting.cancel()
        self._open[session] = self._open.get(session, 0) + 1

    def _goes(self, session: str) -> None:
        self._open[session] -= 1
        if self._open[session]:
            return
        del self._open[session]
        if not is_remembered(self._page, session):
            return
        later = asyncio.get_running_loop().call_later(STAYS, self._forget, session)
        self._left[session] = later
        while len(self._left) > MOST_LEFT:
            forgotten = (name for name in self._left if not is_remembered(self._page, name))
            first = next(forgotten, None) or next(iter(self._left))
            self._left[first].cancel()
            self._forget(first)

    def _forget(self, session: str) -> None:
        self._left.pop(session, None)
        queue_of(self._page).sessions.forget(session)
