"""Phases of the load test: all drag; all drag and some do all else; the long run."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from benchmarks.load.tab import Layout, Tab
from benchmarks.load.visitor import QUESTIONS, Seen, Visitor
from benchmarks.load.watch import Watch, cpu_seconds, peak, together

CROWDS = (1, 10, 50, 100)
DRAG_SECONDS, ALL_SECONDS = 12.0, 30.0
ONE_IN = 5
"""Of so many visitors one scores, one exports, and one drags the strength instead."""
BESIDE = 5
"""Visitors who drag while all others ask merges of their own."""
GREEDY = 20
"""Questions that one visitor asks at once, while others ask one each."""
STAYS = 50
"""Moves after which a visitor of the long run leaves, and another comes."""


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Number, median, 95 % and 99 % of some values, by nearest rank."""
    ordered = sorted(values)
    found: dict[str, float] = {"count": len(ordered)}
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        place = min(len(ordered) - 1, int(share * len(ordered)))
        found[name] = round(ordered[place], 1) if ordered else 0.0
    return found


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

    async def _crowd(self, count: int, seen: Seen, *, strangers: bool = False) -> list[Visitor]:
        made = []
        for _ in range(count):
            self._seed += 1
            high, low = divmod(self._seed, 256)
            tab = Tab(self._url, self._layout, address=f"10.0.{high}.{low}" if strangers else "")
            made.append(Visitor(tab, seen, self._seed))
        for begin in range(0, count, 5):  # they come in fives
            await asyncio.gather(*(one.arrive() for one in made[begin : begin + 5]))
        self._layout = made[0].tab.layout
        return made

    @asynccontextmanager
    async def phase(self, name: str, count: int) -> AsyncIterator[tuple[list[Visitor], Seen]]:
        """Visitors open the page, do something and leave; notes what they saw."""
        seen, pid = Seen(), self._pid
        crowd = await self._crowd(count, seen)
        watch = Watch(pid)
        looking = asyncio.create_task(watch.look())
        begun, server, own = time.monotonic(), cpu_seconds(pid), time.process_time()
        try:
            yield crowd, seen
        finally:
            seconds = time.monotonic() - begun
            looking.cancel()
            await asyncio.gather(*(one.tab.close() for one in crowd))
        first, last = watch.growth(begun)
        self.phases.append(
            {
                "name": name,
                "visitors": count,
                "seconds": round(seconds, 1),
                "seen": {what: quantiles(found) for what, found in seen.milliseconds.items()},
                "answers": round(len(seen.milliseconds.get("slider answer", ())) / seconds, 1),
                "errors": len(seen.errors),
                "first_errors": seen.errors[:3],
                "refused": len(seen.refused),
                "waited": seen.waited,
                "told": seen.told,
                "server_cores": round((cpu_seconds(pid) - server) / seconds, 2),
                "own_cores": round((time.process_time() - own) / seconds, 2),
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
            await asyncio.gather(*(one.drag(until) for one in crowd))

    async def everything(self, count: int, seconds: float = ALL_SECONDS) -> None:
        """Everybody drags and asks; one in five scores, one exports, one drags the strength."""
        async with self.phase("everything", count) as (crowd, _):
            until = time.monotonic() + seconds
            acts: list[Awaitable[None]] = []
            for number, one in enumerate(crowd):
                strong = count > 1 and number % ONE_IN == 3  # noqa: PLR2004
                acts.append(one.strengthen(until) if strong else one.drag(until))
                acts.append(_busy(one, number, seconds))
            await asyncio.gather(*acts)

    async def merges(self, count: int) -> None:
        """Everybody asks a merge of their own, all at once, three times, while some others drag."""
        async with self.phase("merges", count + BESIDE) as (crowd, _):
            asking, dragging = crowd[BESIDE:], crowd[:BESIDE]

            async def ask() -> None:
                for _ in range(3):
                    await asyncio.gather(*(one.ask() for one in asking))

            asked = asyncio.create_task(ask())
            while not asked.done():
                until = time.monotonic() + 1
                await asyncio.gather(*(one.drag(until) for one in dragging))
            await asked
        self.phases[-1]["visitors"] = count

    async def greedy(self, others: int = 9) -> None:
        """One visitor asks many questions at once; then others ask one each."""
        async with self.phase("greedy", others + 1) as (crowd, seen):
            first, *rest = crowd
            first.tab.put("prompt", QUESTIONS[0])
            flood = asyncio.create_task(first.tab.flood("on_ask", GREEDY))
            await asyncio.sleep(0.3)
            asked = time.monotonic()  # earlier answers delayed nobody
            await asyncio.gather(*(one.ask() for one in rest))
            served = time.monotonic()
            ends, refused = await flood
        self.phases[-1] |= {
            "asked_at_once": GREEDY,
            "not_let_in": refused,
            "before_the_others": sum(asked < end < served for end in ends),
        }

    async def soak(self, seconds: float, count: int = 10) -> None:
        """Crowds come, do everything and leave, repeatedly; measures memory after each."""
        begun, sizes, errors = time.monotonic(), list[tuple[int, int]](), list[str]()
        while time.monotonic() - begun < seconds:
            seen = Seen()
            crowd = await self._crowd(count, seen, strangers=True)  # each with its own limits
            until = time.monotonic() + ALL_SECONDS
            acts = [one.follow(until) for one in crowd]
            busy = [_busy(one, number, ALL_SECONDS) for number, one in enumerate(crowd)]
            await asyncio.gather(*acts, *busy)
            await asyncio.gather(*(one.tab.close() for one in crowd))
            await asyncio.sleep(2)
            sizes.append(together(self._pid))
            errors += seen.errors
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

    async def long(self, moves: int, at_once: int = 20) -> None:
        """Make `moves` moves as fast as they are answered, by visitors who come and go."""
        async with self.phase("long", 1) as (_, seen):
            left = moves

            async def seat() -> None:
                nonlocal left
                while left > 0:
                    left -= STAYS
                    (one,) = await self._crowd(1, seen)
                    await one.moves(STAYS)
                    if left % (10 * STAYS) == 0:
                        await one.ask()
                    if left % (100 * STAYS) == 0:
                        await one.take_away()
                    await one.tab.close()

            await asyncio.gather(*(seat() for _ in range(at_once)))
        self.phases[-1]["visitors"] = at_once


async def _busy(one: Visitor, number: int, seconds: float) -> None:
    """What a visitor does besides dragging, at its own time."""
    await asyncio.sleep(seconds * 0.5 * (number * 0.618 % 1))
    await one.ask()
    if number % ONE_IN == 0:
        await one.score()
    if number % ONE_IN == 1 or number == 0:
        await one.take_away()
