"""Limits on stored sessions for each party, since clients can invent sessions.

The rate of new sessions is limited too: Gradio creates each on the event loop.
"""

from __future__ import annotations

import gradio as gr
from cachetools import LRUCache

from ...work.gradio_inside import forget_values, is_remembered, queue_of
from ...work.rate_limits import NEW_SESSIONS, Bucket
from ...work.visitor import Visitor

OF_A_PARTY = 60
"""Most stored sessions of one party; Gradio stores 300 in all (serving.py)."""
PARTIES = 1000
"""Parties whose sessions are counted; the least recently used one is dropped."""


class Sessions:
    """The sessions of each party, the least recently used first; only for the event loop."""

    def __init__(self, page: gr.Blocks) -> None:
        self._page = page
        self._by_party: LRUCache[str, LRUCache[str, None]] = LRUCache(PARTIES)
        self._new = Bucket(*NEW_SESSIONS)

    def admit(self, visitor: Visitor) -> bool:
        """Record the use of a session; False if its party started too many new ones just now."""
        stored = visitor.session and is_remembered(self._page, visitor.session)
        if not stored and not self._new.take(visitor):
            return False
        self.touch(visitor)
        return True

    def touch(self, visitor: Visitor) -> None:
        """Record the use of a session; drops the party's oldest one if it has too many."""
        if not visitor.session:
            return
        sessions = self._by_party.setdefault(visitor.party, LRUCache(OF_A_PARTY))
        if len(sessions) == OF_A_PARTY and visitor.session not in sessions:
            self.forget(sessions.popitem()[0])
        sessions[visitor.session] = None

    def forget(self, session: str) -> None:
        """Drop everything that Gradio stores for a session."""
        forget_values(self._page, session)
        queue_of(self._page).forget(session)
