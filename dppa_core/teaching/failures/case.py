"""A failure or its repair as plain values: bars, a table, answers, the library's messages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from dppa_core.progress import Progress, Stop

if TYPE_CHECKING:
    from dppa_core.teaching.failures.workshop import Workshop

GOOD, BAD, PLAIN = "good", "bad", "plain"


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
    progress: Progress | None = None
    stop: Stop | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """The texts of one failure."""

    name: str
    title: str
    setting: str
    fault: str
    why: str
    repair: str
    """The change that repairs it."""
    repaired: str
    """Why the repair helps."""
