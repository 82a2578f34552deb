"""Phases of the load test: all drag; all drag and some do all else; the long run."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from benchmarks.load.recording import Recording
from benchmarks.load.tab import Layout, Tab
from benchmarks.load.visitor import QUESTIONS, Observations, Visitor
from benchmarks.load.watch import Watch, cpu_seconds, peak, together, worked

CROWDS = (1, 10, 50, 100)
DRAG_SECONDS, ALL_SECONDS = 12.0, 30.0
ONE_IN = 5
"""Of so many visitors one scores, one exports, and one drags the strength instead."""
BESIDE = 5
"""Visitors who drag while all others ask merges of their own."""
GREEDY = 20
"""Questions that one visitor asks at once, while others ask one each."""
CLASS, LOOKS = 30, 0.25
"""Pupils; seconds between two looks at the queue."""
WAITING = re.compile(r"^dppa_queue_waiting (\S+)$", re.MULTILINE)
STAYS = 50
"""Moves after which a visitor of the long run leaves, and another comes."""


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Number, median, 95 % and 99 % of some values, by nearest rank."""
    ordered = sorted(values)
    values_by_name: dict[str, float] = {"count": len(ordered)}
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        place = min(len(ordered) - 1, int(share * len(ordered)))
        values_by_name[name] = round(ordered[place], 1) if ordered else 0.0
    return values_by_name


class Load:
    """Visitors of one server, and each phase's results."""

    def __init__(self, url: str, pid: int) -> None:
        """
        Args:
            url: Where the page is.
            pid: The process that serves it.
        """
        self._url, self._pid = url, pid
        self._layout: Layout | None = None
        self.phases: list[dict[str, Any]] = []
        self._seed = 0

    async def _crowd(
        self, count: int, observations: Observations, *, strangers: bool = False
    ) -> list[Visitor]:
        visitors = []
        for _ in range(count):
            self._seed += 1
            high, low = divmod(self._seed, 256)
            tab = Tab(self._url, self._layout, address=f"10.0.{high}.{low}" if strangers else "")
            visitors.append(Visitor(tab, observations, self._seed))
        for begin in range(0, count, 5):  # they come in fives
            await asyncio.gather(*(visitor.arrive() for visitor in visitors[begin : begin + 5]))
        self._layout = visitors[0].tab.layout
        return visitors

    @asynccontextmanager
    async def phase(
        self, name: str, count: int, *, strangers: bool = False
    ) -> AsyncIterator[tuple[list[Visitor], Observations]]:
        """Visitors open the page, do something and leave; notes what they saw."""
        observations, pid = Observations(), self._pid
        crowd = await self._crowd(count, observations, strangers=strangers)
        watch = Watch(pid)
        looking = asyncio.create_task(watch.look())
        begun, server, client = time.monotonic(), cpu_seconds(pid), time.process_time()
        try:
            yield crowd, observations
        finally:
            seconds = time.monotonic() - begun
            looking.cancel()
            await asyncio.gather(*(visitor.tab.close() for visitor in crowd))
        first, last = watch.growth(begun)
        self.phases.append(
            {
                "name": name,
                "visitors": count,
                "seconds": round(seconds, 1),
                "seen": {
                    event: quantiles(times) for event, times in observations.milliseconds.items()
                },
                "answers": round(
                    len(observations.milliseconds.get("slider answer", ())) / seconds, 1
                ),
                "errors": len(observations.errors),
                "first_errors": observations.errors[:3],
                "refused": len(observations.refused),
                "waited": observations.waited,
                "told": observations.placed,
                "server_cores": round((cpu_seconds(pid) - server) / seconds, 2),
                "own_cores": round((time.process_time() - client) / seconds, 2),
                **watch.most(),
                "peak": peak(pid),
                "course": watch.course(begun),
                "first_third": first,
                "last_third": last,
            }
        )

    async def drag(self, count: int, seconds: float = DRAG_SECONDS) -> None:
        """Everybody drags, and nobody does anything else."""
        async with self.phase("drag", count) as (crowd, _):
            until = time.monotonic() + seconds
            await asyncio.gather(*(visitor.drag(until) for visitor in crowd))

    async def everything(self, count: int, seconds: float = ALL_SECONDS) -> None:
        """Everybody drags and asks; one in five scores, one exports, one drags the strength."""
        async with self.phase("everything", count) as (crowd, _):
            until = time.monotonic() + seconds
            acts: list[Awaitable[None]] = []
            for number, visitor in enumerate(crowd):
                strong = count > 1 and number % ONE_IN == 3  # noqa: PLR2004
                acts.append(visitor.strengthen(until) if strong else visitor.drag(until))
                acts.append(_busy(visitor, number, seconds))
            await asyncio.gather(*acts)

    async def merges(self, count: int) -> None:
        """Everybody asks a merge of their own, all at once, three times, while some others drag."""
        async with self.phase("merges", count + BESIDE) as (crowd, _):
            asking, dragging = crowd[BESIDE:], crowd[:BESIDE]

            async def ask() -> None:
                for _ in range(3):
                    await asyncio.gather(*(visitor.ask() for visitor in asking))

            questions = asyncio.create_task(ask())
            while not questions.done():
                until = time.monotonic() + 1
                await asyncio.gather(*(visitor.drag(until) for visitor in dragging))
            await questions
        self.phases[-1]["visitors"] = count

    async def greedy(self, others: int = 9) -> None:
        """One visitor asks many questions at once; then others ask one each."""
        async with self.phase("greedy", others + 1) as (crowd, _):
            first, *rest = crowd
            first.tab.put("prompt", QUESTIONS[0])
            flood = asyncio.create_task(first.tab.flood("on_ask", GREEDY))
            await asyncio.sleep(0.3)
            begun = time.monotonic()  # earlier answers delayed nobody
            await asyncio.gather(*(visitor.ask() for visitor in rest))
            served = time.monotonic()
            ends, refused = await flood
        self.phases[-1] |= {
            "asked_at_once": GREEDY,
            "not_let_in": refused,
            "before_the_others": sum(begun < end < served for end in ends),
        }

    async def soak(self, seconds: float, count: int = 10) -> None:
        """Crowds come, do everything and leave, repeatedly; measures memory after each."""
        begun, sizes, errors = time.monotonic(), list[tuple[int, int]](), list[str]()
        while time.monotonic() - begun < seconds:
            observations = Observations()
            crowd = await self._crowd(
                count, observations, strangers=True
            )  # each with its own limits
            until = time.monotonic() + ALL_SECONDS
            acts = [visitor.follow(until) for visitor in crowd]
            busy = [_busy(visitor, number, ALL_SECONDS) for number, visitor in enumerate(crowd)]
            await asyncio.gather(*acts, *busy)
            await asyncio.gather(*(visitor.tab.close() for visitor in crowd))
            await asyncio.sleep(2)
            sizes.append(together(self._pid))
            errors += observations.errors
        self.phases.append(
            {
                "name": "soak",
                "visitors": count,
                "crowds": len(sizes),
                "seconds": round(time.monotonic() - begun),
                "errors": len(errors),
                "first_errors": errors[:3],
                "course": sizes,
            }
        )

    async def words(self, name: str, recording: Recording, count: int) -> None:
        """Everybody drags and reads, as one real tab did."""
        async with self.phase(name, count, strangers=True) as (crowd, _):
            before = worked(self._pid)
            await asyncio.gather(*(visitor.fetch_files(recording) for visitor in crowd))
            fetched = worked(self._pid)
            await asyncio.gather(*(visitor.repeat(recording) for visitor in crowd))
            words = {"fetching": fetched - before, "reading": worked(self._pid) - fetched}
        self.phases[-1] |= {event: round(seconds, 2) for event, seconds in words.items()}

    async def lesson(self, recording: Recording, count: int = CLASS) -> None:
        """A class behind one address opens the page, drags and reads."""
        most = list[float]()

        async def look() -> None:
            async with httpx.AsyncClient(base_url=self._url) as web:
                while True:
                    metrics = (await web.get("/metrics")).text
                    most.append(max(map(float, WAITING.findall(metrics))))
                    await asyncio.sleep(LOOKS)

        looking = asyncio.create_task(look())
        async with self.phase("class", count) as (crowd, _):
            await asyncio.gather(*(visitor.fetch_files(recording) for visitor in crowd))
            await asyncio.gather(*(visitor.repeat(recording) for visitor in crowd))
        looking.cancel()
        self.phases[-1] |= {"longest_queue": max(most), "looks": len(most)}

    async def long(self, moves: int, at_once: int = 20) -> None:
        """Make `moves` moves as fast as they are answered, by visitors who come and go."""
        async with self.phase("long", 1) as (_, observations):
            left = moves

            async def seat() -> None:
                nonlocal left
                while left > 0:
                    left -= STAYS
                    (visitor,) = await self._crowd(1, observations)
                    await visitor.moves(STAYS)
                    if left % (10 * STAYS) == 0:
                        await visitor.ask()
                    if left % (100 * STAYS) == 0:
                        await visitor.take_away()
                    await visitor.tab.close()

            await asyncio.gather(*(seat() for _ in range(at_once)))
        self.phases[-1]["visitors"] = at_once


async def _busy(visitor: Visitor, number: int, seconds: float) -> None:
    """What a visitor does besides dragging, at its own time."""
    await asyncio.sleep(seconds * 0.5 * (number * 0.618 % 1))
    await visitor.ask()
    if number % ONE_IN == 0:
        await visitor.score()
    if number % ONE_IN == 1 or number == 0:
        await visitor.take_away()
