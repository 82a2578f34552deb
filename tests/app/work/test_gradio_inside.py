"""Private parts of Gradio that the page needs are unchanged; a failure names the part."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import uvicorn
from gradio import http_server, oauth, queueing, route_utils, routes
from gradio.data_classes import PredictBodyInternal
from gradio_client.utils import construct_args
from starlette.routing import Match, Mount

from components.work import gradio_inside as inside

ROOT = Path(__file__).resolve().parents[3]
WRITTEN_FOR = "6.31"


@pytest.fixture(scope="module")
def page() -> Iterator[gr.Blocks]:
    """One button that runs one handler, in Gradio's application but not served."""

    async def made() -> gr.Blocks:
        with inside.ForgetfulBlocks() as blocks:
            gr.Button().click(lambda: None, api_name="press", concurrency_id="hand")
        inside.use_queue(blocks.queue(), inside.OpenQueue(blocks, 0.005))
        blocks.app = routes.App.create_app(blocks)
        return blocks

    yield asyncio.run(made())


def event_of(page: gr.Blocks) -> queueing.Event:
    return queueing.Event(None, page.fns[0], None, None)  # type: ignore[arg-type]


def entered(page: gr.Blocks) -> queueing.Event:
    """An event that waits in the queue of the page."""
    queue = inside.queue_of(page)
    body = PredictBodyInternal(session_hash="ada", fn_index=0, data=[])
    let_in, name, _ = asyncio.run(queue.push(body, None, None))
    assert let_in
    return queue.event_ids_to_events[name]


def serves(page: gr.Blocks, method: str, path: str) -> bool:
    """Whether Gradio has a route for it."""
    scope = {"type": "http", "method": method, "path": f"{inside.API}{path}", "headers": []}
    found = {route.matches(scope)[0] for route in page.app.routes if not isinstance(route, Mount)}
    return Match.FULL in found


def raised(call: Callable[[], object]) -> BaseException:
    with pytest.raises((KeyError, TypeError, *inside.NO_HANDLER)) as caught:
        call()
    return caught.value


def parameters(call: Callable[..., Any]) -> list[str]:
    return list(inspect.signature(call).parameters)


def handlers_have_their_parts(page: gr.Blocks) -> bool:
    names = ("fn", "name", "inputs", "outputs", "api_name", "api_visibility", "concurrency_id")
    return all(hasattr(inside.handlers(page)[0], name) for name in names)


def values_are_forgotten(page: gr.Blocks) -> bool:
    page.state_holder["ada"]
    inside.forget_values(page, "ada")
    return "ada" not in page.state_holder.time_last_used and not inside.is_remembered(page, "ada")


def values_are_not_kept(page: gr.Blocks) -> bool:
    names = ["self", "block_fn", "inputs", "state"]
    state = page.state_holder["grace"]
    return parameters(gr.Blocks.process_api)[:4] == names and hasattr(state, "config_values")


def the_queue_has_its_parts(page: gr.Blocks) -> bool:
    overridden = {
        "push": ["body", "request", "username"],
        "get_events": [],
        "process_events": ["events", "batch", "begin_time", "fn"],
        "reset_iterators": ["event_id"],
        "clean_events": ["session_hash", "event_id"],
        "send_message": ["event", "event_message"],
        "compute_analytics_summary": ["records"],
    }
    queue, event = inside.queue_of(page), entered(page)
    found = {name: parameters(getattr(queueing.Queue, name))[1:] for name in overridden}
    queue.active_jobs[:] = [None, [event]]
    own = (event.session_hash, event.concurrency_id, event.enqueue_time > 0)
    return (
        found == overridden
        and queue.waiting == {"hand": [event]}
        and queue.most_at_once("hand") == queue.default_concurrency_limit
        and list(queue.processed()) == [event]
        and queue.unread["ada"].qsize() >= 0
        and event._id in queue.event_ids["ada"]
        and own == ("ada", "hand", True)
        and hasattr(queueing.Queue, "broadcast_estimations")
    )


def answers_are_found(page: gr.Blocks) -> bool:
    event = entered(page)
    named = inside.find_event(page, event._id) is event and inside.asked_by(page, event._id)
    del inside.queue_of(page).event_ids_to_events[event._id]  # as when it has ended
    return named == "ada" == inside.asked_by(page, event._id) and inside.has_answers(page, "ada")


def a_body_names_a_handler(page: gr.Blocks) -> bool:
    body = PredictBodyInternal(fn_index=99, data=[])
    return inside.is_of_no_handler(raised(lambda: route_utils.get_fn(page, None, body)))


def a_login_question_is_hidden(page: gr.Blocks) -> bool:
    page.fns[0].name, before = "_check_login_status", page.fns[0].name
    inside.hide_login(page)
    hidden, page.fns[0].api_visibility = page.fns[0].api_visibility, "public"
    page.fns[0].name = before
    return hidden == "private" and hasattr(gr.LoginButton, "_check_login_status")


LOGIN_ENDS = ("in/huggingface", "in/callback", "out")
PARTS: dict[str, Callable[[gr.Blocks], Any]] = {
    "API": lambda page: all(serves(page, "POST", one) for one in ("run/predict", "queue/join")),
    "CANCEL": lambda page: inside.CANCEL.fullmatch("/cancel") and serves(page, "POST", "cancel"),
    "CALL": lambda page: serves(page, "POST", "call/plan") and serves(page, "POST", "call/v2/plan"),
    "ANSWERS": lambda page: serves(page, "GET", "queue/data") and serves(page, "GET", "call/a/b"),
    "HEARTBEAT": lambda page: serves(page, "GET", "heartbeat/ada"),
    "NO_HANDLER": lambda _: issubclass(route_utils.FnIndexInferError, Exception),
    "LOGIN_ERRORS": lambda _: "authorize_access_token" in inspect.getsource(oauth),
    "LOGIN": lambda _: all(f'"/log{end}"' in inspect.getsource(oauth) for end in LOGIN_ENDS),
    "handlers": handlers_have_their_parts,
    "public_names": lambda page: inside.public_names(page) == {"press"},
    "hide_login": a_login_question_is_hidden,
    "describe_anew": lambda page: hasattr(page.app, "api_info"),
    "is_of_no_handler": a_body_names_a_handler,
    "is_misfit": lambda _: inside.is_misfit(raised(lambda: construct_args([], (), {"odd": 1}))),
    "error_body": lambda _: inside.error_body(gr.Error("no"))["error"] == "no",
    "nobody_body": lambda _: '"session_not_found":true' in inside.nobody_body(None),
    "login_of": lambda _: 'session["oauth_info"]' in inspect.getsource(oauth),
    "is_remembered": values_are_forgotten,
    "forget_values": values_are_forgotten,
    "ForgetfulBlocks": values_are_not_kept,
    "queue_of": lambda page: isinstance(page._queue, queueing.Queue),
    "use_queue": lambda page: page._queue is inside.queue_of(page),
    "waiting_events": lambda page: entered(page) and inside.waiting_events(page) > 0,
    "find_event": answers_are_found,
    "has_answers": answers_are_found,
    "asked_by": answers_are_found,
    "name_of": lambda page: (one := event_of(page)) and inside.name_of(one) == one.session_hash,
    "handler_number": lambda page: inside.handler_number(event_of(page)) == 0,
    "OpenQueue": the_queue_has_its_parts,
    "HttpServer": lambda _: "Server(config=config)" in inspect.getsource(http_server.start_server),
    "print_nothing": lambda _: hasattr(queueing, "traceback") and hasattr(routes, "traceback"),
    "serve_with": lambda _: issubclass(inside.HttpServer, uvicorn.Server),
}
"""What stands in gradio_inside.py -> whether Gradio still has what it needs."""


@pytest.mark.parametrize("part", PARTS)
def test_gradio_is_inside_as_it_was(part: str, page: gr.Blocks) -> None:
    inside.queue_of(page).event_queue_per_concurrency_id.clear()
    try:
        same = PARTS[part](page)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        same, told = False, f" ({error})"
    else:
        told = ""
    assert same, (
        f"gradio_inside.{part} was written for Gradio {WRITTEN_FOR}, and {gr.__version__} differs "
        f"in this part{told}"
    )


def test_no_other_minor_version_is_allowed() -> None:
    major, minor = WRITTEN_FOR.split(".")
    allowed = f"gradio>={WRITTEN_FOR}.0,<{major}.{int(minor) + 1}\n"
    assert allowed in (ROOT / "requirements.txt").read_text("utf-8")


def test_every_part_is_looked_at() -> None:
    own = {name for name, value in vars(inside).items() if _is_ours(name, value)}
    assert own == set(PARTS)


def _is_ours(name: str, value: object) -> bool:
    if name.startswith("_") or inspect.ismodule(value):
        return False
    written = inspect.getsource(inside)
    return f"\n{name} = " in written or getattr(value, "__module__", "") == inside.__name__
