"""Shared by the tests of the open questions: marks by hand, and answers to steps."""

from collections.abc import Callable
from typing import TypeVar

from dppa_core.evaluation.scores import Marks
from dppa_lab.experiments.questions import ExamQuestion
from dppa_lab.experiments.setting import Setting, embedded
from dppa_lab.experiments.steps import Steps

T = TypeVar("T")
SETTING: Setting = embedded(test=20, search=12)


def hits(right: int, n: int, loss: float = 1.0) -> Marks:
    """The first `right` of `n` items are right; the loss of all is the same."""
    return Marks(tuple(place < right for place in range(n)), (loss,) * n, (1,) * n)


def answered(
    steps: Steps[T], answer: Callable[[ExamQuestion], Marks]
) -> tuple[T, list[ExamQuestion]]:
    """The result of steps, and their questions."""
    asked: list[ExamQuestion] = []
    try:
        questions = next(steps)
        while True:
            exams = [one for one in questions if isinstance(one, ExamQuestion)]
            assert len(exams) == len(questions)
            asked += exams
            questions = steps.send({one: answer(one) for one in exams})
    except StopIteration as end:
        return end.value, asked
