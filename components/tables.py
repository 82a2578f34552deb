"""Scores as plain values, and as the JSON the browser shows.

Pure; knows neither models nor gradio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

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
