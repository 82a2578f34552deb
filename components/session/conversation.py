"""Settings of answers, and conversations as plain values and as JSON for the browser. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

USUAL_ANSWER = 96
"""Tokens of an answer unless a visitor chooses another limit; enough for the examples."""
LEAST_TOP_P = 0.05
MOST_SEED = 2**31 - 1
RUNNING = ("waiting", "loading", "merging", "writing")
"""States of an unfinished answer."""


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """Sampling settings, the same for all answers to a question."""

    max_tokens: int = USUAL_ANSWER
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    conversation: bool = False
    """Whether earlier turns are read too."""
    system: str = ""
    """System prompt; empty for none."""


@dataclass(frozen=True, slots=True)
class ModelAnswer:
    """One model's answer to one question."""

    target: str
    """merged, recipe:HASH for an earlier merge, or a model reference."""
    label: str
    recipe: str = ""
    """Hash of the answering recipe; empty for base and domain models."""
    state: str = "waiting"
    """waiting, loading, merging, writing, done, stopped or failed."""
    text: str = ""
    note: str = ""
    prompt: str = ""
    """The question in the model's chat template."""
    tokens: int = 0
    """Tokens written, the one that ends the answer included."""
    seconds: float = 0.0
    """Seconds of computing them, reading the question included; without other models' turns."""
    loss: float = 0.0
    """Mean of -ln p over these tokens, p as the model had it: nats per token."""
    ends: tuple[int, ...] = ()
    """End of each token in the text, in characters."""
    right: bool | None = None
    """Whether a complete answer to an example is right; None where no answer is known."""
    entropy: tuple[float, ...] = ()
    """Entropy of the model's distribution over each token, in bits."""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with its answers."""

    id: str
    prompt: str
    answers: tuple[ModelAnswer, ...]
    """In display order."""
    settings: AnswerSettings = AnswerSettings()
    earlier: int = 0
    """Number of turns before it that it continues."""
    blind: bool = False
    """Whether the browser hides the answering models until the visitor has voted."""
    expected: str = ""
    """The right answer, if the question is an example."""
    outside: str = ""
    """A note if the models did not learn such questions."""

    def changed(self, target: str, **changes: Any) -> Turn:
        """The turn with one answer changed."""
        answers = tuple(
            replace(answer, **changes) if answer.target == target else answer
            for answer in self.answers
        )
        return replace(self, answers=answers)

    def ended(self, state: str, note: str = "") -> Turn:
        """The turn with every unfinished answer ended."""
        answers = tuple(
            replace(answer, state=state, note=note) if answer.state in RUNNING else answer
            for answer in self.answers
        )
        return replace(self, answers=answers)


def said_before(turns: Sequence[Turn], target: str) -> tuple[tuple[str, str], ...]:
    """Questions of earlier turns that a model answered to the end, with its answers."""
    return tuple(
        (turn.prompt, answer.text)
        for turn in turns
        for answer in turn.answers
        if answer.target == target and answer.state == "done" and answer.text
    )


def transcript_value(turns: tuple[Turn, ...], activity: str) -> dict[str, Any]:
    """The conversation as JSON for the browser, which has all but the last turn unless idle."""
    sent = turns if activity == "idle" else turns[-1:]
    return {
        "order": [turn.id for turn in turns],
        "turns": [asdict(turn) for turn in sent],
        "activity": activity,
    }


def apply_events(turn: Turn, batch: Sequence[tuple[str, Mapping[str, Any]]]) -> Turn:
    """The turn after some events, each (target, changes)."""
    for target, changes in batch:
        turn = turn.changed(target, **changes)
    return turn


def activity_of(turn: Turn) -> str:
    """merging while any answer waits for its weights, else answering."""
    states = {answer.state for answer in turn.answers}
    return "merging" if "merging" in states else "answering"


def stopped_turns(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The conversation after Stop; the text so far stays."""
    return tuple(turn.ended("stopped") for turn in turns)
