"""Several models answer at once: tokens in turn, isolated failures, Stop within a token."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from components.session.conversation import AnswerSettings, apply_events
from components.session.presets import first_session
from components.views.chat import answering
from components.views.chat.answering import answer_events, stream_turn
from components.work.error_notices import NEUTRAL
from components.work.question import ChatQuestion
from components.work.studio import Studio
from dppa_core.errors import Cancelled
from dppa_core.models.generate import stream_tokens
from dppa_core.models.reply import GenerationSettings
from dppa_core.tasks import example_prompts

pytestmark = pytest.mark.usefixtures("one_torch_thread")
Events = list[tuple[str, dict[str, Any]]]


@pytest.fixture
def studio(zoo_env: Path) -> Iterator[Studio]:
    yield Studio(public=False)


def question(*targets: str, tokens: int = 4) -> ChatQuestion:
    recipes = {"merged": first_session().recipe()} if "merged" in targets else {}
    return ChatQuestion("1 + 1?", targets, recipes, AnswerSettings(tokens))


def answers(chat_question: ChatQuestion, studio: Studio) -> Events:
    events: Events = []
    answer_events(chat_question, studio, events.append, threading.Event())
    return events


def writers(events: Events) -> list[str]:
    """Token authors, in order."""
    return [name for name, changes in events if "text" in changes]


def test_models_write_a_token_each_in_turn(studio: Studio) -> None:
    events = answers(question("merged", "zoo:base", "zoo:math"), studio)
    order = writers(events)
    assert len(order) == 12  # the tiny models never end so early
    assert order[:3] == ["merged", "zoo:base", "zoo:math"]
    assert all(set(order[i : i + 3]) == set(order[:3]) for i in range(3, 12, 3))
    ended = [name for name, changes in events if changes.get("state") == "done"]
    assert sorted(ended) == sorted(order[:3])
    assert studio.merged(first_session().recipe())


def test_a_whole_answer_to_an_example_is_marked(studio: Studio) -> None:
    chat_question = ChatQuestion(example_prompts("math")[0], ("zoo:base",), {}, AnswerSettings(4))
    events = answers(chat_question, studio)
    assert [c["right"] for _, c in events if c.get("state") == "done"] == [False]
    assert [c["right"] for _, c in answers(question("zoo:base"), studio) if "right" in c] == [None]


def test_the_first_writes_before_the_second_is_loaded(studio: Studio) -> None:
    events = answers(question("merged", "zoo:base"), studio)
    steps = [(name, changes.get("state") or "token") for name, changes in events]
    assert steps[:3] == [("merged", "merging"), ("merged", "writing"), ("merged", "token")]
    assert steps[3] == ("zoo:base", "loading")


def test_an_answer_beside_others_is_the_one_it_gives_alone(studio: Studio) -> None:
    settings = AnswerSettings(6, temperature=1.0, top_p=0.9, seed=5)
    chat_question = ChatQuestion("1 + 1?", ("zoo:math", "zoo:law"), {}, settings)
    turn = apply_events(chat_question.turn(), answers(chat_question, studio))
    for answer in turn.answers:
        with studio.lend(answer.target, None, None) as resident:
            alone = list(stream_tokens(resident, "1 + 1?", GenerationSettings(6, 1.0, 0.9, seed=5)))
        assert answer.text == alone[-1].text and answer.tokens == len(alone)
        assert answer.loss == pytest.approx(sum(t.loss for t in alone) / len(alone))
        assert answer.entropy == pytest.approx([t.entropy for t in alone], abs=1e-3)
        assert answer.ends == tuple(t.end for t in alone)
        assert answer.seconds > 0
        assert answer.prompt == "<|start|>user\n1 + 1?<|end|>\n<|start|>assistant\n"


def test_the_first_answer_after_a_start_says_why_it_takes(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Studio, "ready", False)
    first, second, *_ = [changes for _, changes in answers(question("merged"), studio)]
    assert "only the first time" in first["note"] and second["note"] == ""
    assert answers(question("merged"), studio)[0][1]["note"] == ""  # it is in memory now


@pytest.mark.parametrize("error", [Cancelled, ZeroDivisionError])
def test_one_failure_ends_one_answer_and_stop_ends_all(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    replies = studio.answerer().replies

    def reply_or_fail(target: Any, *rest: Any) -> Iterator[Any]:
        if target == "zoo:math":
            raise error("secret")
        yield from replies(target, *rest)

    monkeypatch.setattr(studio.answerer(), "replies", reply_or_fail)
    chat_question = question("zoo:base", "zoo:math", "zoo:law")
    *_, (turn, activity) = stream_turn(chat_question, studio)
    states = [answer.state for answer in turn.answers]
    assert activity == "idle"
    if error is Cancelled:
        assert states == ["stopped"] * 3
    else:
        assert states == ["done", "failed", "done"]
        assert turn.answers[1].note == NEUTRAL


def test_a_foreseen_error_is_told_at_its_answer(studio: Studio) -> None:
    chat_question = question("zoo:base", "zoo:nobody")
    *_, (turn, _) = stream_turn(chat_question, studio)
    assert [answer.state for answer in turn.answers] == ["done", "failed"]
    assert "zoo:nobody" in turn.answers[1].note


def test_stop_ends_every_model_within_a_token(studio: Studio) -> None:
    stop, events = threading.Event(), Events()

    def emit(event: Any) -> None:
        events.append(event)
        if len(writers(events)) == 5:
            stop.set()

    with pytest.raises(Cancelled):
        answer_events(question("zoo:base", "zoo:math", "zoo:law", tokens=64), studio, emit, stop)
    assert len(writers(events)) == 5


def test_closing_the_stream_gives_the_models_back(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    lent = set[str]()
    lend, returned = studio.pool().lend, threading.Event()

    @contextmanager
    def watched(target: Any, **rest: Any) -> Iterator[Any]:
        with lend(target, **rest) as resident:
            lent.add(target)
            try:
                yield resident
            finally:
                lent.discard(target)
                if not lent:
                    returned.set()

    monkeypatch.setattr(studio.pool(), "lend", watched)
    stream = stream_turn(question("zoo:base", "zoo:math", tokens=200), studio)
    for _ in stream:  # on a busy machine both may have answered before the first look
        if len(lent) == 2:
            break
    stream.close()
    assert returned.wait(5)


def test_models_that_do_not_fit_together_answer_one_after_another(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(studio, "fit_together", lambda sizes: len(sizes) < 2)
    order = writers(answers(question("zoo:base", "zoo:math"), studio))
    assert order == ["zoo:base"] * 4 + ["zoo:math"] * 4


def test_a_prompt_a_template_blew_up_is_shortened() -> None:
    text = answering._shortened("x" * 50_000)
    assert len(text) < 20_100 and text.endswith("(50000 characters in all)")
