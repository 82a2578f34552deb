"""Whose event a request may end, and which events it may name."""

import asyncio
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from components.bodies import PARSED
from components.event_owner import EventOwner


@pytest.fixture
def owner() -> EventOwner:
    """Of a page with one public and one private event, where one of `ada` runs."""

    async def passed_on(scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200})

    page: Any = SimpleNamespace(
        fns={
            0: SimpleNamespace(api_name="plan", api_visibility="public"),
            1: SimpleNamespace(api_name="on_ask", api_visibility="private"),
        },
        _queue=SimpleNamespace(event_ids_to_events={"e1": SimpleNamespace(session_hash="ada")}),
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


@pytest.mark.parametrize("path", ["/gradio_api/cancel", "//cancel/"])
def test_a_session_cancels_its_own_event_and_no_other(owner: EventOwner, path: str) -> None:
    def cancelled(session: Any, event: Any = "e1") -> int:
        asked = {"session_hash": session, "fn_index": 1, "event_id": event}
        return posted(owner, path, asked)

    assert cancelled("ada") == 200 and cancelled("eve", "over by now") == 200
    assert cancelled("eve") == cancelled(None) == cancelled(["ada"]) == 404
    assert posted(owner, path, {"event_id": "e1"}) == 404
    assert posted(owner, path, [1]) == 200, "Gradio refuses what is no object"


@pytest.mark.parametrize("way", ["call", "call/v2", "call//v2/"])
def test_events_of_the_page_have_no_name_outside(owner: EventOwner, way: str) -> None:
    assert posted(owner, f"/gradio_api/{way}/plan") == 200
    assert posted(owner, f"/gradio_api/{way}/on_ask") == 404
    assert posted(owner, f"/gradio_api/{way}/on_ask/") == 404
    assert posted(owner, f"/{way}/on_ask") == 404


def test_a_page_of_gradio_says_which_events_are_private() -> None:
    """As of Gradio 6.31."""
    with gr.Blocks() as page:
        gr.Button().click(lambda: None, api_visibility="private")
        gr.api(lambda: None, api_name="named")
    assert [one.api_visibility for one in page.fns.values()] == ["private", "public"]
