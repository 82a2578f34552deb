"""Closes Gradio routes that this page does not use, and protects the events of other sessions.

Gradio fetches any address after `file=`, `file/` or `proxy=` and returns its content. It accepts
uploads and recordings, though this page reads opened files in the browser. Besides the queue, only
`run/predict` stays open. Only the session of an event may name it, and only public endpoints can be
called.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...work.gradio_inside import CALL, CANCEL, find_event, handler_number, public_names
from .body_limits import PARSED
from .heads import Guard

_CLOSED = re.compile(
    r"/+(gradio_api/+)?(file[=/].*|proxy=.*|upload.*|deep_link.*|component_server.*|stream/.*"
    r"|custom_component/.*|process_recording.*|(undo-)?vibe-.*|dev/.*|runs.*|run-history.*"
    r"|monitoring.*|profiling.*|login/*|api/.*|run/(?!predict$).*)"
    r"|.*[\x00-\x1f\x7f].*",  # Starlette ignores a line feed at the end of a path
    re.IGNORECASE | re.DOTALL,
)
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin"}
NO_STORE = {"Cache-Control": "no-store"}
NOT_STORED = ("/", "/config", "/config/")
"""Paths whose answers repeat the Host header; a cache could serve them to other visitors."""


class ClosedRoutes:
    """Answers 404 for routes the page does not use, and adds headers that protect the page. Only
    `frames`, besides the page itself, may show it in a frame."""

    def __init__(self, app: ASGIApp, frames: Iterable[str] = ()) -> None:
        self._app = app
        policy = " ".join(("frame-ancestors 'self'", *frames))
        self._headers = HEADERS | {"Content-Security-Policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _CLOSED.fullmatch(unquote(scope["path"])):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
            return
        headers = self._headers | (NO_STORE if scope["path"] in NOT_STORED else {})

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                for name, value in headers.items():
                    MutableHeaders(scope=message).setdefault(name, value)
            await send(message)

        await self._app(scope, receive, guarded)


class EventOwner(Guard):
    """Answers 404 to cancelling another session's event, which could hold a lock of all visitors
    and start the event again, and to calling a private event by name. Gradio checks neither."""

    def __init__(self, app: ASGIApp, page: gr.Blocks) -> None:
        super().__init__(app)
        self._page, self._public = page, public_names(page)

    def refusal(self, scope: Scope) -> Response | None:
        """Answer that replaces calling or cancelling an event."""
        if scope["method"] != "POST":
            return None
        call = CALL.fullmatch(scope["path"])
        if call and call[1] not in self._public:
            return PlainTextResponse("Not found", 404)
        body = scope[PARSED] if CANCEL.fullmatch(scope["path"]) else None
        if not isinstance(body, dict):
            return None  # of a cancel, Gradio reports the error
        event = find_event(self._page, str(body.get("event_id")))
        if event is None:  # ended: Gradio would queue one more message for the session
            return JSONResponse({"success": True})
        named = event.session_hash, handler_number(event)
        if named != (body.get("session_hash"), body.get("fn_index")):
            return PlainTextResponse("Not found", 404)
        return None
