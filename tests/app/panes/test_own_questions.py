"""A visitor's own questions on the page, without a browser: checks, limits, rows, marks."""

import json
import threading
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from components.session.presets import first_session
from components.views.score.own_questions import (
    OWN,
    PUBLIC,
    REPLY_TOKENS,
    TextLimits,
    answered,
    read_own,
)
from components.work.progress_stream import stream_run
from components.work.rate_limits import OF_A_PARTY, TOKENS_PER_HOUR, Allowance
from components.work.studio import Studio
from components.work.visitor import Visitor
from dppa_core.errors import Cancelled, InvalidValue, OutOfBudget
from dppa_core.evaluation import examiner
from dppa_core.models.drafted_answers import LONGEST
from dppa_core.models.resident import Resident
from dppa_core.recipes.yaml_text import recipe_hash
from tests.helpers.own_questions import APPLES, CLAUSES

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SESSION = first_session()


@pytest.fixture
def studio(zoo_env: object) -> Studio:
    return Studio(public=True)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (" ", "no questions yet: type or paste some"),
        (None, "no questions yet"),
        ("{" + 20_000 * "x", "have 20001 characters, and at most 20000 fit"),
        ('{"question": "q"}', "questions, read as .jsonl: line 1: answer is missing"),
        ("question,answr\nq,a", "questions, read as .csv: line 1: no key 'answr'"),
        ('[{"question": "q", "answer": "a"}]', r"each in \{ \}, without \[ \] around them"),
        ("question;answer\nq;a", "columns have commas between them, not semicolons"),
    ],
)
def test_what_a_browser_sends_is_checked(text: object, says: str) -> None:
    with pytest.raises(InvalidValue, match=says):
        read_own(text, None, SESSION, PUBLIC)


def test_a_public_page_asks_fewer_than_ones_own_copy() -> None:
    many = "\n".join(f'{{"question": "{n}", "answer": "a"}}' for n in range(100))
    with pytest.raises(InvalidValue, match="more than 60 questions"):
        read_own(many, None, SESSION, PUBLIC)
    assert len(read_own(many, None, SESSION, OWN).domain.items) == 100
    assert LONGEST == REPLY_TOKENS
    whole = read_own(many, None, SESSION, TextLimits(20_000, 100))
    assert whole.tokens == len(whole.domain.of_split("test")) * len(whole.who) * LONGEST
    longer = read_own('{"tokens": 1024}\n' + many, None, SESSION, OWN)
    with pytest.raises(OutOfBudget):
        Allowance(TOKENS_PER_HOUR).spend(Visitor("tab", "address"), longer.tokens)
    assert longer.tokens > OF_A_PARTY * TOKENS_PER_HOUR


def test_everybody_is_asked_the_test_split_and_marked_item_by_item(studio: Studio) -> None:
    asked = read_own(APPLES, None, SESSION, PUBLIC)
    told: list[dict[str, Any]] = []
    for _ in range(2):
        told += stream_run(studio, "score", lambda *given: answered(asked, studio, *given))
    done = [value for value in told if value["state"] == "done"]
    assert len(done) == 2 and done[0]["result"] == done[1]["result"]
    found = json.loads(json.dumps(done[0]["result"]))
    labels = [row["label"] for row in found["rows"]]
    assert labels == ["merged", "task arithmetic", "linear", "math", "finance", "law", "base"]
    assert found["all"] == len(found["items"]) == 6, "fewer than 40 are not divided"
    assert found["recipe"] == asked.recipe
    assert asked.recipe == recipe_hash(SESSION.recipe())
    assert {one["scorer"] for one in found["items"]} == {"number"}
    for row in found["rows"]:
        assert len(row["hits"]) == row["n"] == 6
        assert sum(row["hits"]) == pytest.approx(row["accuracy"] * 6)
        items = asked.domain.of_split("test")
        assert [item.right(one) for item, one in zip(items, row["replies"], strict=True)] == (
            row["hits"]
        ), "marked by what is shown"


def test_csv_is_told_by_its_first_character() -> None:
    assert len(read_own(CLAUSES, None, SESSION, PUBLIC).domain.items) == 4


def test_asking_can_be_stopped(studio: Studio) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        answered(read_own(APPLES, None, SESSION, PUBLIC), studio, lambda told: None, stop)


def test_models_that_had_finished_when_it_was_cancelled_are_asked_no_more(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    stop, asked = threading.Event(), read_own(APPLES, None, SESSION, PUBLIC)
    models, mark = list[str](), examiner.mark

    def counted(resident: Resident, *given: Any, **how: Any) -> Any:
        found = mark(resident, *given, **how)
        models.append(resident.key)
        if len(models) == 2:
            stop.set()
        return found

    monkeypatch.setattr(examiner, "mark", counted)
    with pytest.raises(Cancelled):
        answered(asked, studio, lambda told: None, stop)
    assert 2 <= len(models) < 7
    found = answered(asked, studio, lambda told: None, threading.Event())
    assert len(found["rows"]) == len(models) == len(set(models)) == 7


@pytest.mark.parametrize("name", ["on_questions", "on_search"])
def test_a_pattern_that_would_take_the_memory_is_refused_by_score_and_search(
    name: str, page: gr.Blocks
) -> None:
    (event,) = (event for event in page.fns.values() if event.name == name)
    bomb = '{"question": "q", "answer": "a", "scorer": "regex", "pattern": "(?:[ab]{1000}){3000}"}'
    changed = {"questions-text": bomb, "search-own": True}
    values = {one: changed.get(one.elem_id, one.value) for one in event.inputs}
    with pytest.raises(gr.Error, match="9003001 parts; at most 10,000 are read"):
        next(event.fn(values))
