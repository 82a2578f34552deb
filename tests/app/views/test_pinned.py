"""The pinned question: the merge's answer, shared, and skipped under load."""

import json
import threading
from contextlib import ExitStack
from typing import Any

import pytest

from components.session.presets import first_session
from components.views.see import pinned
from components.views.see.answer_curve import MAX_TOKENS
from components.views.see.pinned import (
    MAX_WAITING,
    PinnedAnswers,
    PinnedQuestion,
    read_pinned,
)
from components.work.studio import Studio
from components.work.visitor import Visitor
from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.models.generate import stream_tokens
from dppa_core.models.reply import GenerationSettings
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tasks import example_items

pytestmark = pytest.mark.usefixtures("one_torch_thread")
ADA = Visitor("ada", "1.2.3.4", "")


def question(prompt: str = "1 + 1?", *, moving: bool = False) -> PinnedQuestion:
    return PinnedQuestion(1, prompt, moving)


def test_it_is_the_answer_of_the_session_s_merge(studio: Studio) -> None:
    session = first_session()
    value = PinnedAnswers(studio).value(session, question(), ADA)
    with studio.lend(session.recipe(), None, None) as resident:
        alone = list(stream_tokens(resident, "1 + 1?", GenerationSettings(MAX_TOKENS)))
    assert value["text"] == alone[-1].text and value["tokens"] == len(alone)
    assert value["recipe"] == recipe_hash(session.recipe()) and value["question"] == "1 + 1?"
    assert value["right"] is None and value["expected"] == ""


def test_an_example_is_marked(studio: Studio) -> None:
    item = example_items("math")[0]
    value = PinnedAnswers(studio).value(first_session(), question(item.prompt), ADA)
    assert value["right"] is False and value["expected"] == item.answer  # tiny models know nothing


def test_a_question_of_one_s_own_is_marked_by_its_own_scorer(studio: Studio) -> None:
    answers, session = PinnedAnswers(studio), first_session()
    text = answers.value(session, question("Say it."), ADA)["text"]
    for answer, right in ((text, True), ("something else", False)):
        item = {"question": "Say it.", "answer": answer, "scorer": "regex", "pattern": "(.+)"}
        line = json.dumps(item)
        sent = {"id": 1, "prompt": "Say it.", "moving": False, "line": line}
        value = answers.value(session, read_pinned(json.dumps(sent)), ADA)
        assert (value["text"], value["right"]) == (text, right)
        assert value["expected"] == answer.strip()


def test_the_answer_of_another_question_is_refused() -> None:
    line = json.dumps({"question": "1 + 1?", "answer": "2"})
    sent = {"id": 1, "prompt": "2 + 2?", "moving": False, "line": line}
    with pytest.raises(InvalidValue, match="another question"):
        read_pinned(json.dumps(sent))


def test_equal_questions_to_equal_recipes_are_answered_once(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = PinnedAnswers(studio)
    first = answers.value(first_session(), question(), ADA)
    monkeypatch.setattr(answers, "_write", None)  # a second answer would call it
    bob = Visitor("bob", "5.6.7.8", "")
    assert answers.value(first_session(), question(moving=True), bob) == first


def test_a_busy_page_answers_at_rest_only(studio: Studio) -> None:
    answers = PinnedAnswers(studio)
    with ExitStack() as people:
        for _ in range(MAX_WAITING):
            people.enter_context(studio.people.counted())
        assert answers.value(first_session(), question(moving=True), ADA) == {"later": "busy"}
        assert "text" in answers.value(first_session(), question(), ADA)
    assert "text" in answers.value(first_session(), question("2 + 2?", moving=True), ADA)


def test_strangers_who_ask_too_often_wait(zoo_env: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pinned, "PINNED_ANSWERS", (1, 0))
    answers = PinnedAnswers(Studio(public=True))
    assert "text" in answers.value(first_session(), question(), ADA)
    assert answers.value(first_session(), question("2?"), ADA) == {"later": "often"}
    assert "text" in answers.value(first_session(), question("2?"), Visitor("bob", "5.6.7.8", ""))


@pytest.mark.parametrize("moving", [False, True])
def test_a_question_at_rest_ends_the_one_before_it(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, moving: bool
) -> None:
    answers, begun = PinnedAnswers(studio), threading.Event()
    free, ended = threading.Event(), threading.Event()
    replies = studio.answerer().replies

    def slow(recipe: Any, prompt: str, settings: Any, stop: Any) -> Any:
        if prompt != "slow?":
            yield from replies(recipe, prompt, settings, stop)
            return
        begun.set()
        while not stop.is_set() and not free.is_set():
            free.wait(0.01)
        if stop.is_set():
            raise Cancelled("replaced")
        yield from replies(recipe, prompt, settings, stop)

    def ask() -> None:
        try:
            answers.value(first_session(), question("slow?", moving=True), ADA)
        except Cancelled:
            ended.set()

    monkeypatch.setattr(studio.answerer(), "replies", slow)
    thread = threading.Thread(target=ask)
    thread.start()
    assert begun.wait(10)
    answers.value(first_session(), question("next?", moving=moving), ADA)
    assert ended.wait(0.2 if moving else 10) is not moving, "a moving slider replaces nothing"
    free.set()
    thread.join()


@pytest.mark.parametrize(
    "value",
    ["", "{}", "[]", '{"id": 1, "prompt": "a"}', '{"id": true, "prompt": "a", "moving": true}']
    + ['{"id": 1, "prompt": "", "moving": true}', '{"id": 1, "prompt": 3, "moving": false}']
    + [json.dumps({"id": 1, "prompt": "a" * 2001, "moving": False})],
)
def test_unreadable_requests_are_refused(value: str) -> None:
    with pytest.raises(InvalidValue):
        read_pinned(value)
