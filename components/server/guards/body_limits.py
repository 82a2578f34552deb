"""Checks the body of a request: JSON, of limited length, complete in time.

Gradio and FastAPI read a body of any length into memory several times. Any web page can send a body
that is not declared as JSON to a copy on the same computer; for JSON the browser sends a preflight.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .heads import BAD_SESSION, SESSION_FIELD, is_session_name

MOST_BYTES = 500_000
"""Limit of a request; the page's own have 20 kB, and a recipe has 100 kB at most."""
SECONDS = 20.0
"""Time limit for a whole body to arrive."""
CLOSE = {"Connection": "close"}
NAMES = (SESSION_FIELD, "event_id")
PARSED = "dppa.parsed"
"""Key of the parsed body in the scope, so that it is parsed once."""


class BodyLimits:
    """Refuses bodies: 400 ambiguous, 408 late, 413 long, 415 or 422 not JSON, 422 invalid names.
    With both lengths in the head, a proxy would treat the rest as the next visitor's request: that
    is ambiguous."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = None
        if scope["type"] == "http":
            refusal, receive = await _checked(scope, receive)
        await (refusal or self._app)(scope, receive, send)


async def _checked(scope: Scope, receive: Receive) -> tuple[Response | None, Receive]:
    """The refusal of a request, if it has one, and where its body can be read from then on."""
    headers, posts = Headers(scope=scope), scope["method"] == "POST"
    if "content-length" in headers and "transfer-encoding" in headers:
        return PlainTextResponse("Two lengths", 400, CLOSE), receive
    if scope["method"] in ("GET", "HEAD"):
        return None, receive
    kind = headers.get("content-type", "")
    if posts and kind.partition(";")[0].strip() != "application/json":
        return PlainTextResponse("Not JSON", 415), receive
    try:
        async with asyncio.timeout(SECONDS):
            taken, body = await taken_of(receive, MOST_BYTES)
    except TimeoutError:
        late = f"The body did not arrive within {SECONDS:g} s"
        return PlainTextResponse(late, 408, CLOSE), receive
    if body is None:
        return PlainTextResponse("Too long", 413), receive
    scope[PARSED], reason = parsed(body) if posts else (None, "")
    return PlainTextResponse(reason, 422) if reason else None, again(taken, receive)


async def taken_of(receive: Receive, most: int) -> tuple[list[Message], bytes | None]:
    """The messages of a request, and its body; None if it is too long or incomplete."""
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


def parsed(body: bytes) -> tuple[Any, str]:
    """The value of a JSON body, and why it is refused, or ""; the reason quotes nothing of it."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, not text, or nested too deeply
        return None, "Not JSON"
    names = [said.get(name) for name in NAMES] if isinstance(said, dict) else []
    if all(name is None or is_session_name(name) for name in names):
        return said, ""
    return None, BAD_SESSION


def again(taken: list[Message], receive: Receive) -> Receive:
    """Replay the messages already received, then receive further ones."""
    left = iter(taken)

    async def once_more() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return once_more
