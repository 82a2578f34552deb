"""The fast path for sliders: how visitors share its threads."""

import asyncio
import threading
from types import SimpleNamespace
from typing import Any

from components.server.guards.body_limits import PARSED
from components.server.queue.fast_answers import ADDRESS, AT_ONCE, FastAnswers, Shares


def test_a_party_has_its_share_and_delays_no_other() -> None:
    """Others used to wait 4 s for 64 questions sent by one client at once."""
    shares, running, most = Shares(2), list[str](), list[int]()

    async def ask(party: str) -> None:
        async with shares.place(party):
            running.append(party)
            most.append(running.count("hostile"))
            await asyncio.sleep(0.01)
            running.remove(party)

    async def all_at_once() -> None:
        hostile = [asyncio.create_task(ask("hostile")) for _ in range(8)]
        await asyncio.sleep(0)
        await asyncio.wait_for(ask("honest"), 5)
        assert sum(task.done() for task in hostile) <= 4
        await asyncio.gather(*hostile)

    asyncio.run(all_at_once())
    assert max(most) == 2 and not shares._held, "nothing is kept of a party that waits for nothing"


def test_a_share_comes_back_when_who_waits_for_it_has_left() -> None:
    shares = Shares(1)

    async def leave() -> None:
        async with shares.place("ada"):
            waiting = asyncio.create_task(shares.place("ada").__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(5), shares.place("ada"):
            pass

    asyncio.run(leave())
    assert not shares._held


def test_one_party_never_has_all_threads_of_the_sliders() -> None:
    free = threading.Event()

    def on_settle(values: dict[str, Any]) -> dict[str, str]:
        assert values["who"] == "honest" or free.wait(10)
        return {"told": ""}

    event = SimpleNamespace(fn=on_settle, inputs=["who"], outputs=["told"])
    page: Any = SimpleNamespace(fns={1: event}, studio=SimpleNamespace(public=True))
    express = FastAnswers(None, page)  # type: ignore[arg-type]

    async def ask(who: str, address: str) -> int:
        statuses: list[int] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b""}

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        asked = {"fn_index": 1, "session_hash": who, "data": [who]}
        scope = {"type": "http", "method": "POST", "path": ADDRESS, "headers": [], PARSED: asked}
        await express(scope | {"client": (address, 1)}, receive, send)
        return statuses[0]

    async def all_at_once() -> list[int]:
        hostile = [asyncio.create_task(ask("x", "203.0.113.7")) for _ in range(2 * AT_ONCE)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(5):
            answered = await ask("honest", "198.51.100.9")
        free.set()
        return [answered, *await asyncio.gather(*hostile)]

    assert set(asyncio.run(all_at_once())) == {200}


def test_pinned_answers_take_no_thread_of_the_sliders_and_know_their_visitor() -> None:
    free, names = threading.Event(), list[str]()

    def on_pinned(values: dict[str, Any], request: Any) -> dict[str, str]:
        names.append(f"{threading.current_thread().name} {request.session_hash}")
        assert free.wait(10)
        return {"told": "an answer"}

    def on_settle(values: dict[str, Any]) -> dict[str, str]:
        names.append(threading.current_thread().name)
        return {"told": ""}

    events = {
        1: SimpleNamespace(fn=on_pinned, inputs=["who"], outputs=["told"]),
        2: SimpleNamespace(fn=on_settle, inputs=["who"], outputs=["told"]),
    }
    page: Any = SimpleNamespace(fns=events, studio=SimpleNamespace(public=False))
    express = FastAnswers(None, page)  # type: ignore[arg-type]
    sent = list[bytes]()

    async def ask(number: int) -> None:
        asked = {"fn_index": number, "data": ["x"], "session_hash": "ada"}
        scope = {"type": "http", "path": ADDRESS, "method": "POST", PARSED: asked}
        scope |= {"client": ("1.2.3.4", 1), "headers": [], "query_string": b""}

        async def send(message: Any) -> None:
            sent.append(message.get("body", b""))

        await express(scope, None, send)  # type: ignore[arg-type]

    async def both() -> None:
        slow = [asyncio.create_task(ask(1)) for _ in range(AT_ONCE)]
        await asyncio.wait_for(ask(2), 5)
        free.set()
        await asyncio.gather(*slow)

    asyncio.run(both())
    assert sum(name.startswith("pinned") and name.endswith(" ada") for name in names) == AT_ONCE
    assert sum(name.startswith("sliders") for name in names) == 1
    assert sum(b"an answer" in body for body in sent) == AT_ONCE
