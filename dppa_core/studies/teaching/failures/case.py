"""What a failure and its repair are told with: bars, a table, answers, and the library's own words.

Knows plain values only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from dppa_core.progress import Progress, Stop

if TYPE_CHECKING:
    from dppa_core.studies.teaching.failures.workshop import Workshop

GOOD, BAD, PLAIN = "good", "bad", "plain"


@dataclass(frozen=True, slots=True)
class Bar:
    """One amount."""

    label: str
    value: float
    """In [0, `high` of its plot], cut there if larger."""
    shown: str
    tone: str = PLAIN
    """`good`, `bad` or `plain`; the text says it too."""


@dataclass(frozen=True, slots=True)
class Bars:
    """Amounts side by side."""

    title: str
    high: float
    bars: tuple[Bar, ...]
    mark: float | None = None
    """A limit that is drawn in."""
    mark_label: str = ""


@dataclass(frozen=True, slots=True)
class CaseAnswer:
    """What a model said."""

    who: str
    text: str
    right: bool


@dataclass(frozen=True, slots=True)
class Message:
    """The library's own words."""

    kind: str
    """`refusal`, `warning` or `note`."""
    text: str


@dataclass(frozen=True, slots=True)
class ShownCase:
    """A case as it is now, broken or repaired."""

    said: str
    """What is seen, in a sentence with its numbers."""
    bars: tuple[Bars, ...] = ()
    messages: tuple[Message, ...] = ()
    """Empty where the library lets it pass."""
    prompt: str = ""
    answers: tuple[CaseAnswer, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class CaseTask:
    """What a case is run with."""

    workshop: Workshop
    progress: Progress | None = None
    stop: Stop | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that goes wrong."""

    name: str
    title: str
    setting: str
    """What is done wrong, as one would set it."""
    fault: str
    """The failure by its name."""
    why: str
    repair: str
    """What the repair changes."""
    repaired: str
    """Why that helps."""

    def to_json(self) -> dict[str, str]:
        """All that is told before anything is run."""
        return asdict(self)
