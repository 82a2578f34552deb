"""Whose turn it is: Gradio's queue with a bound for each kind of work, and visitors who take turns.

Knows events and who asked, not what they do. What one visitor asks for again and again waits behind
what others ask for once.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.data_classes import PredictBodyInternal
from gradio.queueing import Queue
from gradio.route_utils import get_fn

from components.allowance import visitor_of

WAITING = {"model": 100, "exam": 24, "search": 12, "export": 24, "hub": 12}
"""Kind of work (a `concurrency_id`) -> how many may wait for it at most."""
WAITING_ELSE = 48
"""Of every other kind."""
OF_ONE_VISITOR = 12
"""How much a stranger may have waiting or running at a time, of all kinds together: the page itself
has one of each kind."""
BEHIND = 60.0
"""Seconds by which each further question of one visitor counts as having come later."""
UNREAD = 2000
"""Messages that nobody has read yet, of all visitors together: an open page reads them at once."""
PAUSE = 0.005
"""Seconds between two looks at the queues: each takes the interpreter from whoever computes."""


class Turns(Queue):
    """Gradio's queue, bounded and fair; used on the event loop alone.

    Every event is due when it comes, or `BEHIND` after the visitor's one before it, and they are
    begun in that order: who asks once is overtaken by nobody, and who asks a lot starves no more
    than others do.
    """

    def __init__(self, page: gr.Blocks, most: int | None) -> None:
        """
        Args:
            page: Whose queue it is.
            most: How much one visitor may have waiting or running; None where it does not matter.
        """
        super().__init__(
            live_updates=True,
            concurrency_count=page.max_threads,
            update_intervals=1,
            max_size=None,  # each kind has a bound of its own
            blocks=page,
            default_concurrency_limit=4,
        )
        self.sleep_when_free = PAUSE
        self.ANALYTICS_MAX_EVENTS = 1  # nobody looks at them
        self._most = most

    async def push(
        self, body: PredictBodyInternal, request: Any, username: str | None
    ) -> tuple[bool, Any, Any]:
        """Let an event in, or say why not."""
        self._drop_unread()
        if body.fn_index is None:
            return await super().push(body, request, username)
        kind = get_fn(self.blocks, None, body).concurrency_id
        who = visitor_of(request.headers, body.session_hash)
        problem = self._no_room(kind, who)
        if problem:
            return False, problem, "queue_full"
        own = [one.due + BEHIND for one in self._known(kind) if one.who == who]
        due = max([time.monotonic(), *own])
        answer = await super().push(body, request, username)
        event = self.event_ids_to_events.get(answer[1]) if answer[0] else None
        if event is not None:
            event.who, event.due = who, due
            self._in_order(kind)
        return answer

    def _no_room(self, kind: str, who: str) -> str:
        """Why nothing more is let in; empty where there is room."""
        mine = sum(one.who == who for one in self._known())
        if self._most is not None and mine >= self._most:
            return f"Queue is full: {mine} things that you asked for wait or run already."
        waiting = self.event_queue_per_concurrency_id.get(kind)
        most = WAITING.get(kind, WAITING_ELSE)
        if waiting is not None and len(waiting.queue) >= most:
            return f"Queue is full: {most} others wait for this. Try again in a minute."
        return ""

    def _known(self, kind: str | None = None) -> Iterator[Any]:
        """Events that wait or run, of one kind or of all."""
        for name, waiting in self.event_queue_per_concurrency_id.items():
            if kind in (None, name):
                yield from waiting.queue
        for job in self.active_jobs:
            yield from (one for one in job or () if kind in (None, one.concurrency_id))

    def _in_order(self, kind: str) -> None:
        """Put the events of a kind into the order they are due in, and tell those that moved."""
        waiting = self.event_queue_per_concurrency_id[kind].queue
        before = list(waiting)
        waiting.sort(key=lambda one: one.due)
        moved = [
            at
            for at, pair in enumerate(zip(before, waiting, strict=True))
            if pair[0] is not pair[1]
        ]
        if moved:
            self.broadcast_estimations(kind, moved[0])

    def compute_analytics_summary(self, records: Any) -> dict[str, Any]:
        """Nothing: Gradio would count all events anew after each, for a page that is off."""
        return self.cached_event_analytics_summary

    def _drop_unread(self) -> None:
        """Let go of answers that nobody reads, first those of whoever left most of them."""
        waiting = self.pending_messages_per_session
        unread = {session: messages.qsize() for session, messages in waiting.items()}
        left = sum(unread.values())
        while left > UNREAD:
            session = max(unread, key=lambda one: unread[one])
            left -= unread.pop(session)
            while not waiting[session].empty():
                waiting[session].get_nowait()
        for session in [one for one in self.pending_event_ids_session if one not in waiting]:
            self.forget(session)

    def forget(self, session: str) -> None:
        """Let go of what was never read by a session that has gone."""
        if any(one.session_hash == session for one in self._known()):
            return
        self.pending_messages_per_session.pop(session, None)
        self.pending_event_ids_session.pop(session, None)
