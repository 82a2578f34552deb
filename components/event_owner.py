"""Requests that name an event of the queue: only its own session, and only a public one by name."""

from __future__ import annotations

import re
from typing import Any

import gradio as gr
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from components.bodies import PARSED

_CANCEL = re.compile(r"/+(?:gradio_api/+)?cancel/*")
_CALL = re.compile(r"/+(?:gradio_api/+)?call/+(?:v2/+)?([^/]+)/*")


class EventOwner:
    """Answers 404 to who cancels another session's event, or calls an event of the page by name.

    Gradio looks at neither: `cancel` ends whatever event it is given, and `call` runs any by name.
    """

    def __init__(self, app: ASGIApp, page: gr.Blocks) -> None:
        self._app, self._page = app, page
        self._public = {
            str(one.api_name) for one in page.fns.values() if one.api_visibility == "public"
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posts = scope["type"] == "http" and scope["method"] == "POST"
        call = _CALL.fullmatch(scope["path"]) if posts else None
        if call and call[1] not in self._public:
            await PlainTextResponse("Not found", 404)(scope, receive, send)
            return
        if posts and _CANCEL.fullmatch(scope["path"]) and not self._may_cancel(scope[PARSED]):
            await PlainTextResponse("Not found", 404)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _may_cancel(self, asked: Any) -> bool:
        """Whether the event is unknown, over, or of the session that asks."""
        if not isinstance(asked, dict):
            return True  # Gradio says what is wrong with it
        queue: Any = self._page._queue
        event = queue.event_ids_to_events.get(str(asked.get("event_id")))
        return event is None or event.session_hash == asked.get("session_hash")
