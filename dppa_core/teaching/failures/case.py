"""A failure or its repair as plain values: bars, a table, answers, the library's messages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dppa_core.progress import Progress, Stop

if TYPE_CHECKING:
    from dppa_core.teaching.failures.workshop import Workshop

GOOD, BAD, PLAIN = "good", "bad", "plain"
MOST, HALF, NONE = HOW_MANY = ("Most stay right", "About half do", "Nearly none do")
RIGHT, WRONG, SILENT = HOW_ANSWERED = ("It answers right", "It answers wrong", "It cannot answer")
REFUSED, WARNED, PASSED = HOW_TAKEN = ("Refuses it", "Warns of it", "Goes ahead")
"""What a reader may predict, in options of about equal length."""


def how_many(hits: int, n: int) -> str:
    """The option of `HOW_MANY` for right answers to `n` questions."""
    return MOST if 3 * hits > 2 * n else HALF if 3 * hits >= n else NONE


@dataclass(frozen=True, slots=True)
class Bar:
    """One bar of a plot."""

    label: str
    value: float
    """In [0, `high` of its plot]; larger values are cut."""
    shown: str
    tone: str = PLAIN
    """`good`, `bad` or `plain`; the text says it too."""


@dataclass(frozen=True, slots=True)
class Bars:
    """A bar plot."""

    title: str
    high: float
    bars: tuple[Bar, ...]
    mark: float | None = None
    """A limit drawn as a line."""
    mark_label: str = ""


@dataclass(frozen=True, slots=True)
class CaseAnswer:
    """A model's answer."""

    who: str
    text: str
    right: bool
    wish: Mapping[str, Any] | None = None
    """How a visitor's tab writes it; None if only the library can."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message of the library."""

    kind: str
    """`refusal`, `warning` or `note`."""
    text: str


@dataclass(frozen=True, slots=True)
class ShownCase:
    """The result of a case, broken or repaired."""

    said: str
    """The result as a sentence with its numbers."""
    outcome: str
    """The option of the case's prediction that came true."""
    bars: tuple[Bars, ...] = ()
    messages: tuple[Message, ...] = ()
    """Empty if the library accepts it silently."""
    prompt: str = ""
    answers: tuple[CaseAnswer, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class CaseTask:
    """The workshop, progress and stop of a run."""

    workshop: Workshop
    question: int
    """Index of the item whose answers are shown."""
    progress: Progress | None = None
    stop: Stop | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The texts of one failure."""

    name: str
    title: str
    setting: str
    predict: str
    """The question to the reader before the run, answered by one of `options`."""
    options: tuple[str, ...]
    question: int
    """Index of the item whose answers are shown; another one in each case."""
    fault: str
    why: str
    repair: str
    """The change that repairs it."""
    repaired: str
    """Why the repair helps."""
