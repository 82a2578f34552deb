"""Checks the body of a request: JSON, of limited length, complete in time; and what one party, and
all together, hold of requests and bodies.

Gradio and FastAPI read a body of any length into memory several times. Any web page can send a body
that is not declared as JSON to a copy on the same computer; for JSON the browser sends a preflight.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ...work.visitor import visitor_of
from .connections import MOST_OF_ONE, MOST_OPEN
from .heads import BAD_SESSION, SESSION_FIELD, is_session_name

MOST_BYTES = 500_000
"""Limit of a request; the page's own have 20 kB, and a recipe has 100 kB at most."""
SECONDS = 20.0
"""Time limit for a whole body to arrive."""
BYTES_OF_A_PARTY, BYTES_OF_ALL = 16_000_000, 64_000_000
"""Bytes of bodies in memory, until their requests are answered."""
TOO_MUCH = "Too many requests from here are open at once: wait a moment."
CLOSE = {"Connection": "close"}
NAMES = (SESSION_FIELD, "event_id")
PARSED = "dppa.parsed"
"""Key of the parsed body in the scope, so that it is parsed once."""


class Holdings:
    """Counts what every party holds of something; only for the event loop."""

    def __init__(self, of_a_party: int, of_all: int) -> None:
        self._of_a_party, self._of_all = of_a_party, of_all
        self._held: Counter[str] = Counter()
        self._total = 0

    def take(self, party: str, amount: int) -> bool:
        """Let a party hold more; False if it, or all together, would hold too much."""
        if self._held[party] + amount > self._of_a_party or self._total + amount > self._of_all:
            return False
        self._held[party] += amount
        self._total += amount
        return True

    def give_back(self, party: str, amount: int) -> None:
        """Let a party hold less."""
        self._held[party] -= amount
        self._total -= amount
        if not self._held[party]:
            del self._held[party]


class BodyLimits:
    """Refuses bodies: 400 ambiguous, 408 late, 413 long, 415 or 422 not JSON, 422 invalid names;
    and with 429 any request of a party that holds too much. With both lengths in the head, a proxy
    would treat the rest as the next visitor's request: that is ambiguous."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._requests = Holdings(MOST_OF_ONE, MOST_OPEN)
        self._bytes = Holdings(BYTES_OF_A_PARTY, BYTES_OF_ALL)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        party = visitor_of(Request(scope)).party
        if not self._requests.take(party, 1):
            await _too_much()(scope, receive, send)
            return
        body = _Body(self._bytes, party)
        try:
            refusal, receive = await _checked(scope, receive, body)
            await (refusal or self._app)(scope, receive, send)
        finally:
            self._requests.give_back(party, 1)
            self._bytes.give_back(party, body.nbytes)


class _Body:
    """The bytes that the body of one request holds."""

    def __init__(self, held: Holdings, party: str) -> None:
        self._held, self._party = held, party
        self.nbytes = 0

    def grow(self, nbytes: int) -> bool:
        """Hold more; False if there is no room for it."""
        room = self._held.take(self._party, nbytes)
        self.nbytes += nbytes if room else 0
        return room


async def _checked(scope: Scope, receive: Receive, body: _Body) -> tuple[Response | None, Receive]:
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
            taken, content = await taken_of(receive, MOST_BYTES, body)
    except TimeoutError:
        late = f"The body did not arrive within {SECONDS:g} s"
        return PlainTextResponse(late, 408, CLOSE), receive
    except _NoRoom:
        return _too_much(), receive
    if content is None:
        return PlainTextResponse("Too long", 413), receive
    scope[PARSED], reason = parsed(content) if posts else (None, "")
    return PlainTextResponse(reason, 422) if reason else None, again(taken, receive)


class _NoRoom(Exception):
    """A party, or all together, hold too many bytes of bodies."""


def _too_much() -> Response:
    return PlainTextResponse(TOO_MUCH, 429, CLOSE)


async def taken_of(receive: Receive, most: int, body: _Body) -> tuple[list[Message], bytes | None]:
    """The messages of a request, and its body; None if it is too long or incomplete. Raises _NoRoom
    if it may not grow."""
    taken: list[Message] = []
    size = 0
    while True:
        message = await receive()
        taken.append(message)
        size += len(message.get("body", b""))
        if not body.grow(len(message.get("body", b""))):
            raise _NoRoom
        if message["type"] != "http.request" or size > most:
            return taken, None
        if not message.get("more_body", False):
            return taken, b"".join(message.get("body", b"") for message in taken)


def parsed(body: bytes) -> tuple[Any, str]:
    """The value of a JSON body, and why it is refused, or ""; the reason quotes nothing of it."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):  # not JSON, not text, or nested too deeply
        return None, "Not JSON"
    names = [value.get(name) for name in NAMES] if isinstance(value, dict) else []
    if all(name is None or is_session_name(name) for name in names):
        return value, ""
    return None, BAD_SESSION


def again(taken: list[Message], receive: Receive) -> Receive:
    """Replay the messages already received, then receive further ones."""
    left = iter(taken)

    async def once_more() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return once_more
