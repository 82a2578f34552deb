"""What visitors do: drag, ask, score, export. Each notes what it saw.

tab.py sends the requests.
"""

import asyncio
import hashlib
import json
import random
import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from benchmarks.load.recording import Recording, Sent
from benchmarks.load.tab import Refused, Tab

QUESTIONS = (
    "Tom has 12 apples and buys 5 more. How many apples does Tom have?",
    "Anna pays 4 coins for each of 3 books. How many coins does Anna pay?",
    "What is 17 minus 9?",
)
PAUSE = 2.0
"""Seconds for which a tab does not ask a busy server (assets/js/pinned/answer.js)."""
REST = 0.5
"""Seconds between two rests of a thumb that never stops playing: each rest asks the server."""


@dataclass
class Observations:
    """What all visitors of one phase saw."""

    milliseconds: dict[str, list[float]] = field(default_factory=dict)
    """What was waited for -> each waiting time."""
    errors: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    """Refusals by a full queue: neither an error nor an answer."""
    placed: int = 0
    """Questions that had to wait and got their place."""
    waited: int = 0

    def note(self, event: str, milliseconds: float) -> None:
        """Add a value."""
        self.milliseconds.setdefault(event, []).append(milliseconds)

    def failed(self, error: Exception) -> None:
        """An answer that did not come."""
        text = f"{type(error).__name__}: {error}"
        full = isinstance(error, Refused) and " 503 " in text
        (self.refused if full else self.errors).append(text)


class Visitor:
    """One of many, each with its own settings, by `seed`."""

    def __init__(self, tab: Tab, observations: Observations, seed: int) -> None:
        self.tab, self._observations, self._rng = tab, observations, random.Random(seed)
        self._rate = 30.0
        self._factor = round(0.5 + self._rng.randrange(300) / 100, 2)

    async def arrive(self) -> None:
        """Open the page, and set factors that nobody else has."""
        begun = time.perf_counter()
        await self.tab.open()
        self._observations.note("page opened", 1000 * (time.perf_counter() - begun))
        factors = {"linked": True, "factors": [self._factor, 1.0], "own": {}}
        self.tab.put("amplify", json.dumps(factors))
        self.tab.put("partitions", self._rng.randint(1, 4))

    async def drag(
        self, until: float, *, pause: float = REST, event: str = "slider answer"
    ) -> None:
        """Move the pruning slider; whenever it rests, the server is asked for the exact plan."""
        await asyncio.sleep(self._rng.random() * pause)
        due = time.monotonic()
        while (now := time.monotonic()) < until:
            due = max(now, due + pause)
            self._rate = float(self._rng.randrange(100))
            await self._settled(event)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def moves(self, count: int) -> None:
        """Make `moves` moves, each when the one before was answered."""
        for _ in range(count):
            self._rate = float(self._rng.randrange(100))
            await self._settled("slider answer")

    async def _settled(self, event: str) -> None:
        self.tab.put("rate", self._rate)
        try:
            self._observations.note(event, await self.tab.call("on_settle"))
            exact = self.tab.value("exact")
            factors = exact["choices"]["models"][0][2]
            if exact["rate"] != round(self._rate / 100, 4) or factors[0] != self._factor:
                raise ValueError(f"asked for {self._rate} %, got {exact['rate']}, {factors}")
        except (httpx.HTTPError, Refused, ValueError, KeyError) as error:
            self._observations.failed(error)

    async def follow(self, until: float, pause: float = 1.0) -> None:
        """Move the slider; at each rest the current merge answers the pinned question."""
        number = 0
        while time.monotonic() < until:
            number += 1
            self.tab.put("rate", float(self._rng.randrange(100)))
            question = {"id": number, "prompt": QUESTIONS[0], "moving": False}
            self.tab.put("pinned", json.dumps(question))
            try:
                took = await self.tab.call("on_pinned")
                answer = self.tab.value("pinned")
                if answer["id"] != number or not (answer.get("later") or answer.get("recipe")):
                    raise ValueError(f"no pinned answer: {answer!r:.200}")
                self._observations.note("pinned answer", took)
            except (httpx.HTTPError, Refused, ValueError, KeyError) as error:
                self._observations.failed(error)
            await asyncio.sleep(pause)

    async def fetch_files(self, recording: Recording) -> None:
        """What a tab fetches once, on its first wish for words."""
        begun = time.perf_counter()
        for address in recording.fetched:
            await self.tab.skim(address)
        self._observations.note("files fetched", 1000 * (time.perf_counter() - begun))

    async def repeat(self, recording: Recording) -> None:
        """Send what a real tab sent, at its times, with factors of one's own; like a tab, wait for
        an answer before the next request of its kind, and a while where the server is busy."""
        begun, flying = time.monotonic(), dict[int, asyncio.Task[None]]()
        for sent in recording.sent:
            await asyncio.sleep(max(0.0, begun + sent.at - time.monotonic()))
            if sent.event not in flying or flying[sent.event].done():
                flying[sent.event] = asyncio.create_task(self._repeat(sent))
        await asyncio.gather(*flying.values())

    async def _repeat(self, sent: Sent) -> None:
        name = self.tab.put_inputs(sent.event, sent.data, but="amplify")
        try:
            took = await self.tab.call(name)
            words = self.tab.value("pinned") if name.startswith("on_pinned") else {}
            if words.get("later") in ("busy", "often"):
                self._observations.note("no words while busy", took)
                await asyncio.sleep(PAUSE)
            else:
                self._observations.note("words" if words else name, took)
        except (httpx.HTTPError, Refused, ValueError, KeyError) as error:
            self._observations.failed(error)

    async def strengthen(self, until: float) -> None:
        """Drag the strength: its tables are asked for at every step, one question at a time."""
        while time.monotonic() < until:
            self.tab.put("strength", self._rng.randrange(51) / 100)
            try:
                self._observations.note(
                    "tables of another strength", await self.tab.call("on_strength")
                )
            except (httpx.HTTPError, Refused) as error:
                self._observations.failed(error)
            await asyncio.sleep(0.03)  # a key that is held down

    async def ask(self, event: str = "first token") -> None:
        """Ask the merge one question, and read the answer to its end."""
        self.tab.put("prompt", self._rng.choice(QUESTIONS))
        begun, first, places = time.monotonic(), None, list[int]()
        started, before = begun, self._last_turn().get("id")
        try:
            async for message in self.tab.run("on_ask"):
                if message.kind == "process_starts":
                    started = message.at
                if message.before is not None:
                    places.append(message.before)
                if first is None and self.answered_since(before):
                    first = message.at
                    self._observations.note(event, 1000 * (first - begun))
            if first is None:
                raise ValueError(f"no answer: {self.tab.value('transcript')!r:.200}")
            ended = time.monotonic()
            self._observations.note("whole answer", 1000 * (ended - begun))
            self._observations.note("question, from its turn on", 1000 * (ended - started))
        except (httpx.HTTPError, Refused, ValueError, KeyError) as error:
            self._observations.failed(error)
        if len(places) > 1 or (places and places[0]):
            self._observations.waited += 1
            self._observations.placed += places == sorted(places, reverse=True) and places[-1] == 0

    def answered_since(self, turn: str | None) -> bool:
        """Return True if a later turn of the conversation has a token."""
        last = self._last_turn()
        return last.get("id") != turn and any(
            answer.get("tokens") or answer.get("state") == "done" for answer in last["answers"]
        )

    def _last_turn(self) -> dict[str, Any]:
        turns = (self.tab.value("transcript") or {}).get("turns") or [{}]
        return dict(turns[-1])

    async def score(self, limit: int = 4) -> None:
        """Let all models answer the fewest test questions."""
        self.tab.put("score-limit", limit)
        begun = time.monotonic()
        try:
            async for _ in self.tab.run("on_score"):
                pass
            state = self.tab.value("score")["state"]
            if state != "done":
                raise ValueError(f"the score ended {state}: {self.tab.value('score')!r:.200}")
            self._observations.note("score", 1000 * (time.monotonic() - begun))
        except (httpx.HTTPError, Refused, ValueError, KeyError) as error:
            self._observations.failed(error)

    async def take_away(self) -> None:
        """Have the merged checkpoint made, fetch it and look at its hash."""
        self.tab.put("made", json.dumps({"make": "checkpoint"}))
        begun = time.monotonic()
        try:
            async for _ in self.tab.run("on_make"):
                pass
            export = self.tab.value("made")
            if export["state"] != "done":
                raise ValueError(f"the export ended {export['state']}: {export.get('note')}")
            file = export["rows"][0]
            content = await self.tab.fetch(file["address"])
            if hashlib.sha256(content).hexdigest() != file["sha256"]:
                raise ValueError(f"{file['name']} arrived with other bytes")
            self._observations.note("export", 1000 * (time.monotonic() - begun))
        except (httpx.HTTPError, Refused, ValueError, KeyError) as error:
            self._observations.failed(error)
