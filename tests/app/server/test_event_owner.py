"""Whose event a request may end, and which events it may name."""

import asyncio
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from components.server.guards.body_limits import PARSED
from components.server.guards.closed_routes import EventOwner

PASSED = 299
"""What Gradio answers here."""


@pytest.fixture
def owner() -> EventOwner:
    """A page with one public and one private event, one running for `ada`."""

    async def passed_on(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": PASSED})

    event = SimpleNamespace(session_hash="ada", fn=SimpleNamespace(_id=1))
    page: Any = SimpleNamespace(
        fns={
            0: SimpleNamespace(api_name="plan", api_visibility="public"),
            1: SimpleNamespace(api_name="on_ask", api_visibility="private"),
        },
        _queue=SimpleNamespace(event_ids_to_events={"e1": event}),
    )
    return EventOwner(passed_on, page)


def posted(owner: EventOwner, path: str, body: Any = None) -> int:
    statuses: list[int] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        statuses.append(message.get("status", 0))

    scope = {"type": "http", "method": "POST", "path": path, PARSED: body}
    asyncio.run(owner(scope, receive, send))
    return statuses[0]


def cancel(owner: EventOwner, path: str, **other: Any) -> int:
    asked = {"session_hash": "ada", "fn_index": 1, "event_id": "e1"} | other
    return posted(owner, path, asked)


@pytest.mark.parametrize("path", ["/gradio_api/cancel", "//cancel/"])
def test_a_session_cancels_its_own_event_and_no_other(owner: EventOwner, path: str) -> None:
    assert cancel(owner, path) == PASSED
    assert cancel(owner, path, session_hash="eve") == cancel(owner, path, session_hash=None) == 404
    assert cancel(owner, path, session_hash=["ada"]) == 404
    assert posted(owner, path, {"event_id": "e1"}) == 404


@pytest.mark.parametrize("number", [0, 2, "1", None, [1]])
def test_an_event_is_cancelled_under_the_number_of_its_handler(
    owner: EventOwner, number: Any
) -> None:
    """With another one Gradio runs the event again from its beginning."""
    assert cancel(owner, "/gradio_api/cancel", fn_index=number) == 404


def test_what_is_over_is_not_cancelled_again(owner: EventOwner) -> None:
    """Gradio would leave a message for the session each time."""
    for event in ("over by now", None, 5):
        assert cancel(owner, "/gradio_api/cancel", event_id=event) == 200
    assert posted(owner, "/gradio_api/cancel", [1]) == PASSED, "Gradio refuses what is no object"


@pytest.mark.parametrize("way", ["call", "call/v2", "call//v2/"])
def test_events_of_the_page_have_no_name_outside(owner: EventOwner, way: str) -> None:
    assert posted(owner, f"/gradio_api/{way}/plan") == PASSED
    assert posted(owner, f"/gradio_api/{way}/on_ask") == 404
    assert posted(owner, f"/gradio_api/{way}/on_ask/") == 404
    assert posted(owner, f"/{way}/on_ask") == 404


def test_a_page_of_gradio_says_which_events_are_private() -> None:
    """As of Gradio 6.31."""
    with gr.Blocks() as page:
        gr.Button().click(lambda: None, api_visibility="private")
        gr.api(lambda: None, api_name="named")
    assert [one.api_visibility for one in page.fns.values()] == ["private", "public"]
