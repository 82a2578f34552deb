"""Who is begun next, and who is not let in: the queue of the page, without a server."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, TypeVar

import gradio as gr
import pytest
from gradio.data_classes import PredictBodyInternal

from components import turns
from components.studio import Studio
from components.turns import OF_ONE_VISITOR, WAITING, Turns
from components.workbench import build_page

CHAT, SCORE = 0, 1
T = TypeVar("T")


def made(make: Callable[[], T]) -> T:
    """What is made while an event loop runs: without one, Gradio leaves loops of its own behind."""

    async def inside() -> T:
        return make()

    return asyncio.run(inside())


@pytest.fixture
def queue() -> Turns:
    """Of two kinds of work that nobody begins."""

    def empty() -> Turns:
        with gr.Blocks() as page:
            for kind in ("model", "exam"):
                gr.Button().click(lambda: None, concurrency_id=kind, concurrency_limit=1)
        return Turns(page.queue(), OF_ONE_VISITOR)

    return made(empty)


def ask(queue: Turns, who: str, work: int = CHAT) -> Any:
    """Whether one question is let in, or why not."""
    body = PredictBodyInternal(session_hash=who, fn_index=work, data=[])
    let_in, told, state = asyncio.run(queue.push(body, SimpleNamespace(headers={}), None))
    return True if let_in else (state, told)


def begun(queue: Turns) -> str:
    """Who is begun next; what they asked for runs from then on."""
    found = queue.get_events()
    assert found is not None
    queue.active_jobs.append(found[0])
    return found[0][0].session_hash


def place(queue: Turns, who: str) -> int:
    """How many a visitor was told to be before them, at last."""
    told = []
    while not queue.pending_messages_per_session[who].empty():
        told.append(queue.pending_messages_per_session[who].get_nowait())
    return told[-1].rank


def test_who_asks_once_waits_for_one_question_of_who_asks_many_times(queue: Turns) -> None:
    for who in ("greedy", "greedy", "greedy"):
        assert ask(queue, who) is True
    assert begun(queue) == "greedy"
    for who in ("greedy", "one", "two"):
        assert ask(queue, who) is True
    assert (place(queue, "one"), place(queue, "two")) == (0, 1)
    assert [begun(queue) for _ in range(5)] == ["one", "two", "greedy", "greedy", "greedy"]


def test_who_asks_many_times_does_not_starve(queue: Turns, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: now))
    assert ask(queue, "greedy") is True and ask(queue, "greedy") is True
    now += turns.BEHIND + 1
    assert ask(queue, "late") is True
    assert [begun(queue) for _ in range(3)] == ["greedy", "greedy", "late"]


def test_a_kind_that_is_full_leaves_room_for_others(queue: Turns) -> None:
    for number in range(WAITING["model"]):
        assert ask(queue, f"visitor {number}") is True
    state, told = ask(queue, "one more")
    assert state == "queue_full" and told.startswith("Queue is full: 100 others")
    assert ask(queue, "one more", SCORE) is True


def test_one_visitor_has_so_much_waiting_and_no_more(queue: Turns) -> None:
    for number in range(OF_ONE_VISITOR):
        assert ask(queue, "greedy", number % 2) is True
    begun(queue)  # what runs counts as well
    assert ask(queue, "greedy")[1].startswith(f"Queue is full: {OF_ONE_VISITOR} things")
    assert ask(queue, "other") is True


def test_what_a_visitor_who_left_never_read_is_forgotten(queue: Turns) -> None:
    ask(queue, "gone")
    queue.forget("gone")
    assert "gone" in queue.pending_messages_per_session, "it still waits for its turn"
    queue.get_events()
    queue.forget("gone")
    assert "gone" not in queue.pending_messages_per_session
    assert "gone" not in queue.pending_event_ids_session


def test_answers_that_nobody_reads_are_bounded(
    queue: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever left most of them loses them; what others wait for stays."""
    monkeypatch.setattr(turns, "UNREAD", 30)
    waiting = queue.pending_messages_per_session
    ask(queue, "other")
    assert begun(queue) == "other"
    queue.active_jobs.clear()
    for _ in range(100):
        assert ask(queue, "deaf") is True
        queue.get_events()
        assert sum(one.qsize() for one in waiting.values()) <= 33
    assert not waiting["other"].empty()
    waiting.max_size = 10
    for number in range(50):  # more than Gradio keeps messages of
        ask(queue, f"visitor {number}")
        queue.get_events()
    assert len(queue.pending_event_ids_session) <= 11


def test_strangers_are_bounded_and_ones_own_page_is_not() -> None:
    for public, most in ((True, OF_ONE_VISITOR), (False, None)):
        page = made(lambda public=public: build_page(Studio(public=public)))
        assert isinstance(page._queue, Turns) and page._queue._most == most


def test_events_are_not_counted_for_a_monitor_that_is_off(queue: Turns) -> None:
    for number in range(3):
        ask(queue, f"visitor {number}")
    assert len(queue.event_analytics) == 1
    assert queue.compute_analytics_summary(list(queue.event_analytics.values())) == {
        "functions": {}
    }
