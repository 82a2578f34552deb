"""The declaration of an experiment, and its steps: questions out, answers in.

Steps are a generator that yields questions, receives the answers to all of them, and returns its
result. So experiments contain no code for processes or caches.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import yaml

from dppa_core.charts.report import Findings
from dppa_lab.experiments.questions import Answers, Question
from dppa_lab.experiments.setting import HARNESS, Setting

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


class _Unanswered(Exception):
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
            raise _Unanswered(question)
        return kept[question]

    while True:
        try:
            return code(ask)
        except _Unanswered as error:
            answers = yield [error.question]
            kept[error.question] = answers[error.question]


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
        questions = dict.fromkeys(question for batch in waiting.values() for question in batch)
        answers = yield list(questions)
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


@cache
def texts() -> Mapping[str, Mapping[str, str]]:
    """Experiment -> number, title, question and measured, written by hand."""
    file = Path(__file__).with_name("experiments.yaml")
    by_key: dict[str, dict[str, str]] = yaml.safe_load(file.read_text("utf-8"))
    return by_key


def declared(
    key: str,
    steps: Callable[[Setting], Steps[Findings]],
    wants: Callable[[Setting], str] = lambda setting: "",
) -> Declared:
    """The declaration of an experiment with its texts."""
    return Declared(key, **texts()[key], steps=steps, wants=wants)


def no_harness(reason: str) -> Callable[[Setting], str]:
    """Refuse, with a reason, a setting with a task of lm-evaluation-harness."""
    return lambda setting: reason if any(d.startswith(HARNESS) for d in setting.domains) else ""
