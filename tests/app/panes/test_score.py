"""The score's events without a server: progress is shown, finished marks stay."""

import json
import re
import shutil
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from components.session.method_choice import MethodChoice
from components.session.presets import first_session
from components.session.state import state_of
from components.views.score.score import (
    ScoreRequest,
    read_score,
    score_events,
    stopped_value,
    stream_score,
)
from components.views.score.score_values import (
    ScoreProgress,
    plain_sentence,
    score_value,
    verdict_sentence,
)
from components.widgets.controls import activity_script
from components.work.studio import Studio
from dppa_core.errors import Cancelled, InvalidValue
from dppa_core.evaluation.scores import Exam, Marks
from dppa_core.evaluation.side_by_side import SideBySide, entrants
from dppa_core.tasks import DOMAINS, items
from tests.helpers.tiny_models import random_llama, tuned_llama


@pytest.fixture
def studio(zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    monkeypatch.setenv("DPPA_CACHE", str(tmp_path / "cache"))  # nobody has asked before
    # Random models never end a reply, and these tests ignore its text: any token ends it.
    monkeypatch.setattr(
        "dppa_core.models.drafted_answers.end_ids", lambda *_: frozenset(range(259))
    )
    yield Studio(public=False)


@pytest.fixture
def exam() -> ScoreRequest:
    whole = read_score(4, None, first_session())
    return replace(whole, entrants=whole.entrants[:2], limit=1)


@pytest.mark.parametrize("number", [5, 6.5, 402])
def test_questions_come_in_fours(number: float) -> None:
    with pytest.raises(InvalidValue, match="Questions"):
        read_score(number, None, first_session())


def standings(events: list[tuple[Any, ...]]) -> list[ScoreProgress]:
    return [event[1] for event in events if event[0] == "standing"]


def test_merging_is_said_until_the_merge_is_there(
    studio: Studio, exam: ScoreRequest, one_torch_thread: None
) -> None:
    recipe = exam.targets["recipe", "math"]
    states: list[tuple[str, bool]] = []

    def emit(event: tuple[Any, ...]) -> None:
        if event[0] == "standing":
            states.append((event[1].activity, studio.merged(recipe)))  # type: ignore[arg-type]

    score_events(exam, studio, emit, threading.Event())
    assert states[0] == ("merging", False)
    assert ("scoring", False) not in states and states[-1] == ("scoring", True)


def test_a_score_does_not_outlive_the_files_it_was_made_of(
    studio: Studio, zoo_env: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoo = Path(shutil.copytree(zoo_env, tmp_path / "zoo"))  # the others' models stay as they are
    monkeypatch.setenv("DPPA_ZOO", str(zoo))
    recipe = first_session().recipe()
    before = [studio.identity(target) for target in (recipe, "zoo:law", "zoo:math")]
    tuned_llama(random_llama(0), 9).save(zoo / "law")
    after = [studio.identity(target) for target in (recipe, "zoo:law", "zoo:math")]
    assert [pair[0] == pair[1] for pair in zip(before, after, strict=True)] == [False, False, True]


def test_what_was_scored_before_is_neither_merged_nor_asked_again(
    studio: Studio, exam: ScoreRequest, one_torch_thread: None
) -> None:
    first: list[tuple[Any, ...]] = []
    score_events(exam, studio, first.append, threading.Event())
    assert standings(first)[-1].timed == exam.total
    studio._pool = None
    again: list[tuple[Any, ...]] = []
    score_events(exam, studio, again.append, threading.Event())
    assert {item.activity for item in standings(again)} == {"scoring"}
    last = standings(again)[-1]
    assert (last.answered, last.left, last.timed) == (exam.total, 0, 0)
    assert last.seconds_left() is None


def test_a_stopped_exam_keeps_its_finished_cells(
    studio: Studio, exam: ScoreRequest, one_torch_thread: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    examiner, exams = studio.examiner(), []
    marks = examiner.marks

    def two_then_stop(next_exam: Exam, **rest: Any) -> Any:
        exams.append(next_exam)
        if len(exams) > 2:
            raise Cancelled("stopped")
        return marks(next_exam, **rest)

    monkeypatch.setattr(examiner, "cached_marks", lambda _exam: None)
    monkeypatch.setattr(examiner, "marks", two_then_stop)
    *_, last = stream_score(exam, studio)
    assert last["state"] == "stopped"
    assert [cell is not None for cell in last["rows"][0]["cells"]] == [True, True, False]


def test_stop_ends_what_runs_and_leaves_a_table_at_rest_alone() -> None:
    running = {"state": "running", "rows": [{"cells": [{"accuracy": 0.5}, None]}], "id": "a"}
    stopped = stopped_value(running)
    assert stopped["state"] == "stopped" and stopped["rows"] == running["rows"]
    ended = {**running, "state": "done", "sentence": "Retention …"}
    assert stopped_value(ended) == ended
    assert stopped_value(None)["state"] == "idle"


def test_only_what_rests_begins_to_wait() -> None:
    assert "activity.chat === 'idle'" in activity_script("chat", "waiting")
    assert "activity.chat" not in activity_script("chat", "idle")


def test_a_method_that_merges_per_domain_is_scored_by_each_domains_own(studio: Studio) -> None:
    session = replace(first_session(), method=MethodChoice("emr"))
    request = read_score(4, None, session)
    assert request.entrants[0].label == "merged, by domain"
    for domain in DOMAINS:
        recipe = request.targets["recipe", domain]
        assert recipe.parameters["domain"] == f"zoo:{domain}"  # type: ignore[union-attr]
        assert request.targets["zoo:math", domain] == "zoo:math"


def other_slot(**changes: object) -> str:
    state = state_of(replace(first_session(), **changes))
    return json.dumps({"slot": "B", "state": state})


def test_base_models_and_plain_merges_stand_beside_the_merge_and_the_other_slot() -> None:
    def rows(slot: object) -> list[str]:
        table = SideBySide("test", read_score(4, slot, first_session()).entrants, {})
        return [row["target"] for row in score_value(table, "idle", 4)["rows"]]

    beside = ["task_arithmetic", "linear", "zoo:math", "zoo:finance", "zoo:law", "zoo:base"]
    assert rows(other_slot(rate=0.7)) == ["merged", "other", *beside]
    assert rows(other_slot()) == rows("null") == ["merged", *beside]  # the same merge, or none
    for bad in ("{", '{"state": 3}'):
        with pytest.raises(InvalidValue):
            rows(bad)


def test_a_finished_exam_tells_retention_and_compares_the_slots(
    studio: Studio, one_torch_thread: None
) -> None:
    whole = read_score(4, other_slot(rate=0.7), first_session())
    *_, last = stream_score(replace(whole, limit=1), studio)
    assert last["state"] == "done"
    assert [row["key"] for row in last["details"]][:2] == ["recipe", "against"]
    assert len(last["details"]) == len(last["rows"]) == 8
    assert last["details"][0]["domains"]["law"]["loss"] > 0
    assert [row["label"] for row in last["rows"]][:2] == ["merge A", "merge B"]
    assert last["comparison"].startswith("No difference seen between merge A and merge B")


def test_the_sentence_names_the_best_plain_merge_and_the_gap() -> None:
    recipe, questions = first_session().recipe(), {"math": items("math", "test", 40)}
    rows = tuple(row for row in entrants(recipe) if row.key not in ("zoo:finance", "zoo:law"))

    def marks(right: int) -> Marks:
        hits = tuple(place < right for place in range(40))
        return Marks(hits, (1.0,) * 40, (1,) * 40)

    right = {"recipe": 20, "zoo:math": 40, "task_arithmetic": 36, "linear": 4, "base": 0}
    table = SideBySide("test", rows, questions, {(k, "math"): marks(n) for k, n in right.items()})
    text = plain_sentence(table)
    assert text.startswith("Task arithmetic, the best plain merge, keeps 90\u202f% (")
    assert ": of 100 questions, 40.0 more right than this merge (" in text
    assert "chance" not in text
    few = {key: marks(n) for key, n in (right | {"task_arithmetic": 19}).items()}
    fewer_text = plain_sentence(
        replace(table, marks={(key, "math"): row for key, row in few.items()})
    )
    assert re.search(
        r"of 100 questions, 2\.5 fewer right than this merge \([^()]+\), which may be", fewer_text
    )
    verdict = verdict_sentence(table)
    assert verdict.startswith("Scored on 40 questions: keeps 50\u202f% (")
    assert "; task arithmetic 90\u202f% (" in verdict
    none = SideBySide("test", rows, questions, {})
    assert plain_sentence(none) == verdict_sentence(none) == ""
