"""Access to Gradio's private parts: one function or class for each use.

No other module imports an internal module of Gradio or uses a private part of its objects
(tests/test_architecture.py). Written for Gradio 6.31, the only minor version that requirements.txt
allows; for another version, tests/app/work/test_gradio_inside.py names the differences.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from traceback import walk_tb
from types import SimpleNamespace
from typing import Any

import gradio as gr
from gradio import http_server, route_utils, routes
from gradio.queueing import Queue
from gradio.server_messages import UnexpectedErrorMessage
from gradio.utils import error_payload

API = "/gradio_api/"
NO_HANDLER = (KeyError, route_utils.FnIndexInferError)
"""Errors that Gradio raises, among others, for an unknown number or name of a handler."""
LOGIN_ERRORS = (
    (import_module("authlib.integrations.base_client.errors").OAuthError,)
    if find_spec("authlib")
    else ()
)
"""Errors of a sign-in that the Hub did not confirm; they quote the request."""
_BEGIN = r"/+(?:gradio_api/+)?"
CANCEL = re.compile(rf"{_BEGIN}cancel/*")
"""The path of a POST that ends an event."""
CALL = re.compile(rf"{_BEGIN}call/+(?:v2/+)?([^/]+)/*")
"""Path of a POST that calls an endpoint; the group is its name."""
ANSWERS = re.compile(rf"{_BEGIN}(?:queue/+data|call/+(?:v2/+)?[^/]+/+([^/]+))")
"""Path of a GET that streams the answers to an event, the group, or to a session."""
HEARTBEAT = re.compile(rf"{_BEGIN}heartbeat/+(.*)")
"""Path of the connection that every open tab keeps; the group is its session."""
LOGIN = re.compile(r"/+(?:login/.*|logout/*)")
"""Paths that sign a visitor in or out."""


# --- handlers ---


def handlers(page: gr.Blocks) -> Mapping[int, Any]:
    """The handlers of a page by number, each with `fn`, `inputs`, `outputs` and `api_name`."""
    return page.fns


def public_names(page: gr.Blocks) -> set[str]:
    """Names of the endpoints that clients may call."""
    return {str(event.api_name) for event in page.fns.values() if event.api_visibility == "public"}


def hide_login(page: gr.Blocks) -> None:
    """Hide Gradio's login check from the page's endpoints."""
    for event in page.fns.values():
        if event.name == "_check_login_status":
            event.api_visibility = "private"


def describe_anew(page: gr.Blocks) -> None:
    """Drop the cached description of the endpoints, which names the host of the first request."""
    page.app.api_info = None


def is_of_no_handler(error: BaseException) -> bool:
    """Return True if one of `NO_HANDLER` was raised by Gradio's lookup of a handler."""
    last = _raised_in(error)
    return last.f_globals["__name__"] in (routes.__name__, route_utils.__name__)


def is_misfit(error: BaseException) -> bool:
    """Return True if the keys of a call/v2 were not the endpoint's parameters."""
    return str(_raised_in(error).f_code.co_qualname) == "construct_args"


def _raised_in(error: BaseException) -> Any:
    *_, (last, _line) = walk_tb(error.__traceback__)
    return last


def error_body(error: gr.Error) -> dict[str, Any]:
    """The response body for an error outside the queue."""
    return error_payload(error, False)


def nobody_body(event: str | None) -> str:
    """The stream for a listener without an `event`, or without a session if that is None. Gradio
    would log a trace for each."""
    message = UnexpectedErrorMessage(message="404: Not Found", session_not_found=True)
    if event is None:
        return f"data: {message.model_dump_json()}\n\n"
    return f"event: error\ndata: {json.dumps(message.message)}\n\n"


# --- sessions ---


def login_of(scope: Mapping[str, Any]) -> str:
    """The Hub user name in Gradio's signed cookie; empty if nobody is signed in."""
    held = (scope.get("session") or {}).get("oauth_info") or {}
    return str(held.get("userinfo", {}).get("preferred_username") or "")


def is_remembered(page: gr.Blocks, session: str) -> bool:
    """Return True if Gradio stores values of a session."""
    return session in page.state_holder


def forget_values(page: gr.Blocks, session: str) -> None:
    """Drop the values of a session; its unread answers stay."""
    holder: Any = page.state_holder
    with holder.lock:
        holder.session_data.pop(session, None)
        holder.time_last_used.pop(session, None)


class _NoConfiguration(dict[int, Any]):
    """Stores nothing; claims to hold every component, so that Gradio computes none."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: int) -> dict[str, Any]:
        return {}

    def __setitem__(self, key: int, value: Any) -> None:
        pass


class ForgetfulBlocks(gr.Blocks):
    """Gradio's page without stored input values. For deep links, which are closed here, Gradio
    copies all components' configuration for every session, in 10 to 20 ms, and keeps the last
    values sent."""

    @property
    def state_holder(self) -> Any:
        """The sessions that Gradio remembers."""
        return self._holder

    @state_holder.setter
    def state_holder(self, holder: Any) -> None:
        self._holder = holder
        holder.blocks = SimpleNamespace(default_config=self.default_config, blocks={})

    async def process_api(
        self, block_fn: Any, inputs: list[Any], state: Any = None, *arguments: Any, **named: Any
    ) -> dict[str, Any]:
        """Answer an event using only the login of the visitor's session. A body may hold a token,
        which Gradio would pass to handlers as the sender's login."""
        if state is not None:
            state.config_values = _NoConfiguration()
        named["oauth_token"] = None
        return await super().process_api(block_fn, inputs, state, *arguments, **named)


# --- the queue and the server ---


def queue_of(page: gr.Blocks) -> Any:
    """The event queue of a page."""
    return page._queue


def use_queue(page: gr.Blocks, queue: OpenQueue) -> None:
    """Replace the event queue of a page."""
    page._queue = queue


def waiting_events(page: gr.Blocks) -> int:
    """Number of waiting events."""
    return sum(len(kind.queue) for kind in page._queue.event_queue_per_concurrency_id.values())


def find_event(page: gr.Blocks, event: str) -> Any | None:
    """The waiting or running event of a name, or None; it has a `session_hash`."""
    return page._queue.event_ids_to_events.get(event)


def has_answers(page: gr.Blocks, session: str) -> bool:
    """Return True if a session has unread or expected answers."""
    return session in page._queue.pending_messages_per_session


def asked_by(page: gr.Blocks, event: str) -> str | None:
    """The session of an event that still has unread answers; None for other events."""
    active = find_event(page, event)
    if active is not None:
        return str(active.session_hash)
    pending = page._queue.pending_event_ids_session.items()
    return next((session for session, ids in pending if event in ids), None)


def name_of(event: Any) -> str:
    """The public name of an event; also its session if it came without one."""
    return str(event._id)


def handler_number(event: Any) -> int:
    """The number of the handler that answers an event of the queue."""
    return int(event.fn._id)


class OpenQueue(Queue):
    """Gradio's queue without its own limit and monitor, with public names for its parts. An event
    has a `session_hash`, a `concurrency_id` (the kind of work) and an `enqueue_time`."""

    def __init__(self, page: gr.Blocks, pause: float) -> None:
        """With `pause` seconds between two checks for an event to start."""
        super().__init__(
            live_updates=True,
            concurrency_count=page.max_threads,
            update_intervals=1,
            max_size=None,
            blocks=page,
            default_concurrency_limit=4,
        )
        self.sleep_when_free = pause
        self.ANALYTICS_MAX_EVENTS = 1  # unused

    def handler_of(self, body: Any) -> Any | None:
        """The handler that a request names; None if there is no such handler."""
        return self.blocks.fns.get(body.fn_index)

    @property
    def waiting(self) -> Mapping[str, list[Any]]:
        """Kind of work -> its waiting events, the next one first."""
        return {kind: queue.queue for kind, queue in self.event_queue_per_concurrency_id.items()}

    def most_at_once(self, kind: str) -> int | None:
        """Most events of a kind that may run at a time; None for no limit."""
        return self.event_queue_per_concurrency_id[kind].concurrency_limit

    def processed(self) -> Iterator[Any]:
        """The events that Gradio processes."""
        return (event for job in self.active_jobs for event in job or ())

    @property
    def unread(self) -> Any:
        """Session -> its unread messages; the least recently used session first."""
        return self.pending_messages_per_session

    @property
    def event_ids(self) -> dict[str, set[str]]:
        """Session -> the names of its events whose end it has not read."""
        return self.pending_event_ids_session

    def compute_analytics_summary(self, records: Any) -> dict[str, Any]:
        """The unchanged summary: Gradio would recount all events for a monitor that is off."""
        return self.cached_event_analytics_summary

    def send_message(self, event: Any, event_message: Any) -> None:
        """Queue a message for the session of an event, unless the session was dropped. Gradio
        raises KeyError there, which would stop the queue."""
        if event.session_hash in self.pending_messages_per_session:
            super().send_message(event, event_message)


HttpServer = http_server.Server
"""The server class that Gradio starts; it takes no options for it."""


def serve_with(server: Callable[..., HttpServer]) -> None:
    """Make Gradio start such servers from now on."""
    http_server.Server = server  # type: ignore[assignment,misc]


# --- what it prints ---


def print_nothing() -> None:
    """Keep all that Gradio prints from now on, which repeats what visitors sent, out of the output;
    its traces are logged instead."""
    quiet = SimpleNamespace(**vars(traceback) | {"print_exc": _log_trace})
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == gr.__name__:
            vars(module)["print"] = _drop
            if hasattr(module, "traceback"):
                vars(module)["traceback"] = quiet


def _drop(*_text: object, **_options: object) -> None:
    """Print nothing."""


def _log_trace() -> None:
    logging.getLogger("dppa.page").error("a request failed in Gradio", exc_info=True)
