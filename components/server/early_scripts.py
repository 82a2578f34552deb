"""Adds the page's script tags to its HTML, so that a browser fetches them before Gradio starts.

Gradio adds the content of `head=` only once its own scripts run, a second later on a slow network.
"""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

END = b"</head>"


class EarlyScripts:
    """Inserts tags at the end of the page's `<head>`."""

    def __init__(self, app: ASGIApp, tags: str) -> None:
        self._app, self._tags = app, tags.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/":
            await self._app(scope, receive, send)
            return
        begun: list[Message] = []
        body = bytearray()

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append(message)
                return
            body.extend(message.get("body", b""))
            if message.get("more_body"):
                return
            whole = bytes(body).replace(END, self._tags + END, 1)
            MutableHeaders(raw=begun[0]["headers"])["content-length"] = str(len(whole))
            await send(begun[0])
            await send({**message, "body": whole})

        await self._app(scope, receive, told)
