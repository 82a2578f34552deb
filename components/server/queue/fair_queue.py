"""Gradio's queue with a limit for each kind of work, shared fairly between visitors.

Cancelling an event stops its jobs; its place is free once they have ended. An event ends if no
stream reads its answers.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import gradio as gr

from ...work.gradio_inside import OpenQueue, find_event, forget_values, name_of
from ...work.job import EventJobs, jobs_of_event
from ...work.kinds import MOST_WAITING, WAITING_ROOM
from ...work.visitor import Visitor, handled_for, visitor_of
from .sessions import Sessions

OF_ONE_TAB = 12
"""Most events of one tab that wait or run on a public page, all kinds together: the page itself has
one of each kind."""
UNHEARD = 10.0
"""Seconds that an event on a public page may run without an open stream of its session."""
FORGOTTEN = 20.0
"""Seconds after which the finished answers of such a session are dropped."""
LOOK = 1.0
"""Seconds between two checks for such events."""
UNREAD = 2000
"""Most unread messages of all visitors together: an open page reads them at once."""
TOO_MANY_NEW = "Too many tabs were opened or calls made from here just now: wait a moment."
PAUSE = 0.005
"""Seconds between two checks of the queues: each check interrupts a computing thread."""


class FairQueue(OpenQueue):
    """Gradio's queue, bounded and fair (`fair_order`); to be used only on the event loop. At most
    `most` events of one tab wait or run; None is no limit."""

    def __init__(self, page: gr.Blocks, most: int | None) -> None:
        super().__init__(page, PAUSE)
        self._most = most
        self.sessions = Sessions(page)
        self._begun: list[Any] = []
        """Events that run, or whose jobs do."""
        self._streams: Counter[str] = Counter()
        """Session -> number of its open answer streams."""
        self._unheard_since: dict[str, float] = {}
        self._ended: dict[str, dict[str, float]] = defaultdict(dict)
        """Kind -> tab or party -> when its last event ended."""

    def start(self) -> None:
        """Start processing events."""
        super().start()  # type: ignore[no-untyped-call]
        if self._most is not None:
            self._watch = asyncio.get_running_loop().create_task(self._end_unheard())

    async def push(self, body: Any, request: Any, username: str | None) -> tuple[bool, Any, Any]:
        """Queue an event, or return why not."""
        self._drop_unread()
        # Not Gradio's own lookup: it starts a session before the event is accepted.
        handler = self.handler_of(body)
        if handler is None:
            return await super().push(body, request, username)
        body.session_hash = body.session_hash or None  # Gradio expects None, not ""
        kind, visitor = handler.concurrency_id, visitor_of(request, body.session_hash)
        problem = self._no_room(kind, visitor)
        if problem:
            return False, problem, "queue_full"
        if self._most is not None and not self.sessions.admit(visitor):
            return False, TOO_MANY_NEW, "queue_full"
        answer = await super().push(body, request, username)
        event = find_event(self.blocks, str(answer[1])) if answer[0] else None
        if event is not None:
            event.visitor, event.jobs = visitor, EventJobs()
            self._note_silence(event.session_hash)
            self.unread[event.session_hash].party = visitor.party
            self._in_order(kind)
        return answer

    def _no_room(self, kind: str, visitor: Visitor) -> str:
        """Why the queue is full for this visitor; empty if it is not."""
        queue = self.waiting.get(kind, [])
        most = WAITING_ROOM.get(kind, MOST_WAITING)
        if self._most is not None:
            of_tab = sum(event.visitor.tab == visitor.tab for event in self._active())
            if of_tab >= self._most:
                return f"Queue is full: {of_tab} of your requests wait or run already."
            near = sum(event.visitor.party == visitor.party for event in queue)
            if near >= most // 2:
                return f"Queue is full: {near} requests from your address wait for this already."
        if len(queue) >= most:
            return f"Queue is full: {most} others wait for this. Try again in a minute."
        return ""

    def _active(self) -> Iterator[Any]:
        """Events that wait or run."""
        for waiting in self.waiting.values():
            yield from waiting
        yield from self._running()

    def _running(self) -> list[Any]:
        """Events that Gradio processes, and earlier ones whose jobs still run."""
        active = list(self.processed())
        for event in self._begun:
            if event not in active and event.jobs.running:
                active.append(event)
            elif event not in active:
                ended = self._ended[event.concurrency_id]
                ended[event.visitor.tab] = ended[event.visitor.party] = time.monotonic()
        self._begun = active
        return active

    def get_events(self) -> tuple[list[Any], bool, str] | None:
        """The event to start next, of a kind whose running events and jobs are below its limit."""
        kinds = [name for name, events in self.waiting.items() if events]
        random.shuffle(kinds)
        running = Counter(event.concurrency_id for event in self._running()) if kinds else Counter()
        for kind in kinds:
            limit = self.most_at_once(kind)
            if limit is None or running[kind] < limit:
                self._in_order(kind)
                self._begun.append(self.waiting[kind].pop(0))
                return self._begun[-1:], False, kind
        return None

    def _in_order(self, kind: str) -> None:
        """Sort the waiting events of a kind fairly, and notify those that moved."""
        waiting = self.waiting[kind]
        before, now = list(waiting), time.monotonic()
        first = min((event.enqueue_time for event in before), default=now)
        ended = {name: at for name, at in self._ended[kind].items() if at > first}
        self._ended[kind] = ended
        running = [event.visitor for event in self._running() if event.concurrency_id == kind]
        served = {name: now for visitor in running for name in (visitor.tab, visitor.party)}
        oldest_first = sorted(before, key=lambda event: event.enqueue_time)
        waiting[:] = fair_order(oldest_first, ended | served)
        moved = [event is not now_there for event, now_there in zip(before, waiting, strict=True)]
        if any(moved):
            self.broadcast_estimations(kind, moved.index(True))

    async def process_events(
        self, events: list[Any], batch: bool, begin_time: float, fn: Any
    ) -> None:
        """Run an event; its tasks and threads know the visitor. For a call without a session,
        Gradio stores values under the event's name: they are dropped."""
        event = events[0]
        handled_for(event.visitor)
        jobs_of_event.set(event.jobs)
        try:
            await super().process_events(events, batch, begin_time, fn)
        finally:
            if event.session_hash == name_of(event):
                forget_values(self.blocks, event.session_hash)

    async def reset_iterators(self, event_id: str) -> None:
        """Drop the generator of an ended event, and stop its jobs."""
        event = find_event(self.blocks, event_id)
        if event is not None:
            event.jobs.stop()
        await super().reset_iterators(event_id)

    async def clean_events(
        self, *, session_hash: str | None = None, event_id: str | None = None
    ) -> None:
        """End one event, or all events of a session that has left, with their jobs."""
        for event in list(self._active()):
            if event.session_hash == session_hash or name_of(event) == event_id:
                event.jobs.stop()
        await super().clean_events(session_hash=session_hash, event_id=event_id)

    def listens(self, session: str) -> None:
        """Record that a session opened an answer stream."""
        self._streams[session] += 1
        self._unheard_since.pop(session, None)

    def hangs_up(self, session: str) -> None:
        """Record that a session closed an answer stream."""
        self._streams[session] -= 1
        if self._streams[session] < 1:
            del self._streams[session]
            self._note_silence(session)

    def _note_silence(self, session: str) -> None:
        """On a public page, record when a session lost its last answer stream."""
        if self._most is not None and session not in self._streams:
            self._unheard_since[session] = time.monotonic()

    async def _end_unheard(self) -> None:
        while not self.stopped:
            await asyncio.sleep(LOOK)
            await self.end_unheard()

    async def end_unheard(self) -> None:
        """End events whose session has had no open stream for `UNHEARD` seconds."""
        events, now = list(self._active()), time.monotonic()
        for event in events:
            since = max(event.enqueue_time, self._unheard_since.get(event.session_hash, 0.0))
            if event.session_hash not in self._streams and since < now - UNHEARD:
                await self.clean_events(event_id=name_of(event))
        busy = {event.session_hash for event in events}
        for session in set(self._unheard_since) - busy - set(self._streams):
            if self._unheard_since[session] < now - FORGOTTEN:
                del self._unheard_since[session]
                self.forget(session)

    def _drop_unread(self) -> None:
        """Drop unread answers, first those of the party with most. Gradio drops the oldest of a
        fixed number of sessions, which may still wait; so an idle session of the largest party is
        dropped before."""
        waiting = self.unread
        if len(waiting) >= waiting.max_size:
            most = Counter(map(_party, waiting.values())).most_common(1)[0][0]
            busy = {event.session_hash for event in self._active()} | self._streams.keys()
            theirs = [name for name, unread in waiting.items() if _party(unread) == most]
            self.forget(next((name for name in theirs if name not in busy), ""))
        unread = {session: messages.qsize() for session, messages in waiting.items()}
        left = sum(unread.values())
        while left > UNREAD:
            held: Counter[str] = Counter()
            for session, count in unread.items():
                held[_party(waiting[session])] += count
            most = held.most_common(1)[0][0]
            theirs = [name for name in unread if _party(waiting[name]) == most]
            session = max(theirs, key=lambda name: unread[name])
            left -= unread.pop(session)
            self._drain(session)
        for session in [name for name in self.event_ids if name not in waiting]:
            self.forget(session)

    def _drain(self, session: str) -> None:
        """Drop the messages of a session, and the names of its ended events."""
        messages = self.unread[session]
        while not messages.empty():
            messages.get_nowait()
        active = {name_of(event) for event in self._active()}
        self.event_ids.get(session, set()).intersection_update(active)

    def forget(self, session: str) -> None:
        """Drop the unread messages of a session that has no events."""
        if any(event.session_hash == session for event in self._active()):
            return
        self.unread.pop(session, None)
        self.event_ids.pop(session, None)


def _party(messages: Any) -> str:
    """The party that these messages belong to."""
    return str(getattr(messages, "party", ""))


def fair_order(waiting: Iterable[Any], ended: Mapping[str, float]) -> list[Any]:
    """Events of one kind, the oldest first, in fair order.

    A party's turn counts from the time of its request, or from the end of its last request if that
    is later (`ended`: tab or party -> time). So a first request waits at most for the running one,
    and nobody starves: later requests have later turns. The same holds for the tabs of one party.
    """
    by_tab = _round_robin(waiting, lambda event: event.visitor.tab, ended)
    return _round_robin(by_tab, lambda event: event.visitor.party, ended)


def _round_robin(
    events: Iterable[Any], name: Callable[[Any], str], ended: Mapping[str, float]
) -> list[Any]:
    """The first event of every group, then the second of every group, and so on."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for event in events:
        groups[name(event)].append(event)
    turns = {
        group: max(min(event.enqueue_time for event in members), ended.get(group, 0.0))
        for group, members in groups.items()
    }
    order = [
        (place, turns[group], event)
        for group, members in groups.items()
        for place, event in enumerate(members)
    ]
    return [event for _, _, event in sorted(order, key=lambda row: row[:2])]
