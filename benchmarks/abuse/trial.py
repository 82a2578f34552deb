"""Measure an honest visitor during an attack, and the server before and after.

The attacks run in another process.
"""

import asyncio
import json
import statistics
import sys
import time
from asyncio.subprocess import PIPE
from contextlib import suppress
from itertools import count
from typing import Any

import httpx

from benchmarks.abuse.answers import answers
from benchmarks.abuse.attacks import HEAVY, collide_recipes
from benchmarks.abuse.client import CHOICES, PROXIED
from benchmarks.abuse.collisions import colliding, good
from benchmarks.load.phases import quantiles
from benchmarks.load.tab import Refused, Tab
from benchmarks.load.visitor import Observations, Visitor
from benchmarks.load.watch import peak, reset_peak, threads
from benchmarks.measure import resident
from components.work.kinds import CHATS
from dppa_core.recipes.yaml_text import MergeRecipe

NETWORK, HOST = "198.51.100", 9
"""What the proxy says of where the honest visitor is."""
WARM_SECONDS, START_SECONDS, SETTLE_SECONDS = 60.0, 2.0, 30.0
"""Of the warm-up, of an attack before the first question, and after an attack."""
LESSON_BLOCKS = ({"first": "zoo:finance"}, {"first": "zoo:law", "second": "zoo:math"})
"""Arguments of the slowest block, of whose usual case the result is stored. Two lessons at once
have all threads of their pool."""
ASK_EVERY, PAUSE = 10.0, 0.2
"""Seconds between two questions, and between two rests of the thumb."""


class Trial:
    """One server, attacked several times."""

    def __init__(self, url: str, pid: int, right: list[str]) -> None:
        """
        Args:
            url: Where the page is.
            pid: The process that serves it.
            right: The right answers of the merges of `good`.
        """
        self._url, self._pid, self._right = url, pid, right
        self._before: dict[str, Any] = {}
        self._came = 0
        # For each attack one that nobody has asked before, or its answers would be remembered.
        self._recipes = iter(map(good, count(1)))

    async def warm_up(self) -> None:
        """Ask as many chats as the page answers at once, and do all else: pools then have threads.

        A pool makes a thread when none is idle, and keeps it.
        """
        events = (*["on_ask"] * CHATS.at_once, "on_score", "on_make", *HEAVY)
        crowd = [await self._visitor(Observations(), HOST + 1 + at) for at in range(len(events))]

        async def work(visitor: Visitor, event: str) -> None:
            for name, value in CHOICES.items():
                visitor.tab.put(name, value)
            await visitor.moves(10)
            with suppress(Refused, httpx.HTTPError):
                async for _ in visitor.tab.run(event):
                    pass

        async def learn(visitor: Visitor, arguments: dict[str, str]) -> None:
            asks = [
                {"key": "k", "what": "block", "name": "entropy-surface", "arguments": arguments}
            ]
            visitor.tab.put("learn", json.dumps({"id": 1, "asks": asks}))
            with suppress(Refused, httpx.HTTPError):
                await visitor.tab.call("on_learn")

        with suppress(TimeoutError):
            async with asyncio.timeout(WARM_SECONDS):
                await asyncio.gather(*map(learn, crowd, LESSON_BLOCKS))
                await asyncio.gather(*map(work, crowd, events))
        await asyncio.gather(*(visitor.tab.close() for visitor in crowd))
        await asyncio.sleep(SETTLE_SECONDS)
        self._before = await self._standing()

    async def attack(self, name: str, seconds: float) -> dict[str, Any]:
        """One attack, and the time after it, as a row of the report."""
        notes = Observations(), Observations(), Observations()
        crowd = [await self._visitor(note) for note in notes]
        command = (sys.executable, "-m", "benchmarks.abuse.attacks", name, self._url, str(seconds))
        client = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
        await client.stdout.readline()
        reset_peak(self._pid)
        settled = time.monotonic() + seconds + SETTLE_SECONDS
        recipe = colliding()[0] if name == collide_recipes.__name__ else next(self._recipes)
        wrong = asyncio.create_task(self._wrong(recipe, seconds))
        asked_count, dragged = await _use(crowd, seconds)
        if not dragged:
            notes[0].failed(TimeoutError("a slider was not answered"))
        answers = json.loads(await client.stdout.read())
        row = {
            "attack": name,
            "seconds": seconds,
            "requests": sum(answers.values()),
            "answers": answers,
            "asked": asked_count,
            "wrong": await wrong,
            **_summary(*notes),
            "peak": peak(self._pid),
            "before": self._before,
        }
        await asyncio.sleep(max(0.0, settled - time.monotonic()))
        return row | {"after": await self._standing()}

    async def _wrong(self, recipe: MergeRecipe, seconds: float) -> int:
        """How many questions of another visitor are answered wrong, once the attack goes on."""
        await asyncio.sleep(min(seconds, ASK_EVERY) / 2)
        headers = {PROXIED: f"{NETWORK}.{HOST - 1}"}
        async with httpx.AsyncClient(
            base_url=self._url, timeout=SETTLE_SECONDS, headers=headers
        ) as web:
            pairs = zip(await answers(web, recipe), self._right, strict=True)
        return sum(answer != right for answer, right in pairs)

    async def _standing(self) -> dict[str, Any]:
        """Threads and memory, and the first token of three questions (the median)."""
        notes = Observations()
        visitor = await self._visitor(notes)
        await visitor.tab.call("on_status")  # Gradio ends its idle threads when it needs one
        await asyncio.sleep(1)
        standing = {"threads": threads(self._pid), "bytes": resident(self._pid)}
        with suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                for rate in range(50, 80, 10):
                    visitor.tab.put("rate", rate)
                    await visitor.ask()
        await visitor.tab.close()
        firsts = notes.milliseconds.get("first token", [])
        return standing | {"first_token": round(statistics.median(firsts), 1) if firsts else None}

    async def _visitor(self, notes: Observations, host: int = HOST) -> Visitor:
        self._came += 1
        visitor = Visitor(Tab(self._url), notes, self._came)
        visitor.tab.web.headers[PROXIED] = f"{NETWORK}.{host}"
        await visitor.arrive()
        return visitor


async def _use(crowd: list[Visitor], seconds: float) -> tuple[int, bool]:
    """Drag, ask and export in three tabs; give up what is not answered soon after.

    Returns:
        The number of questions asked, and whether the last slider was answered.
    """
    until, times = time.monotonic() + seconds, list[float]()
    acts = (crowd[0].drag(until, pause=PAUSE), _ask(crowd[1], until, times), _export(crowd[2]))
    tasks = [asyncio.create_task(act) for act in acts]
    ended, late = await asyncio.wait(tasks, timeout=seconds + SETTLE_SECONDS - 1)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)
    await asyncio.gather(*ended, *(visitor.tab.close() for visitor in crowd))
    return len(times), tasks[0] in ended


async def _ask(visitor: Visitor, until: float, times: list[float]) -> None:
    await asyncio.sleep(START_SECONDS)
    while (begun := time.monotonic()) < until:
        times.append(begun)
        visitor.tab.put("rate", 40 + len(times))  # each is a different merge
        await visitor.ask()
        await asyncio.sleep(max(0.0, begun + ASK_EVERY - time.monotonic()))


async def _export(visitor: Visitor) -> None:
    await asyncio.sleep(2 * START_SECONDS)
    await visitor.take_away()


def _summary(sliders: Observations, questions: Observations, files: Observations) -> dict[str, Any]:
    times = sliders.milliseconds.get("slider answer", [])
    firsts = questions.milliseconds.get("first token", [])
    failed = [notes.errors + notes.refused for notes in (sliders, questions, files)]
    return {
        "slider": quantiles(times),
        "slowest": round(max(times, default=0.0), 1),
        "slider_failed": len(failed[0]),
        "answered": len(firsts),
        "first_token": round(max(firsts, default=0.0), 1),
        "exported": "export" in files.milliseconds,
        "full": sum(len(notes.refused) for notes in (sliders, questions, files)),
        "first_errors": [error for errors in failed for error in errors[:2]],
    }
