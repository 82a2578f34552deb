"""What the server remembers of sessions, bounded for each party, since clients make up sessions."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import gradio as gr

from components.allowance import OF_A_PARTY as PER_PARTY
from components.allowance import Bucket
from components.visitor import Visitor

OF_A_PARTY = 60
"""Sessions of one party that are remembered; Gradio remembers 300 in all (serving.py)."""
MOST_NEW, NEW_A_SECOND = 40, 1
"""New sessions of a party: so many at once, then so many a second. Gradio takes 10 ms for each."""
PARTIES = 1000
"""Parties whose sessions are counted; the one unused for longest leaves."""


class Sessions:
    """Which sessions each party has, the least recently used first; for the event loop alone."""

    def __init__(self, page: gr.Blocks) -> None:
        self._page = page
        self._of: OrderedDict[str, OrderedDict[str, None]] = OrderedDict()
        self._new = Bucket(MOST_NEW / PER_PARTY, NEW_A_SECOND / PER_PARTY)

    def let_in(self, visitor: Visitor) -> bool:
        """Note that a session is used; False where its party begins new ones too often.

        The party's oldest is forgotten where it has too many.
        """
        if not visitor.session:
            return True
        own = self._of.setdefault(visitor.party, OrderedDict())
        self._of.move_to_end(visitor.party)
        if visitor.session not in own and not self._new.take(visitor):
            return False
        own[visitor.session] = None
        own.move_to_end(visitor.session)
        if len(own) > OF_A_PARTY:
            self.forget(own.popitem(last=False)[0])
        if len(self._of) > PARTIES:
            self._of.popitem(last=False)
        return True

    def forget(self, session: str) -> None:
        """Let go of all that Gradio holds of a session."""
        self.forget_values(session)
        self._page._queue.forget(session)

    def forget_values(self, session: str) -> None:
        """Let go of the values of its components; answers that were not read yet stay."""
        holder: Any = self._page.state_holder
        with holder.lock:
            holder.session_data.pop(session, None)
            holder.time_last_used.pop(session, None)
