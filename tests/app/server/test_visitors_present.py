"""How long visitors are remembered."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from components.server.queue import visitors_present as presence
from components.server.queue.visitors_present import VisitorsPresent


def test_tabs_that_are_forgotten_already_push_out_nobody_who_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One address has 60 tabs remembered, and can open and leave any number of them."""
    monkeypatch.setattr(presence, "MOST_LEFT", 10)
    remembered = {"honest"}
    queue = SimpleNamespace(sessions=SimpleNamespace(forget=remembered.discard))
    page: Any = SimpleNamespace(state_holder=remembered, _queue=queue)
    here = VisitorsPresent(None, page)  # type: ignore[arg-type]

    def leaves(session: str) -> None:
        here._comes(session)
        here._goes(session)

    async def come_and_go() -> None:
        leaves("honest")
        for number in range(30):
            remembered.add(f"made up {number}")
            leaves(f"made up {number}")
            remembered.discard(f"made up {number - 5}")  # its party has too many

    asyncio.run(come_and_go())
    assert "honest" in remembered and len(here._left) <= 10
