"""What is sent to the server: JSON, read up to the longest that a page of ours sends.

Knows messages of ASGI, nothing of what they say. Gradio and FastAPI read a body of any length into
memory, several times over, and older ones what is not said to be JSON: any page that is open in a
browser may send that to a copy on its computer, while of JSON the browser asks first.
"""

from __future__ import annotations

import json
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

MOST_BYTES = 500_000
"""Of a request: the page's own have 20 kB, and a recipe 100 kB at most."""


class Bodies:
    """Answers 413 to what is longer, without reading on, and 415 to what is no JSON.

    A request with both Content-Length and Transfer-Encoding gets 400, and its connection ends: a
    proxy that reads the other of them takes the rest for a request of its next visitor.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else Headers()
        if "content-length" in headers and "transfer-encoding" in headers:
            refusal = PlainTextResponse("Two lengths", 400, {"Connection": "close"})
            await refusal(scope, receive, send)
            return
        if scope["type"] != "http" or scope["method"] in ("GET", "HEAD"):
            await self._app(scope, receive, send)
            return
        kind = headers.get("content-type", "")
        if scope["method"] == "POST" and kind.partition(";")[0].strip() != "application/json":
            await PlainTextResponse("Not JSON", 415)(scope, receive, send)
            return
        taken, body = await taken_of(receive, MOST_BYTES)
        if body is None:
            await PlainTextResponse("Too long", 413)(scope, receive, send)
        else:
            await self._app(scope, again(taken, receive), send)


async def taken_of(receive: Receive, most: int) -> tuple[list[Message], bytes | None]:
    """The messages of a request, and their bytes; None where they are too many, or broke off."""
    taken: list[Message] = []
    size = 0
    while True:
        message = await receive()
        taken.append(message)
        size += len(message.get("body", b""))
        if message["type"] != "http.request" or size > most:
            return taken, None
        if not message.get("more_body", False):
            return taken, b"".join(one.get("body", b"") for one in taken)


def again(taken: list[Message], receive: Receive) -> Receive:
    """What was taken once more, then what comes."""
    left = iter(taken)

    async def once_more() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return once_more


def json_object(body: bytes | None) -> dict[str, Any]:
    """The JSON object of a body; empty where it holds none, or was too long to be read."""
    try:
        found = json.loads(body or b"")
    except (ValueError, RecursionError):  # no JSON, no text, or far too deep
        return {}
    return found if isinstance(found, dict) else {}
