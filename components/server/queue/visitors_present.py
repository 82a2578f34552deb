"""Who is here: a visitor who left gives back what the server remembers of them.

Knows the connection that every open tab keeps (Gradio's heartbeat), and what Gradio holds of a
session. A tab that comes back in time, as after a lost connection, finds everything as it was.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import OrderedDict
from typing import Any

import gradio as gr
from gradio.server_messages import UnexpectedErrorMessage
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

STAYS = 900.0
"""Seconds for which a session is remembered after its last tab has gone."""
MOST_LEFT = 500
"""Sessions that are remembered after that at most; one that is forgotten already makes room, else
the first to leave."""

_ANSWERS = re.compile(r"/+(?:gradio_api/+)?(?:queue/+data|call/+(?:v2/+)?[^/]+/+([^/]+))")
_ALIVE = re.compile(r"/+(?:gradio_api/+)?heartbeat/+([^/]+)")


class Presence:
    """Counts the open tabs of every session, and forgets those without any."""

    def __init__(self, app: ASGIApp, page: gr.Blocks) -> None:
        self._app, self._page = app, page
        self._open: dict[str, int] = {}
        self._left: OrderedDict[str, asyncio.TimerHandle] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reads = scope["type"] == "http" and scope["method"] == "GET"
        listens = _ANSWERS.fullmatch(scope["path"]) if reads else None
        if listens is not None:
            await self._answers(listens[1], scope, receive, send)
            return
        found = _ALIVE.fullmatch(scope["path"]) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        session = found[1]
        self._comes(session)
        try:
            await self._app(scope, receive, send)
        finally:
            self._goes(session)

    async def _answers(self, event: str | None, scope: Scope, receive: Receive, send: Send) -> None:
        """A stream of the answers to one event, or to a session."""
        session = self._session(event, scope)
        if session is None:
            await _nobody(event)(scope, receive, send)
            return
        queue: Any = self._page._queue
        queue.listens(session)
        try:
            await self._listen(scope, receive, send)
        finally:
            queue.hangs_up(session)

    async def _listen(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream answers, and end without a trace if another stream took the session's last one.

        Gradio fails on a session that is gone, with its name in the error.
        """
        try:
            await self._app(scope, receive, send)
        except RuntimeError as error:
            if not isinstance(error.__cause__, KeyError | HTTPException):
                raise
            await send({"type": "http.response.body"})

    def _session(self, event: str | None, scope: Scope) -> str | None:
        """Whose answers a stream gives; None where nothing was asked."""
        queue: Any = self._page._queue
        if event is None:
            session = QueryParams(scope["query_string"]).get("session_hash", "")
            return session if session in queue.pending_messages_per_session else None
        known = queue.event_ids_to_events.get(event)
        if known is not None:
            return str(known.session_hash)
        asked = queue.pending_event_ids_session.items()
        return next((session for session, ids in asked if event in ids), None)

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
        if session not in self._page.state_holder:
            return  # nothing is remembered
        later = asyncio.get_running_loop().call_later(STAYS, self._forget, session)
        self._left[session] = later
        while len(self._left) > MOST_LEFT:
            forgotten = (one for one in self._left if one not in self._page.state_holder)
            first = next(forgotten, None) or next(iter(self._left))
            self._left[first].cancel()
            self._forget(first)

    def _forget(self, session: str) -> None:
        self._left.pop(session, None)
        self._page._queue.sessions.forget(session)


def _nobody(event: str | None) -> Response:
    """For who listens without having asked: what Gradio tells them, which logs a trace for each."""
    told = UnexpectedErrorMessage(message="404: Not Found", session_not_found=True)
    text = told.model_dump_json() if event is None else json.dumps(told.message)
    before = "" if event is None else "event: error\n"
    return Response(f"{before}data: {text}\n\n", media_type="text/event-stream")
