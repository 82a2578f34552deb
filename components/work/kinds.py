"""The kinds of work and their queues, one row each: turns, waiting room, time, torch, priority."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MOST_WAITING = 48
"""Events that may wait in a queue without a row of its own."""


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue of events, which run a few at a time."""

    name: str
    """Gradio's `concurrency_id`."""
    at_once: int = 1
    """Most events that run at the same time."""
    most_waiting: int = MOST_WAITING
    """Most events that wait; a party may have half of them."""

    @property
    def turns(self) -> dict[str, Any]:
        """Options of an event that waits in it."""
        return {"concurrency_id": self.name, "concurrency_limit": self.at_once}


CHATS = Queue("chat", 48, 100)
MODELS = Queue("model", 1, 100)
EXAMS = Queue("exam", 1, 24)
SEARCHES = Queue("search", 1, 12)
EXPORTS = Queue("export", 1, 24)
DOWNLOADS = Queue("hub", 1, 12)
COUNTS = Queue("count")
"""One count at a time for all visitors: it uses a whole core, and nothing else waits for it."""
LOOKS = Queue("look", 2)
NEXT_TOKENS = Queue("next", 2)
CURVES = Queue("curve")
"""One curve at a time for all visitors: it gives way to answers."""
RESTORES = Queue("tune", 4)

QUEUES = (
    *(CHATS, MODELS, EXAMS, SEARCHES, EXPORTS, DOWNLOADS),
    *(COUNTS, LOOKS, NEXT_TOKENS, CURVES, RESTORES),
)
WAITING_ROOM = {queue.name: queue.most_waiting for queue in QUEUES}


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of work in threads."""

    name: str
    """In the log and the metrics."""
    queue: Queue | None
    """Its events' queue; None if it has none, or those of several."""
    seconds: float = 120.0
    """Its time limit on a public page. Results of a score or a search so far are kept: starting it
    again continues from there."""
    torch: bool = True
    """Whether it imports torch. It then waits until one thread has: two threads that import it at
    once may see it half initialised."""
    answers: bool = False
    """Whether the answering process does it, if there is one."""
    gives_way: bool = False
    """Whether it is long work, which gives way to answers that people wait for."""

    @property
    def turns(self) -> dict[str, Any]:
        """Options of its events; none without a queue of its own."""
        return self.queue.turns if self.queue else {}


CHAT = Kind("chat", CHATS, answers=True)
NEXT = Kind("next", NEXT_TOKENS, answers=True)
CURVE = Kind("curve", CURVES, answers=True, gives_way=True)
PINNED = Kind("pinned", None, 20.0, answers=True)
TABLE = Kind("table", MODELS)
SIGNIFICANCE = Kind("significance", MODELS)
SCORE = Kind("score", EXAMS, 300.0, gives_way=True)
PERPLEXITY = Kind("perplexity", EXAMS, gives_way=True)
ATTRIBUTION = Kind("attribution", EXAMS, gives_way=True)
COMPARE = Kind("compare", EXAMS)
SPECTRUM = Kind("spectrum", EXAMS, torch=False, gives_way=True)
SEARCH = Kind("search", SEARCHES, 900.0, gives_way=True)
ADVICE = Kind("advice", SEARCHES)
CONFLICT = Kind("conflict", COUNTS, torch=False)
SPARSITY = Kind("sparsity", COUNTS, torch=False)
FORM_SIZES = Kind("form sizes", COUNTS, torch=False)
FORM_SCORES = Kind("form scores", EXAMS, 300.0, gives_way=True)
DRILL = Kind("drill", LOOKS, torch=False)
FETCH = Kind("fetch", DOWNLOADS, torch=False)
EXPORT = Kind("export", EXPORTS, 180.0)
PUSH = Kind("push", EXPORTS, 900.0)
API = Kind("api", None)
