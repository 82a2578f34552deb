"""A visitor's own questions on the page, without a browser: checks, limits, rows, marks."""

import json
import threading
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from components.session.presets import first_session
from components.views.score.own_lists import (
    OWN_LIMITS,
    PUBLIC_LIMITS,
    TextLimits,
    list_of_each,
    offer_value,
    read_lists,
    texts_of,
)
from components.views.score.own_questions import REPLY_TOKENS, OwnQuestions, answers_value, read_own
from components.work.kinds import SCORE
from components.work.progress_stream import stream_run
from components.work.rate_limits import OF_A_PARTY, TOKENS_PER_HOUR, Allowance
from components.work.studio import Studio
from components.work.visitor import Visitor
from dppa_core.errors import Cancelled, InvalidValue, OutOfBudget
from dppa_core.evaluation import examiner
from dppa_core.models.drafted_answers import MAX_REPLY_TOKENS
from dppa_core.models.resident import Resident
from dppa_core.recipes.yaml_text import recipe_hash
from dppa_core.tasks.item_files import read_items
from tests.helpers.own_questions import APPLES, CLAUSES

pytestmark = pytest.mark.usefixtures("one_torch_thread")

SESSION = first_session()


def request(text: object, limits: TextLimits = PUBLIC_LIMITS, **lists: str) -> OwnQuestions:
    """Of a box with a text for all models, and of lists for single ones."""
    sent = {"for": "", "lists": {f"zoo:{name}": items for name, items in lists.items()}}
    return read_own(read_lists(texts_of(text, json.dumps(sent)), SESSION, limits), None, SESSION)


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
        request(text)


def test_a_public_page_asks_fewer_than_ones_own_copy() -> None:
    many = "\n".join(f'{{"question": "{n}", "answer": "a"}}' for n in range(100))
    with pytest.raises(InvalidValue, match="more than 60 questions"):
        request(many)
    assert len(request(many, OWN_LIMITS).domains[0].items) == 100
    assert MAX_REPLY_TOKENS == REPLY_TOKENS
    whole = request(many, TextLimits(20_000, 100))
    questions = len(whole.domains[0].of_split("test")) * len(whole.entrants)
    assert whole.tokens == questions * MAX_REPLY_TOKENS
    longer = request('{"tokens": 1024}\n' + many, OWN_LIMITS)
    with pytest.raises(OutOfBudget):
        Allowance(TOKENS_PER_HOUR).spend(Visitor("tab", "address"), longer.tokens)
    assert longer.tokens > OF_A_PARTY * TOKENS_PER_HOUR


def test_everybody_is_asked_the_test_split_and_marked_item_by_item(studio: Studio) -> None:
    questions = request(APPLES)
    values: list[dict[str, Any]] = []
    for _ in range(2):
        values += stream_run(studio, SCORE, partial(answers_value, questions, studio))
    ends = [value for value in values if value["state"] == "done"]
    assert len(ends) == 2 and ends[0]["result"] == ends[1]["result"]
    result = json.loads(json.dumps(ends[0]["result"]))
    labels = [row["label"] for row in result["rows"]]
    assert labels == ["merged", "task arithmetic", "linear", "math", "finance", "law", "base"]
    (only,) = result["lists"]
    assert only["all"] == len(only["items"]) == 6, "fewer than 40 are not divided"
    assert result["recipe"] == questions.recipe
    assert questions.recipe == recipe_hash(SESSION.recipe())
    assert {item["scorer"] for item in only["items"]} == {"number"}
    for cell in (row["cells"][0] for row in result["rows"]):
        assert len(cell["hits"]) == cell["n"] == 6
        assert sum(cell["hits"]) == pytest.approx(cell["accuracy"] * 6)
        items = questions.domains[0].of_split("test")
        assert [item.right(reply) for item, reply in zip(items, cell["replies"], strict=True)] == (
            cell["hits"]
        ), "marked by what is shown"


@pytest.mark.long
def test_a_list_for_each_model_tells_what_is_kept_of_each() -> None:
    studio = Studio(public=True)  # the embedded models, which know some answers
    questions = request("", math=APPLES, law=CLAUSES)
    assert [str(domain) for domain in questions.domains] == ["math questions", "law questions"]
    assert questions.tokens == (6 + 4) * len(questions.entrants) * MAX_REPLY_TOKENS
    *_, end = stream_run(studio, SCORE, partial(answers_value, questions, studio))
    result = end["result"]
    assert [len(row["items"]) for row in result["lists"]] == [6, 4]
    rows = {row["key"]: row["cells"] for row in result["rows"]}
    for place, model in enumerate(("zoo:math", "zoo:law")):
        alone, merged = rows[model][place], rows["recipe"][place]
        kept = merged["retention"]["value"]
        assert alone["accuracy"] and kept == pytest.approx(merged["accuracy"] / alone["accuracy"])
    (recipe,) = (row for row in result["rows"] if row["key"] == "recipe")
    assert recipe["mean_retention"]["value"] > 0


def test_the_box_holds_the_list_that_is_looked_at_and_others_come_beside_it() -> None:
    sent = json.dumps({"for": "zoo:law", "lists": {"": APPLES, "zoo:law": "old", "zoo:gone": "x"}})
    texts = texts_of(CLAUSES, sent)
    assert texts == {"": APPLES, "zoo:law": CLAUSES, "zoo:gone": "x"}
    lists = read_lists(texts, SESSION, PUBLIC_LIMITS)
    assert len(lists) == 2, "a model that is not in the merge is left out"
    domains = list_of_each(lists, ("zoo:math", "zoo:law"))
    assert [str(domain) for domain in domains] == ["questions", "law questions"]
    assert texts_of(APPLES, "null") == {"": APPLES}
    of_one = read_lists({"zoo:law": CLAUSES}, SESSION, PUBLIC_LIMITS)
    with pytest.raises(InvalidValue, match="no questions for math, finance: give each model a"):
        list_of_each(of_one, ("zoo:math", "zoo:finance", "zoo:law"))


def test_mistakes_name_the_list_and_all_lists_count_together() -> None:
    with pytest.raises(InvalidValue, match="questions for law, read as .jsonl: line 1: answer is"):
        request(APPLES, law='{"question": "q"}')
    many = "\n".join(f'{{"question": "{n}", "answer": "a"}}' for n in range(40))
    with pytest.raises(InvalidValue, match="lists have 80 questions, and at most 60"):
        request(many, law=many)
    with pytest.raises(InvalidValue, match="have 22000 characters"):
        request("{" + 10_999 * "x", law="{" + 10_999 * "x")


def test_models_of_equal_names_have_lists_of_their_own() -> None:
    models = tuple(replace(SESSION.models[0], reference=name) for name in ("a/x", "b/x"))
    session = replace(SESSION, models=models)
    lists = read_lists({"a/x": APPLES, "b/x": CLAUSES}, session, PUBLIC_LIMITS)
    assert len(set(lists.values())) == 2


def test_the_first_questions_of_each_list_are_offered_as_they_are_asked() -> None:
    lists = read_lists({"": APPLES, "zoo:law": CLAUSES}, SESSION, PUBLIC_LIMITS)
    common, law = offer_value(lists)
    assert (common["model"], law["model"], law["label"]) == ("", "zoo:law", "law questions")
    assert len(common["prompts"]) == 6 and all("How many" in prompt for prompt in common["prompts"])
    choices = read_lists({"": "question,answer,choices\nWhich?,b,a|b"}, SESSION, PUBLIC_LIMITS)
    assert offer_value(choices)[0]["prompts"] == ["Which?\nA. a\nB. b\nAnswer with the letter."]


@pytest.mark.parametrize(
    "text",
    [
        APPLES,
        CLAUSES,
        "question,answer,choices\nWhich?,B,B|A",
        '{"question": "q", "answer": "x 7", "scorer": "regex", "pattern": "x [0-9]"}',
    ],
)
def test_a_question_is_offered_with_the_line_that_reads_as_it(text: str) -> None:
    lists = read_lists({"": text}, SESSION, PUBLIC_LIMITS)
    (offer,) = offer_value(lists)
    items = lists[""].items
    read = [read_items(line.encode(), "one.jsonl", "questions").items[0] for line in offer["lines"]]
    assert read == list(items[: len(read)]) and [item.prompt for item in read] == offer["prompts"]


def test_csv_is_told_by_its_first_character() -> None:
    assert len(request(CLAUSES).domains[0].items) == 4


def test_asking_can_be_stopped(studio: Studio) -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Cancelled):
        answers_value(request(APPLES), studio, lambda *step: None, stop)


def test_models_that_had_finished_when_it_was_cancelled_are_asked_no_more(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path))
    stop, questions = threading.Event(), request(APPLES)
    models, mark = list[str](), examiner.mark

    def counted(resident: Resident, *arguments: Any, **options: Any) -> Any:
        marks = mark(resident, *arguments, **options)
        models.append(resident.key)
        if len(models) == 2:
            stop.set()
        return marks

    monkeypatch.setattr(examiner, "mark", counted)
    with pytest.raises(Cancelled):
        answers_value(questions, studio, lambda *step: None, stop)
    assert 2 <= len(models) < 7
    value = answers_value(questions, studio, lambda *step: None, threading.Event())
    assert len(value["rows"]) == len(models) == len(set(models)) == 7


@pytest.mark.parametrize("name", ["on_questions", "on_search"])
def test_a_pattern_that_would_take_the_memory_is_refused_by_score_and_search(
    name: str, page: gr.Blocks
) -> None:
    (event,) = (event for event in page.fns.values() if event.name == name)
    bomb = '{"question": "q", "answer": "a", "scorer": "regex", "pattern": "(?:[ab]{1000}){3000}"}'
    changed = {"questions-text": bomb, "search-own": True}
    values = {
        component: changed.get(component.elem_id, component.value) for component in event.inputs
    }
    with pytest.raises(gr.Error, match="9003001 parts; at most 10,000 are read"):
        next(event.fn(values))
