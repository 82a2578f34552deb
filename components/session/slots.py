"""The two slots: the browser alone knows the one that is not shown, and sends it along.

Knows sessions; no component.
"""

from __future__ import annotations

from collections.abc import Mapping

from components.session.json_form import parsed
from components.session.session import Session
from components.session.state import session_from_state


def other_session(value: object, session: Session) -> Session | None:
    """The slot that is not shown, where it holds another merge of the same base."""
    given = None if value is None else parsed(value)
    if not isinstance(given, Mapping) or given.get("state") is None:
        return None
    other = session_from_state(given["state"])
    return None if other.recipe() == session.recipe() or other.base != session.base else other


def slot_names(value: object) -> tuple[str, str]:
    """What the merges of two slots are called, by their buttons: the shown one, and the other."""
    given = parsed(value)
    hidden = "A" if isinstance(given, Mapping) and given.get("slot") == "A" else "B"
    return ("merge B", "merge A") if hidden == "A" else ("merge A", "merge B")
