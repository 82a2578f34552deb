"""Shared by the tests of experiments: marks by hand, and answers to steps."""

from collections.abc import Callable
from typing import Any, TypeVar

from dppa_core.evaluation.scores import Marks
from dppa_lab.experiments.setting import Setting, embedded
from dppa_lab.experiments.steps import Steps

T = TypeVar("T")
SETTING: Setting = embedded(test=20, search=12)


def hits(right: int, n: int, loss: float = 1.0) -> Marks:
    """The first `right` of `n` items are right, so fewer are a subset of more; one loss for all."""
    return Marks(tuple(place < right for place in range(n)), (loss,) * n, (1,) * n)


def followed(steps: Steps[T], answer: Callable[[Any], Any]) -> tuple[T, list[Any]]:
    """The result of steps, and their questions."""
    every: list[Any] = []
    try:
        questions = next(steps)
        while True:
            every += questions
            questions = steps.send({question: answer(question) for question in questions})
    except StopIteration as end:
        return end.value, every
