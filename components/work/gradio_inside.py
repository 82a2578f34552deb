"""All of Gradio that is private: a function or a class for each thing that the page needs of it.

No other module of ours imports an internal module of Gradio, or touches a private part of its
objects (tests/test_architecture.py). Written for Gradio 6.31, the only minor version that
requirements.txt allows; of another one, tests/app/work/test_gradio_inside.py names what differs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
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
"""What Gradio raises, among others, where the number or the name of a handler is none."""
_BEGIN = r"/+(?:gradio_api/+)?"
CANCEL = re.compile(rf"{_BEGIN}cancel/*")
"""The path of a POST that ends an event."""
CALL = re.compile(rf"{_BEGIN}call/+(?:v2/+)?([^/]+)/*")
"""Of a POST that calls an endpoint, whose name the group is."""
ANSWERS = re.compile(rf"{_BEGIN}(?:queue/+data|call/+(?:v2/+)?[^/]+/+([^/]+))")
"""Of a GET that streams the answers to an event, which the group names, or else to a session."""
HEARTBEAT = re.compile(rf"{_BEGIN}heartbeat/+(.*)")
"""Of the connection that every open tab keeps; the group is its session."""


# --- handlers ---


def handlers(page: gr.Blocks) -> Mapping[int, Any]:
    """The handlers of a page by number, each with `fn`, `inputs`, `outputs` and `api_name`."""
    return page.fns


def public_names(page: gr.Blocks) -> set[str]:
    """Names of the endpoints that clients may call."""
    return {str(one.api_name) for one in page.fns.values() if one.api_visibility == "public"}


def hide_login(page: gr.Blocks) -> None:
    """Keep Gradio's own question, who is signed in, out of the endpoints of the page."""
    for event in page.fns.values():
        if event.name == "_check_login_status":
            event.api_visibility = "private"


def describe_anew(page: gr.Blocks) -> None:
    """Describe the endpoints with the host that asks; Gradio keeps the first one for everybody."""
    page.app.api_info = None


def is_of_no_handler(error: BaseException) -> bool:
    """Whether one of `NO_HANDLER` was raised where Gradio looks for a number or a name."""
    last = _raised_in(error)
    return last.f_globals["__name__"] in (routes.__name__, route_utils.__name__)


def is_misfit(error: BaseException) -> bool:
    """Whether the keys of a call/v2 are not the endpoint's parameters."""
    return str(_raised_in(error).f_code.co_qualname) == "construct_args"


def _raised_in(error: BaseException) -> Any:
    *_, (last, _line) = walk_tb(error.__traceback__)
    return last


def error_body(error: gr.Error) -> dict[str, Any]:
    """What the browser is told of an error outside the queue."""
    return error_payload(error, False)


def nobody_body(event: str | None) -> str:
    """The stream for who listens without having asked; Gradio's own logs a trace for each.

    Args:
        event: Whose answers are asked for; None for those of a session.
    """
    told = UnexpectedErrorMessage(message="404: Not Found", session_not_found=True)
    if event is None:
        return f"data: {told.model_dump_json()}\n\n"
    return f"event: error\ndata: {json.dumps(told.message)}\n\n"


# --- sessions ---


def login_of(scope: Mapping[str, Any]) -> str:
    """The name at the Hub that Gradio's signed cookie holds; empty where nobody is signed in."""
    held = (scope.get("session") or {}).get("oauth_info") or {}
    return str(held.get("userinfo", {}).get("preferred_username") or "")


def is_remembered(page: gr.Blocks, session: str) -> bool:
    """Whether Gradio holds values of a session."""
    return session in page.state_holder


def forget_values(page: gr.Blocks, session: str) -> None:
    """Let go of the values of a session; answers that wait for it stay."""
    holder: Any = page.state_holder
    with holder.lock:
        holder.session_data.pop(session, None)
        holder.time_last_used.pop(session, None)


class _NoConfiguration(dict[int, Any]):
    """Keeps nothing, and computes nothing since it claims to hold every component already."""

    def __contains__(self, key: object) -> bool:
        return True

    def __missing__(self, key: int) -> dict[str, Any]:
        return {}

    def __setitem__(self, key: int, value: Any) -> None:
        pass


class ForgetfulBlocks(gr.Blocks):
    """Gradio's page, which keeps no values that it is sent.

    For deep links, which are closed, Gradio copies the configuration of all components for every
    session, in 10 to 20 ms, and keeps the last value that each was sent.
    """

    @property
    def state_holder(self) -> Any:
        """The sessions that Gradio remembers."""
        return self._holder

    @state_holder.setter
    def state_holder(self, holder: Any) -> None:
        self._holder = holder
        holder.blocks = SimpleNamespace(default_config=self.default_config, blocks={})

    async def process_api(
        self, block_fn: Any, inputs: list[Any], state: Any = None, *given: Any, **named: Any
    ) -> dict[str, Any]:
        """Answer an event with no login but that of the visitor's session.

        A body may hold a token, and Gradio hands it to handlers as the login of its sender.
        """
        if state is not None:
            state.config_values = _NoConfiguration()
        named["oauth_token"] = None
        return await super().process_api(block_fn, inputs, state, *given, **named)


# --- the queue and the server ---


def queue_of(page: gr.Blocks) -> Any:
    """The queue that the events of a page wait in."""
    return page._queue


def use_queue(page: gr.Blocks, queue: OpenQueue) -> None:
    """Let the events of a page wait in this queue."""
    page._queue = queue


def waiting_events(page: gr.Blocks) -> int:
    """How many events wait for their turn."""
    return sum(len(one.queue) for one in page._queue.event_queue_per_concurrency_id.values())


def find_event(page: gr.Blocks, event: str) -> Any | None:
    """The event of a name that waits or runs; it has a `session_hash`."""
    return page._queue.event_ids_to_events.get(event)


def has_answers(page: gr.Blocks, session: str) -> bool:
    """Whether answers to a session are kept, or expected."""
    return session in page._queue.pending_messages_per_session


def asked_by(page: gr.Blocks, event: str) -> str | None:
    """The session of an event whose answers were not all read."""
    known = find_event(page, event)
    if known is not None:
        return str(known.session_hash)
    asked = page._queue.pending_event_ids_session.items()
    return next((session for session, ids in asked if event in ids), None)


def name_of(event: Any) -> str:
    """What clients call an event of the queue; also its session where it came without one."""
    return str(event._id)


def handler_number(event: Any) -> int:
    """The number of the handler that answers an event of the queue."""
    return int(event.fn._id)


class OpenQueue(Queue):
    """Gradio's queue without a bound of its own and without a monitor, its parts under other names.

    An event has a `session_hash`, a `concurrency_id` (the kind of work) and an `enqueue_time`.
    """

    def __init__(self, page: gr.Blocks, pause: float) -> None:
        """
        Args:
            pause: Seconds between two looks for an event to begin.
        """
        super().__init__(
            live_updates=True,
            concurrency_count=page.max_threads,
            update_intervals=1,
            max_size=None,
            blocks=page,
            default_concurrency_limit=4,
        )
        self.sleep_when_free = pause
        self.ANALYTICS_MAX_EVENTS = 1  # nobody looks at them

    def handler_of(self, body: Any) -> Any | None:
        """The handler that a request names; None where it names none."""
        return self.blocks.fns.get(body.fn_index)

    @property
    def waiting(self) -> Mapping[str, list[Any]]:
        """Kind of work -> its events that wait, the next one first."""
        return {kind: one.queue for kind, one in self.event_queue_per_concurrency_id.items()}

    def most_at_once(self, kind: str) -> int | None:
        """How many events of a kind may run at a time; None for any number."""
        return self.event_queue_per_concurrency_id[kind].concurrency_limit

    def processed(self) -> Iterator[Any]:
        """The events that Gradio processes."""
        return (one for job in self.active_jobs for one in job or ())

    @property
    def unread(self) -> Any:
        """Session -> the messages that it has not read, the one unused for longest first."""
        return self.pending_messages_per_session

    @property
    def asked(self) -> dict[str, set[str]]:
        """Session -> the names of its events that it has not read the end of."""
        return self.pending_event_ids_session

    def compute_analytics_summary(self, records: Any) -> dict[str, Any]:
        """Nothing: Gradio would count all events anew after each, for a page that is off."""
        return self.cached_event_analytics_summary

    def send_message(self, event: Any, event_message: Any) -> None:
        """Leave a message for the session of an event; none where the session was forgotten.

        Gradio raises KeyError there, which would end the queue for everybody.
        """
        if event.session_hash in self.pending_messages_per_session:
            super().send_message(event, event_message)


HttpServer = http_server.Server
"""The server that Gradio builds itself, and takes no options for."""


def serve_with(server: type[HttpServer]) -> None:
    """Let every server that Gradio starts from now on be one of these."""
    http_server.Server = server  # type: ignore[misc]
