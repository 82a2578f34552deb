"""Ways into the server that Gradio opens and this page does not use: closed.

Knows paths, nothing behind them. Gradio fetches any address a visitor writes after `file=`,
`file/` or `proxy=` and hands on what it finds there; it takes uploads and recordings, though the
page reads the files that people open in their browser. Beside the queue
there is one way.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CLOSED = re.compile(
    r"/+(gradio_api/+)?(file[=/].*|proxy=.*|upload.*|deep_link.*|component_server.*|stream/.*"
    r"|custom_component/.*|process_recording.*|(undo-)?vibe-.*|dev/.*|runs.*|run-history.*"
    r"|monitoring.*|profiling.*|login/*|api/.*|run/(?!predict$).*)"
    r"|.*[\x00-\x1f\x7f].*",  # Starlette takes a path with a line feed at its end for one without
    re.IGNORECASE | re.DOTALL,
)
HEADERS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin"))
NO_STORE = ((b"cache-control", b"no-store"),)
NOT_STORED = ("/", "/config", "/config/")
"""Paths whose answers repeat the Host header; a cache would give them to other visitors."""


class Doors:
    """Answers 404 for routes the page does not use, and adds headers that protect the page."""

    def __init__(self, app: ASGIApp, frames: Iterable[str] = ()) -> None:
        """
        Args:
            frames: Sites that may show the page in a frame, besides itself.
        """
        self._app = app
        policy = " ".join(("frame-ancestors 'self'", *frames)).encode()
        self._headers = (*HEADERS, (b"content-security-policy", policy))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _CLOSED.fullmatch(unquote(scope["path"])):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
            return
        headers = self._headers + (NO_STORE if scope["path"] in NOT_STORED else ())

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                added = [pair for pair in headers if pair[0] not in known]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, guarded)
