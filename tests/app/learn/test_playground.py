"""The playground: a try is scored on questions that the hidden test does not ask."""

import threading
from dataclasses import replace

import pytest

from components.learn.blocks.context import BlockContext
from components.learn.blocks.registry import answer
from components.session.presets import first_session
from components.work.studio import Studio
from dppa_core.errors import InvalidValue
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Exam, domain_score, target_name


@pytest.fixture
def context(studio: Studio) -> BlockContext:
    return BlockContext(studio, first_session(), lambda *_: None, threading.Event())


def test_each_goal_names_what_to_beat_and_the_lowest_rate(context: BlockContext) -> None:
    start = answer("playground", {}, context)
    assert [goal["name"] for goal in start["goals"]] == ["level", "half", "whole"]
    assert start["items"] == {"search": 60, "test": 300}
    assert all(goal["lowest"] >= goal["beats"] for goal in start["goals"])


def test_a_try_is_scored_on_items_that_the_hidden_test_does_not_ask(
    context: BlockContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    exams = list[Exam]()

    def score(_self: Examiner, exam: Exam, **_options: object) -> DomainScore:
        exams.append(exam)
        replies = [item.answer if k < 5 else "" for k, item in enumerate(exam.items())]
        return domain_score(exam.items(), replies)

    monkeypatch.setattr(Examiner, "score", score)
    tried = answer("playground", {"rate": 0.9, "factors": [1, 2]}, context)
    hidden = answer("playground", {"rate": 0.9, "factors": [1, 2], "split": "test"}, context)
    assert (tried["right"], tried["n"], hidden["right"], hidden["n"]) == (15, 60, 15, 300)
    assert tried["low"] < 15 / 60 < tried["high"]
    recipe = replace(first_session(), rate=0.9, factors=(1.0, 2.0)).recipe()
    assert all(target_name(exam.target) == target_name(recipe) for exam in exams)
    seen, unseen = (
        {item.prompt for exam in exams if exam.split == split for item in exam.items()}
        for split in ("search", "test")
    )
    assert len(seen) == 60 and not seen & unseen


@pytest.mark.parametrize("arguments", [{"split": "train"}, {"rate": 1}, {"factors": [9]}])
def test_nothing_else_is_scored(context: BlockContext, arguments: dict[str, object]) -> None:
    with pytest.raises(InvalidValue):
        answer("playground", arguments, context)
