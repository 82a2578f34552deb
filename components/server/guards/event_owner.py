"""Requests that name an event of the queue: only its own session, and only a public one by name."""

from __future__ import annotations

from typing import Any

import gradio as gr
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from components.server.guards.body_limits import PARSED
from components.work.gradio_inside import CALL, CANCEL, find_event, handler_number, public_names


class EventOwner:
    """Answers 404 to who cancels another session's event, or calls an event of the page by name.

    Gradio looks at neither: `cancel` ends whatever event it is given, and `call` runs any by name.
    A `cancel` with the number of another handler would close the generator of a running event, hold
    a lock of all visitors meanwhile, and run the event once more from its beginning.
    """

    def __init__(self, app: ASGIApp, page: gr.Blocks) -> None:
        self._app, self._page = app, page
        self._public = public_names(page)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        posts = scope["type"] == "http" and scope["method"] == "POST"
        call = CALL.fullmatch(scope["path"]) if posts else None
        if call and call[1] not in self._public:
            await PlainTextResponse("Not found", 404)(scope, receive, send)
            return
        refusal = None
        if posts and CANCEL.fullmatch(scope["path"]):
            refusal = self._refusal(scope[PARSED])
        await (refusal or self._app)(scope, receive, send)

    def _refusal(self, asked: Any) -> Response | None:
        """What to answer instead of cancelling; None if Gradio may cancel the event."""
        if not isinstance(asked, dict):
            return None  # Gradio says what is wrong with it
        event = find_event(self._page, str(asked.get("event_id")))
        if event is None:  # over: Gradio would leave one more message for the session
            return JSONResponse({"success": True})
        named = event.session_hash, handler_number(event)
        if named != (asked.get("session_hash"), asked.get("fn_index")):
            return PlainTextResponse("Not found", 404)
        return None
