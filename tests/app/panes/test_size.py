"""The view Size without a browser: valid requests, rows by bytes, kept results, scores."""

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from components.session.session import ModelChoice, Session
from components.views.score import size
from components.views.score.own_lists import PUBLIC_LIMITS, read_lists
from components.views.score.size import (
    SizeRequest,
    questions_of,
    read_size,
    scores_value,
    sizes_value,
)
from components.work.studio import Studio
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.form_sizes import USUAL_STORES
from dppa_core.pruning.delta_size import delta_size
from dppa_core.tasks.item_files import read_items

pytestmark = pytest.mark.usefixtures("one_torch_thread")

KEPT = "kept:low_rank(rank=16) of zoo:math on zoo:base"
REQUEST = SizeRequest("zoo:base", "zoo:math")


@pytest.fixture
def studio(zoo_env: Path) -> Iterator[Studio]:
    yield Studio(public=True)


def test_the_whole_model_is_measured_whatever_form_it_is_kept_in() -> None:
    session = Session(models=(ModelChoice(KEPT),))
    assert read_size('{"model": "zoo:math"}', session) == replace(
        REQUEST, store="low_rank(rank=16)"
    )
    whole = Session(models=(ModelChoice("zoo:math"),))
    assert read_size('{"model": "zoo:math"}', whole) == REQUEST
    for wrong in ('{"model": "zoo:law"}', '{"model": ["zoo:math"]}', "null", "{"):
        with pytest.raises(InvalidValue):
            read_size(wrong, session)


def test_rows_come_by_bytes(studio: Studio) -> None:
    value = sizes_value(REQUEST, studio, lambda *_: None, threading.Event())
    rows, best = value["rows"], value["best"]
    assert {row["store"] for row in rows} == {"", *map(str, USUAL_STORES)}
    assert [row["nbytes"] for row in rows] == sorted(row["nbytes"] for row in rows)
    energy = {row["store"]: row["energy"] for row in rows}
    lost = [1 - energy[store] for store in best["energy"]]
    assert value["enough"]["energy"] in best["energy"]
    assert value["change"] == delta_size(studio.profile("zoo:base", "zoo:math")).relative
    assert list(best) == ["energy"] and lost == sorted(lost, reverse=True)


def test_the_present_form_is_measured_beside_the_usual_ones(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size, "USUAL_STORES", USUAL_STORES[3:4])
    request = replace(REQUEST, store="low_rank(rank=5)")
    value = sizes_value(request, studio, lambda *_: None, threading.Event())
    assert {row["store"] for row in value["rows"]} == {"", str(USUAL_STORES[3]), request.store}
    usual = replace(REQUEST, store=str(USUAL_STORES[3]))
    value = sizes_value(usual, studio, lambda *_: None, threading.Event())
    assert [row["store"] for row in value["rows"]] == [str(USUAL_STORES[3]), ""]


def test_nothing_right_is_neither_best_nor_enough(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size, "USUAL_STORES", USUAL_STORES[3:4])
    text = b'{"question": "What is 2 + 3?", "answer": "never said"}'
    own = read_items(text, "own.jsonl").undivided()
    value = scores_value(REQUEST, own, studio, lambda *_: None, threading.Event())
    assert value["best"]["accuracy"] == [] and value["enough"]["accuracy"] is None
    assert value["best"]["loss"] and value["own"] is True


def test_each_form_is_scored_with_its_best_factor(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size, "QUESTIONS", 2)
    monkeypatch.setattr(size, "SEARCH_QUESTIONS", 2)
    monkeypatch.setattr(size, "USUAL_STORES", USUAL_STORES[3:4])
    value = scores_value(REQUEST, "math", studio, lambda *_: None, threading.Event())
    assert [value[name] for name in ("questions", "searched", "domain")] == [2, 2, "math"]
    pruned, whole = value["rows"]
    titles = "98\u202f% pruned ×\u202f0.5", "whole, bfloat16 ×\u202f2"  # of random models
    assert (pruned["title"], whole["title"]) == titles
    assert (pruned["factor"], whole["factor"]) == (0.5, 2)
    assert set(value["best"]) == {"energy", "loss", "accuracy"}


def test_too_few_questions_leave_no_factor_to_choose(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(size, "USUAL_STORES", USUAL_STORES[3:4])
    own = read_items(b'{"question": "What is 2 + 3?", "answer": "5"}', "own.jsonl").undivided()
    value = scores_value(REQUEST, own, studio, lambda *_: None, threading.Event())
    assert (value["questions"], value["searched"]) == (1, 0)
    few = "1 question is too few to show a loss of 2 points: one answer is 100 points."
    assert value["few"] == f"{few} At least 50 are needed."
    assert [row["factor"] for row in value["rows"]] == [1, 1]


def test_a_model_without_a_domain_answers_the_visitors_own_questions() -> None:
    kept = KEPT.replace("zoo:math", "./mine")
    session, text = Session(models=(ModelChoice(kept),)), "question,answer\nWhich?,b"
    request = SizeRequest("zoo:base", "./mine")

    def read(texts: dict[str, str]) -> object:
        return questions_of(request, session, lambda: read_lists(texts, session, PUBLIC_LIMITS))

    assert [item.question for item in read({"./mine": text}).of_split("test")] == ["Which?"]
    assert read({"": text}).of_split("test")
    with pytest.raises(InvalidValue, match="no questions yet"):
        read({})
    known = questions_of(REQUEST, session, lambda: pytest.fail("its domain is known"))
    assert known == "math"
