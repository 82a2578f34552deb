"""One hostile client: 20 connections from one address, and the answers it gets.

attacks.py decides which requests make an attack.
"""

import asyncio
import json
import random
import secrets
from collections import Counter
from typing import Any

import httpx

from benchmarks.load.tab import PROMISED, Tab

CONNECTIONS = 20
PAUSE = 0.25
"""Seconds after which work is cancelled and a stream is dropped."""
PROXIED, ADDRESS = "x-forwarded-for", "203.0.113.7"
"""What the proxy before the server says of where the client is."""
CHOICES = {
    "prompt": "Count from one to one thousand.",
    "max-tokens": 256,
    "score-limit": 400,
    "search-way": "optuna",
    "search-vary": ["rate", "factors", "coefficients", "strength", "levels", "method"],
    "search-trials": 60,
    "search-limit": 96,
    "made": '{"make": "checkpoint"}',
    "spectrum-choice": '{"first": "zoo:math", "second": "zoo:law"}',
    "compare-choice": '{"first": "zoo:math", "second": "merged"}',
    "attribution-prompt": "What is 17 minus 9?",
    "drill": '{"model": "zoo:math", "layer": 0, "kind": "down"}',
    "losses": '"zoo:math"',
    "learn": '{"id": 1, "asks": [{"key": "k", "what": "block", "name": "entropy-surface", '
    '"arguments": {"first": "zoo:finance"}}]}',
}
"""elem_id -> value: the most work that each event allows."""


class Client:
    """Sends requests and counts answers; does not wait for work to end."""

    def __init__(self, tab: Tab) -> None:
        """
        Args:
            tab: One that was opened, for the page's events and the values of its controls.
        """
        self._tab, self.session = tab, tab.session
        tab.values |= {tab.layout.ids[name]: value for name, value in CHOICES.items()}
        self.answers: Counter[str] = Counter()
        """Status -> how many answers had it; "none" where none came."""
        self.rng = random.Random(0)
        self.web = httpx.AsyncClient(
            base_url=f"{tab.url}/gradio_api/",
            limits=httpx.Limits(max_connections=CONNECTIONS),
            timeout=10,
            headers=PROMISED | {PROXIED: ADDRESS},
            event_hooks={"response": [self._count]},
            verify=False,
        )

    def choose(self, name: str, value: Any) -> None:
        """Set a component's value by its elem_id."""
        self._tab.put(name, value)

    def body(self, event: str, session: str) -> bytes:
        """A request for an event, for a merge not requested before."""
        self._tab.put("rate", self.rng.randrange(9_500_000) / 100_000)
        self._tab.session = session
        return self._tab.body(event)

    async def post(self, path: str, content: bytes, **headers: str) -> dict[str, Any]:
        """Send a body; the answer if its status is 200, otherwise nothing."""
        answer = await self.web.post(path, content=content, headers=headers)
        return dict(answer.json()) if answer.status_code == httpx.codes.OK else {}

    async def join(self, event: str, session: str) -> str:
        """Put an event into the queue; its number, empty where it was refused."""
        joined = await self.post("queue/join", self.body(event, session))
        return str(joined.get("event_id", ""))

    async def join_and_cancel(self, event: str, seconds: float = PAUSE) -> None:
        """Put an event of this session into the queue, and stop it as the page's buttons do."""
        number = await self.join(event, self.session)
        await asyncio.sleep(seconds)
        place = self._tab.layout.events[event]["id"]
        body = {"session_hash": self.session, "fn_index": place, "event_id": number}
        await self.post("cancel", json.dumps(body).encode())

    async def drop(self, path: str, seconds: float = PAUSE) -> None:
        """Open a stream, and drop its connection after a time."""
        async with self.web.stream("GET", path):
            await asyncio.sleep(seconds)

    async def _count(self, answer: httpx.Response) -> None:
        self.answers[str(answer.status_code)] += 1


def made_up() -> str:
    """A session ID no page uses."""
    return secrets.token_hex(6)
