"""The page's queue without a server: which event runs next, and which is refused."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from types import SimpleNamespace
from typing import Any, TypeVar

import gradio as gr
import pytest
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Queue

from components.page.workbench import build_page
from components.server.queue import fair_queue as turns
from components.server.queue import sessions
from components.server.queue.fair_queue import OF_ONE_TAB, FairQueue
from components.work import kinds
from components.work.job import jobs_of_event
from components.work.rate_limits import Bucket
from components.work.studio import Studio
from components.work.visitor import Visitor
from dppa_core.errors import Cancelled

CHAT, SCORE = 0, 1
LIGHT = kinds.DRILL
"""Work that waits for no import of torch."""
T = TypeVar("T")


def made(make: Callable[[], T]) -> T:
    """Make something while an event loop runs: without one, Gradio leaks loops."""

    async def inside() -> T:
        return make()

    return asyncio.run(inside())


@pytest.fixture
def queue() -> FairQueue:
    """A queue of two kinds of work; starts none."""

    def empty() -> FairQueue:
        with gr.Blocks() as page:
            for kind in ("model", "exam"):
                gr.Button().click(lambda: None, concurrency_id=kind, concurrency_limit=1)
        page.queue()._queue = FairQueue(page, OF_ONE_TAB)
        return page._queue

    return made(empty)


def ask(queue: FairQueue, who: str | None, work: int = CHAT, address: str = "") -> Any:
    """Whether a question is accepted, or why not."""
    body = PredictBodyInternal(session_hash=who, fn_index=work, data=[])
    request = SimpleNamespace(headers={}, client=SimpleNamespace(host=address))
    let_in, told, state = asyncio.run(queue.push(body, request, None))
    return True if let_in else (state, told)


def begun(queue: FairQueue) -> str:
    """Start the next visitor's event, and end what ran before; return the visitor."""
    queue.active_jobs.clear()
    found = queue.get_events()
    assert found is not None
    queue.active_jobs.append(found[0])
    return found[0][0].session_hash


def place(queue: FairQueue, who: str) -> int:
    """The last number of visitors ahead sent to a visitor."""
    told = []
    while not queue.pending_messages_per_session[who].empty():
        told.append(queue.pending_messages_per_session[who].get_nowait())
    return told[-1].rank


def test_who_asks_once_waits_for_one_question_of_who_asks_many_times(queue: FairQueue) -> None:
    for who in ("greedy", "greedy", "greedy"):
        assert ask(queue, who) is True
    assert begun(queue) == "greedy"
    for who in ("greedy", "one", "two"):
        assert ask(queue, who) is True
    assert (place(queue, "one"), place(queue, "two")) == (0, 1)
    assert [begun(queue) for _ in range(5)] == ["one", "two", "greedy", "greedy", "greedy"]


def test_who_asks_many_times_does_not_starve(queue: FairQueue) -> None:
    for _ in range(3):
        ask(queue, "greedy")
    order = []
    for number in range(8):
        order.append(begun(queue))
        ask(queue, f"newcomer {number}")  # there is always one who was never served
    assert order[:3] == ["greedy", "newcomer 0", "greedy"] and order.count("greedy") == 3


def test_tabs_of_one_address_take_turns_among_themselves(queue: FairQueue) -> None:
    for who in ("greedy", "greedy", "greedy", "neighbour"):
        ask(queue, who, address="203.0.113.7")
    ask(queue, "elsewhere", address="198.51.100.9")
    assert begun(queue) == "greedy"
    assert [begun(queue) for _ in range(4)] == ["elsewhere", "neighbour", "greedy", "greedy"]


def test_a_kind_that_is_full_leaves_room_for_others(queue: FairQueue) -> None:
    for number in range(kinds.MODELS.most_waiting):
        assert ask(queue, f"visitor {number}") is True
    state, told = ask(queue, "one more")
    assert state == "queue_full" and told.startswith("Queue is full: 100 others")
    assert ask(queue, "one more", SCORE) is True


def test_one_visitor_has_so_much_waiting_and_no_more(queue: FairQueue) -> None:
    for number in range(OF_ONE_TAB):
        assert ask(queue, "greedy", number % 2) is True
    begun(queue)  # what runs counts as well
    assert ask(queue, "greedy")[1].startswith(f"Queue is full: {OF_ONE_TAB} of your requests")
    assert ask(queue, "other") is True


def test_tabs_of_one_address_have_half_the_room_and_go_after_others(
    queue: FairQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Session names are made up by clients."""
    monkeypatch.setattr(queue.sessions, "_new", Bucket(1000, 1))
    for number in range(kinds.MODELS.most_waiting // 2):
        assert ask(queue, f"made up {number}", address="203.0.113.7") is True
    assert ask(queue, "one more", address="203.0.113.7")[1].startswith("Queue is full: 50 requests")
    begun(queue)
    assert ask(queue, "honest", address="198.51.100.9") is True
    assert begun(queue) == "honest"


def test_calls_without_a_session_are_those_of_one_visitor(queue: FairQueue) -> None:
    for _ in range(OF_ONE_TAB):
        assert ask(queue, None, address="203.0.113.7") is True
    assert "12 of your requests" in ask(queue, None, address="203.0.113.7")[1]
    assert ask(queue, None, address="198.51.100.9") is True


def started(queue: FairQueue, studio: Studio, work: Any) -> Any:
    """The next event, and a job it has started; Gradio has dropped the event since."""
    assert begun(queue)
    event = queue.active_jobs.pop()[0]

    def handler() -> Any:
        jobs_of_event.set(event.jobs)
        return studio.start(LIGHT, work)

    return event, copy_context().run(handler)


def until_over(job: Any) -> None:
    late = time.monotonic() + 5
    while not job.over:
        assert time.monotonic() < late
        time.sleep(0.01)


def test_a_place_is_free_when_the_work_has_ended_and_not_before(queue: FairQueue) -> None:
    """Cancelling an event frees Gradio's slot at once."""
    may_end, studio = threading.Event(), Studio(public=True)
    ask(queue, "hasty")
    _, job = started(queue, studio, lambda _emit, _stop: may_end.wait(5))
    for _ in range(OF_ONE_TAB - 1):
        assert ask(queue, "hasty") is True
    assert ask(queue, "hasty")[0] == "queue_full", "what runs on is counted for its visitor"
    assert queue.get_events() is None, "one of this kind runs at a time"
    may_end.set()
    until_over(job)
    assert queue.get_events() is not None


def test_what_a_session_that_left_has_started_is_stopped(queue: FairQueue) -> None:
    studio = Studio(public=True)
    ask(queue, "gone")
    event, job = started(queue, studio, lambda _emit, stop: check_until(stop))
    asyncio.run(queue.clean_events(session_hash="somebody else"))
    assert not job.stop.is_set()
    asyncio.run(queue.clean_events(session_hash="gone"))
    until_over(job)
    late = copy_context()
    late.run(jobs_of_event.set, event.jobs)
    assert late.run(studio.start, LIGHT, lambda _emit, _stop: None).stop.is_set(), "nor begins more"


def check_until(stop: threading.Event) -> None:
    if stop.wait(5):
        raise Cancelled("stopped")


def test_what_nobody_listens_to_ends(queue: FairQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(turns, "time", SimpleNamespace(monotonic=lambda: now[0]))
    for who in ("deaf", "hung up", "listens"):
        ask(queue, who)
    for event in queue.event_ids_to_events.values():
        event.enqueue_time = now[0]
    queue.listens("listens")
    queue.listens("hung up")

    def left() -> set[str]:
        asyncio.run(queue.end_unheard())
        return {one.session_hash for one in queue._active()}

    now[0] += turns.UNHEARD - 1
    queue.hangs_up("hung up")
    assert left() == {"deaf", "hung up", "listens"}
    now[0] += 2
    assert left() == {"hung up", "listens"}
    now[0] += turns.UNHEARD
    assert left() == {"listens"}
    now[0] += turns.FORGOTTEN
    assert left() == {"listens"} and set(queue.pending_messages_per_session) == {"listens"}
    assert not queue._unheard_since, "nothing is kept of who has left"


def test_a_party_is_remembered_with_so_many_sessions_and_no_more(
    queue: FairQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio remembers 300: made-up ones would push out everybody's conversation."""
    for number in range(sessions.OF_A_PARTY + 5):
        queue.sessions.touch(Visitor(f"made up {number}", "203.0.113.7"))
        queue.blocks.state_holder[f"made up {number}"]
    queue.sessions.touch(Visitor("honest", "198.51.100.9"))
    queue.blocks.state_holder["honest"]
    held = list(queue.blocks.state_holder.session_data)
    assert len(held) == sessions.OF_A_PARTY + 1 and held[0] == "made up 5" and held[-1] == "honest"


def test_new_sessions_of_a_party_have_a_rate_and_those_that_are_known_none(
    queue: FairQueue,
) -> None:
    """Each takes the event loop 10 to 20 ms, which answers to sliders wait for."""
    most = 4 * sessions.NEW_SESSIONS[0]
    tabs = [Visitor(f"made up {number}", "203.0.113.7") for number in range(most + 9)]
    admitted = [queue.sessions.admit(one) for one in tabs]
    assert admitted.index(False) in (most, most + 1)
    assert ask(queue, "one more", SCORE, "203.0.113.7") == ("queue_full", turns.TOO_MANY_NEW)
    queue.blocks.state_holder[tabs[0].session]
    assert queue.sessions.admit(tabs[0]) and ask(queue, "honest", SCORE, "198.51.100.9") is True


def test_calls_without_a_session_are_new_ones_each_time(queue: FairQueue) -> None:
    caller = Visitor("", "203.0.113.7")
    admitted = [queue.sessions.admit(caller) for _ in range(sessions.NEW_SESSIONS[0] + 5)]
    assert admitted.index(False) in (sessions.NEW_SESSIONS[0], sessions.NEW_SESSIONS[0] + 1)


def test_a_call_without_a_session_leaves_no_values_behind(
    queue: FairQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio remembers 300 sessions: calls would push out everybody's conversation."""

    async def processed(queue: FairQueue, events: list[Any], *_: Any) -> None:
        queue.blocks.state_holder[events[0].session_hash]

    monkeypatch.setattr(Queue, "process_events", processed)
    for who in (None, "honest"):
        assert ask(queue, who) is True
        events, *_ = queue.get_events() or ([],)
        asyncio.run(queue.process_events(events, False, 0.0, events[0].fn))
        queue._begun.clear()
    assert list(queue.blocks.state_holder.session_data) == ["honest"]


def test_what_a_visitor_who_left_never_read_is_forgotten(queue: FairQueue) -> None:
    ask(queue, "gone")
    queue.forget("gone")
    assert "gone" in queue.pending_messages_per_session, "it still waits for its turn"
    queue.get_events()
    queue.forget("gone")
    assert "gone" not in queue.pending_messages_per_session
    assert "gone" not in queue.pending_event_ids_session


def test_answers_that_nobody_reads_are_bounded(
    queue: FairQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The session with the most loses them; the others keep theirs."""
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


def test_a_session_without_a_name_stops_no_queue(queue: FairQueue) -> None:
    """An error while the next event is looked for would end Gradio's queue for everybody."""
    assert ask(queue, "", address="203.0.113.7") is True
    assert ask(queue, "honest", address="198.51.100.9") is True
    queue.broadcast_estimations("model")
    (nameless,) = (one for one in queue._active() if one.session_hash != "honest")
    assert nameless.session_hash == nameless._id and nameless.visitor.session == ""
    assert [begun(queue) for _ in range(2)] == [nameless._id, "honest"]


def test_a_waiting_session_that_was_forgotten_stops_no_queue(queue: FairQueue) -> None:
    for who in ("forgotten", "honest"):
        assert ask(queue, who) is True
    del queue.pending_messages_per_session["forgotten"]
    queue.broadcast_estimations("model")
    assert [begun(queue) for _ in range(2)] == ["forgotten", "honest"]


def test_calls_that_nobody_reads_push_out_no_answer_of_another_party(
    queue: FairQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio keeps the answers of 2,000 sessions, and a call without one is one more each time."""
    queue.sessions._new = Bucket(1000, 1000)
    waiting = queue.pending_messages_per_session
    waiting.max_size = 60
    monkeypatch.setattr(turns, "UNREAD", 40)
    for who in ("waits", "read nothing yet"):
        assert ask(queue, who, SCORE, "198.51.100.9") is True
    for _ in range(5):
        queue.broadcast_estimations("exam")
    queue.get_events()
    unread = waiting["waits"].qsize()
    assert unread > 5, "more than any of the calls below leaves"
    for _ in range(100):
        assert ask(queue, None, address="203.0.113.7") is True
        queue.get_events()
    assert len(waiting) == 60 and {"waits", "read nothing yet"} < waiting.keys()
    assert waiting["waits"].qsize() == unread


def test_events_whose_answers_were_dropped_are_forgotten(
    queue: FairQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "UNREAD", 10)
    for _ in range(50):
        assert ask(queue, "deaf") is True
        queue.get_events()
    assert len(queue.pending_event_ids_session["deaf"]) < 12


def test_strangers_are_bounded_and_ones_own_page_is_not() -> None:
    for public, most in ((True, OF_ONE_TAB), (False, None)):
        page = made(lambda public=public: build_page(Studio(public=public)))
        assert isinstance(page._queue, FairQueue) and page._queue._most == most


def test_events_are_not_counted_for_a_monitor_that_is_off(queue: FairQueue) -> None:
    for number in range(3):
        ask(queue, f"visitor {number}")
    assert len(queue.event_analytics) == 1
    assert queue.compute_analytics_summary(list(queue.event_analytics.values())) == {
        "functions": {}
    }
