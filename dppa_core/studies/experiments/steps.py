"""What an experiment declares of itself, and how it goes: questions out, answers in.

Steps are a generator that yields questions and is sent the answers to all of them; what it returns
is its result. So an experiment says what it wants to know, and nothing of processes or caches.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, runtime_checkable

from dppa_core.studies.experiments.questions import Answers, Question
from dppa_core.studies.experiments.setting import Setting
from dppa_core.studies.experiments.values import Findings

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)
Q = TypeVar("Q", covariant=True)

Steps = Generator[Sequence[Question[Any]], Answers, T]
"""Yields questions, is sent their answers, returns a result."""


@runtime_checkable
class AskFunction(Protocol):
    """How plain code asks."""

    def __call__(self, question: Question[T]) -> T:
        """The answer."""
        ...


class _Wanted(Exception):
    """A question whose answer is not there yet."""

    def __init__(self, question: Question[Any]) -> None:
        super().__init__("a question without an answer")
        self.question = question


def asked(question: Question[T]) -> Steps[T]:
    """One question."""
    answers = yield [question]
    found: T = answers[question]
    return found


def all_asked(questions: Mapping[K, Question[T]]) -> Steps[dict[K, T]]:
    """Several at once, by name."""
    answers = yield list(questions.values())
    return {key: answers[question] for key, question in questions.items()}


def one_by_one(code: Callable[[AskFunction], T]) -> Steps[T]:
    """Code that asks a question, looks at the answer, and asks the next.

    It is begun again whenever an answer has come, so it must be quick, and always ask the same
    where the answers are the same.
    """
    known: dict[Question[Any], Any] = {}

    def ask(question: Question[Any]) -> Any:
        if question not in known:
            raise _Wanted(question)
        return known[question]

    while True:
        try:
            return code(ask)
        except _Wanted as wanted:
            answers = yield [wanted.question]
            known[wanted.question] = answers[wanted.question]


def together(several: Mapping[K, Steps[T]]) -> Steps[dict[K, T]]:
    """Several steps at the same time: the questions of all are handed out together."""
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
        wanted = dict.fromkeys(one for questions in waiting.values() for one in questions)
        answers = yield list(wanted)
        for key in list(waiting):
            go(key, answers)
    return {key: results[key] for key in several}


@dataclass(frozen=True, slots=True)
class Declared:
    """One experiment."""

    key: str
    """What the command line takes."""
    number: str
    """In the order of the page: "1", "6a"."""
    title: str
    question: str
    """What it wants to know: one sentence."""
    measured: str
    """How; `{test}` and `{search}` stand for the numbers of items."""
    steps: Callable[[Setting], Steps[Findings]]
    """Its questions, one after the other, and what it makes of the answers."""
    wants: Callable[[Setting], str] = lambda setting: ""
    """Why it cannot be run on a setting; empty where it can."""

    def measured_on(self, setting: Setting) -> str:
        """How, on a setting."""
        test = "all" if setting.test is None else str(setting.test)
        return self.measured.format(test=test, search=setting.search)
