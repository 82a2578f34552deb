"""Who is here: a visitor who left gives back what the server remembers of them.

Knows the connection that every open tab keeps (Gradio's heartbeat), and what Gradio holds of a
session. A tab that comes back in time, as after a lost connection, finds everything as it was.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from typing import Any

import gradio as gr
from starlette.types import ASGIApp, Receive, Scope, Send

STAYS = 900.0
"""Seconds for which a session is remembered after its last tab has gone."""
MOST_LEFT = 500
"""Sessions that are remembered after that at most; the first to leave makes room."""

_ALIVE = re.compile(r"/+(?:gradio_api/+)?heartbeat/+([^/]+)")


class Presence:
    """Counts the open tabs of every session, and forgets those without any."""

    def __init__(self, app: ASGIApp, page: gr.Blocks) -> None:
        self._app, self._page = app, page
        self._open: dict[str, int] = {}
        self._left: OrderedDict[str, asyncio.TimerHandle] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
        later = asyncio.get_running_loop().call_later(STAYS, self._forget, session)
        self._left[session] = later
        while len(self._left) > MOST_LEFT:
            first, timer = next(iter(self._left.items()))
            timer.cancel()
            self._forget(first)

    def _forget(self, session: str) -> None:
        self._left.pop(session, None)
        holder: Any = self._page.state_holder
        with holder.lock:
            holder.session_data.pop(session, None)
            holder.time_last_used.pop(session, None)
        self._page._queue.forget(session)
