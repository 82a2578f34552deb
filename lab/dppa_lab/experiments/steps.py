"""The declaration of an experiment, and its steps: questions out, answers in.

Steps are a generator that yields questions, receives the answers to all of them, and returns its
result. So experiments contain no code for processes or caches.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from dppa_core.charts.report import Findings
from dppa_lab.experiments.questions import Answers, Question
from dppa_lab.experiments.setting import Setting

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)

Steps = Generator[Sequence[Question[Any]], Answers, T]
"""Yields questions, receives their answers, returns a result."""


@runtime_checkable
class AskFunction(Protocol):
    """The way ordinary code asks a question."""

    def __call__(self, question: Question[T]) -> T:
        """The answer."""
        ...


class _Wanted(Exception):
    def __init__(self, question: Question[Any]) -> None:
        super().__init__("a question without an answer")
        self.question = question


def all_asked(questions: Mapping[K, Question[T]]) -> Steps[dict[K, T]]:
    """Ask several questions at once, by name."""
    answers = yield list(questions.values())
    return {key: answers[question] for key, question in questions.items()}


def one_by_one(code: Callable[[AskFunction], T]) -> Steps[T]:
    """Steps from ordinary code that asks one question after another.

    The code restarts after every answer, so it must be fast and deterministic.
    """
    kept: dict[Question[Any], Any] = {}

    def ask(question: Question[Any]) -> Any:
        if question not in kept:
            raise _Wanted(question)
        return kept[question]

    while True:
        try:
            return code(ask)
        except _Wanted as wanted:
            answers = yield [wanted.question]
            kept[wanted.question] = answers[wanted.question]


def together(several: Mapping[K, Steps[T]]) -> Steps[dict[K, T]]:
    """Run several steps in parallel: their questions are yielded together."""
    results: dict[K, T] = {}
    waiting: dict[K, Sequence[Question[Any]]] = {}

    def go(key: K, answers: Answers | None) -> None:
        waiting.pop(key, None)
        try:
            waiting[key] = next(several[key]) if answers is None else several[key].send(answers)
        except StopIteration as end:
            results[key] = end.value

    for key in several:
        go(key, None)
    while waiting:
        waited_for = dict.fromkeys(
            question for questions in waiting.values() for question in questions
        )
        answers = yield list(waited_for)
        for key in list(waiting):
            go(key, answers)
    return {key: results[key] for key in several}


@dataclass(frozen=True, slots=True)
class Declared:
    """The declaration of one experiment."""

    key: str
    number: str
    """Its number on the page: "1", "6a"."""
    title: str
    question: str
    """The research question: one sentence."""
    measured: str
    """How it is measured; `{test}` and `{search}` stand for the numbers of items."""
    steps: Callable[[Setting], Steps[Findings]]
    """Asks its questions and returns the findings."""
    wants: Callable[[Setting], str] = lambda setting: ""
    """Why it cannot run on a setting; empty if it can."""

    def measured_on(self, setting: Setting) -> str:
        """`measured` with the setting's numbers of items."""
        test = "all" if setting.test is None else str(setting.test)
        return self.measured.format(test=test, search=setting.search)
