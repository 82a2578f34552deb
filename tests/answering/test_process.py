"""Answers by another process: equal to this one's; stopped, killed and restarted."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dppa_core.answering.__main__ import IMPORT_NICENESS
from dppa_core.answering.answerer import Answerer, Ready
from dppa_core.answering.in_process import OwnAnswerer
from dppa_core.answering.process import ProcessAnswerer
from dppa_core.answering.worker import FewMerges
from dppa_core.errors import Cancelled, DppaError, OutOfBudget
from dppa_core.merging.in_memory.model_pool import ModelPool
from dppa_core.models.reply import GenerationSettings, ReplyToken
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe, recipe_hash

pytestmark = pytest.mark.usefixtures("one_torch_thread", "zoo_env")
RECIPE = MergeRecipe("zoo:base", (DomainModel("zoo:math", (0.8,)), DomainModel("zoo:law", (0.5,))))
LONG = GenerationSettings(max_new_tokens=200)


@pytest.fixture(scope="module")
def answerer(tiny_zoo: Path) -> Iterator[ProcessAnswerer]:
    """One for all tests that do not end it: a start takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DPPA_ZOO", str(tiny_zoo))
        answerer = ProcessAnswerer(2**30, public=True)
        answerer.start()
    yield answerer
    answerer.close()


def text(events: Iterator[Any]) -> str:
    return [event.text for event in events if isinstance(event, ReplyToken)][-1]


def test_answers_are_those_of_this_process(answerer: ProcessAnswerer) -> None:
    local_answerer: Answerer = OwnAnswerer(ModelPool(public=True))
    settings = GenerationSettings(12, temperature=0.8, seed=3)
    for target in ("zoo:base", RECIPE):
        local = list(local_answerer.replies(target, "1 + 1?", settings))
        remote = list(answerer.replies(target, "1 + 1?", settings))
        assert remote == local and isinstance(remote[0], Ready) and len(remote) > 2
    assert {"zoo:base", recipe_hash(RECIPE)} <= set(answerer.loaded()[0])
    assert set(local_answerer.loaded()[0]) <= set(answerer.loaded()[0])


def test_a_text_is_read_as_in_this_process(answerer: ProcessAnswerer) -> None:
    local_answerer: Answerer = OwnAnswerer(ModelPool(public=True))
    for target in ("zoo:base", RECIPE):
        reading = answerer.reading(target, "1 + 1?", "2.")
        assert reading == local_answerer.reading(target, "1 + 1?", "2.")
    with pytest.raises(DppaError, match="empty"):
        answerer.reading(RECIPE, " ", "2.")


def test_many_ask_at_once_and_each_gets_its_own(answerer: ProcessAnswerer) -> None:
    settings, prompts = GenerationSettings(8), [f"{number} + 1?" for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        beside = list(pool.map(lambda p: text(answerer.replies("zoo:base", p, settings)), prompts))
    assert beside == [text(answerer.replies("zoo:base", p, settings)) for p in prompts]


def test_a_foreseen_error_arrives_as_it_was_raised(answerer: ProcessAnswerer) -> None:
    with pytest.raises(DppaError, match="nowhere"):
        list(answerer.replies("zoo:nowhere", "1 + 1?", LONG))
    assert list(answerer.replies("zoo:base", "1 + 1?", GenerationSettings(3)))


@pytest.mark.long
def test_a_killed_process_loses_its_answers_alone(answerer: ProcessAnswerer) -> None:
    pid, errors = answerer.start(), list[BaseException]()
    begun = threading.Barrier(5)

    def ask(prompt: str) -> None:
        reply = answerer.replies("zoo:base", prompt, LONG)
        next(reply), next(reply)
        begun.wait(60)
        with pytest.raises(OutOfBudget, match="Ask again") as caught:
            list(reply)
        errors.append(caught.value)

    threads = [threading.Thread(target=ask, args=(f"{number}?",)) for number in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(60)
    os.kill(pid, signal.SIGKILL)
    for thread in threads:
        thread.join(30)
    assert len(errors) == 4
    assert list(answerer.replies("zoo:base", "1 + 1?", GenerationSettings(3)))
    assert answerer.start() != pid


def test_stop_ends_an_answer_soon(answerer: ProcessAnswerer) -> None:
    stop = threading.Event()
    reply = answerer.replies("zoo:base", "1 + 1?", LONG, stop)
    next(reply), next(reply)
    stop.set()
    begun = time.monotonic()
    with pytest.raises(Cancelled):
        list(reply)
    assert time.monotonic() - begun < 2


def test_the_process_ends_with_the_one_that_asks(answerer: ProcessAnswerer) -> None:
    pid = answerer.start()
    text(answerer.replies("zoo:base", "1 + 1?", GenerationSettings(2)))
    answerer.close()
    with pytest.raises(Cancelled):
        next(answerer.replies("zoo:base", "1 + 1?", LONG))
    end = time.monotonic() + 20
    while time.monotonic() < end and Path(f"/proc/{pid}/cmdline").exists():
        if b"" == Path(f"/proc/{pid}/cmdline").read_bytes():
            break  # a zombie until its parent looks
        time.sleep(0.05)
    else:
        assert not Path(f"/proc/{pid}/cmdline").exists()


def test_few_merges_answer_at_a_time_and_each_any_number_of_questions() -> None:
    merges, go, inside = FewMerges(2), threading.Event(), list[object]()
    recipes = [replace(RECIPE, seed=number) for number in range(6)]

    def answer(target: str | MergeRecipe) -> None:
        with merges.place(target):
            inside.append(target)
            go.wait(20)

    with ThreadPoolExecutor(20) as pool:
        targets = (*recipes[:2] * 3, *recipes[2:], "zoo:base")
        answers = [pool.submit(answer, target) for target in targets]
        while len(inside) < 7:
            time.sleep(0.01)
        assert set(inside) == {*recipes[:2], "zoo:base"}
        go.set()
        for future in answers:
            future.result(20)
    assert set(inside) == {*recipes, "zoo:base"}


def priorities(pid: int) -> set[int]:
    """Niceness of all threads of a process that have not just ended."""
    values = set[int]()
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):
            values.add(os.getpriority(os.PRIO_PROCESS, int(task.name)))
    return values


@pytest.mark.long
def test_what_imports_is_nicer_than_the_page_and_what_answers_is_not() -> None:
    answerer, niceness, values = (
        ProcessAnswerer(2**30, public=True),
        os.getpriority(0, 0),
        set[int](),
    )
    pid = answerer.start()
    thread = threading.Thread(target=lambda: text(answerer.replies("zoo:base", "1?", LONG)))
    thread.start()
    while not answerer.loaded()[0]:
        values |= priorities(pid)
        time.sleep(0.01)
    assert priorities(pid) == {niceness} and max(values) == min(19, niceness + IMPORT_NICENESS)
    thread.join(60)
    answerer.close()
