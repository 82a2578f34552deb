"""Conversations and scores as plain values, and as the JSON the browser shows.

Pure; knows neither models nor gradio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Protocol

RUNNING = ("waiting", "merging", "writing")
"""States of an answer that is still coming."""
PACE_AFTER = 2.0
"""Seconds of answering that must have been measured before the time left is told."""


class Scored(Protocol):
    """What a score has: dppa_core.evaluate.DomainScore is one."""

    @property
    def accuracy(self) -> float:
        """Fraction answered rightly."""
        ...

    @property
    def ci95(self) -> tuple[float, float]:
        """Its 95 % interval, as fractions."""
        ...

    @property
    def n(self) -> int:
        """Questions asked."""
        ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What one model says to one question."""

    target: str
    """merged, or a model reference."""
    label: str
    recipe: str = ""
    """Hash of the recipe that answers; empty for base and domain models."""
    state: str = "waiting"
    """waiting, merging, writing, done, stopped or failed."""
    text: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """A question with its answers."""

    id: str
    prompt: str
    answers: tuple[Answer, ...]

    def changed(self, target: str, **changes: str) -> Turn:
        """The turn with one answer changed."""
        answers = tuple(
            replace(answer, **changes) if answer.target == target else answer
            for answer in self.answers
        )
        return replace(self, answers=answers)

    def ended(self, state: str, note: str = "") -> Turn:
        """The turn with every answer that was still coming ended."""
        answers = tuple(
            replace(answer, state=state, note=note) if answer.state in RUNNING else answer
            for answer in self.answers
        )
        return replace(self, answers=answers)


def transcript_value(turns: tuple[Turn, ...], activity: str) -> dict[str, Any]:
    """What the browser shows of the conversation."""
    return {"turns": [asdict(turn) for turn in turns], "activity": activity}


def apply_events(turn: Turn, batch: Sequence[tuple[Any, ...]]) -> Turn:
    """The turn after some events, each (target, changes)."""
    for target, changes in batch:
        turn = turn.changed(target, **changes)
    return turn


def activity_of(turn: Turn) -> str:
    """merging while any answer waits for its weights, else answering."""
    states = {answer.state for answer in turn.answers}
    return "merging" if "merging" in states else "answering"


def stopped_turns(turns: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """The conversation after Stop: what was written so far stays."""
    return tuple(turn.ended("stopped") for turn in turns)


@dataclass(frozen=True, slots=True)
class Row:
    """One model of the table."""

    target: str
    """merged, or a reference."""
    label: str
    recipe: str = ""
    """Hash of the recipe, where it is a merge."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How far an exam is, and how fast it has been."""

    activity: str
    """waiting, merging, or scoring, which begins once the merge is there or was scored before."""
    what: str = ""
    """Which model, and what it is doing, in a few words."""
    done: int = 0
    """Questions with a known answer: asked now, or scored earlier."""
    left: int = 0
    """Questions still to be asked."""
    asked: int = 0
    """Questions asked by this exam."""
    seconds: float = 0.0
    """What those took; making and loading models is not counted."""

    def now(self, activity: str, what: str) -> Standing:
        """The same standing while something else is done."""
        return replace(self, activity=activity, what=what)

    def after(self, count: int, seconds: float) -> Standing:
        """The standing when `count` more questions have been asked in `seconds`."""
        return replace(
            self,
            done=self.done + count,
            left=self.left - count,
            asked=self.asked + count,
            seconds=self.seconds + seconds,
        )

    def seconds_left(self) -> float | None:
        """What the rest takes at the pace so far; None before there is one."""
        if self.asked == 0 or self.seconds < PACE_AFTER:
            return None
        return self.left * self.seconds / self.asked


Scores = Mapping[tuple[str, str], Scored]
"""(target, domain) -> score."""


def score_value(
    rows: Sequence[Row], domains: Sequence[str], scores: Scores, state: str, limit: int
) -> dict[str, Any]:
    """The table of scores: a row per model, a column per domain, and the mean.

    Args:
        state: idle, running, done, stopped or failed.
        limit: Questions per domain.
    """
    table = [
        {
            "target": row.target,
            "label": row.label,
            "recipe": row.recipe,
            "cells": [_cell(scores.get((row.target, domain))) for domain in domains],
            "mean": _mean([scores.get((row.target, domain)) for domain in domains]),
        }
        for row in rows
    ]
    return {"state": state, "limit": limit, "domains": list(domains), "rows": table}


def _cell(score: Scored | None) -> dict[str, Any] | None:
    if score is None:
        return None
    low, high = score.ci95
    return {"accuracy": score.accuracy, "low": low, "high": high, "n": score.n}


def _mean(scores: Sequence[Scored | None]) -> float | None:
    known = [score.accuracy for score in scores if score is not None]
    return sum(known) / len(known) if known and len(known) == len(scores) else None


def retention_sentence(
    rows: Sequence[Row], domains: Sequence[str], scores: Scores, base: str
) -> str:
    """What the table says about the merge, as a sentence; empty until it is complete.

    A domain in which no single model scores has no retention and is left out.
    """
    kept = {}
    for domain in domains:
        own = [
            scores[row.target, domain].accuracy
            for row in rows
            if row.target not in ("merged", base) and (row.target, domain) in scores
        ]
        merged = scores.get(("merged", domain))
        if merged is None or not own:
            return ""
        if max(own) > 0:
            kept[domain] = merged.accuracy / max(own)
    if not kept:
        return ""
    mean = sum(kept.values()) / len(kept)
    about = f"Retention, the merge's score divided by the best single model's: {_percent(mean)}"
    if len({_percent(share) for share in kept.values()}) == 1:
        return f"{about} in {' and '.join(kept)}."
    worst = min(kept, key=kept.__getitem__)
    among = "on average" if len(kept) == len(domains) else f"on average in {' and '.join(kept)}"
    return f"{about} {among}, least in {worst} ({_percent(kept[worst])})."


def _percent(share: float) -> str:
    return f"{100 * share:.0f}\u2009%"
