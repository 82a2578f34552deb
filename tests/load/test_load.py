"""Many visitors of one page, on the tiny models: a short `make bench-load`."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
import httpx
import pytest

from benchmarks.load.phases import GREEDY, Load
from benchmarks.load.recording import Recording, Sent
from benchmarks.load.tab import Refused, Tab
from benchmarks.load.visitor import Observations, Visitor
from components.page.workbench import build_page, start
from components.server.queue import visitors_present as presence
from components.server.queue.fair_queue import OF_ONE_TAB
from components.server.serving import launch_options
from components.work.rate_limits import Bucket
from components.work.studio import WORKERS, Studio
from components.work.visitor import Visitor as Asker
from dppa_core.progress import Stop
from tests.e2e.server import free_port


@pytest.fixture(scope="module")
def page(tiny_zoo: Any) -> Iterator[gr.Blocks]:
    """A page for strangers, served."""
    patch = pytest.MonkeyPatch()
    patch.setenv("DPPA_ZOO", str(tiny_zoo))
    patch.setenv("DPPA_WARM", "0")
    patch.setattr(presence, "STAYS", 0.3)
    page = build_page(Studio(public=True))
    # A free port at once: Gradio leaves a socket open for each one it finds taken.
    start(page, server_name="127.0.0.1", server_port=free_port(), quiet=True)
    yield page
    page.close()
    patch.undo()


def address(page: gr.Blocks) -> str:
    return page.local_url.rstrip("/")


def seen_by(page: gr.Blocks, doing: Any, count: int = 1) -> Observations:
    """What visitors saw from opening to leaving."""

    async def visit() -> Observations:
        observations = Observations()
        crowd = [Visitor(Tab(address(page)), observations, number) for number in range(count)]
        for visitor in crowd:
            await visitor.arrive()
        await doing(crowd)
        for visitor in crowd:
            await visitor.tab.close()
        return observations

    return asyncio.run(visit())


def test_a_few_visitors_drag_ask_and_export_and_get_what_is_theirs(
    page: gr.Blocks, one_torch_thread: None
) -> None:
    async def everything(crowd: list[Visitor]) -> None:
        until = time.monotonic() + 1.5
        asks = [visitor.ask() for visitor in crowd]
        drags = [visitor.drag(until, pause=0.1) for visitor in crowd[1:]]
        await asyncio.gather(*asks, *drags, crowd[0].strengthen(until))
        await crowd[0].take_away()

    observations = seen_by(page, everything, 4)
    # The answers' factors and rates are checked.
    assert not observations.errors and not observations.refused
    counts = {name: len(times) for name, times in observations.milliseconds.items()}
    assert counts["slider answer"] >= 6 and counts["tables of another strength"] >= 2
    assert counts["first token"] == 4 and counts["export"] == 1
    turns, answers = (
        observations.milliseconds[name] for name in ("question, from its turn on", "whole answer")
    )
    assert len(turns) == 4 and 0 < sum(turns) < sum(answers)
    assert observations.waited == observations.placed, "who waits is told how many are before them"


def test_recorded_requests_are_repeated_with_the_factors_of_each_visitor(page: gr.Blocks) -> None:
    factors = list[float]()

    async def repeat(crowd: list[Visitor]) -> None:
        layout = crowd[0].tab.layout
        entry = layout.events["on_settle"]
        data = [layout.values[key] for key in entry["inputs"]]
        recording = Recording(["tab/tab.wasm"], [Sent(at, entry["id"], data) for at in (0, 0.2)])
        await asyncio.gather(*(visitor.fetch_files(recording) for visitor in crowd))
        await asyncio.gather(*(visitor.repeat(recording) for visitor in crowd))
        factors.extend(
            visitor.tab.value("exact")["choices"]["models"][0][2][0] for visitor in crowd
        )

    observations = seen_by(page, repeat, 3)
    assert not observations.errors and len(set(factors)) == 3
    counts = {event: len(times) for event, times in observations.milliseconds.items()}
    assert counts["on_settle"] == 6 and counts["files fetched"] == 3


def test_equal_recipes_of_two_visitors_are_one_model(
    page: gr.Blocks, one_torch_thread: None
) -> None:
    async def ask(crowd: list[Visitor]) -> None:
        await crowd[0].ask()
        held.append(set(page.studio.in_memory()[0]))
        crowd[1].tab.values = dict(crowd[0].tab.values)
        await crowd[1].ask()
        held.append(set(page.studio.in_memory()[0]))

    held: list[set[str]] = []
    assert not seen_by(page, ask, 2).errors
    assert held[0] == held[1] and held[0]


@pytest.mark.long
def test_who_asks_many_questions_keeps_nobody_waiting(
    page: gr.Blocks, one_torch_thread: None
) -> None:
    load = Load(address(page), os.getpid())
    asyncio.run(load.greedy(others=3))
    (phase,) = load.phases
    assert phase["not_let_in"] >= GREEDY - OF_ONE_TAB
    assert not phase["errors"] and phase["seen"]["first token"]["count"] == 3


@contextmanager
def held_up(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every model and every export takes until the end of the block."""
    free = threading.Event()

    def never(*_: Any, **__: Any) -> Any:
        free.wait(30)
        raise gr.Error("held up")

    monkeypatch.setattr(studio, "lend", never)
    monkeypatch.setattr("components.views.export.export.make_file", never)
    with studio.pool()._building:
        try:
            yield
        finally:
            free.set()


@pytest.mark.long
def test_who_joins_and_cancels_has_one_score_computed_at_a_time(
    page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gradio's slot is free once an event is cancelled, though its work runs on."""
    running, most = list[int](), list[int]()

    def score(_exam: Any, _studio: Any, _emit: Any, stop: Stop) -> None:
        running.append(1)
        most.append(len(running))
        late = time.monotonic() + 20
        while not stop.is_set() and time.monotonic() < late:
            time.sleep(0.01)
        time.sleep(0.2)  # the rest of the current item
        running.pop()

    page.studio.pool()  # imports torch
    monkeypatch.setattr("components.views.score.score.score_events", score)

    async def hasty() -> None:
        async with httpx.AsyncClient(base_url=f"{address(page)}/gradio_api") as web:
            body = body_of(page, "on_score", session_hash="hasty")
            for _ in range(12):
                join = (await web.post("/queue/join", json=body)).json()
                await asyncio.sleep(0.1)
                ended = {"session_hash": "hasty", "fn_index": body["fn_index"], **join}
                assert (await web.post("/cancel", json={"event_id": "", **ended})).is_success

    asyncio.run(hasty())
    until = time.monotonic() + 5
    while running and time.monotonic() < until:
        time.sleep(0.05)
    assert not running and max(most) == 1


@pytest.mark.long
def test_sliders_never_wait_for_merges_and_models(
    page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def drag(crowd: list[Visitor]) -> None:
        with held_up(page.studio, monkeypatch):
            long = [asyncio.create_task(act) for visitor in crowd[:4] for act in heavy(visitor)]
            await asyncio.sleep(0.5)
            async with asyncio.timeout(5):
                await asyncio.gather(crowd[4].moves(5), crowd[5].moves(5))
                for name in ("on_strength", "on_method", "on_open", "on_status", "on_dragged"):
                    await crowd[4].tab.call(name)
        await asyncio.gather(*long)

    def heavy(visitor: Visitor) -> Iterator[Coroutine[Any, Any, None]]:
        # In separate tabs: one tab would wait for its first.
        for name in ("ask", "score", "take_away"):
            tab = Tab(visitor.tab.url, visitor.tab.layout)
            tab.values = dict(visitor.tab.values)
            yield getattr(Visitor(tab, Observations(), 0), name)()

    observations = seen_by(page, drag, 6)
    assert not observations.errors and len(observations.milliseconds["slider answer"]) == 10


def test_there_are_more_threads_than_all_queues_begin_together(page: gr.Blocks) -> None:
    kinds: dict[str, int] = {}
    for event in page.fns.values():
        if event.queue and event.fn:
            limit = event.concurrency_limit
            kinds[event.concurrency_id] = 4 if limit == "default" else int(limit)
    assert sum(kinds.values()) + 8 <= launch_options()["max_threads"]
    named = [limit for kind, limit in kinds.items() if not kind.isdigit() and kind != "tune"]
    assert sum(named) <= WORKERS, "no work waits for a thread while its turn has come"


def test_a_visitor_who_left_is_forgotten_and_one_who_comes_back_is_not(page: gr.Blocks) -> None:
    async def come_and_go() -> tuple[str, str]:
        gone, back = Tab(address(page)), Tab(address(page))
        for tab in (gone, back):
            await tab.open()
            await tab.close()
        again = Tab(address(page), session=back.session)
        await again.open()
        until = time.monotonic() + 5
        while gone.session in page.state_holder.session_data and time.monotonic() < until:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.1)
        held = tuple(page.state_holder.session_data)
        await again.close()
        assert gone.session not in held, "its tab is closed"
        assert back.session in held, "its tab was opened again in time"
        return gone.session, back.session

    gone, _ = asyncio.run(come_and_go())
    assert gone not in page.state_holder.time_last_used


def body_of(page: gr.Blocks, name: str, **more: Any) -> dict[str, Any]:
    """A question of the page as it opens."""
    (event,) = [
        function for function in page.fns.values() if function.fn and function.fn.__name__ == name
    ]
    data = [component.value for component in event.inputs]
    return {"data": data, "fn_index": event._id, "session_hash": "short", **more}


@pytest.mark.parametrize("name", ["on_settle", "on_strength"])
def test_the_short_way_says_what_the_long_one_says(page: gr.Blocks, name: str) -> None:
    body = body_of(page, name)
    long = asyncio.run(page.process_api(body["fn_index"], body["data"]))
    reply = httpx.post(f"{address(page)}/gradio_api/run/predict", json=body).json()
    keys = ("data", "is_generating", "render_config", "changed_state_ids")
    assert reply["data"] == long["data"] and set(keys) <= set(reply)
    assert json.loads(reply["data"][0]), "something was told at all"


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"data": None}, 422),
        ({"data": []}, 500),
        ({"fn_index": "none"}, 422),
        ({"session_hash": "x" * 65}, 422),
    ],
)
def test_what_no_slider_asks_goes_the_long_way(
    page: gr.Blocks, changed: dict[str, Any], status: int
) -> None:
    body = body_of(page, "on_settle") | changed
    answer = httpx.post(f"{address(page)}/gradio_api/run/predict", json=body)
    assert answer.status_code == status


def test_what_cannot_be_is_told_on_the_short_way_as_well(page: gr.Blocks) -> None:
    strange = body_of(page, "on_settle")
    strange["data"] = ["x"] * len(strange["data"])
    reply = httpx.post(f"{address(page)}/gradio_api/run/predict", json=strange)
    assert reply.status_code == 200 and "trouble" in json.loads(reply.json()["data"][0])
    strange = body_of(page, "on_strength") | {"data": strange["data"]}
    reply = httpx.post(f"{address(page)}/gradio_api/run/predict", json=strange)
    assert reply.status_code == 500 and "Traceback" not in reply.text


def test_a_slider_measures_no_significance_of_strangers(page: gr.Blocks) -> None:
    body = body_of(page, "on_settle")
    body["data"] = ["fisher" if value == "magnitude" else value for value in body["data"]]
    reply = httpx.post(f"{address(page)}/gradio_api/run/predict", json=body).json()
    assert "fisher of zoo:math is not measured yet" in json.loads(reply["data"][0])["trouble"]


def test_who_asks_without_end_is_told_to_wait(
    page: gr.Blocks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Requests that bypass the queue; more often than any page does."""
    url, askers = f"{address(page)}/gradio_api/run/predict", list[Asker]()
    monkeypatch.setattr(Bucket, "take", lambda _, who: askers.append(who))
    for name in ("on_settle", "on_strength", "on_status"):
        reply = httpx.post(url, json=body_of(page, name))
        assert reply.status_code == 429 and "a moment" in reply.json()["error"], name
    assert {asker.session for asker in askers} == {"short"}


def test_there_is_one_way_beside_the_queue(page: gr.Blocks) -> None:
    for path in ("run/predict/", "run/x", "api/predict", "api/x/"):
        reply = httpx.post(f"{address(page)}/gradio_api/{path}", json=body_of(page, "on_settle"))
        assert reply.status_code == 404, path


def test_an_event_that_is_refused_says_so(page: gr.Blocks) -> None:
    async def fail(crowd: list[Visitor]) -> None:
        crowd[0].tab.put("prompt", "")
        with pytest.raises(Refused, match="There is no question yet"):
            async for _ in crowd[0].tab.run("on_ask"):
                pass

    seen_by(page, fail)
