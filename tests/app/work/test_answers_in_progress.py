"""Long work yields to answers people wait for, and keeps a quarter of the time."""

import threading
import time
from types import SimpleNamespace

import pytest

from components.work.answers_in_progress import AT_ONCE, AnswersInProgress, PausingStop


def test_without_people_a_check_takes_no_time() -> None:
    stop, begun = PausingStop(AnswersInProgress(), threading.Event()), time.monotonic()
    assert not any(stop.is_set() for _ in range(1000))
    assert time.monotonic() - begun < AT_ONCE


def test_a_check_waits_until_the_last_person_has_an_answer() -> None:
    people, passed = AnswersInProgress(), threading.Event()
    stop = PausingStop(people, threading.Event())
    time.sleep(0.05)  # it may wait three times as long as it worked
    with people.counted():
        with people.counted():
            thread = threading.Thread(target=lambda: (stop.is_set(), passed.set()))
            thread.start()
            assert not passed.wait(0.02)
        assert people.waiting == 1 and not passed.is_set()
    assert passed.wait(5) and people.waiting == 0
    thread.join()


def test_with_people_all_the_time_it_goes_on_slowly(monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits three times as long as it worked, at most for `AT_ONCE`."""
    people, now, waits = AnswersInProgress(), [0.0], list[float]()

    def wait(seconds: float) -> None:
        waits.append(seconds)
        now[0] += seconds

    clock = SimpleNamespace(monotonic=lambda: now[0])
    monkeypatch.setattr("components.work.answers_in_progress.time", clock)
    monkeypatch.setattr(people, "nobody_waits", wait)
    stop = PausingStop(people, threading.Event())
    with people.counted():
        for worked in (0.01, 0.02, 5.0):
            now[0] += worked
            assert not stop.is_set()
    assert waits == pytest.approx([0.03, 0.06, AT_ONCE])


def test_a_request_to_stop_is_seen_at_once() -> None:
    people, ended = AnswersInProgress(), threading.Event()
    ended.set()
    with people.counted():
        begun = time.monotonic()
        assert PausingStop(people, ended).is_set()
        assert time.monotonic() - begun < AT_ONCE


def test_an_error_ends_the_wait_for_its_answer() -> None:
    people = AnswersInProgress()
    with pytest.raises(RuntimeError), people.counted():
        raise RuntimeError
    assert people.waiting == 0
