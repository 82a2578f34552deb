"""Ways into the server that Gradio opens and this page does not use: closed.

Knows paths, nothing behind them. Gradio fetches any address a visitor writes after `file=`,
`file/` or `proxy=` and hands on what it finds there; it takes uploads and recordings, though the
page reads the files that people open in their browser. Beside the queue
there is one way.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_CLOSED = re.compile(
    r"/+(gradio_api/+)?(file[=/].*|proxy=.*|upload.*|deep_link.*|component_server.*|stream/.*"
    r"|custom_component/.*|process_recording.*|(undo-)?vibe-.*|dev/.*|runs.*|run-history.*"
    r"|monitoring.*|profiling.*|login/*|api/.*|run/(?!predict$).*)",
    re.IGNORECASE | re.DOTALL,
)
HEADERS = ((b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin"))


class Doors:
    """Answers 404 where nobody lives, and tells browsers to take nothing for what it is not."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if _CLOSED.fullmatch(unquote(scope["path"])):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
            return

        async def guarded(message: dict) -> None:
            if message["type"] == "http.response.start":
                known = {name.lower() for name, _ in message["headers"]}
                added = [pair for pair in HEADERS if pair[0] not in known]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        await self._app(scope, receive, guarded)
