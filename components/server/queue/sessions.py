"""What the server remembers of sessions, bounded for each party, since clients make up sessions.

The rate of new ones is bounded, too: Gradio sets each up on the event loop.
"""

from __future__ import annotations

import gradio as gr
from cachetools import LRUCache

from components.work.gradio_inside import forget_values, is_remembered, queue_of
from components.work.rate_limits import Bucket
from components.work.visitor import Visitor

OF_A_PARTY = 60
"""Sessions of one party that are remembered; Gradio remembers 300 in all (serving.py)."""
PARTIES = 1000
"""Parties whose sessions are counted; the one unused for longest leaves."""
NEW_IN_A_ROW, NEW_A_SECOND = 20, 3
"""Sessions that calls without one may begin, each of them its own; a party four times as many."""


class Sessions:
    """Which sessions each party has, the least recently used first; for the event loop alone."""

    def __init__(self, page: gr.Blocks) -> None:
        self._page = page
        self._of: LRUCache[str, LRUCache[str, None]] = LRUCache(PARTIES)
        self._new = Bucket(NEW_IN_A_ROW, NEW_A_SECOND)

    def admit(self, visitor: Visitor) -> bool:
        """Note that a session is used; False if its party has begun too many new ones just now."""
        known = visitor.session and is_remembered(self._page, visitor.session)
        if not known and not self._new.take(visitor):
            return False
        self.seen(visitor)
        return True

    def seen(self, visitor: Visitor) -> None:
        """Note that a session is used; its party's oldest is forgotten where it has too many."""
        if not visitor.session:
            return
        own = self._of.setdefault(visitor.party, LRUCache(OF_A_PARTY))
        if len(own) == OF_A_PARTY and visitor.session not in own:
            self.forget(own.popitem()[0])
        own[visitor.session] = None

    def forget(self, session: str) -> None:
        """Let go of all that Gradio holds of a session."""
        forget_values(self._page, session)
        queue_of(self._page).forget(session)
