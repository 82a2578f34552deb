"""Who computes next: answers to sliders and tokens by turns, without a page."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from components import floor
from components.floor import Floor, Kind


class Crowd:
    """Threads that wait for the floor, in the order they came."""

    def __init__(self, of: Floor) -> None:
        self.floor, self.order = of, list[str]()
        self._threads = list[threading.Thread]()

    def comes(self, kind: Kind, seconds: float = 0.0) -> None:
        """One more, once the others wait or compute."""
        queue = self.floor._waiting[kind]
        before = len(queue)
        self._threads.append(threading.Thread(target=self._compute, args=(kind, seconds)))
        self._threads[-1].start()
        until = time.monotonic() + 5
        while len(queue) == before and self._threads[-1].is_alive() and time.monotonic() < until:
            time.sleep(0.001)

    def _compute(self, kind: Kind, seconds: float) -> None:
        with self.floor.turn(kind):
            self.order.append(kind)
            time.sleep(seconds)

    def ends(self) -> list[str]:
        """Who computed, in order."""
        for one in self._threads:
            one.join(5)
        return self.order


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(floor, "PATIENCE", seconds)
        yield


@pytest.mark.parametrize(("seconds", "few"), [(0.0, 1), (30.0, 5)])
def test_a_token_waits_for_some_answers_and_these_for_one_token(
    seconds: float, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One answer at least, and as many as there are while their time lasts."""
    crowd = Crowd(Floor())
    monkeypatch.setattr(floor, "SLIDERS", seconds)
    with patience(30):
        with crowd.floor.turn("token"):
            for _ in range(5):
                crowd.comes("slider")
            for _ in range(2):
                crowd.comes("token")
            assert crowd.order == []
        order = crowd.ends()
    by_turns = [*["slider"] * few, "token", *["slider"] * min(few, 5 - few), "token"]
    assert order == by_turns + ["slider"] * (7 - len(by_turns))
    with crowd.floor.turn("slider"):  # and it is free again
        pass


def test_who_computes_for_long_keeps_it_no_longer_and_the_others_go_on_one_by_one() -> None:
    crowd = Crowd(Floor())
    with patience(0.05), crowd.floor.turn("token"):
        begun = time.monotonic()
        for _ in range(4):
            crowd.comes("slider")
        assert crowd.ends() == ["slider"] * 4
        assert 0.04 < time.monotonic() - begun < 3
        crowd.comes("slider", 0.01)
        assert len(crowd.ends()) == 5, "nobody waits for it any more"


def test_tokens_are_what_they_were_and_the_floor_is_free_between_them() -> None:
    of, closed = Floor(), list[bool]()

    def computed() -> Iterator[int]:
        try:
            yield from range(5)
        finally:
            closed.append(True)

    with patience(30):
        spoken = of.tokens(computed())
        for number in (0, 1, 2):
            assert next(spoken) == number
            with of.turn("slider"):
                pass
        del spoken
        assert closed and list(of.tokens(iter(range(3)))) == [0, 1, 2]


def test_one_who_fails_gives_it_back() -> None:
    of = Floor()

    def fails() -> Iterator[int]:
        raise ValueError("no token")
        yield 0

    with patience(30):
        with pytest.raises(ValueError, match="no token"):
            next(of.tokens(fails()))
        with of.turn("slider"):
            pass
